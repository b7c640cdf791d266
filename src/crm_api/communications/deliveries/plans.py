"""Letters about regular gifts whose card we charge: it runs out, it could not be charged."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.communications.deliveries.permits import FACTS
from crm_api.communications.deliveries.queueing import queue
from crm_api.communications.templates.render import format_date, format_money
from crm_api.donations.recurring.facts import CardExpiring
from crm_api.kit.db import ReadSession, RowLike, WriteSession, prepare
from crm_api.kit.money import Money

_KIND = "card_expiring"
_OURS = prepare(
    text(
        "SELECT EXISTS (SELECT 1 FROM gifts g JOIN recurring_plans p ON p.organization_id = g.organization_id "
        "AND p.id = g.plan_id WHERE g.organization_id = :organization_id AND g.id = :gift_id "
        "AND p.method <> 'provider')"
    )
)
_PLAN = prepare(
    text(
        f"SELECT p.card_expires_on, p.status, c.id, c.language, {FACTS} FROM recurring_plans p "
        "JOIN contacts c ON c.organization_id = p.organization_id AND c.id = p.contact_id "
        "JOIN organizations o ON o.id = p.organization_id "
        "WHERE p.organization_id = :organization_id AND p.id = :id FOR NO KEY UPDATE OF c"
    )
)
_CARD = prepare(
    text(
        "SELECT amount, currency, card_mask, card_expires_on FROM recurring_plans "
        "WHERE organization_id = :organization_id AND id = :id"
    )
)


async def decides_itself(session: ReadSession, gift_id: UUID) -> bool:
    """Whether it is for the dunning policy to say if the donor hears of a failed payment: we have charged it."""
    return bool(await session.fetch_val(_OURS, gift_id=gift_id))


async def decide(session: WriteSession, told: CardExpiring) -> None:
    """Queue the letter about a card that runs out, once for each last day; not where another card has come."""
    row = await session.fetch_row(_PLAN, id=told.plan_id)
    if row is None or row["card_expires_on"] != told.expires_on or row["status"] not in {
        "pending", "active", "past_due",
    }:  # fmt: skip
        return
    key = f"{_KIND}:{told.plan_id}:{told.expires_on}"
    await queue(session, _KIND, row, key, language=row["language"], plan_id=told.plan_id)


async def told(session: ReadSession, message: RowLike) -> dict[str, Any]:
    """What a letter about a card says; nothing for any other letter."""
    if message["kind"] != _KIND:
        return {}
    row = await session.fetch_row(_CARD, id=message["recurring_plan_id"])
    if row is None or row["card_expires_on"] is None:
        return {}
    language = message["language"]
    return {
        "gift": {
            "amount_text": format_money(Money(row["amount"], row["currency"]), language),
            "is_recurring": True,
        },
        "card": {"expires_text": format_date(row["card_expires_on"], language), "mask": row["card_mask"]},
    }
