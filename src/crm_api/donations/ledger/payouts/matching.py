"""Matching the items of payouts with gifts by the provider's own ids, always many in one statement.

What an item compares to can change as long as gifts do, so it is looked at again whenever its gift is, and at night.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text

from crm_api.kit.db import WriteSession, prepare

_OF_PAYOUT = "i.payout_id = CAST(:payout_id AS uuid)"
_OF_GIFT = """(i.connection_id, i.ref) IN (
    SELECT r.connection_id, r.ref FROM gift_payment_refs r
    WHERE r.organization_id = :organization_id AND r.gift_id = CAST(:gift_id AS uuid))"""
_OPEN = "i.state <> 'matched'"
# A payment matches when gross and fee are ours; a fee that nobody has told us of is a difference too, since the
# clearing account keeps it. A refund or lost dispute matches when at least as much was given back. What belongs to no
# payment (adjustments, fees of the account) has nothing to be compared with.
_MATCH = """
    WITH looked AS MATERIALIZED (
        SELECT i.id, i.payout_id, g.id AS gift_id,
            CASE
                WHEN i.kind NOT IN ('payment', 'refund', 'chargeback') THEN 'matched'
                WHEN g.id IS NULL THEN 'missing_gift'
                WHEN g.currency <> p.currency THEN 'currency_differs'
                WHEN i.kind = 'payment' AND EXISTS (
                    SELECT 1 FROM payout_items o JOIN payouts q
                        ON q.organization_id = o.organization_id AND q.id = o.payout_id AND q.state <> 'canceled'
                    WHERE o.organization_id = :organization_id AND o.gift_id = g.id AND o.kind = 'payment'
                        AND o.id < i.id)
                    THEN 'paid_twice'
                WHEN i.kind = 'payment' AND g.amount <> i.gross THEN 'amount_differs'
                WHEN i.kind = 'payment' AND g.fee <> i.fee THEN 'fee_differs'
                WHEN i.kind <> 'payment' AND g.refunded + g.charged_back < -i.gross THEN 'amount_differs'
                ELSE 'matched'
            END AS state
        FROM payout_items i
            JOIN payouts p ON p.organization_id = i.organization_id AND p.id = i.payout_id AND p.state <> 'canceled'
            LEFT JOIN gift_payment_refs r ON r.organization_id = i.organization_id
                AND r.connection_id = i.connection_id AND r.ref = i.ref
            LEFT JOIN gifts g ON g.organization_id = r.organization_id AND g.id = r.gift_id
                AND g.status NOT IN ('pending', 'failed', 'canceled')
        WHERE i.organization_id = :organization_id AND {which})
    UPDATE payout_items i SET gift_id = l.gift_id, state = l.state
    FROM looked l WHERE i.organization_id = :organization_id AND i.id = l.id
        AND (i.gift_id IS DISTINCT FROM l.gift_id OR i.state <> l.state)
    RETURNING i.payout_id"""
_MATCH_PAYOUT = prepare(text(_MATCH.format(which=_OF_PAYOUT)))
_MATCH_GIFT = prepare(text(_MATCH.format(which=_OF_GIFT)))
_MATCH_OPEN = prepare(text(_MATCH.format(which=_OPEN)))
_RECOUNT = prepare(
    text(
        """
        UPDATE payouts p SET items_matched = n.matched, version = p.version + 1, updated_at = :now,
            state = CASE WHEN n.total > 0 AND n.matched = n.total AND p.items_net = p.amount + p.fee
                THEN 'reconciled' ELSE 'open' END
        FROM (
            SELECT i.payout_id, count(*) AS total, count(*) FILTER (WHERE i.state = 'matched') AS matched
            FROM payout_items i
            WHERE i.organization_id = :organization_id AND i.payout_id = ANY(CAST(:ids AS uuid[])) GROUP BY 1) n
        WHERE p.organization_id = :organization_id AND p.id = n.payout_id AND p.state <> 'canceled'
        """
    )
)
_LOCK = prepare(
    text(
        "SELECT id FROM payouts WHERE organization_id = :organization_id AND id = ANY(CAST(:ids AS uuid[])) "
        "ORDER BY id FOR NO KEY UPDATE"
    )
)


async def match_payout(session: WriteSession, payout_id: UUID) -> None:
    """Match every item of a payout."""
    await session.fetch(_MATCH_PAYOUT, payout_id=payout_id)
    await _recount(session, {payout_id})


async def match_gift(session: WriteSession, gift_id: UUID) -> None:
    """Match the items that name a gift's payment."""
    await _recount(session, {row["payout_id"] for row in await session.fetch(_MATCH_GIFT, gift_id=gift_id)})


async def match_open(session: WriteSession) -> None:
    """Match every item that is not matched yet."""
    await _recount(session, {row["payout_id"] for row in await session.fetch(_MATCH_OPEN)})


async def _recount(session: WriteSession, payout_ids: set[UUID]) -> None:
    """Items come before their payouts for whoever locks both."""
    if payout_ids:
        ids = sorted(payout_ids, key=str)
        await session.fetch(_LOCK, ids=ids)
        await session.execute(_RECOUNT, ids=ids, now=session.now)
