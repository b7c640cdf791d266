"""Verbs of scoring."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

from crm_api.donations.gifts.service import note_donor, note_donors
from crm_api.kit import clock
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.ids import new_id
from crm_api.kit.problems import NotFound
from crm_api.kit.schemas import money_or_none
from crm_api.outbox.service import emit
from crm_api.scoring import repository
from crm_api.scoring.facts import DonorsRefreshed, DonorStatusChanged, ScoringRebuilt
from crm_api.scoring.models import donor_status_changes
from crm_api.scoring.rfm import RfmBorders, borders_of, cell, values_of
from crm_api.scoring.status import Reason, StatusResult, StatusRules, default_rules, evaluate
from crm_api.scoring.summary import DonorSummary

SMALL = 25
"""Below this many donors the borders are taken anew with every gift: quintiles of a handful move with each of them."""


def today(session: ReadSession) -> date:
    """The organization's date."""
    return clock.local_date(session.now, session.tenant.timezone)


def rules_of(session: ReadSession) -> StatusRules:
    """The donor-status rules in force."""
    return default_rules(session.tenant.currency)


async def refresh_donor(session: WriteSession, contact_id: UUID) -> None:
    """Bring a donor's figures, status and scores up to date after a gift or plan changed."""
    as_of = today(session)
    if _settled(await repository.latest_borders(session, as_of)):
        await repository.lock_shared(session)
    else:
        await repository.lock_all(session)
    await repository.lock_donor(session, contact_id)
    rules = rules_of(session)
    summary, live = await repository.summarize_donor(session, contact_id, as_of)
    result = evaluate(summary, rules=rules, as_of=as_of, has_live_plan=summary.has_gift_of(live))
    before = await repository.stored_summary(session, contact_id)
    if before is None and summary.gift_count == 0:
        emit(session, DonorsRefreshed(contact_ids=(contact_id,)))
        return
    await repository.store_summary(session, contact_id, _columns(summary, result, rules, session))
    if before is None or before["donor_status"] != result.status:
        _note_change(session, contact_id, before["donor_status"] if before else None, result, rules, as_of)
    touched = {contact_id, *await _rescore_after(session, contact_id, as_of)}
    emit(session, DonorsRefreshed(contact_ids=tuple(sorted(touched))))
    if summary.gift_count and (before is None or not before["gift_count"]):
        await note_donor(session, contact_id)


def _columns(summary: DonorSummary, result: StatusResult, rules: StatusRules, session: WriteSession) -> dict[str, Any]:
    return {
        "gift_count": summary.gift_count,
        "gifts_without_rate": summary.gifts_without_rate,
        "total_given": summary.total_given,
        "average_gift": summary.average_gift,
        "largest_gift": summary.largest_gift,
        "total_last_365_days": summary.total_last_365_days,
        "first_gift_at": summary.first_gift_at,
        "last_gift_at": summary.last_gift_at,
        "first_gift_date": summary.first_gift_date,
        "last_gift_date": summary.last_gift_date,
        "donor_status": result.status,
        "is_new": result.is_new,
        "is_major": result.is_major,
        "is_recurring": result.is_recurring,
        "rules_version": rules.version,
        "as_of": summary.as_of,
        "computed_at": session.now,
    }


def _note_change(
    session: WriteSession,
    contact_id: UUID,
    before: str | None,
    result: StatusResult,
    rules: StatusRules,
    as_of: date,
) -> None:
    change_id = new_id()
    session.later(
        donor_status_changes,
        id=change_id,
        contact_id=contact_id,
        previous_status=before,
        status=result.status,
        rules_version=rules.version,
        reasons=[_reason(reason) for reason in result.reasons],
        as_of=as_of,
        changed_at=session.now,
    )
    emit(
        session,
        DonorStatusChanged(
            contact_id=contact_id,
            previous_status=before,
            status=result.status,
            rules_version=rules.version,
            change_id=change_id,
        ),
    )


