"""What does not fit between providers' payouts and our gifts, in one list, always as things are now."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.donations.ledger.payouts.models import ITEM_STATES
from crm_api.kit.db import ReadSession, Row, prepare
from crm_api.kit.schemas import money_or_none

LISTED = 100
"""Differences of each kind that the answer lists; all of them are counted."""
_KINDS = [state for state in ITEM_STATES if state not in ("matched", "unchecked")]
_ITEMS = prepare(
    text(
        """
        SELECT d.* FROM (
            SELECT i.state AS kind, i.payout_id, i.id AS item_id, i.gift_id, i.ref, i.gross, i.fee,
                p.currency AS currency, g.amount AS our_amount, g.fee AS our_fee, g.currency AS our_currency,
                g.received_at, count(*) OVER (PARTITION BY i.state) AS total,
                row_number() OVER (PARTITION BY i.state ORDER BY i.id) AS place
            FROM payout_items i
                JOIN payouts p ON p.organization_id = i.organization_id AND p.id = i.payout_id AND p.state <> 'canceled'
                LEFT JOIN gifts g ON g.organization_id = i.organization_id AND g.id = i.gift_id
            WHERE i.organization_id = :organization_id AND i.state = ANY(CAST(:kinds AS text[]))
                AND (CAST(:connection_id AS uuid) IS NULL OR i.connection_id = CAST(:connection_id AS uuid))) d
        WHERE d.place <= :most ORDER BY d.kind, d.place
        """
    )
)
# Of connections whose payouts are recorded here, from the oldest gift on that the first of them brought: those before
# it were paid out before.
_UNPAID = prepare(
    text(
        """
        SELECT d.* FROM (
            SELECT 'gift_without_payout' AS kind, g.id AS gift_id, g.provider_payment_id AS ref, g.amount AS our_amount,
                g.fee AS our_fee, g.currency AS our_currency, g.received_at, count(*) OVER () AS total,
                row_number() OVER (ORDER BY g.received_at, g.id) AS place
            FROM (
                SELECT DISTINCT ON (p.connection_id) p.connection_id, coalesce((
                    SELECT min(f.gift_date) FROM payout_items i JOIN gifts f
                        ON f.organization_id = i.organization_id AND f.id = i.gift_id
                    WHERE i.organization_id = :organization_id AND i.payout_id = p.id), p.arrived_on) AS since
                FROM payouts p
                WHERE p.organization_id = :organization_id AND p.state <> 'canceled'
                    AND (CAST(:connection_id AS uuid) IS NULL OR p.connection_id = CAST(:connection_id AS uuid))
                ORDER BY p.connection_id, p.arrived_on, p.id) c
            JOIN gifts g ON g.organization_id = :organization_id AND g.connection_id = c.connection_id
            WHERE g.status NOT IN ('pending', 'failed', 'canceled') AND g.received_at < :before
                AND g.gift_date >= c.since
                AND NOT EXISTS (
                    SELECT 1 FROM payout_items i WHERE i.organization_id = :organization_id AND i.gift_id = g.id
                        AND i.kind = 'payment')) d
        WHERE d.place <= :most ORDER BY d.place
        """
    )
)


async def differences(session: ReadSession, connection_id: UUID | None, after_days: int) -> dict[str, Any]:
    """Items that do not fit their gifts, and gifts that no payout has brought `after_days` days after they came."""
    rows = await session.fetch(_ITEMS, kinds=_KINDS, connection_id=connection_id, most=LISTED)
    before = session.now - timedelta(days=after_days)
    rows += await session.fetch(_UNPAID, connection_id=connection_id, before=before, most=LISTED)
    counts = {row["kind"]: row["total"] for row in rows}
    return {
        "after_days": after_days,
        "counts": [{"kind": kind, "count": counts.get(kind, 0)} for kind in [*_KINDS, "gift_without_payout"]],
        "differences": [_shown(row) for row in rows],
    }


def _shown(row: Row) -> dict[str, Any]:
    currency = row.get("currency")
    return {
        "kind": row["kind"],
        "payout_id": row.get("payout_id"),
        "item_id": row.get("item_id"),
        "donation_id": row["gift_id"],
        "ref": row["ref"],
        "provider_gross": money_or_none(row.get("gross"), currency),
        "provider_fee": money_or_none(row.get("fee"), currency),
        "our_gross": money_or_none(row["our_amount"], row["our_currency"]),
        "our_fee": money_or_none(row["our_fee"], row["our_currency"]),
        "received_at": row["received_at"],
    }
