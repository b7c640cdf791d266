"""Gifts that pay pledges: by staff's word, or by themselves the oldest open pledge of the donor in that currency."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.audit.service import record
from crm_api.donations.pledges import service
from crm_api.donations.pledges.models import pledge_payments
from crm_api.donations.pledges.schemas import PledgePaymentCreate
from crm_api.kit.db import ReadSession, Row, RowLike, WriteSession, prepare
from crm_api.kit.ids import new_id
from crm_api.kit.problems import Conflict, Invalid, NotFound
from crm_api.kit.schemas import money_or_none

_WITHOUT_MONEY = ("pending", "failed", "canceled")
_GIFT = prepare(text("SELECT * FROM gifts WHERE organization_id = :organization_id AND id = :id"))
_PAYMENTS = prepare(
    text(
        "SELECT * FROM pledge_payments WHERE organization_id = :organization_id AND pledge_id = :pledge_id "
        "ORDER BY created_at, id"
    )
)
_OF_GIFT = prepare(
    text(
        "SELECT t.*, p.contact_id AS pledged_by FROM pledge_payments t JOIN pledges p "
        "ON p.organization_id = t.organization_id AND p.id = t.pledge_id "
        "WHERE t.organization_id = :organization_id AND t.gift_id = :gift_id ORDER BY t.pledge_id"
    )
)
_TAKEN = prepare(
    text(
        "SELECT coalesce(sum(amount), 0) AS taken FROM pledge_payments WHERE organization_id = :organization_id "
        "AND gift_id = :gift_id"
    )
)
_OPEN = prepare(
    text(
        """
        SELECT * FROM pledges WHERE organization_id = :organization_id AND contact_id = :contact_id
            AND status IN ('pending', 'active', 'overdue') AND auto_apply AND kind = 'money' AND currency = :currency
            AND pledged_on <= :day
        ORDER BY next_due_on, id FOR NO KEY UPDATE
        """
    )
)
_REMOVE = prepare(
    text("DELETE FROM pledge_payments WHERE organization_id = :organization_id AND id = ANY(CAST(:ids AS uuid[]))")
)
_INHERIT = prepare(
    text(
        """
        UPDATE pledge_payments t SET gift_id = :heir WHERE t.organization_id = :organization_id AND t.gift_id = :gift_id
            AND NOT EXISTS (SELECT 1 FROM pledge_payments s WHERE s.organization_id = :organization_id
                AND s.gift_id = :heir AND s.pledge_id = t.pledge_id)
        """
    )
)


def to_read(row: RowLike, currency: str | None) -> dict[str, Any]:
    """A payment as the API shows it."""
    return {
        **{name: row[name] for name in ("id", "pledge_id", "applied_by", "created_at")},
        "donation_id": row["gift_id"],
        "amount": money_or_none(row["amount"], currency),
        "counted_amount": money_or_none(row["counted"], currency),
    }


async def payments_of(session: ReadSession, pledge: RowLike) -> list[dict[str, Any]]:
    """The payments of a pledge, oldest first."""
    rows = await session.fetch(_PAYMENTS, pledge_id=pledge["id"])
    return [to_read(row, pledge["currency"]) for row in rows]


def _add(session: WriteSession, pledge_id: UUID, gift_id: UUID, amount: int | None, by: str) -> None:
    session.later(
        pledge_payments,
        id=new_id(),
        pledge_id=pledge_id,
        gift_id=gift_id,
        amount=amount,
        counted=0,
        applied_by=by,
        created_at=session.now,
    )


async def pay(session: WriteSession, pledge_id: UUID, body: PledgePaymentCreate, *, expected: int | None) -> Row:
    """Staff says that a gift, or so much of it, pays a pledge; the pledge. The same again changes nothing."""
    pledge = await service.lock_pledge(session, pledge_id, expected=expected)
    service.check_open(pledge, "paid")
    gift = await session.fetch_row(_GIFT, id=body.donation_id)
    if gift is None:
        raise NotFound.reference("donation_id")
    if gift["status"] in _WITHOUT_MONEY or gift["superseded_by"] is not None:
        raise Conflict(f"A gift that is {gift['status']} pays nothing.", code="gift_without_money")
    paying = await session.fetch(_OF_GIFT, gift_id=gift["id"])
    if any(row["pledge_id"] == pledge_id for row in paying):
        return pledge
    amount = await _portion(session, pledge, gift, body)
    _add(session, pledge_id, gift["id"], amount, "staff")
    await session.flush()
    record(session, "pledge.paid", "pledge", pledge_id)
    return await service.settle(session, pledge)


async def _portion(session: WriteSession, pledge: Row, gift: Row, body: PledgePaymentCreate) -> int | None:
    if pledge["kind"] == "in_kind":
        if body.amount is not None:
            raise Invalid.at("/amount", "in_kind", "A pledge in kind has no amounts.")
        return None
    if gift["method"] == "in_kind":
        raise Invalid.at("/donation_id", "in_kind", "A gift in kind is no money; it pays a pledge in kind.")
    if gift["currency"] != pledge["currency"]:
        raise Invalid.at("/donation_id", "currency_mismatch", f"The pledge is in {pledge['currency']}; so must it be.")
    if body.amount is not None and body.amount.currency != pledge["currency"]:
        raise Invalid.at("/amount/currency", "currency_mismatch", f"The pledge is in {pledge['currency']}.")
    left = gift["amount"] - int(await session.fetch_val(_TAKEN, gift_id=gift["id"]))
    wanted = left if body.amount is None else body.amount.amount
    if left <= 0:
        raise Conflict("All of this gift pays other pledges already.", code="gift_taken")
    if wanted > left:
        raise Invalid.at("/amount/amount", "exceeds_gift", f"At most {left} minor units of the gift are left.")
    return wanted


async def remove(session: WriteSession, pledge_id: UUID, donation_id: UUID, *, expected: int | None) -> Row:
    """A gift does not pay this pledge after all; the pledge."""
    pledge = await service.lock_pledge(session, pledge_id, expected=expected)
    rows = [row for row in await session.fetch(_OF_GIFT, gift_id=donation_id) if row["pledge_id"] == pledge_id]
    if not rows:
        raise NotFound("This gift pays nothing of this pledge.")
    await session.execute(_REMOVE, ids=[row["id"] for row in rows])
    record(session, "pledge.payment_removed", "pledge", pledge_id)
    return await service.settle(session, pledge)


async def follow_gift(session: WriteSession, gift_id: UUID) -> None:
    """Bring every pledge up to date that a gift pays, or may pay. Looked at anew with each change of the gift: refunds
    reopen what it paid, another donor's gift pays nothing here, one that became another gift's is paid by that one."""
    gift = await session.fetch_row(_GIFT, id=gift_id)
    if gift is None:
        return
    if gift["superseded_by"] is not None:
        paying = await session.fetch(_OF_GIFT, gift_id=gift_id)
        if paying:
            await _lock_all(session, [row["pledge_id"] for row in paying])
            await session.execute(_INHERIT, gift_id=gift_id, heir=gift["superseded_by"])
            await _settle_all(session, [row["pledge_id"] for row in paying])
        return
    paying = await session.fetch(_OF_GIFT, gift_id=gift_id)
    touched = [row["pledge_id"] for row in paying]
    await _lock_all(session, touched)
    strangers = [row["id"] for row in paying if row["applied_by"] == "rule" and row["pledged_by"] != gift["contact_id"]]
    if strangers:
        await session.execute(_REMOVE, ids=strangers)
    if len(strangers) == len(paying):
        touched += await _apply(session, gift)
    await _settle_all(session, touched)


async def _apply(session: WriteSession, gift: Row) -> list[UUID]:
    """Let a gift that pays no pledge pay the oldest open ones, each as far as it is open; which they are."""
    if gift["contact_id"] is None or gift["plan_id"] is not None or gift["method"] == "in_kind" or not gift["counted"]:
        return []
    values = {"contact_id": gift["contact_id"], "currency": gift["currency"], "day": gift["gift_date"]}
    left, touched = gift["counted"], []
    for pledge in await session.fetch(_OPEN, **values):
        part = min(left, pledge["amount"] - pledge["paid"] - pledge["written_off"])
        if part <= 0:
            break
        _add(session, pledge["id"], gift["id"], part, "rule")
        touched.append(pledge["id"])
        left -= part
    await session.flush()
    return touched


async def _lock_all(session: WriteSession, pledge_ids: Iterable[UUID]) -> None:
    for pledge_id in sorted(set(pledge_ids), key=str):
        await service.lock_pledge(session, pledge_id)


async def _settle_all(session: WriteSession, pledge_ids: Iterable[UUID]) -> None:
    for pledge_id in sorted(set(pledge_ids), key=str):
        await service.settle(session, await service.lock_pledge(session, pledge_id))
