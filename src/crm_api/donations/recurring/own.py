"""Verbs of our own schedules: begin, change, pause, resume, skip, cancel, reactivate.

Whoever changes a plan or one of its periods locks the plan first. A plan that a provider runs is changed there; its
webhook brings the change here.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import date
from typing import Any, cast
from uuid import UUID

from sqlalchemy import bindparam, select, text

from crm_api.audit.service import record
from crm_api.contacts.service import contact_to_name
from crm_api.donations.recurring import changes, schedule
from crm_api.donations.recurring.facts import PlanChanged
from crm_api.donations.recurring.models import recurring_plans
from crm_api.donations.recurring.schedule import Rhythm, Unit
from crm_api.donations.recurring.schemas import Card, PlanCreate
from crm_api.kit import clock, simple
from crm_api.kit.crypto import Vault
from crm_api.kit.db import Row, RowLike, WriteSession, prepare
from crm_api.kit.ids import new_id
from crm_api.kit.problems import Conflict, Invalid, NotFound
from crm_api.kit.updates import check_version
from crm_api.outbox import schedules
from crm_api.outbox.service import emit

ALARM = "recurring.alarm"
RUNNING = ("pending", "active", "past_due")
OVER = ("canceled", "completed")
_ORG: Any = bindparam("organization_id")
_LOCK = prepare(
    select(recurring_plans)
    .where(recurring_plans.c.organization_id == _ORG, recurring_plans.c.id == bindparam("id"))
    .with_for_update(key_share=True)
)
_LAST = prepare(
    text(
        "SELECT max(due_on) AS last FROM recurring_periods WHERE organization_id = :organization_id "
        "AND plan_id = :plan_id"
    )
)
_CONNECTION = prepare(
    text("SELECT provider, status FROM payment_connections WHERE organization_id = :organization_id AND id = :id")
)
# What has not been sent to a provider yet comes to nothing when a plan stops.
_DROP = prepare(
    text(
        "UPDATE recurring_periods SET state = :state, reason = :reason, look_at = NULL, retry_on = NULL, "
        "settled_at = :now, version = version + 1, updated_at = :now "
        "WHERE organization_id = :organization_id AND plan_id = :plan_id "
        "AND state IN ('due', 'retrying', 'expected')"
    )
)
_SKIP = prepare(
    text(
        "INSERT INTO recurring_periods (organization_id, id, plan_id, due_on, state, amount, currency, reason, "
        "settled_at, created_at, updated_at) VALUES (:organization_id, :id, :plan_id, :due_on, 'skipped', :amount, "
        ":currency, 'asked_for', :now, :now, :now)"
    )
)
_RETRY = prepare(
    text(
        "UPDATE recurring_periods SET state = 'retrying', retry_on = :today, look_at = :now, settled_at = NULL, "
        "reason = NULL, amount = :amount, currency = :currency, version = version + 1, updated_at = :now "
        "WHERE organization_id = :organization_id AND id = (SELECT id FROM recurring_periods "
        "WHERE organization_id = :organization_id AND plan_id = :plan_id ORDER BY due_on DESC LIMIT 1) "
        "AND state = 'failed' RETURNING id"
    )
)


async def lock_plan(session: WriteSession, plan_id: UUID, *, expected: int | None = None) -> Row:
    """One plan, locked for this transaction, or 404; 412 on another version."""
    row = await session.fetch_row(_LOCK, id=plan_id)
    if row is None:
        raise NotFound("There is no such recurring plan.")
    check_version(row["version"], expected)
    return row


def rhythm_of(plan: RowLike) -> Rhythm:
    """The series of an own plan's dates."""
    unit = cast("Unit", plan["frequency_unit"])
    return Rhythm(unit, plan["frequency_interval"], plan["anchor_on"], plan["anchor_day"])


def within(plan: RowLike, day: date) -> date | None:
    """The date, if the plan still runs then."""
    return day if plan["end_on"] is None or day <= plan["end_on"] else None


async def following(session: WriteSession, plan: RowLike, day: date, rhythm: Rhythm | None = None) -> date | None:
    """The first date of the series from a day on that no period has been made for; nothing after the plan's end."""
    last = await session.fetch_val(_LAST, plan_id=plan["id"])
    found = (rhythm or rhythm_of(plan)).on_or_after(day)
    if last is not None and found <= last:
        found = (rhythm or rhythm_of(plan)).after(last)
    return within(plan, found)


async def arm(session: WriteSession, day: date | None) -> None:
    """Let the alarm ring when a date's gifts are due; it rings every morning anyway."""
    if day is not None:
        await schedules.bring_forward(session, ALARM, schedule.due_moment(day, session.tenant.timezone))


