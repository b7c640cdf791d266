"""An organization's donor-status rules: kept as versions, each whole; and what others would change."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import text

from crm_api.audit.service import record
from crm_api.kit.db import ReadSession, WriteSession, prepare
from crm_api.kit.problems import Invalid
from crm_api.kit.schemas import money_or_none
from crm_api.kit.updates import check_version
from crm_api.outbox.service import emit
from crm_api.scoring import repository
from crm_api.scoring.facts import DonorStatusRulesChanged
from crm_api.scoring.models import donor_status_rules
from crm_api.scoring.repository import Standing
from crm_api.scoring.schemas import DonorStatusRules
from crm_api.scoring.service import today
from crm_api.scoring.status import STATUS_SQL, STATUSES, StatusRules, default_rules

_LOCK = prepare(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"))
_NOW_SQL = re.sub(r":(\w+_days|major_gift_threshold)", r":now_\1", STATUS_SQL)
_PREVIEW = prepare(
    text(
        f"""
        SELECT was AS previous_status, would AS status, count(*) AS donors
        FROM (SELECT {_NOW_SQL} AS was, {STATUS_SQL} AS would
              FROM (SELECT s.gift_count, s.total_last_365_days, s.is_recurring AS is_live_recurring,
                        CAST(:as_of AS date) - s.last_gift_date AS days_since_last_gift
                    FROM donor_summaries s WHERE s.organization_id = :organization_id) f) j
        GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2
        """
    )
)


def to_read(by: Standing, currency: str) -> dict[str, Any]:
    """The rules in force as the API shows them."""
    return _shown(by.rules, currency, by.rules_since)


def _shown(rules: StatusRules, currency: str, since: Any) -> dict[str, Any]:
    values = rules.model_dump(exclude={"major_gift_threshold"})
    return {**values, "major_gift_threshold": money_or_none(rules.major_gift_threshold, currency), "created_at": since}


async def get_rules(session: ReadSession) -> dict[str, Any]:
    """The rules in force."""
    return to_read(await repository.standing(session, today(session)), session.tenant.currency)


def _asked(session: ReadSession, body: DonorStatusRules, version: int) -> StatusRules:
    """The rules of a body. Raises `Invalid` where thresholds cross or the currency is not the organization's."""
    if not body.lapsing_after_days < body.lapsed_after_days < body.lost_after_days:
        said = "lapsing_after_days must be below lapsed_after_days, and that below lost_after_days."
        raise Invalid.at("/lapsed_after_days", "thresholds_crossed", said)
    currency = session.tenant.currency
    threshold = default_rules(currency).major_gift_threshold
    if "major_gift_threshold" in body.model_fields_set:
        asked = body.major_gift_threshold
        if asked is not None and asked.currency != currency:
            said = "The threshold is in the organization's currency; see GET /v1/organization."
            raise Invalid.at("/major_gift_threshold/currency", "other_currency", said)
        threshold = None if asked is None else asked.amount
    return StatusRules(
        lost_after_days=body.lost_after_days,
        lapsed_after_days=body.lapsed_after_days,
        lapsing_after_days=body.lapsing_after_days,
        new_within_days=body.new_within_days,
        major_gift_threshold=threshold,
        version=version,
    )


async def put_rules(session: WriteSession, body: DonorStatusRules, *, expected: int | None) -> dict[str, Any]:
    """Put other rules in force, as a new version; every donor is judged anew by the worker. The same rules again are
    no new version."""
    await session.fetch(_LOCK, name=f"{session.organization_id}:donor_status_rules")
    by = await repository.standing(session, today(session))
    check_version(by.rules.version, expected)
    rules = _asked(session, body, by.rules.version)
    if rules == by.rules:
        return to_read(by, session.tenant.currency)
    rules = rules.model_copy(update={"version": by.rules.version + 1})
    session.later(
        donor_status_rules,
        version=rules.version,
        content=rules.model_dump(exclude={"version"}),
        actor_kind=session.actor.kind,
        actor_id=session.actor.id,
        created_at=session.now,
    )
    record(session, "donor_status_rules.changed", "donor_status_rules", rules.version)
    emit(session, DonorStatusRulesChanged(version=rules.version))
    return _shown(rules, session.tenant.currency, session.now)


async def preview(session: ReadSession, body: DonorStatusRules) -> dict[str, Any]:
    """Donors of each status now and by other rules, and the moves between, in one statement."""
    as_of = today(session)
    by = await repository.standing(session, as_of)
    asked = _asked(session, body, by.rules.version)
    before = {f"now_{name}": value for name, value in by.rules.sql_params().items()}
    rows = await session.fetch(_PREVIEW, as_of=as_of, **before, **asked.sql_params())
    now, then = dict.fromkeys(STATUSES, 0), dict.fromkeys(STATUSES, 0)
    moves = []
    for row in rows:
        now[row["previous_status"]] += row["donors"]
        then[row["status"]] += row["donors"]
        if row["status"] != row["previous_status"]:
            moves.append({**dict(row), "text": _said(row["donors"], row["status"])})
    return {
        "now": now,
        "then": then,
        "moves": moves,
        "donors": sum(now.values()),
        "donors_moved": sum(one["donors"] for one in moves),
    }


def _said(donors: int, status: str) -> str:
    return f"{donors:,} {'donor' if donors == 1 else 'donors'} would become {status}"
