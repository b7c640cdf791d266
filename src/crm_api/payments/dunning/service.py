"""Verbs of dunning beside the charge itself: what the alarm sees to, what gifts say of charges, what people say."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.audit.service import record
from crm_api.donations.gifts.service import get_gift
from crm_api.donations.pledges import payments as pledge_payments
from crm_api.donations.recurring import matching, own, periods
from crm_api.donations.recurring.facts import PeriodDue, PlanPaymentMissed, RecurringAlarm
from crm_api.kit.db import Row, WriteSession, prepare
from crm_api.kit.problems import Conflict, NotFound
from crm_api.kit.updates import check_version, update_row
from crm_api.outbox import schedules
from crm_api.outbox.service import emit
from crm_api.payments.abilities import ChargeResult
from crm_api.payments.dunning import attempts
from crm_api.payments.dunning.facts import ChargeUncertain, PeriodUnpaid
from crm_api.payments.dunning.models import charge_attempts
from crm_api.payments.dunning.policies import policy_of
from crm_api.tasks.schemas import TaskCreate
from crm_api.tasks.service import create_task

_LOOK_AGAIN = prepare(
    text(
        "UPDATE recurring_periods SET look_at = CAST(:now AS timestamptz) + interval '15 minutes' "
        "WHERE organization_id = :organization_id AND id = ANY(CAST(:ids AS uuid[])) AND look_at <= :now"
    )
)
_NEXT_LOOK = prepare(
    text(
        "SELECT look_at FROM recurring_periods WHERE organization_id = :organization_id AND look_at IS NOT NULL "
        "ORDER BY look_at LIMIT 1"
    )
)
_CHARGED_AS = prepare(
    text(
        """
        SELECT a.id, a.plan_id, a.period_id, a.state, a.connection_id FROM gift_payment_refs r
        JOIN charge_attempts a ON a.organization_id = r.organization_id AND a.connection_id = r.connection_id
            AND a.provider_ref = r.ref
        WHERE r.organization_id = :organization_id AND r.gift_id = :gift_id
        """
    )
)
_CONCERNS = prepare(
    text(
        """
        SELECT
            EXISTS (SELECT 1 FROM gift_payment_refs r JOIN charge_attempts a ON a.organization_id = r.organization_id
                AND a.connection_id = r.connection_id AND a.provider_ref = r.ref
                WHERE r.organization_id = :organization_id AND r.gift_id = g.id) AS charges,
            EXISTS (SELECT 1 FROM recurring_periods r WHERE r.organization_id = :organization_id AND r.gift_id = g.id)
            OR EXISTS (SELECT 1 FROM recurring_plans p WHERE p.organization_id = :organization_id
                AND p.contact_id = g.contact_id AND p.method IN ('bank_standing_order', 'manual')
                AND p.status IN ('pending', 'active', 'past_due', 'paused')) AS periods,
            EXISTS (SELECT 1 FROM pledge_payments p WHERE p.organization_id = :organization_id
                AND p.gift_id IN (g.id, g.superseded_by))
            OR EXISTS (SELECT 1 FROM pledges p WHERE p.organization_id = :organization_id
                AND p.contact_id = g.contact_id AND p.auto_apply AND p.status IN ('pending', 'active', 'overdue'))
            AS pledges
        FROM gifts g WHERE g.organization_id = :organization_id AND g.id = :gift_id
        """
    )
)
_PROVIDER = prepare(
    text("SELECT provider FROM payment_connections WHERE organization_id = :organization_id AND id = :id")
)


async def ring(session: WriteSession) -> None:
    """See to everything of our own schedules whose time has come, and set the alarm for what is next. Rows say what is
    to be done, so a moved clock or a repeated run does nothing twice."""
    policy = await policy_of(session)
    more = await periods.resume_due(session)
    more = await periods.claim_due(session, policy.late_days) or more
    more = await periods.tell_expiring(session) or more
    await session.flush()
    found = await periods.to_look_at(session)
    for row in found:
        emit(session, _fact_of(row))
    if found:
        await session.execute(_LOOK_AGAIN, ids=[row["id"] for row in found], now=session.now)
    if more or len(found) == periods.AT_ONCE:
        emit(session, RecurringAlarm(occurrence=session.now))
        return
    following = await session.fetch_val(_NEXT_LOOK)
    if following is not None:
        await schedules.bring_forward(session, own.ALARM, following)


def _fact_of(row: Row) -> Any:
    ids = {"period_id": row["id"], "plan_id": row["plan_id"]}
    if row["state"] in {"due", "retrying"}:
        return PeriodDue(**ids)
    return PeriodUnpaid(**ids) if row["state"] == "expected" else ChargeUncertain(**ids)


async def miss(session: WriteSession, plan_id: UUID, period_id: UUID) -> None:
    """Money that somebody was to send has not come in its time: the plan is past due, and staff has a task."""
    plan = await own.lock_plan(session, plan_id)
    period = await periods.lock_period(session, period_id)
    if period["state"] != "expected":
        return
    policy = await policy_of(session)
    until = periods.until(session, period["due_on"], policy.late_days)
    if until > session.now:
        await periods.look_later(session, period_id, until)
        return
    running = plan["status"] in own.RUNNING
    after = await periods.note_failure(session, plan) if running else plan
    await periods.settle_not(session, after, period, "missed", reason="nothing_came")
    emit(
        session,
        PlanPaymentMissed(plan_id=plan_id, period_id=period_id, contact_id=plan["contact_id"], due_on=period["due_on"]),
    )
    if running and plan["contact_id"] is not None:
        body = TaskCreate(
            title=f"A regular gift due on {period['due_on']} has not come",
            body=f"/v1/recurring-plans/{plan_id}",
            contact_id=plan["contact_id"],
            due_on=own.today_of(session),
        )
        await create_task(session, body)


async def follow_gift(session: WriteSession, gift_id: UUID) -> None:
    """What a gift's news mean for promises to give: the charge it belongs to has come out, it pays a period of a plan,
    or installments of a pledge. Most gifts concern none of them, which is one look."""
    concerns = await session.fetch_row(_CONCERNS, gift_id=gift_id)
    if concerns is None:
        return
    if concerns["charges"]:
        for row in await session.fetch(_CHARGED_AS, gift_id=gift_id):
            await _follow_charge(session, gift_id, row)
    if concerns["periods"]:
        policy = await policy_of(session)
        await matching.follow_gift(session, gift_id, early=policy.early_days, late=policy.late_days)
    if concerns["pledges"]:
        await pledge_payments.follow_gift(session, gift_id)


async def _follow_charge(session: WriteSession, gift_id: UUID, row: Row) -> None:
    if row["state"] not in (*attempts.UNDER_WAY, "declined"):
        return
    gift = await get_gift(session, gift_id)
    came = gift["status"] not in {"pending", "failed", "canceled"}
    work = await attempts.lock(session, row["plan_id"], row["period_id"])
    current = work.under_way
    if current is not None and current["id"] == row["id"]:
        if came:
            provider = await session.fetch_val(_PROVIDER, id=row["connection_id"])
            await attempts.settle_attempt(session, work, provider, ChargeResult("succeeded", current["provider_ref"]))
        elif gift["status"] in {"failed", "canceled"}:  # the provider knows the class of the decline
            emit(session, ChargeUncertain(period_id=row["period_id"], plan_id=row["plan_id"]))
        return
    if came and row["state"] == "declined":
        await _came_after_all(session, work, gift_id, row["id"])


async def _came_after_all(session: WriteSession, work: attempts.Work, gift_id: UUID, attempt_id: UUID) -> None:
    """A charge that was said to be declined brought money nonetheless: nothing more may be charged for its period."""
    if work.period["gift_id"] == gift_id:
        return
    if work.period["state"] != "paid" and work.under_way is None:
        await update_row(session, charge_attempts, attempt_id, {"state": "succeeded"}, expected=None)
        await periods.settle_paid(session, work.plan, work.period, gift_id)
        return
    body = TaskCreate(
        title=f"A period due on {work.period['due_on']} may have been paid twice: look, and give one back",
        body=f"/v1/donations/{gift_id}",
        contact_id=work.plan["contact_id"],
        due_on=own.today_of(session),
    )
    await create_task(session, body)


async def resolve(session: WriteSession, attempt_id: UUID, donation_id: UUID | None, *, expected: int | None) -> Row:
    """A person says what became of a charge: it brought this gift, or it was never made. For one that is known, 409."""
    seen = await attempts.get_attempt(session, attempt_id)
    work = await attempts.lock(session, seen["plan_id"], seen["period_id"])
    current = work.under_way
    if current is None or current["id"] != attempt_id:
        check_version(seen["version"], expected)
        raise Conflict(f"This attempt is {seen['state']}: there is nothing to find out.", code="attempt_settled")
    check_version(current["version"], expected)
    if current["state"] == "sending":
        raise Conflict("The charge is being sent just now. Ask again in some minutes.", code="charge_under_way")
    record(session, "charge_attempt.resolved", "charge_attempt", attempt_id)
    if donation_id is None:
        await attempts.never_made(session, work)
        return await attempts.get_attempt(session, attempt_id)
    gift = await get_gift_named(session, donation_id)
    if gift["currency"] != current["currency"] or gift["status"] in {"pending", "failed", "canceled"}:
        raise Conflict("This gift brought no money in the plan's currency.", code="gift_without_money")
    await update_row(
        session, charge_attempts, attempt_id, {"state": "succeeded", "settled_at": session.now}, expected=None
    )
    await matching.pay(session, work.plan, work.period, donation_id)
    return await attempts.get_attempt(session, attempt_id)


async def get_gift_named(session: WriteSession, donation_id: UUID) -> Row:
    """The gift that a body names, or 404 at its member."""
    try:
        return await get_gift(session, donation_id)
    except NotFound:
        raise NotFound.reference("donation_id") from None
