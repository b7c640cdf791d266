"""Attempts to charge a card: begun in one transaction, sent in none, settled in another, each at most once.

An attempt is a row before it is a request. A period has at most one that is under way or has succeeded: the database
holds that too. What has been sent and not been answered is never sent again; the provider is asked, and only where it
certainly has no such charge does the period come up anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select, text

from crm_api.donations.gifts import evidence
from crm_api.donations.gifts.balances import Entry
from crm_api.donations.gifts.service import settle
from crm_api.donations.recurring import own, periods, schedule
from crm_api.donations.recurring.facts import PlanChargeFailed, PlanGivenUp
from crm_api.kit.db import ReadSession, Row, RowLike, WriteSession, prepare
from crm_api.kit.ids import new_id
from crm_api.kit.money import Money
from crm_api.kit.schemas import money_or_none
from crm_api.kit.updates import get_row, update_row
from crm_api.outbox.service import emit
from crm_api.payments import apply as applying
from crm_api.payments.abilities import ChargeResult
from crm_api.payments.dunning.models import charge_attempts
from crm_api.payments.dunning.policies import policy_of
from crm_api.payments.dunning.policy import Decision, decide
from crm_api.payments.inbox import service as inbox
from crm_api.payments.provider import Interpretation, PaymentOutcome
from crm_api.tasks.schemas import TaskCreate
from crm_api.tasks.service import create_task

UNDER_WAY = ("sending", "pending", "unknown")
SETTLING = timedelta(minutes=10)
"""So long after it was begun a charge may still be on its way: before that, "no such charge" proves nothing."""
_PAUSES = (timedelta(minutes=2), SETTLING, timedelta(hours=1), timedelta(hours=6), timedelta(days=1))
"""Between looks at a charge whose outcome is not known; the last one from then on."""
_LOOKS_ALONE = 3
"""After so many looks in vain a person is asked too."""
_ORG: Any = bindparam("organization_id")
_OF_PERIOD = prepare(
    select(charge_attempts)
    .where(charge_attempts.c.organization_id == _ORG, charge_attempts.c.period_id == bindparam("period_id"))
    .order_by(charge_attempts.c.number.desc())
    .limit(1)
    .with_for_update(key_share=True)
)
_PERSON = prepare(
    text("SELECT deceased, erased_at FROM contacts WHERE organization_id = :organization_id AND id = :id FOR KEY SHARE")
)


@dataclass(frozen=True, slots=True)
class Work:
    """A period with its plan and its newest attempt, all locked."""

    plan: Row
    period: Row
    attempt: Row | None

    @property
    def under_way(self) -> Row | None:
        """The attempt whose outcome is still open."""
        return self.attempt if self.attempt is not None and self.attempt["state"] in UNDER_WAY else None


async def lock(session: WriteSession, plan_id: UUID, period_id: UUID) -> Work:
    """Lock the plan, then the period, then the newest attempt."""
    plan = await own.lock_plan(session, plan_id)
    period = await periods.lock_period(session, period_id)
    return Work(plan, period, await session.fetch_row(_OF_PERIOD, period_id=period_id))


def to_read(row: RowLike) -> dict[str, Any]:
    """An attempt as the API shows it."""
    names = (
        "id", "plan_id", "period_id", "number", "state", "connection_id", "decline_class", "decline_code", "sent_at",
        "settled_at", "version", "created_at", "updated_at",
    )  # fmt: skip
    return {
        **{name: row[name] for name in names},
        "amount": money_or_none(row["amount"], row["currency"]),
        "provider_payment_id": row["provider_ref"],
    }


async def get_attempt(session: ReadSession, attempt_id: UUID) -> Row:
    """One attempt, or 404."""
    return await get_row(session, charge_attempts, attempt_id, "charge attempt")


async def begin(session: WriteSession, work: Work) -> Row | None:
    """Begin to charge a period; the attempt, or nothing where nobody may be charged for it now. The caller sends only
    what this transaction has committed."""
    plan, period = work.plan, work.period
    today = schedule.due_day(session.now, session.tenant.timezone)
    if period["state"] not in {"due", "retrying"} or work.under_way is not None:
        return None
    if period["retry_on"] is not None and period["retry_on"] > today:
        return None
    if plan["status"] not in own.RUNNING:
        await periods.settle_not(session, plan, period, "skipped", reason=plan["status"])
        return None
    person = await session.fetch_row(_PERSON, id=plan["contact_id"]) if plan["contact_id"] else None
    if person is None or person["erased_at"] is not None:
        await own.end(session, plan, "canceled", "cancel", "contact_erased")
        return None
    if person["deceased"]:
        await own.stop(session, plan, "contact_deceased")
        return None
    if plan["card_token"] is None or plan["connection_id"] is None:
        await periods.settle_not(session, plan, period, "failed", reason="no_card")
        return None
    number = (work.attempt["number"] if work.attempt is not None else 0) + 1
    attempt_id = new_id()
    session.later(
        charge_attempts,
        id=attempt_id,
        period_id=period["id"],
        plan_id=plan["id"],
        number=number,
        state="sending",
        amount=period["amount"],
        currency=period["currency"],
        connection_id=plan["connection_id"],
        looks=0,
        version=1,
        sent_at=session.now,
        created_at=session.now,
        updated_at=session.now,
    )
    await periods.look_later(
        session, period["id"], session.now + SETTLING, state="charging", attempts=number, retry_on=None
    )
    await session.flush()
    return await get_attempt(session, attempt_id)


async def mark_unknown(session: WriteSession, work: Work) -> None:
    """What became of the attempt is not known; the provider is asked, again and again, more and more rarely."""
    attempt = work.under_way
    if attempt is None:
        return
    looks = attempt["looks"] + 1
    await _set(session, attempt, state="pending" if attempt["state"] == "pending" else "unknown", looks=looks)
    state = "charging" if attempt["state"] == "pending" else "unknown"
    moment = session.now + _PAUSES[min(looks, len(_PAUSES)) - 1]
    await periods.look_later(session, work.period["id"], moment, state=state)
    if looks == _LOOKS_ALONE and attempt["state"] != "pending":
        body = TaskCreate(
            title="Nobody knows whether a card was charged: look in the provider's list, then say so",
            body=f"/v1/charge-attempts/{attempt['id']}/resolve",
            contact_id=work.plan["contact_id"],
            due_on=own.today_of(session),
        )
        await create_task(session, body)


async def never_made(session: WriteSession, work: Work, *, wait: bool = False) -> None:
    """The provider certainly has no such charge: the period comes up anew, under a new attempt. `wait`: not at once,
    since the provider cannot be reached; the longer the more often that happens."""
    attempt = work.under_way
    if attempt is None:
        return
    await _set(session, attempt, state="not_made", settled_at=session.now)
    if work.plan["status"] not in own.RUNNING:
        await periods.settle_not(session, work.plan, work.period, "skipped", reason=work.plan["status"])
        return
    today = schedule.due_day(session.now, session.tenant.timezone)
    pause = _PAUSES[min(attempt["number"], len(_PAUSES)) - 1] if wait else timedelta(0)
    await periods.look_later(session, work.period["id"], session.now + pause, state="retrying", retry_on=today)


async def settle_attempt(session: WriteSession, work: Work, provider: str, result: ChargeResult) -> None:
    """Record what became of the attempt that is under way; of one that is settled already, nothing."""
    attempt = work.under_way
    if attempt is None:
        return
    gift_id = await _gift(session, work.plan, attempt, provider, result)
    if result.state == "pending":
        await _set(session, attempt, state="pending", provider_ref=result.ref)
        await mark_unknown(session, Work(work.plan, work.period, await get_attempt(session, attempt["id"])))
        return
    if result.state == "succeeded":
        await _set(session, attempt, state="succeeded", provider_ref=result.ref, settled_at=session.now)
        await periods.settle_paid(session, work.plan, work.period, gift_id)
        return
    decline_class = result.decline_class or "unknown"
    await _set(
        session,
        attempt,
        state="declined",
        provider_ref=result.ref or None,
        decline_class=decline_class,
        decline_code=result.decline_code,
        settled_at=session.now,
    )
    await _follow_decline(session, work, decline_class, gift_id)


async def _set(session: WriteSession, attempt: RowLike, **values: Any) -> Row:
    return await update_row(session, charge_attempts, attempt["id"], values, expected=None)


_DECLINES = prepare(
    text(
        "SELECT count(*) AS n FROM charge_attempts WHERE organization_id = :organization_id "
        "AND period_id = :period_id AND state = 'declined'"
    )
)


async def _follow_decline(session: WriteSession, work: Work, decline_class: str, gift_id: UUID | None) -> None:
    """Do what the policy says of a decline: try again on a day, tell the donor, give up."""
    today = schedule.due_day(session.now, session.tenant.timezone)
    failures = int(await session.fetch_val(_DECLINES, period_id=work.period["id"]))
    failed_on = work.period["failed_on"] or today
    runs = work.plan["status"] in own.RUNNING
    plan = await periods.note_failure(session, work.plan) if runs else work.plan
    policy = await policy_of(session)
    decision = decide(
        policy.rule(decline_class),
        failures=failures,
        in_a_row=plan["failures"],
        failed_on=failed_on,
        today=today,
        next_date=plan["next_date"],
    )
    if not runs:
        decision = Decision(None, decision.letter, None)
    values = {"decline_class": decline_class, "failed_on": failed_on}
    emit(
        session,
        PlanChargeFailed(
            plan_id=plan["id"],
            period_id=work.period["id"],
            contact_id=plan["contact_id"],
            gift_id=gift_id,
            decline_class=decline_class,
            failures=failures,
            retry_on=decision.retry_on,
            letter=decision.letter and not (decision.give_up and policy.letters.plan_given_up),
        ),
    )
    if decision.retry_on is not None:
        moment = schedule.due_moment(decision.retry_on, session.tenant.timezone)
        await periods.look_later(
            session, work.period["id"], moment, state="retrying", retry_on=decision.retry_on, **values
        )
        return
    await periods.settle_not(session, plan, work.period, "failed", reason="declined", **values)
    if decision.give_up is not None:
        await _give_up(session, plan["id"], decision.give_up, decline_class)


async def _give_up(session: WriteSession, plan_id: UUID, action: str, decline_class: str) -> None:
    plan = await own.lock_plan(session, plan_id)
    if plan["status"] not in own.RUNNING:
        return
    reason = f"given_up:{decline_class}"
    if action == "cancel":
        await own.end(session, plan, "canceled", "cancel", reason)
    else:
        await own.stop(session, plan, reason)
    emit(
        session,
        PlanGivenUp(plan_id=plan_id, contact_id=plan["contact_id"], action=action, decline_class=decline_class),
    )


async def _gift(session: WriteSession, plan: Row, attempt: Row, provider: str, result: ChargeResult) -> UUID | None:
    """The gift of a charge: made, or found where its event was faster, and told whose and for what it is."""
    said = result.meaning
    if said is None or said.payment is None:
        if result.state != "succeeded":
            return None
        said = _said(session, attempt, result.ref)
    assert said.payment is not None
    if plan["contact_id"] is not None:
        said = replace(said, payment=replace(said.payment, contact_id=str(plan["contact_id"])))
    applied = await applying.apply(session, attempt["connection_id"], provider, said)
    await session.flush()
    await inbox.wake(session, [applying.wait_key(attempt["connection_id"], ref) for ref in applied.refs])
    if applied.gift_id is None:
        return None
    gift = await evidence.lock_gift(session, applied.gift_id)
    values: dict[str, Any] = {"plan_id": plan["id"]}
    for name in ("contact_id", "fund_id", "campaign_id"):
        if gift[name] is None and plan[name] is not None:
            values[name] = plan[name]
    await settle(session, gift, values)
    return applied.gift_id


def _said(session: WriteSession, attempt: Row, ref: str) -> Interpretation:
    """A successful charge in our words, where the provider's answer has none."""
    entry = Entry(kind="charge", key=f"charge:{ref}", occurred_at=session.now, amount=attempt["amount"])
    amount = Money(attempt["amount"], attempt["currency"])
    outcome = PaymentOutcome(
        refs=(ref,), entries=(entry,), occurred_at=session.now, creates=True, amount=amount, method="card"
    )
    return Interpretation(payment=outcome)


async def postpone(session: WriteSession, work: Work, reason: str) -> None:
    """Leave a period for the next morning, for something that is not the donor's."""
    tomorrow = schedule.due_day(session.now, session.tenant.timezone) + timedelta(days=1)
    moment = schedule.due_moment(tomorrow, session.tenant.timezone)
    await periods.look_later(session, work.period["id"], moment, reason=reason)
