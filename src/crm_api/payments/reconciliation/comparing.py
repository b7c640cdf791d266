"""A provider's list against the ledger, set-wise: what is listed lies in the table, and one statement finds every
difference.

Words of both sides are compared in groups. A list knows refunds, yet not how a dispute ended: a payment that was ever
disputed matches a gift with a dispute of any state, and one that is listed as paid matches a disputed gift.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.kit.db import ReadSession, WriteSession, prepare
from crm_api.kit.ids import new_id
from crm_api.payments.abilities import Listed
from crm_api.payments.reconciliation.models import KINDS, LISTED, PLAN_KINDS

_RANK = {
    "canceled": 0,
    "failed": 1,
    "pending": 2,
    "succeeded": 3,
    "partially_refunded": 4,
    "refunded": 5,
    "disputed": 6,
}
"""Of several attempts that are listed under one payment the one that is furthest along counts."""
_APART = f"('{LISTED}', 'missing_there', {', '.join(map(repr, PLAN_KINDS))})"
"""Kinds of rows that are no difference of a payment that both sides, or the provider, have."""
_PAID = "('succeeded', 'partially_refunded', 'refunded')"
_LOST = "('disputed', 'charged_back')"


def _group(column: str) -> str:
    return (
        f"CASE WHEN {column} IN {_PAID} THEN 'paid' WHEN {column} IN {_LOST} THEN 'disputed' "
        f"WHEN {column} IN ('failed', 'canceled') THEN 'unpaid' ELSE {column} END"
    )


_PROVIDERS = "l.occurred_at, l.currency, l.provider_status, l.provider_amount, l.provider_refunded, l.provider_fee"
_OURS = "l.gift_id, l.our_status, l.our_amount, l.our_refunded, l.our_fee"
_DIFFERENCES = f"""
    WITH listed AS (
        SELECT i.ref, i.occurred_at, i.currency, i.provider_status, i.provider_amount, i.provider_refunded,
            i.provider_fee, g.id AS gift_id, g.status AS our_status, g.amount AS our_amount,
            g.refunded AS our_refunded, g.fee AS our_fee, g.currency AS our_currency,
            {_group("i.provider_status")} AS theirs, {_group("g.status")} AS ours
        FROM reconciliation_items i
        LEFT JOIN gift_payment_refs r ON r.organization_id = :organization_id
            AND r.connection_id = :connection_id AND r.ref = i.ref
        LEFT JOIN gifts g ON g.organization_id = :organization_id AND g.id = r.gift_id
        WHERE i.organization_id = :organization_id AND i.reconciliation_id = :id AND i.kind = '{LISTED}'
            AND (CAST(:refs AS text[]) IS NULL OR i.ref = ANY(CAST(:refs AS text[])))
            AND i.occurred_at >= :since AND i.occurred_at < :until
    ),
    differing AS (
        SELECT 'missing_here' AS kind, l.ref, {_PROVIDERS}, {_OURS} FROM listed l WHERE l.gift_id IS NULL
        UNION ALL
        SELECT 'amount_differs', l.ref, {_PROVIDERS}, {_OURS} FROM listed l WHERE l.gift_id IS NOT NULL
            AND (l.our_currency <> l.currency OR (l.theirs = 'paid' AND l.our_amount <> l.provider_amount))
        UNION ALL
        SELECT 'status_differs', l.ref, {_PROVIDERS}, {_OURS} FROM listed l WHERE l.gift_id IS NOT NULL
            AND l.theirs <> l.ours AND NOT (l.theirs = 'paid' AND l.ours = 'disputed')
            AND NOT (l.theirs = 'disputed' AND l.ours = 'paid' AND EXISTS (
                SELECT 1 FROM payment_entries e WHERE e.organization_id = :organization_id
                    AND e.gift_id = l.gift_id AND e.kind = 'dispute'))
        UNION ALL
        SELECT 'refunded_differs', l.ref, {_PROVIDERS}, {_OURS} FROM listed l WHERE l.gift_id IS NOT NULL
            AND l.theirs IN ('paid', 'disputed') AND l.our_refunded <> l.provider_refunded
        UNION ALL
        SELECT 'fee_differs', l.ref, {_PROVIDERS}, {_OURS} FROM listed l WHERE l.gift_id IS NOT NULL
            AND l.theirs IN ('paid', 'disputed') AND l.our_fee <> l.provider_fee
    )
