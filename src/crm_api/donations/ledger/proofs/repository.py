"""SQL of proofs: the books replayed from nothing, and gifts against their entries."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.donations.ledger.repository import UNPOSTED
from crm_api.kit.db import Row, WriteSession, prepare
from crm_api.kit.planner import configure

# What should stand in the books by the gifts' own columns and splits, beside what stands there. Gifts that the worker
# has not got to are left out on both sides; where nothing is counted, refunded or lost, nothing was charged. A split
# is divided by the largest remainder, as `allocations.shares.divide` does.
_REPLAY = prepare(
    text(
        f"""
        WITH settled AS MATERIALIZED (
            SELECT g.id, g.currency, g.fund_id, g.is_split, g.amount, g.refunded, g.charged_back, g.fee,
                g.status NOT IN ('pending', 'failed', 'canceled')
                    AND g.counted + g.refunded + g.charged_back > 0 AS has_come,
                CASE WHEN g.connection_id IS NOT NULL THEN 'clearing:' || CAST(g.connection_id AS text)
                    WHEN g.method = 'in_kind' THEN 'in_kind:goods' ELSE 'received:' || g.method END AS asset
            FROM gifts g JOIN ledger_gifts m ON m.organization_id = g.organization_id AND m.gift_id = g.id
                AND m.gift_version = g.version
            WHERE g.organization_id = :organization_id),
        sums AS (
            SELECT s.id, s.currency, s.fund_id, s.is_split, s.asset, c.kind, c.total
            FROM settled s CROSS JOIN LATERAL (VALUES ('gift', CASE WHEN s.has_come THEN s.amount ELSE 0 END),
                ('refund', s.refunded), ('chargeback', s.charged_back), ('fee', s.fee)) c(kind, total)
            WHERE c.total > 0),
        divided AS (
            SELECT s.id, s.currency, s.asset, s.kind, s.total, a.fund_id, a.position,
                div(CAST(s.total AS numeric) * a.amount, sum(a.amount) OVER w) AS whole,
                mod(CAST(s.total AS numeric) * a.amount, sum(a.amount) OVER w) AS remainder
            FROM sums s JOIN gift_allocations a ON a.organization_id = :organization_id AND a.gift_id = s.id
            WHERE s.is_split WINDOW w AS (PARTITION BY s.id, s.kind)),
        parts AS (
            SELECT s.id, s.currency, s.asset, s.kind, s.fund_id, s.total AS amount FROM sums s WHERE NOT s.is_split
            UNION ALL
            SELECT d.id, d.currency, d.asset, d.kind, d.fund_id, CAST(d.whole + CASE
                WHEN row_number() OVER (PARTITION BY d.id, d.kind ORDER BY d.remainder DESC, d.position, d.fund_id)
                    <= d.total - sum(d.whole) OVER (PARTITION BY d.id, d.kind) THEN 1 ELSE 0 END AS bigint)
            FROM divided d),
        pairs AS (
            SELECT p.id, p.currency, p.kind, p.fund_id, p.amount,
                CASE p.kind WHEN 'gift' THEN p.asset WHEN 'fee' THEN 'fees:payments'
                    WHEN 'refund' THEN 'refunds:' || coalesce(CAST(p.fund_id AS text), 'none')
                    ELSE 'chargebacks:' || coalesce(CAST(p.fund_id AS text), 'none') END AS debit,
                CASE p.kind WHEN 'gift'
                    THEN CASE WHEN p.asset = 'in_kind:goods' THEN 'in_kind_income:' ELSE 'income:' END
                        || coalesce(CAST(p.fund_id AS text), 'none') ELSE p.asset END AS credit
            FROM parts p WHERE p.amount > 0),
        wanted AS MATERIALIZED (
            SELECT p.id AS gift_id, p.currency, p.kind, p.fund_id,
                least(p.debit COLLATE "C", p.credit COLLATE "C") AS low,
                greatest(p.debit COLLATE "C", p.credit COLLATE "C") AS high,
                CASE WHEN p.debit COLLATE "C" < p.credit COLLATE "C" THEN p.amount ELSE -p.amount END AS amount
            FROM pairs p),
        posted AS MATERIALIZED (
            SELECT j.gift_id, j.currency, j.kind, j.fund_id, least(j.debit, j.credit) AS low,
                greatest(j.debit, j.credit) AS high,
                sum(CASE WHEN j.debit < j.credit THEN j.amount ELSE -j.amount END) AS amount
            FROM ledger_journals j JOIN settled s ON s.id = j.gift_id
            WHERE j.organization_id = :organization_id GROUP BY 1, 2, 3, 4, 5, 6),
        differing AS MATERIALIZED (
            SELECT d.gift_id, d.currency, d.kind, d.fund_id, d.low, d.high, sum(d.wanted) AS wanted,
                sum(d.posted) AS posted
            FROM (SELECT w.gift_id, w.currency, w.kind, w.fund_id, w.low, w.high, w.amount AS wanted, 0 AS posted
                  FROM wanted w
                  UNION ALL
                  SELECT p.gift_id, p.currency, p.kind, p.fund_id, p.low, p.high, 0, p.amount FROM posted p) d
            GROUP BY 1, 2, 3, 4, 5, 6 HAVING sum(d.wanted) <> sum(d.posted)),
        balances AS (
            SELECT b.account, b.currency, sum(b.wanted) AS wanted, sum(b.posted) AS posted
            FROM (SELECT w.low AS account, w.currency, w.amount AS wanted, 0 AS posted FROM wanted w
                  UNION ALL SELECT w.high, w.currency, -w.amount, 0 FROM wanted w
                  UNION ALL SELECT p.low, p.currency, 0, p.amount FROM posted p
                  UNION ALL SELECT p.high, p.currency, 0, -p.amount FROM posted p) b
            GROUP BY 1, 2)
        SELECT (SELECT count(*) FROM settled) AS gifts,
            (SELECT count(*) FROM gifts g LEFT JOIN ledger_gifts m
                ON m.organization_id = g.organization_id AND m.gift_id = g.id
                WHERE g.organization_id = :organization_id AND {UNPOSTED}) AS unposted,
            (SELECT count(DISTINCT d.gift_id) FROM differing d) AS differing,
            (SELECT jsonb_agg(jsonb_build_object('account', b.account, 'currency', b.currency, 'replayed',
                CAST(b.wanted AS text), 'posted', CAST(b.posted AS text)) ORDER BY b.currency, b.account)
                FROM balances b) AS totals,
            (SELECT jsonb_agg(to_jsonb(f)) FROM (
                SELECT d.gift_id, d.kind, d.currency, d.low, d.high, CAST(d.wanted AS text) AS wanted,
                    CAST(d.posted AS text) AS posted
                FROM differing d ORDER BY d.gift_id, d.kind LIMIT :most) f) AS named
        """
    )
)
_PAYOUTS = prepare(
    text(
        """
        SELECT p.id, p.currency, n.kind, n.wanted, n.posted FROM payouts p
        CROSS JOIN LATERAL (
            SELECT k.kind, CASE WHEN p.state = 'canceled' THEN 0 ELSE k.amount END AS wanted,
                coalesce((SELECT sum(CASE WHEN j.debit = k.account THEN j.amount ELSE -j.amount END)
                    FROM ledger_journals j WHERE j.organization_id = :organization_id AND j.payout_id = p.id
                        AND j.kind = k.kind), 0) AS posted
            FROM (VALUES ('payout', 'bank:payouts', p.amount), ('payout_fee', 'fees:payments', p.fee))
                k(kind, account, amount)) n
        WHERE p.organization_id = :organization_id AND n.wanted <> n.posted ORDER BY p.id LIMIT :most
        """
    )
)
# The next gifts in the order of ids. Those with at most one charge and one fee are compared here; the others are named,
# to be derived by the same function that gifts are.
_ENTRIES = prepare(
    text(
        """
        WITH part AS MATERIALIZED (
            SELECT g.id, g.version, g.amount, g.fee, g.refunded, g.charged_back, g.status FROM gifts g
            WHERE g.organization_id = :organization_id AND g.id > CAST(:after AS uuid) ORDER BY g.id LIMIT :most),
        told AS (
            SELECT e.gift_id, count(*) FILTER (WHERE e.kind = 'charge') AS charges,
                count(*) FILTER (WHERE e.kind = 'fee') AS fees,
                max(e.amount) FILTER (WHERE e.kind = 'charge') AS gross,
                max(e.amount) FILTER (WHERE e.kind = 'fee') AS fee,
                bool_or(e.kind NOT IN ('pending', 'charge', 'failed', 'canceled', 'fee')) AS special
            FROM payment_entries e
            WHERE e.organization_id = :organization_id AND e.gift_id > CAST(:after AS uuid)
                AND e.gift_id <= (SELECT p.id FROM part p ORDER BY p.id DESC LIMIT 1)
            GROUP BY 1),
        compared AS MATERIALIZED (
            SELECT p.id, coalesce(t.charges, 0) <= 1 AND coalesce(t.fees, 0) <= 1 AND NOT coalesce(t.special, false)
                    AS plain,
                p.fee = greatest(coalesce(t.fee, 0), 0) AND p.refunded = 0 AND p.charged_back = 0
                    AND CASE WHEN coalesce(t.charges, 0) = 0 THEN p.status IN ('pending', 'failed', 'canceled')
                        ELSE p.status = 'succeeded' AND p.amount = greatest(t.gross, 0) END AS agrees
            FROM part p LEFT JOIN told t ON t.gift_id = p.id)
        SELECT (SELECT count(*) FROM compared) AS taken,
            (SELECT c.id FROM compared c ORDER BY c.id DESC LIMIT 1) AS last,
            ARRAY(SELECT c.id FROM compared c WHERE c.plain AND NOT c.agrees ORDER BY c.id) AS differing,
            ARRAY(SELECT c.id FROM compared c WHERE NOT c.plain ORDER BY c.id) AS others
        """
    )
)
_GIFTS = prepare(
    text(
        """
        SELECT g.id, g.version, g.amount, g.fee, g.refunded, g.charged_back, g.status, g.currency,
            (SELECT jsonb_agg(jsonb_build_object('kind', e.kind, 'key', e.entry_key, 'occurred_at', e.occurred_at,
                'amount', e.amount, 'ref', e.ref, 'status', e.status, 'reason', e.reason, 'started_at', e.started_at))
             FROM payment_entries e WHERE e.organization_id = :organization_id AND e.gift_id = g.id) AS entries
        FROM gifts g WHERE g.organization_id = :organization_id AND g.id = ANY(CAST(:ids AS uuid[])) ORDER BY g.id
        """
    )
)
_CALM = prepare(
    text(
        "UPDATE ledger_proofs SET alarm = false, version = version + 1, updated_at = :now "
        "WHERE organization_id = :organization_id AND alarm AND id <> :id"
    )
)


async def replay(session: WriteSession, most: int) -> Row:
    """The books beside a replay of all gifts: totals of every account, how many gifts differ, the first of them."""
    await configure(session, statement_timeout="600s")
    row = await session.fetch_row(_REPLAY, most=most)
    assert row is not None
    return row


async def payouts_differing(session: WriteSession, most: int) -> list[Row]:
    """Payouts whose journals do not come to their amount and fee."""
    return await session.fetch(_PAYOUTS, most=most)


async def compare_entries(session: WriteSession, after: UUID, most: int) -> Row:
    """The next gifts compared with their entries, as far as that can be said in one statement."""
    row = await session.fetch_row(_ENTRIES, after=after, most=most)
    assert row is not None
    return row


async def with_entries(session: WriteSession, ids: list[UUID]) -> list[Row]:
    """Gifts with their entries."""
    return await session.fetch(_GIFTS, ids=ids)


async def calm(session: WriteSession, proof_id: Any) -> None:
    """Take back the alarms of earlier proofs."""
    await session.execute(_CALM, id=proof_id, now=session.now)
