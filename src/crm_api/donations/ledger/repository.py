"""SQL of the books: what gifts need posted, for one and for many at once.

Whoever posts holds the lock of the organization's books in common with others, and the gift's row of `ledger_gifts`
alone; whoever closes a period holds that lock alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.kit.db import ReadSession, Row, WriteSession, prepare
from crm_api.kit.ids import NEW_ID_SQL, id_head
from crm_api.kit.planner import configure

_BOOKS = "hashtextextended('ledger:' || CAST(CAST(:organization_id AS uuid) AS text), 0)"
_LOCK_ALONE = prepare(text(f"SELECT pg_advisory_xact_lock({_BOOKS})"))
_LOCK_TOGETHER = prepare(text(f"SELECT pg_advisory_xact_lock_shared({_BOOKS})"))
CLOSED = (
    "(SELECT max(p.through) FROM ledger_periods p WHERE p.organization_id = :organization_id AND p.state = 'closed')"
)
_CLOSED_THROUGH = prepare(text(f"SELECT CAST({CLOSED} AS date) AS through"))

# A gift whose money has not arrived has nothing to be posted.
UNPOSTED = """
    (m.gift_id IS NULL AND (g.status NOT IN ('pending', 'failed', 'canceled') OR g.fee > 0)
        OR m.gift_version <> g.version)"""
_COUNT_UNPOSTED = prepare(
    text(
        f"""
        SELECT count(*) FROM gifts g LEFT JOIN ledger_gifts m
            ON m.organization_id = g.organization_id AND m.gift_id = g.id
        WHERE g.organization_id = :organization_id AND {UNPOSTED}
        """
    )
)
# Whoever claims a gift posts it in the same transaction, from what is committed once the claim stands: at least the
# version that is noted here.
_TAKEN = """
        ON CONFLICT (organization_id, gift_id) DO UPDATE SET posted_at = excluded.posted_at, revision = m.revision + 1,
            gift_version = greatest(m.gift_version, excluded.gift_version)"""
_CLAIM = prepare(
    text(
        f"""
        WITH books AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared({_BOOKS}))
        INSERT INTO ledger_gifts AS m (organization_id, gift_id, gift_version, revision, posted_at)
        SELECT g.organization_id, g.id, g.version, 1, :now FROM books, gifts g
        WHERE g.organization_id = :organization_id AND g.id = ANY(CAST(:ids AS uuid[])) ORDER BY g.id
        {_TAKEN}
        """
    )
)
_CLAIM_NEXT = prepare(
    text(
        f"""
        WITH books AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared({_BOOKS})),
        part AS MATERIALIZED (
            SELECT g.id, g.version FROM gifts g LEFT JOIN ledger_gifts m
                ON m.organization_id = g.organization_id AND m.gift_id = g.id
            WHERE g.organization_id = :organization_id AND g.id > CAST(:after AS uuid) AND {UNPOSTED}
            ORDER BY g.id LIMIT :most)
        INSERT INTO ledger_gifts AS m (organization_id, gift_id, gift_version, revision, posted_at)
        SELECT :organization_id, part.id, part.version, 1, :now FROM books, part ORDER BY part.id
        {_TAKEN}
        RETURNING m.gift_id
        """
    )
)

# What is posted of a gift, summed per kind, day, pair of accounts and fund. An amount debited to the account that comes
# second by its key is below zero, as `movements.key_of` has it.
POSTED = """
    SELECT j.gift_id, j.kind, j.movement_date, least(j.debit, j.credit) AS low, greatest(j.debit, j.credit) AS high,
        j.fund_id, sum(CASE WHEN j.debit < j.credit THEN j.amount ELSE -j.amount END) AS amount
    FROM ledger_journals j WHERE j.organization_id = :organization_id AND {which}
    GROUP BY 1, 2, 3, 4, 5, 6"""
_STANDING = prepare(
    text(
        f"""
        SELECT g.id, g.currency, g.method, g.connection_id, g.fund_id, g.amount, m.revision,
            CAST({CLOSED} AS date) AS closed_through,
            (SELECT jsonb_agg(jsonb_build_object('kind', e.kind, 'key', e.entry_key, 'occurred_at', e.occurred_at,
                'amount', e.amount, 'ref', e.ref, 'status', e.status, 'reason', e.reason, 'started_at', e.started_at))
             FROM payment_entries e WHERE e.organization_id = :organization_id AND e.gift_id = g.id) AS entries,
            CASE WHEN g.is_split THEN
                (SELECT jsonb_agg(jsonb_build_array(a.fund_id, a.amount) ORDER BY a.position, a.fund_id)
                 FROM gift_allocations a WHERE a.organization_id = :organization_id AND a.gift_id = g.id)
            END AS split,
            (SELECT jsonb_agg(jsonb_build_array(p.kind, p.movement_date, p.low, p.high, p.fund_id, p.amount))
             FROM ({POSTED.format(which="j.gift_id = g.id")}) p WHERE p.amount <> 0) AS posted
        FROM gifts g JOIN ledger_gifts m ON m.organization_id = g.organization_id AND m.gift_id = g.id
        WHERE g.organization_id = :organization_id AND g.id = ANY(CAST(:ids AS uuid[]))
        """
    )
)

_ACCOUNTS = f"""
    INSERT INTO ledger_accounts (organization_id, id, account, kind, version, created_at, updated_at)
    SELECT :organization_id, {NEW_ID_SQL}, a.account, split_part(a.account, ':', 1), 1, :now, :now
    FROM (SELECT debit FROM lines UNION SELECT credit FROM lines) a(account)
    WHERE NOT EXISTS (SELECT 1 FROM ledger_accounts k WHERE k.organization_id = :organization_id
        AND k.account = a.account)
    ON CONFLICT (organization_id, account) DO NOTHING"""
_COLUMNS = (
    "organization_id, id, kind, gift_id, payout_id, pledge_id, revision, line, journal_date, movement_date, debit, "
    "credit, amount, currency, fund_id, recorded_at"
)
_POST = prepare(
    text(
        f"""
        WITH lines AS MATERIALIZED (SELECT * FROM jsonb_to_recordset(:lines) AS l(id uuid, kind text, gift_id uuid,
            payout_id uuid, pledge_id uuid, revision integer, line integer, journal_date date, movement_date date,
            debit text, credit text, amount bigint, currency text, fund_id uuid)),
        accounts AS ({_ACCOUNTS})
        INSERT INTO ledger_journals ({_COLUMNS})
        SELECT :organization_id, l.id, l.kind, l.gift_id, l.payout_id, l.pledge_id, l.revision, l.line, l.journal_date,
            l.movement_date, l.debit, l.credit, l.amount, l.currency, l.fund_id, :now FROM lines l
        """
    )
)

# Gifts with one charge, at most one fee and nothing else: nearly all of an import. Their books follow from their
# columns, so that thousands are posted by one statement: nothing was given back or lost, so `counted` is what was
# charged. For all others the statement only says which they are. What belongs to a gift is looked up for each, and
# nothing is joined that the planner would have to guess the size of: taking thousands for a few, it compared all with
# all.
_POST_PLAIN = prepare(
    text(
        f"""
        WITH claimed AS MATERIALIZED (
            SELECT g.id, g.currency, g.fund_id, g.counted, g.fee, g.gift_date, t.charges,
                CAST(t.fee_at AT TIME ZONE CAST(:zone AS text) AS date) AS fee_date, m.revision,
                NOT g.is_split AND g.superseded_by IS NULL AND t.charges <= 1 AND t.fees <= 1
                    AND NOT coalesce(t.special, false) AS plain,
                CASE WHEN g.connection_id IS NOT NULL THEN 'clearing:' || CAST(g.connection_id AS text)
                    WHEN g.method = 'in_kind' THEN 'in_kind:goods' ELSE 'received:' || g.method END AS asset,
                CASE WHEN g.connection_id IS NULL AND g.method = 'in_kind' THEN 'in_kind_income:' ELSE 'income:' END
                    || coalesce(CAST(g.fund_id AS text), 'none') AS income
            FROM gifts g JOIN ledger_gifts m ON m.organization_id = g.organization_id AND m.gift_id = g.id
                CROSS JOIN LATERAL (
                    SELECT count(*) FILTER (WHERE e.kind = 'charge') AS charges,
                        count(*) FILTER (WHERE e.kind = 'fee') AS fees,
                        max(e.occurred_at) FILTER (WHERE e.kind = 'fee') AS fee_at,
                        bool_or(e.kind NOT IN ('pending', 'charge', 'failed', 'canceled', 'fee')) AS special
                    FROM payment_entries e WHERE e.organization_id = :organization_id AND e.gift_id = g.id) t
            WHERE g.organization_id = :organization_id AND g.id = ANY(CAST(:ids AS uuid[]))),
        wanted AS (
            SELECT c.id AS gift_id, c.currency, c.revision, 'gift' AS kind, c.gift_date AS day, c.asset AS debit,
                c.income AS credit, c.fund_id, c.counted AS amount
            FROM claimed c WHERE c.plain AND c.counted > 0
            UNION ALL
            SELECT c.id, c.currency, c.revision, 'fee', c.fee_date, 'fees:payments', c.asset, c.fund_id, c.fee
            FROM claimed c WHERE c.plain AND c.fee > 0),
        differing AS MATERIALIZED (
            SELECT d.gift_id, d.currency, d.revision, d.kind, d.day, d.low, d.high, d.fund_id, sum(d.amount) AS amount
            FROM (
                SELECT w.gift_id, w.currency, w.revision, w.kind, w.day,
                    least(w.debit COLLATE "C", w.credit COLLATE "C") AS low,
                    greatest(w.debit COLLATE "C", w.credit COLLATE "C") AS high, w.fund_id,
                    CASE WHEN w.debit COLLATE "C" < w.credit COLLATE "C" THEN w.amount ELSE -w.amount END AS amount
                FROM wanted w
                UNION ALL
                SELECT p.gift_id, c.currency, c.revision, p.kind, p.movement_date, p.low, p.high, p.fund_id, -p.amount
                FROM claimed c CROSS JOIN LATERAL ({POSTED.format(which="j.gift_id = c.id")}) p
                WHERE c.plain AND c.revision > 1) d
            GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 HAVING sum(d.amount) <> 0),
        lines AS MATERIALIZED (
            SELECT d.*, CASE WHEN d.amount > 0 THEN d.low ELSE d.high END AS debit,
                CASE WHEN d.amount > 0 THEN d.high ELSE d.low END AS credit,
                row_number() OVER (PARTITION BY d.gift_id ORDER BY d.day, d.kind, d.low, d.high, d.amount) AS line
            FROM differing d),
        accounts AS ({_ACCOUNTS}),
        posted AS (
            INSERT INTO ledger_journals ({_COLUMNS})
            SELECT :organization_id, {NEW_ID_SQL}, l.kind, l.gift_id, NULL, NULL, l.revision, l.line,
                greatest(l.day, {CLOSED} + 1), l.day, l.debit, l.credit, CAST(abs(l.amount) AS bigint), l.currency,
                l.fund_id, :now
            FROM lines l
            RETURNING 1)
        SELECT (SELECT count(*) FROM posted) AS lines, ARRAY(SELECT c.id FROM claimed c WHERE NOT c.plain) AS others
        """
    )
)
_LATER_PASS = prepare(
    text(
        "SELECT EXISTS (SELECT 1 FROM jobs WHERE organization_id = :organization_id AND state = 'due' "
        "AND subscriber = 'ledger.catch_up' AND id > CAST(:job_id AS uuid))"
    )
)


async def lock_alone(session: WriteSession) -> None:
    """Let nobody else post, close or reopen until this transaction ends."""
    await session.fetch(_LOCK_ALONE)


async def lock_together(session: WriteSession) -> None:
    """Let nobody close or reopen a period until this transaction ends."""
    await session.fetch(_LOCK_TOGETHER)


async def closed_through(session: ReadSession) -> Any:
    """The last day of the closed periods; null while none is."""
    return await session.fetch_val(_CLOSED_THROUGH)


async def count_unposted(session: ReadSession) -> int:
    """How many gifts the books are behind with."""
    return int(await session.fetch_val(_COUNT_UNPOSTED))


async def plan_anew(session: ReadSession) -> None:
    """Let every statement of this transaction be planned for the values it is given: those of passes over many."""
    await configure(session, plan_cache_mode="force_custom_plan")


async def claim(session: WriteSession, ids: Sequence[UUID]) -> None:
    """Keep these gifts' books to this transaction, which is to post them; whoever else has them is waited for."""
    await session.execute(_CLAIM, ids=list(ids), now=session.now)