def today_of(session: WriteSession) -> date:
    """The organization's day."""
    return clock.local_date(session.now, session.tenant.timezone)


def check_own(plan: RowLike) -> None:
    """409 for a plan that a provider runs."""
    if plan["method"] == "provider":
        raise Conflict(
            f"This plan is run by {plan['provider']}. Change it there, or let the donor do it: its webhook brings the "
            "change here.",
            code="managed_by_provider",
        )


def refuse(plan: RowLike, verb: str) -> Conflict:
    """The 409 for a verb that the plan's status forbids."""
    hint = "Reactivate it first." if plan["status"] == "canceled" else "Look at its status and changes."
    return Conflict(f"A plan that is {plan['status']} cannot be {verb}. {hint}", code=f"plan_{plan['status']}")


def card_columns(session: WriteSession, vault: Vault, plan_id: UUID, card: Card) -> dict[str, Any]:
    """The columns of a card; its token sealed for this plan."""
    expires = None
    if card.expires is not None:
        year, month = int(card.expires[:4]), int(card.expires[5:])
        expires = date(year, month, monthrange(year, month)[1])
    return {
        "card_token": vault.seal(session.organization_id, plan_id, card.token.encode()),
        "card_mask": card.mask,
        "card_expires_on": expires,
    }


async def _check_connection(session: WriteSession, connection_id: UUID, method: str) -> None:
    row = await session.fetch_row(_CONNECTION, id=connection_id)
    if row is None:
        raise NotFound.reference("connection_id")
    if row["provider"] != method:
        raise Invalid.at("/connection_id", "wrong_provider", f"connection_id must name a connection to {method}.")
    if row["status"] != "active":
        raise Invalid.at("/connection_id", "connection_disabled", "The connection is disabled; make it active first.")


async def create_plan(session: WriteSession, vault: Vault, body: PlanCreate) -> dict[str, Any]:
    """Begin a plan of our own; its row. What is due today is seen to at once."""
    plan_id, today = new_id(), today_of(session)
    card: dict[str, Any] = dict.fromkeys(("card_token", "card_mask", "card_expires_on"))
    if body.connection_id is not None and body.card is not None:
        await _check_connection(session, body.connection_id, body.method)
        card = card_columns(session, vault, plan_id, body.card)
    start = body.start_date or today
    rhythm = schedule.begin(body.frequency_unit, body.frequency_interval, start, body.anchor_day)
    next_date = rhythm.on_or_after(max(start, today))
    if body.end_date is not None and body.end_date < next_date:
        raise Invalid.at("/end_date", "before_start", f"Nothing would ever be due: the first date is {next_date}.")
    begins = schedule.due_moment(rhythm.nth(0), session.tenant.timezone)
    plan = simple.add(
        session,
        recurring_plans,
        {
            "id": plan_id,
            "contact_id": await contact_to_name(session, body.contact_id),
            "status": "pending" if start > today else "active",
            "status_at": session.now,
            "method": body.method,
            "amount": body.amount.amount,
            "currency": body.amount.currency,
            "frequency_unit": body.frequency_unit,
            "frequency_interval": body.frequency_interval,
            "anchor_on": rhythm.origin,
            "anchor_day": rhythm.anchor_day,
            "start_on": start,
            "started_at": begins,
            "next_date": next_date,
            "installments": body.installments,
            "end_on": body.end_date,
            "fund_id": body.fund_id,
            "campaign_id": body.campaign_id,
            "connection_id": body.connection_id,
            "note": body.note,
            "failures": 0,
            **card,
        },
    )
    record(session, "recurring_plan.created", "recurring_plan", plan_id)
    emit(
        session,
        PlanChanged(plan_id=plan_id, contact_id=plan["contact_id"], previous_status=None, status=plan["status"]),
    )
    await arm(session, next_date)
    absent = ("provider", "provider_plan_id", "ended_at", "resume_on", "pause_reason", "cancel_reason")
    return {**dict.fromkeys(absent), **plan}


async def pause(
    session: WriteSession, plan_id: UUID, reason: str, resume_on: date | None, *, expected: int | None
) -> Row:
    """Stop a plan until a day, or until somebody resumes it. What has not been charged yet is not."""
    plan = await lock_plan(session, plan_id, expected=expected)
    check_own(plan)
    if plan["status"] not in (*RUNNING, "paused"):
        raise refuse(plan, "paused")
    if resume_on is not None and resume_on <= today_of(session):
        raise Invalid.at("/resume_on", "not_in_future", "resume_on must be a day after today.")
    return await stop(session, plan, reason, resume_on)


