"""Verbs of batches: gifts entered together count only once their number and sum are what was counted beforehand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select, text

from crm_api.audit.service import record
from crm_api.donations.allocations import service as allocations
from crm_api.donations.batches.models import gift_batches
from crm_api.donations.batches.schemas import GiftBatchCreate, GiftBatchPatch
from crm_api.donations.gifts import repository
from crm_api.donations.gifts.attribution import attribute, check_new
from crm_api.donations.gifts.balances import Entry, EntryKind
from crm_api.donations.gifts.bulk import DonationBatch, record_many
from crm_api.donations.gifts.facts import GiftChanged
from crm_api.donations.gifts.models import payment_entries
from crm_api.donations.gifts.people import look_up
from crm_api.donations.gifts.schemas import DonationCreate
from crm_api.donations.gifts.service import record_said, shown_new
from crm_api.kit import simple
from crm_api.kit.db import ReadSession, Row, RowLike, Statement, WriteSession, prepare
from crm_api.kit.money import MAX_MINOR
from crm_api.kit.problems import Conflict, Invalid, NotFound
from crm_api.kit.updates import check_version, update_row
from crm_api.outbox.service import emit

LARGEST = 5_000
"""Gifts of one batch: it is posted in one transaction."""
_ORG: Any = bindparam("organization_id")
_ONE = select(gift_batches).where(gift_batches.c.organization_id == _ORG, gift_batches.c.id == bindparam("id"))
_LOCK = prepare(_ONE.with_for_update(key_share=True))
_SHARE = prepare(_ONE.with_for_update(read=True))
_ENTERED = prepare(
    text(
        """
        SELECT batch_id, count(*) AS entered_count, least(sum(amount), 9007199254740991)::bigint AS entered_amount
        FROM gifts WHERE organization_id = :organization_id AND batch_id = ANY(CAST(:ids AS uuid[]))
            AND status <> 'canceled' GROUP BY batch_id
        """
    )
)


def _close(changes: str) -> Statement:
    """All pending gifts of a batch get another state, in one statement."""
    returned = "g.id, g.contact_id, g.amount, g.received_at, g.is_split"
    return prepare(
        text(
            f"UPDATE gifts g SET {changes}, version = g.version + 1, updated_at = :now "
            "WHERE g.organization_id = :organization_id AND g.batch_id = :batch_id AND g.status = 'pending' "
            f"RETURNING {returned}"
        )
    )


# What `balances.derive` makes of a pending entry and a charge of the same amount, or a cancellation.
_POST = _close("status = 'succeeded', counted = g.amount, base_counted = g.base_amount")
_CANCEL = _close("status = 'canceled', failure_reason = 'batch_canceled'")


def to_read(row: RowLike, entered: RowLike | None) -> dict[str, Any]:
    """A batch as the API shows it."""
    names = ("id", "name", "status", "control_count", "posted_at", "version", "created_at", "updated_at")
    currency = row["currency"]
    return {
        **{name: row[name] for name in names},
        "control_amount": {"amount": row["control_amount"], "currency": currency},
        "entered_count": entered["entered_count"] if entered is not None else 0,
        "entered_amount": {"amount": entered["entered_amount"] if entered is not None else 0, "currency": currency},
    }


async def shown(session: ReadSession, rows: Sequence[RowLike]) -> list[dict[str, Any]]:
    """Batches as the API shows them, with what was entered so far."""
    ids = [row["id"] for row in rows]
    entered = {one["batch_id"]: one for one in await session.fetch(_ENTERED, ids=ids)} if ids else {}
    return [to_read(row, entered.get(row["id"])) for row in rows]


def open_batch(session: WriteSession, body: GiftBatchCreate) -> dict[str, Any]:
    """Begin a batch."""
    values = {
        "name": body.name,
        "status": "open",
        "control_count": body.control_count,
        "control_amount": body.control_amount.amount,
        "currency": body.control_amount.currency,
        "posted_at": None,
    }
    row = simple.add(session, gift_batches, values)
    record(session, "gift_batch.created", "gift_batch", row["id"])
    return to_read(row, None)


async def get_batch(session: ReadSession, batch_id: UUID) -> dict[str, Any]:
    """One batch, or 404."""
    return (await shown(session, [await simple.get(session, gift_batches, batch_id, "gift batch")]))[0]


async def _open(session: WriteSession, statement: Statement, batch_id: UUID) -> Row:
    """An open batch, locked; 404 for none, 409 for one that is closed."""
    row = await session.fetch_row(statement, id=batch_id)
    if row is None:
        raise NotFound("There is no such gift batch.")
    if row["status"] != "open":
        raise Conflict(f"The batch is {row['status']}; open another one.", code="batch_closed")
    return row


async def patch_batch(
    session: WriteSession, batch_id: UUID, body: GiftBatchPatch, *, expected: int | None
) -> dict[str, Any]:
    """Change an open batch. Its currency is for good."""
    changes: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set}
    if not changes:
        found = await get_batch(session, batch_id)
        check_version(found["version"], expected)
        return found
    row = await _open(session, _LOCK, batch_id)
    check_version(row["version"], expected)
    if (told := body.control_amount) is not None:
        if told.currency != row["currency"]:
            said = f"The batch is in {row['currency']}, for good."
            raise Invalid.at("/control_amount/currency", "currency_mismatch", said)
        changes["control_amount"] = told.amount
    row = await update_row(session, gift_batches, batch_id, changes, expected=None)
    record(session, "gift_batch.updated", "gift_batch", batch_id, fields=changes)
    return (await shown(session, [row]))[0]


async def add_gift(session: WriteSession, batch_id: UUID, body: DonationCreate) -> dict[str, Any]:
    """Enter a gift into an open batch; the gift as the API shows it, pending."""
    row = await _open(session, _SHARE, batch_id)
    if body.amount.currency != row["currency"]:
        raise Invalid.at("/amount/currency", "currency_mismatch", f"The batch is in {row['currency']}.")
    await _room(session, batch_id, 1)
    check_new(body)
    said = await attribute(session, body.model_dump(include={"campaign_id", "appeal_id", "source_code", "channel"}))
    contact_id = (await look_up(session, [body.contact_id])).name(body.contact_id)
    gift = await record_said(session, body, said, batch_id=batch_id, contact_id=contact_id)
    return shown_new(session, gift)


async def add_gifts(session: WriteSession, batch_id: UUID, body: DonationBatch, *, atomic: bool) -> dict[str, Any]:
    """Enter up to 1,000 gifts into an open batch; what became of each."""
    row = await _open(session, _SHARE, batch_id)
    await _room(session, batch_id, len(body.items))
    return await record_many(session, body, atomic=atomic, batch_id=batch_id, currency=row["currency"])


async def _room(session: WriteSession, batch_id: UUID, more: int) -> None:
    entered = await session.fetch_row(_ENTERED, ids=[batch_id])
    if (entered["entered_count"] if entered is not None else 0) + more > LARGEST:
        raise Conflict(f"A batch holds at most {LARGEST} gifts: post it, and open another one.", code="batch_full")


async def post_batch(session: WriteSession, batch_id: UUID, *, expected: int | None) -> dict[str, Any]:
    """Let the gifts of a batch count, all at once; 409 while their number or sum is not what was counted."""
    row = await _open(session, _LOCK, batch_id)
    check_version(row["version"], expected)
    gifts = await session.fetch(_POST, batch_id=batch_id, now=session.now)
    count, amount = len(gifts), sum(gift["amount"] for gift in gifts)
    if (count, amount) != (row["control_count"], row["control_amount"]):
        raise Conflict(
            f"Entered are {count} gifts of {amount} minor units, counted were {row['control_count']} of "
            f"{row['control_amount']}. Enter what is missing, cancel what is too much, or correct the control figures.",
            code="batch_does_not_balance",
            entered_count=count,
            entered_amount={"amount": min(amount, MAX_MINOR), "currency": row["currency"]},
        )
    _tell(session, gifts, "charge", "succeeded")
    split = [gift["id"] for gift in gifts if gift["is_split"]]
    if split:
        await allocations.restate(session, split)
    return await _closed(session, row, {"status": "posted", "posted_at": session.now}, "posted")


async def cancel_batch(session: WriteSession, batch_id: UUID, *, expected: int | None) -> dict[str, Any]:
    """Give up a batch: every gift in it is canceled."""
    row = await _open(session, _LOCK, batch_id)
    check_version(row["version"], expected)
    gifts = await session.fetch(_CANCEL, batch_id=batch_id, now=session.now)
    _tell(session, gifts, "canceled", "canceled")
    return await _closed(session, row, {"status": "canceled"}, "canceled")


def _tell(session: WriteSession, gifts: Iterable[RowLike], kind: EntryKind, status: str) -> None:
    """The entries that the gifts' new state follows from, and news of each gift."""
    rows = []
    for gift in gifts:
        at = gift["received_at"] if kind == "charge" else max(session.now, gift["received_at"])
        amount = gift["amount"] if kind == "charge" else None
        reason = "batch_canceled" if kind == "canceled" else None
        entry = Entry(kind=kind, key=f"{kind}:batch", occurred_at=at, amount=amount, reason=reason)
        rows.append({"gift_id": gift["id"], **repository.entry_values(entry)})
        record(session, "donation.updated", "donation", gift["id"], fields=["status"])
        emit(
            session,
            GiftChanged(
                gift_id=gift["id"],
                contact_id=gift["contact_id"],
                previous_contact_id=gift["contact_id"],
                previous_status="pending",
                status=status,
                refunded_more=False,
            ),
        )
    session.later_rows(payment_entries, rows)


async def _closed(session: WriteSession, row: Row, changes: dict[str, Any], verb: str) -> dict[str, Any]:
    after = await update_row(session, gift_batches, row["id"], changes, expected=None)
    record(session, f"gift_batch.{verb}", "gift_batch", row["id"])
    return (await shown(session, [after]))[0]
