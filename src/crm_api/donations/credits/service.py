"""Verbs of soft credits. They are recognition only: no figure of money received ever counts them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete, select, text

from crm_api.audit.service import record
from crm_api.contacts.service import contact_to_name
from crm_api.donations.credits.models import soft_credits
from crm_api.donations.credits.schemas import SoftCreditCreate
from crm_api.donations.gifts import evidence
from crm_api.kit import simple
from crm_api.kit.db import ReadSession, Row, RowLike, WriteSession, prepare
from crm_api.kit.ids import new_id
from crm_api.kit.problems import Conflict, Invalid, NotFound
from crm_api.kit.updates import check_version

_ORG: Any = bindparam("organization_id")
_READ = ("id", "contact_id", "type", "origin", "version", "created_at", "updated_at")
_GIFTS = prepare(
    text(
        "SELECT id, amount, counted, currency FROM gifts WHERE organization_id = :organization_id "
        "AND id = ANY(CAST(:ids AS uuid[]))"
    )
)
_GET = prepare(
    select(soft_credits).where(
        soft_credits.c.organization_id == _ORG,
        soft_credits.c.gift_id == bindparam("gift_id"),
        soft_credits.c.id == bindparam("id"),
    )
)
_DELETE = prepare(
    delete(soft_credits).where(soft_credits.c.organization_id == _ORG, soft_credits.c.id == bindparam("id"))
)
_KEEP = prepare(
    text(
        """
        INSERT INTO soft_credits AS s (organization_id, id, gift_id, contact_id, type, amount, origin, version,
            created_at, updated_at)
        SELECT :organization_id, r.id, :gift_id, r.contact_id, 'matched_gift', r.amount, 'matching', 1, :now, :now
        FROM jsonb_to_recordset(:credits) AS r(id uuid, contact_id uuid, amount bigint)
        ON CONFLICT (organization_id, gift_id, contact_id, type) DO UPDATE
            SET amount = excluded.amount, version = s.version + 1, updated_at = excluded.updated_at
            WHERE s.origin = 'matching' AND s.amount IS DISTINCT FROM excluded.amount
        """
    )
)
_DROP = prepare(
    text(
        "DELETE FROM soft_credits WHERE organization_id = :organization_id AND gift_id = :gift_id "
        "AND origin = 'matching' AND NOT contact_id = ANY(CAST(:kept AS uuid[]))"
    )
)


def to_read(row: RowLike, gift: RowLike) -> dict[str, Any]:
    """A soft credit as the API shows it. A part of a gift counts in proportion to what is left of it, rounded down."""
    whole, currency = gift["amount"], gift["currency"]
    amount = whole if row["amount"] is None else min(row["amount"], whole)
    counted = gift["counted"] * amount // whole if whole else 0
    return {
        **{name: row[name] for name in _READ},
        "donation_id": row["gift_id"],
        "amount": {"amount": amount, "currency": currency},
        "is_full": row["amount"] is None,
        "counted_amount": {"amount": counted, "currency": currency},
    }


async def shown(session: ReadSession, rows: Sequence[RowLike]) -> list[dict[str, Any]]:
    """Soft credits as the API shows them; their gifts are looked up together."""
    ids = sorted({row["gift_id"] for row in rows})
    gifts = {gift["id"]: gift for gift in await session.fetch(_GIFTS, ids=ids)} if ids else {}
    return [to_read(row, gifts[row["gift_id"]]) for row in rows]


async def get_credit(session: ReadSession, gift_id: UUID, credit_id: UUID) -> Row:
    """One soft credit of a gift, or 404."""
    row = await session.fetch_row(_GET, gift_id=gift_id, id=credit_id)
    if row is None:
        raise NotFound("There is no such soft credit.")
    return row


async def add_credit(session: WriteSession, gift_id: UUID, body: SoftCreditCreate) -> dict[str, Any]:
    """Credit somebody with a gift that another gave, or a part of it."""
    gift = await evidence.lock_gift(session, gift_id)
    contact_id = await contact_to_name(session, body.contact_id)
    if contact_id == gift["contact_id"]:
        said = "The donor has the gift itself; a soft credit is for somebody else."
        raise Invalid.at("/contact_id", "credit_of_own_gift", said)
    if body.amount is not None and body.amount.currency != gift["currency"]:
        said = f"The gift is in {gift['currency']}; credit it in that."
        raise Invalid.at("/amount/currency", "currency_mismatch", said)
    if body.amount is not None and body.amount.amount > gift["amount"]:
        raise Invalid.at("/amount/amount", "exceeds_amount", f"The gift has {gift['amount']} minor units.")
    values = {
        "gift_id": gift_id,
        "contact_id": contact_id,
        "type": body.type,
        "amount": body.amount.amount if body.amount is not None else None,
        "origin": "manual",
    }
    row = simple.add(session, soft_credits, values)
    record(session, "soft_credit.created", "soft_credit", row["id"])
    return to_read(row, gift)


async def remove_credit(session: WriteSession, gift_id: UUID, credit_id: UUID, *, expected: int | None) -> None:
    """Take a soft credit back. One that a matching gift made goes with the match."""
    row = await get_credit(session, gift_id, credit_id)
    check_version(row["version"], expected)
    if row["origin"] == "matching":
        said = "This credit follows from a matching gift: change the match, and the credit goes with it."
        raise Conflict(said, code="credit_of_match")
    await session.execute(_DELETE, id=credit_id)
    record(session, "soft_credit.deleted", "soft_credit", credit_id)


async def keep_matched(session: WriteSession, gift_id: UUID, amounts: dict[UUID, int]) -> None:
    """Let the credits that matching made of a gift be just these, by contact: made once, changed, taken back."""
    await session.execute(_DROP, gift_id=gift_id, kept=list(amounts))
    if amounts:
        credits = [{"id": new_id(), "contact_id": one, "amount": amount} for one, amount in amounts.items()]
        await session.execute(_KEEP, gift_id=gift_id, credits=credits, now=session.now)