async def claim_next(session: WriteSession, after: UUID, most: int) -> list[UUID]:
    """The same for the next gifts, in the order of ids, whose books are behind."""
    rows = await session.fetch(_CLAIM_NEXT, after=after, most=most, now=session.now)
    return sorted((row["gift_id"] for row in rows), key=str)


async def standing(session: ReadSession, ids: Sequence[UUID]) -> list[Row]:
    """All that decides about the books of claimed gifts, as of one moment: entries, split, what is posted."""
    return await session.fetch(_STANDING, ids=list(ids))


async def post_lines(session: WriteSession, lines: Sequence[dict[str, Any]]) -> None:
    """Write journals, and the accounts that they are the first in."""
    if lines:
        await session.execute(_POST, lines=list(lines), id_head=id_head(), now=session.now)


async def post_plain(session: WriteSession, ids: Sequence[UUID], zone: str) -> tuple[int, list[UUID]]:
    """Post claimed gifts that are plain, all in one statement: how many journals, and the gifts that are not plain."""
    row = await session.fetch_row(_POST_PLAIN, ids=list(ids), zone=zone, id_head=id_head(), now=session.now)
    assert row is not None
    return row["lines"], list(row["others"])


async def later_pass(session: ReadSession, job_id: UUID) -> bool:
    """Whether another pass over all gifts is to begin after this one."""
    return bool(await session.fetch_val(_LATER_PASS, job_id=job_id))