async def stop(session: WriteSession, plan: RowLike, reason: str | None, resume_on: date | None = None) -> Row:
    """Pause a locked plan, whatever it is about."""
    await session.flush()
    await session.execute(_DROP, plan_id=plan["id"], state="skipped", reason="paused", now=session.now)
    values = {"status": "paused", "pause_reason": reason, "resume_on": resume_on}
    after = await changes.change(session, plan, values, "pause", reason)
    await arm(session, resume_on)
    return after


async def resume(session: WriteSession, plan_id: UUID, reason: str | None, *, expected: int | None) -> Row:
    """Let a paused plan go on, with the first date from today on."""
    plan = await lock_plan(session, plan_id, expected=expected)
    check_own(plan)
    if plan["status"] != "paused":
        raise refuse(plan, "resumed")
    return await go_on(session, plan, "resume", reason)


async def go_on(
    session: WriteSession, plan: RowLike, kind: str, reason: str | None, more: dict[str, Any] | None = None
) -> Row:
    """Let a locked plan run again; what came due meanwhile is not made up for."""
    today = today_of(session)
    next_date = await following(session, plan, max(today, plan["start_on"]))
    if next_date is None:
        raise Conflict("The plan's end date has passed; remove or move it first.", code="plan_over")
    values = {
        "status": "pending" if plan["start_on"] > today else "active",
        "next_date": next_date,
        "failures": 0,
        "ended_at": None,
        **dict.fromkeys(("pause_reason", "resume_on", "cancel_reason")),
        **(more or {}),
    }
    after = await changes.change(session, plan, values, kind, reason)
    await arm(session, next_date)
    return after


async def skip(session: WriteSession, plan_id: UUID, reason: str | None, *, expected: int | None) -> Row:
    """Leave out the payment that is next; a plan of so many installments gets it at its end instead."""
    plan = await lock_plan(session, plan_id, expected=expected)
    check_own(plan)
    if plan["status"] not in RUNNING or plan["next_date"] is None:
        raise refuse(plan, "told to skip a payment")
    await session.execute(
        _SKIP,
        id=new_id(),
        plan_id=plan_id,
        due_on=plan["next_date"],
        amount=plan["amount"],
        currency=plan["currency"],
        now=session.now,
    )
    next_date = within(plan, rhythm_of(plan).after(plan["next_date"]))
    return await changes.change(session, plan, {"next_date": next_date}, "skip", reason)


async def cancel(session: WriteSession, plan_id: UUID, reason: str, *, expected: int | None) -> Row:
    """End a plan. What has not been charged yet is not."""
    plan = await lock_plan(session, plan_id, expected=expected)
    check_own(plan)
    if plan["status"] in OVER:
        raise refuse(plan, "canceled")
    return await end(session, plan, "canceled", "cancel", reason)


async def end(session: WriteSession, plan: RowLike, status: str, kind: str, reason: str | None) -> Row:
    """End a locked plan, whatever it is about."""
    await session.flush()
    await session.execute(_DROP, plan_id=plan["id"], state="skipped", reason=status, now=session.now)
    values = {"status": status, "ended_at": session.now, "next_date": None, "resume_on": None}
    if status == "canceled":
        values["cancel_reason"] = reason
    return await changes.change(session, plan, values, kind, reason)


async def reactivate(session: WriteSession, vault: Vault, plan_id: UUID, body: Any, *, expected: int | None) -> Row:
    """Staff lets a plan go on that was given up or canceled, perhaps with another card; `retry`: and tries the newest
    failed period once more, today."""
    plan = await lock_plan(session, plan_id, expected=expected)
    check_own(plan)
    if plan["status"] not in {"past_due", "paused", "canceled"}:
        raise refuse(plan, "reactivated")
    more: dict[str, Any] = {}
    if body.card is not None:
        takes_card(plan)
        more = card_columns(session, vault, plan_id, body.card)
    elif plan["method"] == "monobank" and plan["card_token"] is None:
        raise Invalid.at("/card", "missing", "The plan's card was removed; send the one to charge from now on.")
    if body.retry:
        values = {"plan_id": plan_id, "amount": plan["amount"], "currency": plan["currency"]}
        if not await session.fetch_val(_RETRY, today=today_of(session), now=session.now, **values):
            raise Conflict("The newest period has not failed; leave out retry.", code="nothing_to_retry")
        await schedules.bring_forward(session, ALARM, session.now)
    return await go_on(session, plan, "reactivate", body.reason, more)


def takes_card(plan: RowLike) -> None:
    """422 for a card that would never be charged."""
    if plan["method"] != "monobank":
        raise Invalid.at("/card", "no_card_here", "Only a plan whose card we charge takes one.")
