"""Verbs of premiums: what a donor got for a gift is no part of what can be deducted."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete, select

from crm_api.audit.service import record
from crm_api.donations.gifts import evidence
from crm_api.donations.gifts.service import get_gift, settle
from crm_api.donations.premiums.models import gift_premiums
from crm_api.donations.premiums.schemas import PremiumCreate
from crm_api.kit.db import ReadSession, RowLike, WriteSession, prepare
from crm_api.kit.ids import new_id
from crm_api.kit.money import MAX_MINOR
from crm_api.kit.problems import Conflict, Invalid, NotFound
from crm_api.kit.updates import check_version

_ORG: Any = bindparam("organization_id")
_MOST = 50
_OF = prepare(
    select(gift_premiums)
    .where(gift_premiums.c.organization_id == _ORG, gift_premiums.c.gift_id == bindparam("gift_id"))
    .order_by(gift_premiums.c.id)
)
_DELETE = prepare(
    delete(gift_premiums)
    .where(
        gift_premiums.c.organization_id == _ORG,
        gift_premiums.c.gift_id == bindparam("gift_id"),
        gift_premiums.c.id == bindparam("id"),
    )
    .returning(gift_premiums)
)


def _value(row: RowLike) -> int:
    value: int = row["quantity"] * row["fair_market_value"]
    return value


def to_read(row: RowLike, currency: str) -> dict[str, Any]:
    """A premium as the API shows it."""
    return {
        "id": row["id"],
        "name": row["name"],
        "quantity": row["quantity"],
        "fair_market_value": {"amount": row["fair_market_value"], "currency": currency},
        "total_value": {"amount": _value(row), "currency": currency},
        "created_at": row["created_at"],
    }


async def premiums_of(session: ReadSession, gift_id: UUID) -> list[dict[str, Any]]:
    """The premiums of a gift as the API shows them, oldest first; 404 for no such gift."""
    gift = await get_gift(session, gift_id)
    return [to_read(row, gift["currency"]) for row in await session.fetch(_OF, gift_id=gift_id)]


async def add_premium(session: WriteSession, gift_id: UUID, body: PremiumCreate) -> dict[str, Any]:
    """Note what the donor got for a gift."""
    gift = await evidence.lock_gift(session, gift_id)
    told = body.fair_market_value
    if told.currency != gift["currency"]:
        said = f"The gift is in {gift['currency']}; value the premium in that."
        raise Invalid.at("/fair_market_value/currency", "currency_mismatch", said)
    row = {
        "id": new_id(),
        "gift_id": gift_id,
        "name": body.name,
        "quantity": body.quantity,
        "fair_market_value": told.amount,
        "created_at": session.now,
    }
    known = await session.fetch(_OF, gift_id=gift_id)
    value = sum(_value(one) for one in known) + body.quantity * told.amount
    if value > MAX_MINOR:
        said = f"All premiums of a gift together are worth at most {MAX_MINOR} minor units."
        raise Invalid.at("/fair_market_value/amount", "exceeds_amount", said)
    if len(known) >= _MOST:
        raise Conflict(f"A gift has at most {_MOST} premiums.", code="too_many_premiums")
    session.later(gift_premiums, **row)
    await settle(session, gift, {"premium_value": value}, touched=["premiums"])
    record(session, "premium.created", "premium", row["id"])
    return to_read(row, gift["currency"])


async def remove_premium(session: WriteSession, gift_id: UUID, premium_id: UUID, *, expected: int | None) -> None:
    """The donor did not get it after all. `expected`: the version of the gift, which premiums are part of."""
    gift = await evidence.lock_gift(session, gift_id)
    check_version(gift["version"], expected)
    if await session.fetch_row(_DELETE, gift_id=gift_id, id=premium_id) is None:
        raise NotFound("There is no such premium.")
    value = sum(_value(one) for one in await session.fetch(_OF, gift_id=gift_id))
    await settle(session, gift, {"premium_value": value}, touched=["premiums"])
    record(session, "premium.deleted", "premium", premium_id)