"""
_PUT = prepare(
    text(
        f"""
        INSERT INTO reconciliation_items (organization_id, id, reconciliation_id, kind, ref, occurred_at, currency,
            provider_status, provider_amount, provider_refunded, provider_fee)
        SELECT :organization_id, r.id, :reconciliation_id, '{LISTED}', r.ref, r.occurred_at, r.currency, r.status,
            r.amount, r.refunded, r.fee
        FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(id uuid, ref text, occurred_at timestamptz, currency text,
            status text, amount bigint, refunded bigint, fee bigint)
        ON CONFLICT (organization_id, reconciliation_id, ref, kind) DO UPDATE SET occurred_at = excluded.occurred_at,
            currency = excluded.currency, provider_status = excluded.provider_status,
            provider_amount = excluded.provider_amount, provider_refunded = excluded.provider_refunded,
            provider_fee = excluded.provider_fee
        WHERE array_position(CAST(:order AS text[]), excluded.provider_status)
            > array_position(CAST(:order AS text[]), reconciliation_items.provider_status)
        """
    )
)
_NOTE = prepare(
    text(
        f"""
        {_DIFFERENCES}
        INSERT INTO reconciliation_items (organization_id, id, reconciliation_id, kind, ref, occurred_at, currency,
            provider_status, provider_amount, provider_refunded, provider_fee, gift_id, our_status, our_amount,
            our_refunded, our_fee)
        SELECT :organization_id, gen_random_uuid(), :id, l.kind, l.ref, {_PROVIDERS}, {_OURS} FROM differing l
        ON CONFLICT (organization_id, reconciliation_id, ref, kind) DO NOTHING
        """
    )
)
_DIFFERING_REFS = prepare(text(f"{_DIFFERENCES} SELECT DISTINCT ref FROM differing"))
_RESOLVE = prepare(
    text(
        f"""
        {_DIFFERENCES}
        UPDATE reconciliation_items i SET resolved = NOT EXISTS (
                SELECT 1 FROM differing d WHERE d.ref = i.ref AND d.kind = i.kind),
            gift_id = coalesce(i.gift_id, (SELECT l.gift_id FROM listed l WHERE l.ref = i.ref LIMIT 1))
        WHERE i.organization_id = :organization_id AND i.reconciliation_id = :id
            AND i.kind NOT IN {_APART}
        """
    )
)
_NOTE_MISSING_THERE = prepare(
    text(
        f"""
        INSERT INTO reconciliation_items (organization_id, id, reconciliation_id, kind, ref, occurred_at, currency,
            gift_id, our_status, our_amount, our_refunded, our_fee)
        SELECT :organization_id, gen_random_uuid(), :id, 'missing_there', g.provider_payment_id, g.received_at,
            g.currency, g.id, g.status, g.amount, g.refunded, g.fee
        FROM gifts g
        WHERE g.organization_id = :organization_id AND g.connection_id = :connection_id
            AND g.superseded_by IS NULL AND g.provider_payment_id IS NOT NULL
            AND (g.status IN {_PAID} OR g.status IN {_LOST})
            AND g.received_at >= :since AND g.received_at < :until
            AND NOT EXISTS (
                SELECT 1 FROM gift_payment_refs r JOIN reconciliation_items i ON i.organization_id = :organization_id
                    AND i.reconciliation_id = :id AND i.ref = r.ref AND i.kind = '{LISTED}'
                WHERE r.organization_id = :organization_id AND r.gift_id = g.id AND r.connection_id = :connection_id)
        ON CONFLICT (organization_id, reconciliation_id, ref, kind) DO NOTHING
        """
    )
)
_REFUSE = prepare(
    text(
        "UPDATE reconciliation_items SET reason = :reason WHERE organization_id = :organization_id "
        f"AND reconciliation_id = :id AND ref = :ref AND kind <> '{LISTED}'"
    )
)
_COUNT = prepare(
    text(
        f"""
        SELECT count(*) FILTER (WHERE kind = '{LISTED}' AND occurred_at >= :since AND occurred_at < :until) AS listed,
            count(DISTINCT ref) FILTER (WHERE kind NOT IN {_APART} AND NOT resolved) AS differing,
            count(*) FILTER (WHERE resolved) AS resolved,
            {", ".join(f"count(*) FILTER (WHERE kind = '{kind}' AND NOT resolved) AS {kind}" for kind in KINDS)}
        FROM reconciliation_items WHERE organization_id = :organization_id AND reconciliation_id = :id
        """
    )
)
_FORGET = prepare(
    text(
        "DELETE FROM reconciliation_items WHERE organization_id = :organization_id "
        f"AND reconciliation_id = :id AND kind = '{LISTED}'"
    )
)


def best_of(items: Iterable[Listed]) -> list[Listed]:
    """One of each payment, the one that is furthest along. Pure."""
    best: dict[str, Listed] = {}
    for item in items:
        if item.ref not in best or _RANK[item.status] > _RANK[best[item.ref].status]:
            best[item.ref] = item
    return list(best.values())


async def put(session: WriteSession, reconciliation_id: UUID, items: Sequence[Listed]) -> None:
    """Keep what the provider lists, until everything is compared."""
    rows = [
        {
            "id": new_id(),
            "ref": item.ref,
            "occurred_at": item.occurred_at,
            "currency": item.amount.currency,
            "status": item.status,
            "amount": item.amount.amount,
            "refunded": item.refunded,
            "fee": item.fee,
        }
        for item in items
    ]
    if rows:
        order = sorted(_RANK, key=_RANK.__getitem__)
        await session.execute(_PUT, reconciliation_id=reconciliation_id, rows=rows, order=order)


def _window(row: Any) -> dict[str, Any]:
    return {
        "id": row["id"],
        "connection_id": row["connection_id"],
        "since": row["since"],
        "until": row["until"],
    }


async def note(session: WriteSession, row: Any, refs: Sequence[str] | None) -> list[str]:
    """Note the differences of these payments (of all, without refs); the payments that differ."""
    given = None if refs is None else list(refs)
    await session.execute(_NOTE, refs=given, **_window(row))
    return [one["ref"] for one in await session.fetch(_DIFFERING_REFS, refs=given, **_window(row))]


async def refuse(session: WriteSession, reconciliation_id: UUID, ref: str, reason: str) -> None:
    """Note why a payment could not be applied."""
    await session.execute(_REFUSE, id=reconciliation_id, ref=ref, reason=reason)


async def conclude(session: WriteSession, row: Any) -> dict[str, int]:
    """Compare everything once more, count, and forget the list; the counts."""
    await note(session, row, None)
    await session.execute(_RESOLVE, refs=None, **_window(row))
    await session.execute(_NOTE_MISSING_THERE, **_window(row))
    counts = await totals(session, row)
    await session.execute(_FORGET, id=row["id"])
    return counts


async def totals(session: ReadSession, row: Any) -> dict[str, int]:
    """Counts of what lies in the table now."""
    found = await session.fetch_row(_COUNT, id=row["id"], since=row["since"], until=row["until"])
    assert found is not None
    counts = {name: int(found[name]) for name in ("listed", "resolved", *KINDS)}
    return {**counts, "matched": counts["listed"] - int(found["differing"])}
