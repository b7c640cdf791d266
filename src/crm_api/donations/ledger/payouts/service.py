"""Verbs of payouts: record what a provider has sent to the bank, take it back, and list what does not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select, text

from crm_api.audit.service import record
from crm_api.donations.ledger import repository
from crm_api.donations.ledger.accounts import BANK, FEES
from crm_api.donations.ledger.facts import PayoutRecorded
from crm_api.donations.ledger.movements import Line
from crm_api.donations.ledger.payouts.models import payout_items, payouts
from crm_api.donations.ledger.payouts.schemas import PayoutCancel, PayoutCreate
from crm_api.donations.ledger.posting import journal_of
from crm_api.kit import simple
from crm_api.kit.db import ReadSession, Row, RowLike, WriteSession, prepare
from crm_api.kit.ids import new_id
from crm_api.kit.money import MAX_MINOR
from crm_api.kit.problems import Conflict, FieldError, Invalid, NotFound
from crm_api.kit.schemas import Money
from crm_api.kit.updates import update_row
from crm_api.outbox.service import emit

_ORG: Any = bindparam("organization_id")
_PROVIDER = prepare(
    text("SELECT provider FROM payment_connections WHERE organization_id = :organization_id AND id = :id")
)
_STANDING = prepare(
    select(payouts).where(
        payouts.c.organization_id == _ORG,
        payouts.c.connection_id == bindparam("connection_id"),
        payouts.c.payout_ref == bindparam("payout_ref"),
        payouts.c.state != bindparam("canceled", "canceled"),
    )
)
_RETURNED = prepare(
    text(
        "SELECT EXISTS (SELECT 1 FROM payouts WHERE organization_id = :organization_id "
        "AND connection_id = :connection_id AND payout_ref = :payout_ref AND failure_code IS NOT NULL)"
    )
)
_HEARD = prepare(
    text(
        "SELECT payout_ref, failure_code IS NOT NULL AS failed FROM payouts WHERE organization_id = :organization_id "
        "AND connection_id = :connection_id AND payout_ref = ANY(CAST(:refs AS text[])) "
        "AND (failure_code IS NOT NULL OR state <> 'canceled' AND items_count > 0)"
    )
)
_LOCKED = prepare(
    select(payouts).where(payouts.c.organization_id == _ORG, payouts.c.id == bindparam("id")).with_for_update()
)
_ITEMS = prepare(
    select(payout_items.c.ref, payout_items.c.kind, payout_items.c.gross, payout_items.c.fee)
    .where(payout_items.c.organization_id == _ORG, payout_items.c.payout_id == bindparam("payout_id"))
    .order_by(payout_items.c.id)
)
_RELEASE = prepare(
    text(
        "UPDATE payout_items SET gift_id = NULL, state = 'unchecked' "
        "WHERE organization_id = :organization_id AND payout_id = :payout_id"
    )
)
_READ = (
    "id", "connection_id", "provider", "payout_ref", "arrived_on", "state", "origin", "items_count", "items_matched",
    "reason", "failure_code", "version", "created_at", "updated_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Item:
    """A payment, refund or fee in a payout; `gross` and `fee` in minor units of its currency."""

    ref: str
    gross: int
    fee: int = 0
    kind: str = "payment"


@dataclass(frozen=True, slots=True)
class Statement:
    """What a provider says of one payout. `amount` is what arrives at the bank. Without items it says nothing of them,
    nor of the fee."""

    payout_ref: str
    arrived_on: date
    currency: str
    amount: int
    items: Sequence[Item] = ()
    fee: int = 0


def to_read(row: RowLike) -> dict[str, Any]:
    """A payout as the API shows it."""
    currency = row["currency"]
    difference = None
    if row["items_net"] is not None:
        difference = {"amount": row["amount"] + row["fee"] - row["items_net"], "currency": currency}
    return {
        **{name: row[name] for name in _READ},
        "amount": {"amount": row["amount"], "currency": currency},
        "fee": {"amount": row["fee"], "currency": currency},
        "difference": difference,
    }


def item_to_read(currency: str, row: RowLike) -> dict[str, Any]:
    """An item as the API shows it."""
    amounts = {"gross": row["gross"], "fee": row["fee"], "net": row["net"]}
    return {
        **{name: row[name] for name in ("id", "payout_id", "kind", "ref", "state", "created_at")},
        **{name: {"amount": amount, "currency": currency} for name, amount in amounts.items()},
        "donation_id": row["gift_id"],
    }


async def record_by_hand(session: WriteSession, body: PayoutCreate) -> dict[str, Any]:
    """Record a payout that somebody has entered; as the API shows it."""
    currency = body.amount.currency
    others: list[tuple[str, Money | None]] = [("/fee/currency", body.fee)]
    for place, item in enumerate(body.items):
        others += [(f"/items/{place}/gross/currency", item.gross), (f"/items/{place}/fee/currency", item.fee)]
    said = f"All amounts of a payout are in one currency, here {currency}."
    errors = [
        FieldError(at, "currency_mismatch", said)
        for at, money in others
        if money is not None and money.currency != currency
    ]
    if errors:
        raise Invalid(said, errors=errors)
    items = [Item(one.ref, one.gross.amount, one.fee.amount if one.fee else 0, one.kind) for one in body.items]
    fee = body.fee.amount if body.fee else 0
    statement = Statement(body.payout_ref, body.arrived_on, currency, body.amount.amount, items, fee)
    return to_read(await record_payout(session, body.connection_id, statement, origin="manual"))


async def record_payout(session: WriteSession, connection_id: UUID, said: Statement, *, origin: str) -> dict[str, Any]:
    """Record a payout, post it from clearing to bank, and have its items matched; its columns. 409 where there is one
    of this id already."""
    provider = await session.fetch_val(_PROVIDER, id=connection_id)
    if provider is None:
        raise NotFound.reference("connection_id")
    net = _net(said)
    if await session.fetch_row(_STANDING, connection_id=connection_id, payout_ref=said.payout_ref) is not None:
        raise Conflict("This payout is recorded already. Cancel it first to enter it anew.", code="payout_recorded")
    row = simple.add(
        session,
        payouts,
        {
            "connection_id": connection_id,
            "provider": provider,
            "payout_ref": said.payout_ref,
            "arrived_on": said.arrived_on,
            "currency": said.currency,
            "amount": said.amount,
            "fee": said.fee,
            "items_net": net if said.items else None,
            "state": "open",
            "origin": origin,
            "items_count": len(said.items),
            "items_matched": 0,
            "reason": None,
            "failure_code": None,
        },
    )
    session.later_rows(payout_items, [_item(session, row, item) for item in said.items])
    await session.flush()
    await _post(session, row, revision=1)
    record(session, "payout.recorded", "payout", row["id"])
    emit(session, PayoutRecorded(payout_id=row["id"]))
    return row


def _net(said: Statement) -> int:
    """What the items come to; 422 where that is more than money can be."""
    net = sum(item.gross - item.fee for item in said.items)
    if (
        max(abs(net), *(abs(item.gross - item.fee) for item in said.items), 0) > MAX_MINOR
        or abs(said.amount + said.fee - net) > MAX_MINOR
    ):
        raise Invalid.at("/items", "out_of_range", "The items come to more than money can be. Check their amounts.")
    return net


def _item(session: WriteSession, row: RowLike, item: Item) -> dict[str, Any]:
    return {
        "id": new_id(),
        "payout_id": row["id"],
        "connection_id": row["connection_id"],
        "kind": item.kind,
        "ref": item.ref,
        "gross": item.gross,
        "fee": item.fee,
        "net": item.gross - item.fee,
        "state": "unchecked",
        "created_at": session.now,
    }


async def state_payout(session: WriteSession, connection_id: UUID, said: Statement) -> bool:
    """Take over what a provider says of a payout that arrived, any number of times: recorded where it is new, its items
    added where they were not known, entered anew where it says something else than before. What the bank has sent back
    stays so. Whether anything changed. The caller lets one transaction at a time state a payout."""
    known = await session.fetch_row(_STANDING, connection_id=connection_id, payout_ref=said.payout_ref)
    if known is None:
        if await session.fetch_val(_RETURNED, connection_id=connection_id, payout_ref=said.payout_ref):
            return False
    else:
        rows = await session.fetch(_ITEMS, payout_id=known["id"])
        items = [Item(row["ref"], row["gross"], row["fee"], row["kind"]) for row in rows]
        before = Statement(
            known["payout_ref"], known["arrived_on"], known["currency"], known["amount"], items, known["fee"]
        )
        if _whole(before) == _whole(said) and (not said.items or _parts(before) == _parts(said)):
            return False
        if _whole(before) == _whole(said) and not items and before.fee == said.fee:
            await _fill(session, known, said)
            return True
        await cancel_payout(session, known["id"], PayoutCancel(reason="The provider states it differently now."))
    await record_payout(session, connection_id, said, origin="provider")
    return True


async def return_payout(session: WriteSession, connection_id: UUID, said: Statement, failure_code: str) -> bool:
    """The bank has sent a payout back: what was posted is reversed and its gifts count as unpaid again. One that nobody
    has told of is recorded, too, so that word of its arrival cannot come after that of its return. Whether anything
    changed."""
    known: RowLike | None = await session.fetch_row(_STANDING, connection_id=connection_id, payout_ref=said.payout_ref)
    if known is None:
        if await session.fetch_val(_RETURNED, connection_id=connection_id, payout_ref=said.payout_ref):
            return False
        known = await record_payout(session, connection_id, said, origin="provider")
    body = PayoutCancel(reason="The bank has sent it back to the provider.")
    await cancel_payout(session, known["id"], body, failure_code=failure_code)
    return True


async def unheard(session: ReadSession, connection_id: UUID, listed: Mapping[str, bool]) -> list[str]:
    """Of payouts in a provider's list, each with whether the bank has sent it back, those that are not known so, with
    their items."""
    rows = await session.fetch(_HEARD, connection_id=connection_id, refs=list(listed))
    heard = {row["payout_ref"]: row["failed"] for row in rows}
    return [ref for ref, failed in listed.items() if heard.get(ref) is not failed]


async def _fill(session: WriteSession, known: RowLike, said: Statement) -> None:
    """Add the items of a payout of which only the amount was known."""
    session.later_rows(payout_items, [_item(session, known, item) for item in said.items])
    await session.flush()
    changes = {"items_net": _net(said), "items_count": len(said.items)}
    await update_row(session, payouts, known["id"], changes, expected=None)
    record(session, "payout.items_added", "payout", known["id"], fields=["items_count"])
    emit(session, PayoutRecorded(payout_id=known["id"]))


def _whole(said: Statement) -> tuple[Any, ...]:
    return said.arrived_on, said.currency, said.amount


def _parts(said: Statement) -> tuple[Any, ...]:
    return said.fee, sorted((item.ref, item.kind, item.gross, item.fee) for item in said.items)


async def _post(session: WriteSession, row: RowLike, *, revision: int, back: bool = False) -> None:
    """Post a payout from clearing to the bank, or `back`."""
    await repository.lock_together(session)
    closed = await repository.closed_through(session)
    clearing = f"clearing:{row['connection_id']}"
    lines: list[dict[str, Any]] = []
    for kind, account, amount in (("payout", BANK, row["amount"]), ("payout_fee", FEES, row["fee"])):
        if amount:
            debit, credit = (account, clearing) if (amount > 0) is not back else (clearing, account)
            line = Line(kind, row["arrived_on"], debit, credit, None, abs(amount))
            journal = journal_of(line, closed, row["currency"], revision=revision, number=len(lines) + 1)
            lines.append({**journal, "payout_id": row["id"]})
    await repository.post_lines(session, lines)


async def get_payout(session: ReadSession, payout_id: UUID) -> Row:
    """One payout, or 404."""
    return await simple.get(session, payouts, payout_id, "payout")


async def cancel_payout(
    session: WriteSession, payout_id: UUID, body: PayoutCancel, *, failure_code: str | None = None
) -> dict[str, Any]:
    """Take a payout back: its journals are reversed and its gifts unpaid again. It stays, as canceled. `failure_code`:
    why its bank sent it back."""
    await get_payout(session, payout_id)
    await session.execute(_RELEASE, payout_id=payout_id)  # items first, as whoever matches them
    row = await session.fetch_row(_LOCKED, id=payout_id)
    assert row is not None
    if row["state"] == "canceled":
        raise Conflict("This payout was canceled already.", code="payout_canceled")
    await _post(session, row, revision=2, back=True)
    changes = {"state": "canceled", "reason": body.reason, "failure_code": failure_code, "items_matched": 0}
    after = await update_row(session, payouts, payout_id, changes, expected=None)
    record(session, "payout.canceled", "payout", payout_id, fields=["state", "reason"])
    emit(session, PayoutRecorded(payout_id=payout_id))  # what it had taken for paid twice is not so any more
    return to_read(after)
