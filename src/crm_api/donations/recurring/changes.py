"""The log of a plan's changes: what a donor gives more or less, pauses, ends, and who did it why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select

from crm_api.audit.service import record
from crm_api.donations.recurring import schedule
from crm_api.donations.recurring.facts import PlanChanged
from crm_api.donations.recurring.models import recurring_plan_changes as changes_table
from crm_api.donations.recurring.models import recurring_plans
from crm_api.kit.db import ReadSession, Row, RowLike, WriteSession, prepare
from crm_api.kit.ids import new_id
from crm_api.kit.money import MAX_MINOR
from crm_api.kit.schemas import money_or_none
from crm_api.kit.updates import update_row
from crm_api.outbox.service import emit

MOST = 1_000
_TERMS = ("amount", "currency", "frequency_unit", "frequency_interval")
_OF_PLAN = prepare(
    select(changes_table)
    .where(
        changes_table.c.organization_id == bindparam("organization_id"),
        changes_table.c.plan_id == bindparam("plan_id"),
    )
    .order_by(changes_table.c.changed_at.desc(), changes_table.c.id.desc())
    .limit(MOST)
)


def annual_value(terms: RowLike) -> int | None:
    """What the terms come to in a year, in minor units; nothing while they are not known."""
    if any(terms[name] is None for name in _TERMS):
        return None
    return schedule.annual(terms["amount"], terms["frequency_unit"], terms["frequency_interval"])


def kind_of(before: RowLike, after: RowLike) -> str:
    """What a change of amount or frequency is to the donor: more in a year, less, or neither to be told (another
    currency, the same in other steps)."""
    old, new = annual_value(before), annual_value(after)
    if old is None or new is None or before["currency"] != after["currency"] or old == new:
        return "change"
    return "upgrade" if new > old else "downgrade"


def note(session: WriteSession, before: RowLike, after: RowLike, kind: str, reason: str | None = None) -> None:
    """Add a change to the log."""
    session.later(
        changes_table,
        id=new_id(),
        plan_id=after["id"],
        kind=kind,
        changed_at=session.now,
        **{f"previous_{name}": before[name] for name in _TERMS},
        **{name: after[name] for name in _TERMS},
        previous_status=before["status"],
        status=after["status"],
        reason=reason,
        actor_kind=session.actor.kind,
        actor_id=session.actor.id,
    )


async def change(
    session: WriteSession, plan: RowLike, changes: Mapping[str, Any], kind: str | None, reason: str | None = None
) -> Row:
    """Write changed columns of a locked plan with everything that follows: log, audit, fact. `kind` of the log's entry;
    nothing where the log has no interest in it. A new status is dated now."""
    changes = {name: value for name, value in changes.items() if value != plan[name]}
    if "status" in changes:
        changes["status_at"] = session.now
    after = await update_row(session, recurring_plans, plan["id"], changes, expected=None)
    if kind is not None:
        note(session, plan, after, kind, reason)
    record(session, "recurring_plan.updated", "recurring_plan", plan["id"], fields=changes)
    if changes.keys() & {"status", "contact_id", *_TERMS}:
        emit(
            session,
            PlanChanged(
                plan_id=plan["id"],
                contact_id=after["contact_id"],
                previous_status=plan["status"],
                status=after["status"],
            ),
        )
    return after


def to_read(row: RowLike) -> dict[str, Any]:
    """A change as the API shows it."""

    def terms(prefix: str) -> dict[str, Any]:
        plain = {name: row[f"{prefix}{name}"] for name in _TERMS}
        value = annual_value(plain)
        return {
            "amount": money_or_none(plain["amount"], plain["currency"]),
            "frequency_unit": plain["frequency_unit"],
            "frequency_interval": plain["frequency_interval"],
            "annual_value": None
            if value is None or value > MAX_MINOR
            else {"amount": value, "currency": plain["currency"]},
            "status": row[f"{prefix}status"],
        }

    names = ("id", "plan_id", "kind", "changed_at", "reason", "actor_kind", "actor_id")
    return {**{name: row[name] for name in names}, "previous": terms("previous_"), "current": terms("")}


async def of_plan(session: ReadSession, plan_id: UUID) -> list[dict[str, Any]]:
    """The newest changes of a plan."""
    return [to_read(row) for row in await session.fetch(_OF_PLAN, plan_id=plan_id)]
