"""Verbs of all recurring plans, and of those that providers run; `own` has those of our own schedules.

What providers state about a plan is joined by the provider's own time, so that any order of the same statements ends in
the same plan: the newest status wins, at the same time the one further along; likewise amount and frequency.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select, text

from crm_api.audit.service import record
from crm_api.donations.recurring.changes import kind_of, note
from crm_api.donations.recurring.facts import PlanChanged
from crm_api.donations.recurring.models import recurring_plans
from crm_api.kit import clock
from crm_api.kit.db import ReadSession, Row, RowLike, WriteSession, prepare
from crm_api.kit.ids import new_id
from crm_api.kit.money import Money
from crm_api.kit.problems import NotFound
from crm_api.kit.schemas import money_or_none
from crm_api.kit.updates import update_row
from crm_api.outbox.service import emit

LIVE = ("active", "past_due")
_FINAL = ("canceled", "completed")  # no provider brings an ended plan back; a late "paid" does not either
_RANK = {"pending": 0, "active": 1, "past_due": 2, "paused": 3, "completed": 4, "canceled": 5}
_READ = (
    "status", "method", "frequency_unit", "frequency_interval", "anchor_day", "installments", "fund_id", "campaign_id",
    "note", "connection_id", "provider", "provider_plan_id", "card_mask", "card_expires_on", "started_at", "next_date",
    "ended_at", "resume_on", "pause_reason", "cancel_reason", "failures", "version", "created_at", "updated_at",
)  # fmt: skip
_TERMS = frozenset({"amount", "currency", "frequency_unit", "frequency_interval"})
_ORG: Any = bindparam("organization_id")
GET = prepare(
    select(recurring_plans).where(recurring_plans.c.organization_id == _ORG, recurring_plans.c.id == bindparam("id"))
)
_BY_PROVIDER = prepare(
    select(recurring_plans)
    .where(
        recurring_plans.c.organization_id == _ORG,
        recurring_plans.c.connection_id == bindparam("connection_id"),
        recurring_plans.c.provider_plan_id == bindparam("ref"),
    )
    .with_for_update(key_share=True)
)
_LIVE_IDS = prepare(
    text(
        "SELECT id FROM recurring_plans WHERE organization_id = :organization_id AND contact_id = :contact_id "
        "AND status IN ('active', 'past_due')"
    )
)


@dataclass(frozen=True, slots=True)
class PlanStatement:
    """What somebody states about a plan at one time; unknown parts are null."""

    ref: str
    stated_at: datetime
    status: str | None = None
    amount: Money | None = None
    frequency_unit: str | None = None
    frequency_interval: int | None = None
    customer_ref: str | None = None
    started_at: datetime | None = None
    next_date: date | None = None
    ended_at: datetime | None = None
    whole: bool = False
    contact_id: UUID | None = None
    campaign_id: UUID | None = None


def to_read(row: RowLike) -> dict[str, Any]:
    """A plan as the API shows it."""
    return {
        "id": row["id"],
        "contact_id": row["contact_id"],
        "amount": money_or_none(row["amount"], row["currency"]),
        "start_date": row["start_on"],
        "end_date": row["end_on"],
        **{name: row[name] for name in _READ},
    }


async def get_plan(session: ReadSession, plan_id: UUID) -> Row:
    """One plan, or 404."""
    row = await session.fetch_row(GET, id=plan_id)
    if row is None:
        raise NotFound("There is no such recurring plan.")
    return row


async def live_plan_ids(session: ReadSession, contact_id: UUID) -> list[UUID]:
    """Plans of the contact that are expected to bring the next gift."""
    return [row["id"] for row in await session.fetch(_LIVE_IDS, contact_id=contact_id)]


def newer_status(current: tuple[datetime, str] | None, stated: tuple[datetime, str]) -> bool:
    """Whether a statement about the status replaces the current one."""
    if current is None:
        return True
    return (stated[1] in _FINAL, stated[0], _RANK[stated[1]]) > (current[1] in _FINAL, current[0], _RANK[current[1]])


async def state_plan(session: WriteSession, connection_id: UUID, provider: str, said: PlanStatement) -> Row:
    """Take a provider's statement about a plan; the plan as it is then. The caller holds the lock of the plan's id."""
    row = await session.fetch_row(_BY_PROVIDER, connection_id=connection_id, ref=said.ref)
    if row is None:
        plan_id = new_id()
        session.later(recurring_plans, **_new(session, plan_id, connection_id, provider, said))
        record(session, "recurring_plan.created", "recurring_plan", plan_id)
        await session.flush()
        row = await get_plan(session, plan_id)
        _announce(session, row, None)
        return row
    changes = _joined(row, said)
    changes = {name: value for name, value in changes.items() if value != row[name]}
    if not changes:
        return row
    after = await update_row(session, recurring_plans, row["id"], changes, expected=None)
    record(session, "recurring_plan.updated", "recurring_plan", row["id"], fields=changes)
    if row["amount"] is not None and changes.keys() & _TERMS:
        note(session, row, after, kind_of(row, after))
    _announce(session, after, row["status"])
    return after


def _announce(session: WriteSession, row: Row, before: str | None) -> None:
    emit(
        session,
        PlanChanged(plan_id=row["id"], contact_id=row["contact_id"], previous_status=before, status=row["status"]),
    )


def _new(
    session: WriteSession, plan_id: UUID, connection_id: UUID, provider: str, said: PlanStatement
) -> dict[str, Any]:
    amount = said.amount
    return {
        "id": plan_id,
        "contact_id": said.contact_id,
        "status": said.status or "pending",
        # A plan heard of only by name takes the first real statement about its status, whatever its time.
        "status_at": said.stated_at if said.status else clock.from_unix(0),
        "amount": amount.amount if amount else None,
        "currency": amount.currency if amount else None,
        "frequency_unit": said.frequency_unit,
        "frequency_interval": said.frequency_interval,
        "described_at": said.stated_at if said.whole else None,
        "started_at": said.started_at,
        "next_date": said.next_date,
        "ended_at": said.ended_at,
        "campaign_id": said.campaign_id,
        "connection_id": connection_id,
        "provider": provider,
        "provider_plan_id": said.ref,
        "provider_customer_id": said.customer_ref,
        "version": 1,
        "created_at": session.now,
        "updated_at": session.now,
    }


def _describes_newer(row: Row, said: PlanStatement) -> bool:
    """Whether a description replaces the current one. Providers' times are whole seconds: among descriptions of one
    second a fixed order decides, and one without a next date (the plan is ending) stands above the others."""
    described: datetime | None = row["described_at"]
    if described is None or said.stated_at != described:
        return described is None or said.stated_at > described
    amount = said.amount
    stated = (said.next_date, amount.amount if amount else None, said.frequency_unit, said.frequency_interval)
    current = (row["next_date"], row["amount"], row["frequency_unit"], row["frequency_interval"])
    return _fixed_order(stated) > _fixed_order(current)


def _fixed_order(description: tuple[date | None, int | None, str | None, int | None]) -> tuple[Any, ...]:
    next_date, amount, unit, interval = description
    return (next_date is None, next_date or date.min, amount or 0, unit or "", interval or 0)


def _joined(row: Row, said: PlanStatement) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if said.status and newer_status((row["status_at"], row["status"]), (said.stated_at, said.status)):
        changes |= {"status": said.status, "status_at": said.stated_at}
        if said.ended_at or said.status not in {"canceled", "completed"}:
            changes["ended_at"] = said.ended_at
    if said.whole and _describes_newer(row, said):
        changes |= {
            "described_at": said.stated_at,
            "frequency_unit": said.frequency_unit,
            "frequency_interval": said.frequency_interval,
            "next_date": said.next_date,
        }
        if said.amount:
            changes |= {"amount": said.amount.amount, "currency": said.amount.currency}
    elif row["amount"] is None and said.amount:
        changes |= {"amount": said.amount.amount, "currency": said.amount.currency}
    if said.started_at and (row["started_at"] is None or said.started_at < row["started_at"]):
        changes["started_at"] = said.started_at
    for name, value in (
        ("contact_id", said.contact_id),
        ("campaign_id", said.campaign_id),
        ("provider_customer_id", said.customer_ref),
    ):
        if row[name] is None and value is not None:
            changes[name] = value
    return changes
