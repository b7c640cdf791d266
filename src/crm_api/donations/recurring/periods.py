"""The periods of our own schedules: claimed before anything is charged, settled once.

A period is a row, unique by plan and date, made in the transaction that moves the plan's next date on. Whoever makes it
may charge; nobody else can. What becomes of it later (retries, giving up, money that comes in another way) never moves
the dates that follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select, text

from crm_api.donations.recurring import changes, own, schedule
from crm_api.donations.recurring.facts import CardExpiring, PeriodDue, PlanChanged
from crm_api.donations.recurring.models import recurring_periods
from crm_api.kit.db import ReadSession, Row, RowLike, WriteSession, prepare
from crm_api.kit.ids import new_id
from crm_api.kit.problems import NotFound
from crm_api.kit.schemas import money_or_none
from crm_api.kit.updates import get_row, update_row
from crm_api.outbox import schedules
from crm_api.outbox.service import emit

AT_ONCE = 500
_MOST_DATES = 400
_NOTICE = timedelta(days=30)
_LOST = timedelta(minutes=15)
"""After so long a claimed period that nobody has begun to charge is called out once more."""
OPEN = ("due", "charging", "unknown", "retrying", "expected")
_ORG: Any = bindparam("organization_id")
_LOCK = prepare(
    select(recurring_periods)
    .where(recurring_periods.c.organization_id == _ORG, recurring_periods.c.id == bindparam("id"))
    .with_for_update(key_share=True)
)
_DUE = prepare(
    text(
        """
        SELECT p.*, coalesce(c.deceased, false) AS deceased,
            CASE WHEN p.installments IS NULL THEN NULL ELSE p.installments - (
                SELECT count(*) FROM recurring_periods r WHERE r.organization_id = p.organization_id
                    AND r.plan_id = p.id AND r.state IN ('paid', 'due', 'charging', 'unknown', 'retrying', 'expected'))
            END AS places
        FROM recurring_plans p
        LEFT JOIN contacts c ON c.organization_id = p.organization_id AND c.id = p.contact_id
        WHERE p.organization_id = :organization_id AND p.method <> 'provider'
            AND p.status IN ('pending', 'active', 'past_due') AND p.next_date <= :today
        ORDER BY p.next_date, p.id LIMIT :most FOR NO KEY UPDATE OF p SKIP LOCKED
        """
    )
)
_CLAIM = prepare(
    text(
        """
        INSERT INTO recurring_periods (organization_id, id, plan_id, due_on, state, amount, currency, look_at, reason,
            settled_at, created_at, updated_at)
        SELECT :organization_id, r.id, r.plan_id, r.due_on, r.state, r.amount, r.currency, r.look_at, r.reason,
            r.settled_at, :now, :now
        FROM jsonb_to_recordset(:periods) AS r(id uuid, plan_id uuid, due_on date, state text, amount bigint,
            currency text, look_at timestamptz, reason text, settled_at timestamptz)
        ON CONFLICT (organization_id, plan_id, due_on) DO NOTHING RETURNING id, plan_id, state
        """
    )
)
_ADVANCE = prepare(
    text(
        """
        UPDATE recurring_plans p SET next_date = r.next_date, status = r.status,
            status_at = CASE WHEN p.status = r.status THEN p.status_at ELSE :now END,
            version = p.version + 1, updated_at = :now
        FROM jsonb_to_recordset(:plans) AS r(id uuid, next_date date, status text)
        WHERE p.organization_id = :organization_id AND p.id = r.id
        """
    )
)
_RESUME = prepare(
    text(
        "SELECT * FROM recurring_plans WHERE organization_id = :organization_id AND status = 'paused' "
        "AND resume_on <= :today ORDER BY resume_on, id LIMIT :most FOR NO KEY UPDATE SKIP LOCKED"
    )
)
_EXPIRING = prepare(
    text(
        """
        UPDATE recurring_plans SET expiry_told_on = card_expires_on, updated_at = :now
        WHERE organization_id = :organization_id AND id IN (
            SELECT id FROM recurring_plans WHERE organization_id = :organization_id AND card_expires_on IS NOT NULL
                AND status IN ('pending', 'active', 'past_due') AND card_expires_on <= :until
                AND expiry_told_on IS DISTINCT FROM card_expires_on
            ORDER BY card_expires_on, id LIMIT :most FOR NO KEY UPDATE SKIP LOCKED)
        RETURNING id, contact_id, card_expires_on
        """
    )
)
_LOOK = prepare(
    text(
        "SELECT id, plan_id, state, due_on FROM recurring_periods WHERE organization_id = :organization_id "
        "AND look_at <= :now ORDER BY look_at, id LIMIT :most"
    )
)
_OPEN_ONES = prepare(
    text(
        "SELECT count(*) FILTER (WHERE state = 'paid') AS paid, count(*) FILTER (WHERE state IN ('due', 'charging', "
        "'unknown', 'retrying', 'expected')) AS open FROM recurring_periods "
        "WHERE organization_id = :organization_id AND plan_id = :plan_id"
    )
)


def to_read(row: RowLike) -> dict[str, Any]:
    """A period as the API shows it."""
    names = (
        "id", "plan_id", "due_on", "state", "attempts", "decline_class", "retry_on", "reason", "settled_at", "version",
        "created_at", "updated_at",
    )  # fmt: skip
    return {
        **{name: row[name] for name in names},
        "amount": money_or_none(row["amount"], row["currency"]),
        "donation_id": row["gift_id"],
    }


async def get_period(session: ReadSession, period_id: UUID) -> Row:
    """One period, or 404."""
    return await get_row(session, recurring_periods, period_id, "period of a recurring plan")


async def lock_period(session: WriteSession, period_id: UUID) -> Row:
    """One period, locked for this transaction; lock its plan before it."""
    row = await session.fetch_row(_LOCK, id=period_id)
    if row is None:
        raise NotFound("There is no such period of a recurring plan.")
    return row


async def set_period(session: WriteSession, period_id: UUID, **values: Any) -> Row:
    """Write columns of a locked period."""
    return await update_row(session, recurring_periods, period_id, values, expected=None)


# What the alarm does


async def claim_due(session: WriteSession, late_days: int) -> bool:
    """Claim the periods that have come due; whether there may be more. `late_days`: how long money that somebody sends
    by himself may take."""
    today = schedule.due_day(session.now, session.tenant.timezone)
    found = await session.fetch(_DUE, today=today, most=AT_ONCE)
    periods: list[dict[str, Any]] = []
    plans: list[Row] = []
    for plan in found:
        if plan["contact_id"] is None:
            await own.end(session, plan, "canceled", "cancel", "contact_erased")
        elif plan["deceased"]:
            await own.stop(session, plan, "contact_deceased")
        else:
            plans.append(plan)
            periods += _claims(session, plan, today, late_days)
    claimed = await session.fetch(_CLAIM, periods=periods, now=session.now) if periods else []
    for row in claimed:
        if row["state"] == "due":
            emit(session, PeriodDue(period_id=row["id"], plan_id=row["plan_id"]))
    await _advance(session, plans, today)
    return len(found) == AT_ONCE


def _claims(session: WriteSession, plan: Row, today: date, late_days: int) -> list[dict[str, Any]]:
    """The periods of a plan that have come due. A donor is never charged for two at once: of several that came due
    while nobody worked, the newest is charged. A standing order is the bank's: each of its payments is waited for."""
    last = today if plan["end_on"] is None else min(today, plan["end_on"])
    dates = own.rhythm_of(plan).between(plan["next_date"], last)[-_MOST_DATES:]
    places = len(dates) if plan["places"] is None else max(plan["places"], 0)
    charged = plan["method"] == "monobank"
    found = []
    for number, day in enumerate(dates):
        state: str = "missed"
        reason: str | None = "not_attempted"
        look_at: datetime | None = None
        if charged and number == len(dates) - 1 and places:
            state, reason, look_at = "due", None, session.now + _LOST
        elif not charged and number < places:
            state, reason, look_at = "expected", None, until(session, day, late_days)
        elif places == 0 or (not charged and number >= places):
            continue  # what is open may still complete the plan
        found.append(
            {
                "id": str(new_id()),
                "plan_id": str(plan["id"]),
                "due_on": day.isoformat(),
                "state": state,
                "amount": plan["amount"],
                "currency": plan["currency"],
                "look_at": None if look_at is None else look_at.isoformat(),
                "reason": reason,
                "settled_at": session.now.isoformat() if state == "missed" else None,
            }
        )
    return found