def _settled(borders: RfmBorders | None) -> bool:
    """Whether there are donors enough for the borders to stand until the next rebuild."""
    return borders is not None and borders.n >= SMALL


async def _rescore_after(session: WriteSession, contact_id: UUID, as_of: date) -> list[UUID]:
    """Score the donor; where borders move with every gift, everybody. Whose scores changed beside."""
    borders = await repository.latest_borders(session, as_of)
    if borders is not None and _settled(borders):
        await repository.rescore(session, borders, as_of, contact_id)
        return []
    await repository.lock_all(session)  # held already, except where a rebuild has just left fewer donors
    borders = await repository.rebuild_borders(session, as_of)
    return [] if borders is None else await repository.rescore_few(session, borders, as_of)


async def rebuild(session: WriteSession) -> int:
    """Rebuild every figure, status and score of the organization; how many donors."""
    as_of = today(session)
    await repository.lock_all(session)
    count = await repository.rebuild_summaries(session, rules_of(session), as_of)
    borders = await repository.rebuild_borders(session, as_of)
    if borders is not None:
        await repository.rescore(session, borders, as_of)
    await note_donors(session, await repository.unnoted_donors(session))
    emit(session, ScoringRebuilt(as_of=as_of))
    return count


def _reason(reason: Reason) -> dict[str, Any]:
    return {"rule": reason.rule, "field": reason.field, "value": reason.value, "verdict": reason.verdict}


async def donor_profile(session: ReadSession, contact_id: UUID, as_of: date | None) -> dict[str, Any]:
    """What is known of a contact as a donor, as of a date (today when not given).

    Figures and status come straight from the gifts, so they are never behind; the scores stand against the stored
    quintile borders.
    """
    day = as_of or today(session)
    summary, live, credits = await repository.summarize_profile(session, contact_id, day)
    if not summary.gift_count:
        from crm_api.contacts.service import get_contact

        await get_contact(session, contact_id)
    rules = rules_of(session)
    result = evaluate(summary, rules=rules, as_of=day, has_live_plan=summary.has_gift_of(live))
    borders = await repository.latest_borders(session, day) if summary.gift_count else None
    unscored = borders is None and day < today(session)  # no borders were stored by then: no score, rather than a guess
    currency = session.tenant.currency
    return {
        "contact_id": contact_id,
        "donor_status": result.status,
        "is_new": result.is_new,
        "is_major": result.is_major,
        "is_recurring": result.is_recurring,
        "gift_count": summary.gift_count,
        "gifts_without_rate": summary.gifts_without_rate,
        "total_given": {"amount": summary.total_given, "currency": currency},
        "average_gift": money_or_none(summary.average_gift, currency),
        "largest_gift": money_or_none(summary.largest_gift, currency),
        "total_last_365_days": {"amount": summary.total_last_365_days, "currency": currency},
        "first_gift_at": summary.first_gift_at,
        "last_gift_at": summary.last_gift_at,
        "soft_credits": {
            "gift_count": credits[0],
            "total": {"amount": credits[1], "currency": currency},
            "gifts_without_rate": credits[2],
        },
        "rfm": None if unscored else _rfm(summary, borders),
        "ltv": {"historical": {"amount": summary.total_given, "currency": currency}},
        "reasons": [_reason(reason) for reason in result.reasons],
        "rules_version": rules.version,
        "as_of": day,
        "computed_at": session.now,
    }


def _rfm(summary: DonorSummary, borders: RfmBorders | None) -> dict[str, Any] | None:
    values = values_of(summary)
    if values is None:
        return None
    stored = borders or borders_of([values])
    if stored is None:
        raise NotFound("There are no donors to score against yet.")
    scored = cell(
        values.days_since_last_gift,
        values.gift_count,
        values.monetary_value,
        stored,
        gifts_without_rate=summary.gifts_without_rate,
    )
    return {
        "recency": scored.recency,
        "frequency": scored.frequency,
        "monetary": scored.monetary,
        "code": scored.code,
        "name": scored.name,
        "flags": list(scored.flags),
    }
