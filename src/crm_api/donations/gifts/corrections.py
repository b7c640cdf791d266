"""Corrections of gifts recorded by hand: refunds, adjustments, reversals, cancellations.

Nothing is overwritten: each is an entry, and the gift's state follows from all of them. What a provider told is
corrected at the provider, whose event then says so here.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from crm_api.donations.gifts import repository
from crm_api.donations.gifts.balances import Entry
from crm_api.donations.gifts.schemas import (
    AdjustmentCreate,
    CancelCreate,
    RefundCreate,
    RefundFailed,
    ReversalCreate,
)
from crm_api.donations.gifts.service import settle, shown_whole
from crm_api.kit.db import Row, WriteSession
from crm_api.kit.ids import new_id
from crm_api.kit.problems import Conflict, Invalid, NotFound
from crm_api.kit.schemas import Money
from crm_api.kit.updates import check_version

SETTLED = frozenset({"succeeded", "partially_refunded", "refunded"})
"""Statuses of money that has arrived and that nobody disputes or took back."""
_FARTHEST = timedelta(days=366)


async def lock_by_hand(session: WriteSession, gift_id: UUID, *, expected: int | None, verb: str, code: str) -> Row:
    """A gift that was recorded by hand, locked; 404 for none, 409 for one that came through a provider."""
    row = await repository.lock(session, gift_id)
    if row is None:
        raise NotFound("There is no such donation.")
    check_version(row["version"], expected)
    if row["provider"] is not None:
        raise Conflict(
            f"This gift was paid through {row['provider']}. {verb} it there: its webhook records that here.", code=code
        )
    return row


def _status_in(row: Row, allowed: Collection[str], done: str, code: str) -> None:
    if row["status"] not in allowed:
        raise Conflict(f"A gift that is {row['status']} cannot be {done}.", code=code)


def _same_currency(row: Row, money: Money | None) -> None:
    if money is not None and money.currency != row["currency"]:
        said = f"The gift is in {row['currency']}; say it in that."
        raise Invalid.at("/amount/currency", "currency_mismatch", said)


def check_date(session: WriteSession, received: datetime | None) -> None:
    """422 where a gift would be received long after now."""
    if received is not None and received > session.now + _FARTHEST:
        raise Invalid.at("/received_at", "in_future", "A gift cannot be received more than a year from now.")


async def refund_by_hand(
    session: WriteSession, gift_id: UUID, body: RefundCreate, *, expected: int | None
) -> dict[str, Any]:
    """Record that money of a gift was given back; the gift as the API shows it."""
    row = await lock_by_hand(session, gift_id, expected=expected, verb="Refund", code="refund_at_provider")
    _status_in(row, {"succeeded", "partially_refunded"}, "refunded", "not_refundable")
    _same_currency(row, body.amount)
    left = row["amount"] - row["refunded"]
    amount = body.amount.amount if body.amount is not None else left
    if amount > left:
        raise Invalid.at("/amount/amount", "exceeds_balance", f"At most {left} minor units are left to refund.")
    refund_id = new_id()
    at = body.refunded_at or session.now
    entry = Entry(
        kind="refund",
        key=f"refund:{refund_id}:succeeded",
        occurred_at=at,
        amount=amount,
        ref=str(refund_id),
        status="succeeded",
        started_at=at,
        reason=body.reason,
    )
    await repository.add_entries(session, gift_id, [entry])
    return await shown_whole(session, await settle(session, row))


async def fail_refund(
    session: WriteSession, gift_id: UUID, body: RefundFailed, *, expected: int | None
) -> dict[str, Any]:
    """Record that a refund did not reach the donor, so that its money is here again."""
    row = await lock_by_hand(session, gift_id, expected=expected, verb="Correct", code="correct_at_provider")
    ref = str(body.refund_id)
    about = [entry for entry in await repository.entry_rows(session, gift_id) if entry["ref"] == ref]
    made = next((entry for entry in about if entry["kind"] == "refund"), None)
    if made is None:
        raise NotFound.reference("refund_id")
    if any(entry["kind"] == "refund_failed" for entry in about):
        raise Conflict("This refund is recorded as failed already.", code="refund_failed_already")
    at = max(body.failed_at or session.now, made["occurred_at"])
    entry = Entry(kind="refund_failed", key=f"refund_failed:{ref}", occurred_at=at, amount=made["amount"], ref=ref)
    await repository.add_entries(session, gift_id, [entry])
    return await shown_whole(session, await settle(session, row))


async def adjust_by_hand(
    session: WriteSession, gift_id: UUID, body: AdjustmentCreate, *, expected: int | None
) -> dict[str, Any]:
    """Correct the amount or the time of receipt of a gift; the gift as the API shows it."""
    row = await lock_by_hand(session, gift_id, expected=expected, verb="Correct", code="correct_at_provider")
    return await shown_whole(session, await adjust(session, row, body))


async def adjust(
    session: WriteSession, row: Row, body: AdjustmentCreate, changes: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Correct a locked gift, together with other `changes` of its columns; its columns afterwards.

    A gift that waits in an open batch has had no money yet, so there what was entered is simply entered anew.
    """
    _same_currency(row, body.amount)
    check_date(session, body.received_at)
    amount = row["amount"] if body.amount is None else body.amount.amount
    if row["status"] == "pending":
        if body.received_at is not None and body.received_at != row["received_at"]:
            said = "The gift waits in a batch: cancel it and enter it anew with the right date."
            raise Conflict(said, code="not_adjustable")
        return await settle(session, row, {**(changes or {}), "amount": amount})
    _status_in(row, SETTLED, "adjusted", "not_adjustable")
    if amount < row["refunded"]:
        said = f"{row['refunded']} minor units of the gift were refunded: it cannot be less than that."
        raise Invalid.at("/amount/amount", "below_refunded", said)
    if amount == row["amount"] and body.received_at in {None, row["received_at"]}:
        return await settle(session, row, changes)
    entry = Entry(
        kind="adjustment",
        key=f"adjustment:{new_id()}",
        occurred_at=session.now,
        amount=amount - row["amount"],
        reason=body.reason,
        started_at=body.received_at,
    )
    changes = dict(changes or {})
    if body.received_at is not None:
        changes |= {"base_rate": None, "base_rate_date": None}  # of the right day instead
    await repository.add_entries(session, row["id"], [entry])
    return await settle(session, row, changes)