def until(session: WriteSession, day: date, late_days: int) -> datetime:
    """How long money for a date is waited for."""
    return schedule.due_moment(day + timedelta(days=late_days + 1), session.tenant.timezone)


async def _advance(session: WriteSession, plans: list[Row], today: date) -> None:
    """Move the next dates on, all in one statement; a plan whose first date has come is active."""
    rows = []
    for plan in plans:
        next_date = own.within(plan, own.rhythm_of(plan).after(today))
        status = "active" if plan["status"] == "pending" else plan["status"]
        rows.append({"id": str(plan["id"]), "next_date": next_date and next_date.isoformat(), "status": status})
    if rows:
        await session.execute(_ADVANCE, plans=rows, now=session.now)
    for plan in plans:
        if plan["status"] == "pending":
            fact = PlanChanged(
                plan_id=plan["id"], contact_id=plan["contact_id"], previous_status="pending", status="active"
            )
            emit(session, fact)


async def resume_due(session: WriteSession) -> bool:
    """Let plans go on whose pause ends today; whether there may be more."""
    found = await session.fetch(_RESUME, today=own.today_of(session), most=AT_ONCE)
    for plan in found:
        if await own.following(session, plan, own.today_of(session)) is None:
            await own.end(session, plan, "completed", "complete", None)
        else:
            await own.go_on(session, plan, "resume", None)
    return len(found) == AT_ONCE


