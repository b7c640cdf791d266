"""Money that comes by itself: which gift pays which period of a standing order or of a donor who pays by hand."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.donations.gifts import evidence
from crm_api.donations.gifts.service import settle
from crm_api.donations.recurring import own, periods
from crm_api.donations.recurring.models import recurring_periods
from crm_api.kit.db import Row, RowLike, WriteSession, prepare
from crm_api.kit.ids import new_id
from crm_api.kit.problems import Conflict, Invalid, NotFound

_WITHOUT_MONEY = ("pending", "failed", "canceled")
_BY_ITSELF = ("bank_standing_order", "manual")
_GIFT = prepare(text("SELECT * FROM gifts WHERE organization_id = :organization_id AND id = :id"))
_PERIOD_OF = prepare(
    text(
        "SELECT r.id, r.plan_id, r.state, p.contact_id, p.method FROM recurring_periods r JOIN recurring_plans p "
        "ON p.organization_id = r.organization_id AND p.id = r.plan_id "
        "WHERE r.organization_id = :organization_id AND r.gift_id = :gift_id"
    )
)
_CANDIDATES = prepare(
    text(
        """
        SELECT id FROM recurring_plans WHERE organization_id = :organization_id AND contact_id = :contact_id
            AND method IN ('bank_standing_order', 'manual') AND status IN ('pending', 'active', 'past_due', 'paused')
            AND amount = :amount AND currency = :currency ORDER BY id
        """
    )
)
_WAITING = prepare(
    text(
        """
        SELECT * FROM recurring_periods WHERE organization_id = :organization_id AND plan_id = :plan_id
            AND state IN ('expected', 'missed') AND gift_id IS NULL AND due_on BETWEEN :first AND :last
        ORDER BY abs(due_on - CAST(:day AS date)), due_on LIMIT 1
        """
    )
)
_OLDEST_OPEN = prepare(
    text(
        """
        SELECT * FROM recurring_periods WHERE organization_id = :organization_id AND plan_id = :plan_id
            AND state IN ('due', 'retrying', 'expected', 'charging', 'unknown', 'missed', 'failed')
        ORDER BY state IN ('missed', 'failed'), due_on LIMIT 1
        """
    )
)
_ON = prepare(
    text(
        "SELECT * FROM recurring_periods WHERE organization_id = :organization_id AND plan_id = :plan_id "
        "AND due_on = :due_on"
    )
)


async def follow_gift(session: WriteSession, gift_id: UUID, *, early: int, late: int) -> None:
    """Let a gift pay the period it is for, or none any more. Looked at anew with every change of the gift, so that
    neither order nor repetition matters. `early`, `late`: how many days before and after its date money counts."""
    gift = await session.fetch_row(_GIFT, id=gift_id)
    if gift is None:
        return
    paying = await session.fetch_row(_PERIOD_OF, gift_id=gift_id)
    if paying is not None:
        await _check(session, gift, paying, late)
        return
    sent = gift["method"] in {"bank_transfer", "cash", "cheque", "other"} and gift["provider"] is None
    if gift["contact_id"] is None or gift["plan_id"] is not None or gift["status"] in _WITHOUT_MONEY:
        return
    if gift["superseded_by"] is not None or not (sent or gift["method"] == "bank_transfer"):
        return
    values = {"contact_id": gift["contact_id"], "amount": gift["amount"], "currency": gift["currency"]}
    for row in await session.fetch(_CANDIDATES, **values):
        plan = await own.lock_plan(session, row["id"])
        period = await _waiting(session, plan, gift["gift_date"], early, late)
        if period is not None:
            await pay(session, plan, period, gift_id)
            return


async def _waiting(session: WriteSession, plan: Row, day: date, early: int, late: int) -> Row | None:
    """The period of a plan that money of a day is for: the nearest one that waits, or the next one, claimed early."""
    first, last = day - timedelta(days=late), day + timedelta(days=early)
    found = await session.fetch_row(_WAITING, plan_id=plan["id"], day=day, first=first, last=last)
    if found is None and plan["next_date"] is not None and plan["next_date"] <= last and plan["status"] in own.RUNNING:
        return await claim_next(session, plan)
    return found


async def claim_next(session: WriteSession, plan: Row) -> Row:
    """Claim the next period of a locked plan before its day, for money that is here already."""
    period_id = new_id()
    session.later(
        recurring_periods,
        id=period_id,
        plan_id=plan["id"],
        due_on=plan["next_date"],
        state="expected",
        amount=plan["amount"],
        currency=plan["currency"],
        attempts=0,
        version=1,
        created_at=session.now,
        updated_at=session.now,
    )
    await session.flush()
    next_date = own.within(plan, own.rhythm_of(plan).after(plan["next_date"]))
    await session.execute(_NEXT, id=plan["id"], next_date=next_date, now=session.now)
    return await periods.lock_period(session, period_id)


_NEXT = prepare(
    text(
        "UPDATE recurring_plans SET next_date = :next_date, version = version + 1, updated_at = :now "
        "WHERE organization_id = :organization_id AND id = :id"
    )
)


async def pay(session: WriteSession, plan: RowLike, period: RowLike, gift_id: UUID) -> Row:
    """Settle a period by a gift, and let the gift name its plan."""
    fresh = await own.lock_plan(session, plan["id"])
    settled = await periods.settle_paid(session, fresh, period, gift_id)
    gift = await evidence.lock_gift(session, gift_id)
    if gift["plan_id"] is None:
        await settle(session, gift, {"plan_id": plan["id"]})
    return settled


async def _check(session: WriteSession, gift: Row, paying: Row, late: int) -> None:
    """Whether a gift still pays its period: not when it turned out to be another donor's, or no money at all. One that
    is the same payment as another gift hands the period over."""
    stays = gift["contact_id"] == paying["contact_id"] and gift["status"] not in _WITHOUT_MONEY
    if gift["superseded_by"] is None and (stays or paying["method"] not in _BY_ITSELF):
        return
    await own.lock_plan(session, paying["plan_id"])
    period = await periods.lock_period(session, paying["id"])
    if period["gift_id"] != gift["id"]:
        return
    if gift["superseded_by"] is not None:
        taken = await session.fetch_row(_PERIOD_OF, gift_id=gift["superseded_by"])
        await periods.set_period(session, period["id"], gift_id=None if taken else gift["superseded_by"])
        return
    moment = periods.until(session, period["due_on"], late)
    await periods.look_later(session, period["id"], moment, state="expected", gift_id=None, settled_at=None)
    locked = await evidence.lock_gift(session, gift["id"])
    if locked["plan_id"] == paying["plan_id"]:
        await settle(session, locked, {"plan_id": None})


async def pay_by_hand(
    session: WriteSession, plan_id: UUID, donation_id: UUID, due_on: date | None, *, expected: int | None
) -> Row:
    """Staff says that a gift pays a period; the period. The same again changes nothing."""
    plan = await own.lock_plan(session, plan_id, expected=expected)
    own.check_own(plan)
    gift = await session.fetch_row(_GIFT, id=donation_id)
    if gift is None:
        raise NotFound.reference("donation_id")
    paying = await session.fetch_row(_PERIOD_OF, gift_id=donation_id)
    if paying is not None:
        if paying["plan_id"] == plan_id:
            return await periods.get_period(session, paying["id"])
        raise Conflict("This gift pays a period of another plan already.", code="gift_taken")
    if gift["status"] in _WITHOUT_MONEY or gift["superseded_by"] is not None:
        raise Conflict(f"A gift that is {gift['status']} pays nothing.", code="gift_without_money")
    if gift["currency"] != plan["currency"]:
        raise Invalid.at(
            "/donation_id", "currency_mismatch", f"The plan is in {plan['currency']}; so must the gift be."
        )
    return await pay(session, plan, await _chosen(session, plan, due_on), donation_id)


async def _chosen(session: WriteSession, plan: Row, due_on: date | None) -> RowLike:
    values: dict[str, Any] = {"plan_id": plan["id"]}
    if due_on is not None:
        found = await session.fetch_row(_ON, due_on=due_on, **values)
    else:
        found = await session.fetch_row(_OLDEST_OPEN, **values)
    if found is None and plan["next_date"] is not None and due_on in {None, plan["next_date"]}:
        return await claim_next(session, plan)
    if found is None:
        raise Invalid.at("/due_on", "no_such_period", "The plan has no open period of that day.")
    if found["state"] in {"charging", "unknown"}:
        raise Conflict(
            "A charge of this period is under way or its outcome is not known yet; settle that first.",
            code="charge_under_way",
        )
    if found["state"] == "paid":
        raise Conflict("This period is paid already.", code="period_paid")
    return found
