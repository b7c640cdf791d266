"""The books of pledges: what is promised and not yet given stands as receivable against pledged income.

A payment takes its part back out of both, since the gift itself brings the income; what is written off, or left when a
pledge is canceled, goes out too. So the receivable of a pledge is always what is open of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.donations.ledger import repository
from crm_api.donations.ledger.movements import Line
from crm_api.donations.ledger.posting import journal_of
from crm_api.kit import clock
from crm_api.kit.db import WriteSession, prepare

MOST = 2_000
"""Pledges that one pass over all of them posts."""
_LOCK = prepare(
    text(
        "SELECT id FROM pledges WHERE organization_id = :organization_id AND id = ANY(CAST(:ids AS uuid[])) "
        "ORDER BY id FOR NO KEY UPDATE"
    )
)
# What should stand by the pledges' own figures, less what stands, by kind, accounts and fund. `low` and `high` are the
# accounts in the order of their keys; an amount debited to `high` is one below zero.
_DIFFERING = prepare(
    text(
        """
        WITH chosen AS MATERIALIZED (
            SELECT p.id, p.currency, p.fund_id, p.pledged_on, p.amount, p.paid, p.written_off, p.status,
                coalesce(CAST(p.fund_id AS text), 'none') AS fund,
                CAST(p.canceled_at AT TIME ZONE CAST(:zone AS text) AS date) AS canceled_on
            FROM pledges p WHERE p.organization_id = :organization_id AND p.kind = 'money'
                AND (CAST(:ids AS uuid[]) IS NULL OR p.id = ANY(CAST(:ids AS uuid[])))),
        wanted AS (
            SELECT c.id, k.kind, c.fund_id, k.day, least(k.debit COLLATE "C", k.credit COLLATE "C") AS low,
                greatest(k.debit COLLATE "C", k.credit COLLATE "C") AS high,
                CASE WHEN k.debit COLLATE "C" < k.credit COLLATE "C" THEN k.amount ELSE -k.amount END AS amount
            FROM chosen c CROSS JOIN LATERAL (VALUES
                ('pledge', c.pledged_on, 'receivable:pledges', 'pledge_income:' || c.fund, c.amount),
                ('pledge_payment', (
                    SELECT max(g.gift_date) FROM pledge_payments y
                        JOIN gifts g ON g.organization_id = y.organization_id AND g.id = y.gift_id
                    WHERE y.organization_id = :organization_id AND y.pledge_id = c.id),
                    'pledge_income:' || c.fund, 'receivable:pledges', c.paid),
                ('write_off', (
                    SELECT max(w.written_off_on) FROM pledge_write_offs w
                    WHERE w.organization_id = :organization_id AND w.pledge_id = c.id),
                    'write_offs:' || c.fund, 'receivable:pledges', c.written_off),
                ('pledge_canceled', c.canceled_on, 'pledge_income:' || c.fund, 'receivable:pledges',
                    CASE WHEN c.status = 'canceled' THEN c.amount - c.paid - c.written_off ELSE 0 END))
                k(kind, day, debit, credit, amount)
            WHERE k.amount > 0),
        posted AS (
            SELECT j.pledge_id AS id, j.kind, j.fund_id, least(j.debit, j.credit) AS low,
                greatest(j.debit, j.credit) AS high,
                sum(CASE WHEN j.debit < j.credit THEN j.amount ELSE -j.amount END) AS amount
            FROM ledger_journals j JOIN chosen c ON c.id = j.pledge_id
            WHERE j.organization_id = :organization_id GROUP BY 1, 2, 3, 4, 5),
        differing AS (
            SELECT d.id, d.kind, d.fund_id, d.low, d.high, max(d.day) AS day, sum(d.amount) AS amount
            FROM (SELECT w.id, w.kind, w.fund_id, w.low, w.high, w.day, w.amount FROM wanted w
                  UNION ALL
                  SELECT p.id, p.kind, p.fund_id, p.low, p.high, NULL, -p.amount FROM posted p) d
            GROUP BY 1, 2, 3, 4, 5 HAVING sum(d.amount) <> 0)
        SELECT d.*, c.currency, coalesce((
                SELECT max(j.revision) FROM ledger_journals j
                WHERE j.organization_id = :organization_id AND j.pledge_id = d.id), 0) AS revision
        FROM differing d JOIN chosen c ON c.id = d.id ORDER BY d.id, d.kind, d.low, d.high LIMIT :most
        """
    )
)


async def post_pledges(session: WriteSession, ids: Sequence[UUID]) -> int:
    """Bring the books of these pledges up to date; how many journals that took."""
    await repository.lock_together(session)
    await session.fetch(_LOCK, ids=list(ids))
    closed = await repository.closed_through(session)
    today = clock.local_date(session.now, session.tenant.timezone)
    rows = await session.fetch(_DIFFERING, ids=list(ids), zone=session.tenant.timezone, most=len(ids) * 20)
    lines: list[dict[str, Any]] = []
    for pledge_id, own in groupby(rows, key=lambda row: row["id"]):
        for number, row in enumerate(own, start=1):
            debit, credit = (row["low"], row["high"]) if row["amount"] > 0 else (row["high"], row["low"])
            amount = int(abs(row["amount"]))
            line = Line(row["kind"], row["day"] or today, debit, credit, row["fund_id"], amount)
            journal = journal_of(line, closed, row["currency"], revision=row["revision"] + 1, number=number)
            lines.append({**journal, "pledge_id": pledge_id})
    await repository.post_lines(session, lines)
    return len(lines)


async def post_behind(session: WriteSession) -> int:
    """The same for whatever pledges are behind, such as those of an erased donor, which told nobody."""
    rows = await session.fetch(_DIFFERING, ids=None, zone=session.tenant.timezone, most=MOST)
    ids = sorted({row["id"] for row in rows}, key=str)
    return await post_pledges(session, ids) if ids else 0