async def tell_expiring(session: WriteSession) -> bool:
    """Give a fact for every card that ends within a month, once for each day it ends on; whether there may be more."""
    until = own.today_of(session) + _NOTICE
    found = await session.fetch(_EXPIRING, until=until, now=session.now, most=AT_ONCE)
    for row in found:
        fact = CardExpiring(plan_id=row["id"], contact_id=row["contact_id"], expires_on=row["card_expires_on"])
        emit(session, fact)
    return len(found) == AT_ONCE


async def to_look_at(session: WriteSession) -> list[Row]:
    """Periods that somebody must see to now: id, plan_id, state, due_on. Neither they nor their plans are locked."""
    return await session.fetch(_LOOK, now=session.now, most=AT_ONCE)


async def look_later(session: WriteSession, period_id: UUID, moment: datetime, **values: Any) -> Row:
    """Let the alarm see to a period at a moment; other columns with it."""
    await schedules.bring_forward(session, own.ALARM, moment)
    return await set_period(session, period_id, look_at=moment, **values)


# What becomes of a period


async def settle_paid(session: WriteSession, plan: RowLike, period: RowLike, gift_id: UUID | None) -> Row:
    """Money has come for a period: the plan is well again, and complete if that was the last one."""
    after = await set_period(
        session,
        period["id"],
        state="paid",
        gift_id=gift_id,
        look_at=None,
        retry_on=None,
        reason=None,
        settled_at=session.now,
    )
    values: dict[str, Any] = {"failures": 0}
    if plan["status"] in {"past_due", "pending"}:
        values["status"] = "active"
    await complete_if_over(session, await _changed(session, plan, values))
    return after


async def settle_not(session: WriteSession, plan: RowLike, period: RowLike, state: str, **values: Any) -> Row:
    """A period ends without money (failed, missed)."""
    after = await set_period(
        session, period["id"], state=state, look_at=None, retry_on=None, settled_at=session.now, **values
    )
    await complete_if_over(session, plan)
    return after


async def note_failure(session: WriteSession, plan: RowLike) -> RowLike:
    """An attempt failed or a payment was missed: a running plan is past due. Failing is not failed: the next money
    makes it active again."""
    values: dict[str, Any] = {"failures": plan["failures"] + 1}
    if plan["status"] in {"pending", "active"}:
        values["status"] = "past_due"
    return await _changed(session, plan, values)


async def _changed(session: WriteSession, plan: RowLike, values: Mapping[str, Any]) -> RowLike:
    fresh = {name: value for name, value in values.items() if value != plan[name]}
    return await changes.change(session, plan, fresh, None) if fresh else plan


async def complete_if_over(session: WriteSession, plan: RowLike) -> None:
    """End a plan that has had its installments, or whose end has come with nothing open."""
    if plan["status"] not in own.RUNNING or (plan["installments"] is None and plan["next_date"] is not None):
        return
    counts = await session.fetch_row(_OPEN_ONES, plan_id=plan["id"])
    assert counts is not None
    enough = plan["installments"] is not None and counts["paid"] >= plan["installments"]
    if enough or (plan["next_date"] is None and counts["open"] == 0):
        await own.end(session, plan, "completed", "complete", None)