async def reverse_by_hand(
    session: WriteSession, gift_id: UUID, body: ReversalCreate, *, expected: int | None
) -> dict[str, Any]:
    """Record that what is left of a gift was taken back: a cheque bounced, a transfer was returned by the bank."""
    row = await lock_by_hand(session, gift_id, expected=expected, verb="Correct", code="correct_at_provider")
    _status_in(row, {"succeeded", "partially_refunded"}, "reversed", "not_reversible")
    reversal_id = new_id()
    entry = Entry(
        kind="reversal",
        key=f"reversal:{reversal_id}",
        occurred_at=body.reversed_at or session.now,
        amount=row["amount"] - row["refunded"],
        ref=str(reversal_id),
        reason=body.reason,
    )
    await repository.add_entries(session, gift_id, [entry])
    return await shown_whole(session, await settle(session, row))


async def cancel_by_hand(
    session: WriteSession, gift_id: UUID, body: CancelCreate, *, expected: int | None
) -> dict[str, Any]:
    """Give up a gift whose money has not arrived."""
    row = await lock_by_hand(session, gift_id, expected=expected, verb="Cancel", code="correct_at_provider")
    _status_in(row, {"pending"}, "canceled; refund, adjust or reverse it instead", "not_cancelable")
    entry = Entry(kind="canceled", key="canceled:staff", occurred_at=cancel_time(session, row), reason=body.reason)
    await repository.add_entries(session, gift_id, [entry])
    return await shown_whole(session, await settle(session, row))


def cancel_time(session: WriteSession, row: Row) -> datetime:
    """When a pending gift is given up: never before what was said of it, since the newest word counts."""
    received: datetime = row["received_at"]
    return max(session.now, received)
