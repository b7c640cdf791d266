"""SQL of the donation report: one statement for each way of grouping."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.kit import clock
from crm_api.kit.db import ReadSession, Row, Statement, prepare

_KEYS: Mapping[str, str] = {
    "day": "CAST(g.gift_date AS text)",
    "month": "to_char(g.gift_date, 'YYYY-MM')",
    "campaign": "CAST(g.campaign_id AS text)",
    "channel": "g.channel",
    "method": "g.method",
    "currency": "g.currency",
}
# `received_at` and `gift_date` say the same, in two zones: the one has the index, the other the organization's days.
_WHERE = """
    g.organization_id = :organization_id AND g.superseded_by IS NULL
    AND g.status NOT IN ('pending', 'failed', 'canceled')
    AND g.received_at >= :from_time AND g.received_at < :to_time
    AND g.gift_date BETWEEN CAST(:first AS date) AND CAST(:last AS date)
    AND (CAST(:currency AS text) IS NULL OR g.currency = CAST(:currency AS text))"""
_SUMS = """
    count(*) AS count, sum(s.gross) AS gross, sum(s.refunded) AS refunded, sum(s.charged_back) AS charged_back,
    sum(s.fee) AS fee, sum(s.base_gross) AS base_gross, sum(s.base_counted) AS base_counted,
    sum(s.fee * s.base_rate) FILTER (WHERE s.fee > 0) AS base_fee,
    count(*) FILTER (WHERE s.base_gross IS NULL) AS without_rate, count(*) FILTER (WHERE s.once) AS once,
    count(*) FILTER (WHERE s.once AND s.base_gross IS NULL) AS without_rate_once"""
_GROUPED = """
    SELECT {key} AS key, g.currency, count(*) AS count, sum(g.amount) AS gross, sum(g.refunded) AS refunded,
        sum(g.charged_back) AS charged_back, sum(g.fee) AS fee, sum(g.base_amount) AS base_gross,
        sum(g.base_counted) AS base_counted, sum(g.fee * g.base_rate) FILTER (WHERE g.fee > 0) AS base_fee,
        count(*) FILTER (WHERE g.base_amount IS NULL) AS without_rate, count(*) AS once,
        count(*) FILTER (WHERE g.base_amount IS NULL) AS without_rate_once
    FROM gifts g WHERE {where} GROUP BY 1, 2"""
# A split gift's parts of each of its sums, divided by the largest remainder: together they are the gift's. One of them
# (`once`) stands for it where gifts are counted over all funds.
_BY_FUND = f"""
    WITH split AS MATERIALIZED (
        SELECT g.id, g.currency, g.base_rate, g.amount, g.refunded, g.charged_back, g.fee, g.base_amount, g.base_counted
        FROM gifts g WHERE g.is_split AND {_WHERE}),
    divided AS (
        SELECT s.id, c.what, c.total, a.fund_id, a.position,
            div(CAST(c.total AS numeric) * a.amount, sum(a.amount) OVER w) AS whole,
            mod(CAST(c.total AS numeric) * a.amount, sum(a.amount) OVER w) AS remainder
        FROM split s
            CROSS JOIN LATERAL (VALUES ('gross', s.amount), ('refunded', s.refunded), ('charged_back', s.charged_back),
                ('fee', s.fee), ('base_gross', s.base_amount), ('base_counted', s.base_counted)) c(what, total)
            JOIN gift_allocations a ON a.organization_id = :organization_id AND a.gift_id = s.id
        WHERE c.total IS NOT NULL WINDOW w AS (PARTITION BY s.id, c.what)),
    parts AS (
        SELECT d.id, d.what, d.fund_id, CAST(d.whole + CASE
            WHEN row_number() OVER (PARTITION BY d.id, d.what ORDER BY d.remainder DESC, d.position, d.fund_id)
                <= d.total - sum(d.whole) OVER (PARTITION BY d.id, d.what) THEN 1 ELSE 0 END AS bigint) AS part
        FROM divided d),
    shared AS (
        SELECT p.id, p.fund_id, row_number() OVER (PARTITION BY p.id ORDER BY p.fund_id) = 1 AS once,
            max(p.part) FILTER (WHERE p.what = 'gross') AS gross,
            max(p.part) FILTER (WHERE p.what = 'refunded') AS refunded,
            max(p.part) FILTER (WHERE p.what = 'charged_back') AS charged_back,
            max(p.part) FILTER (WHERE p.what = 'fee') AS fee,
            max(p.part) FILTER (WHERE p.what = 'base_gross') AS base_gross,
            max(p.part) FILTER (WHERE p.what = 'base_counted') AS base_counted
        FROM parts p GROUP BY 1, 2),
    s AS (
        SELECT g.fund_id, g.currency, g.base_rate, g.amount AS gross, g.refunded, g.charged_back, g.fee,
            g.base_amount AS base_gross, g.base_counted, true AS once
        FROM gifts g WHERE NOT g.is_split AND {_WHERE}
        UNION ALL
        SELECT h.fund_id, x.currency, x.base_rate, h.gross, h.refunded, h.charged_back, h.fee, h.base_gross,
            h.base_counted, h.once
        FROM shared h JOIN split x ON x.id = h.id)
    SELECT CAST(s.fund_id AS text) AS key, s.currency, {_SUMS} FROM s GROUP BY 1, 2"""
_STATEMENTS: Mapping[str, Statement] = {
    **{name: prepare(text(_GROUPED.format(key=key, where=_WHERE))) for name, key in _KEYS.items()},
    "fund": prepare(text(_BY_FUND)),
}
_NAMES: Mapping[str, Statement] = {
    name: prepare(
        text(
            f"SELECT CAST(id AS text) AS id, name FROM {name}s "
            "WHERE organization_id = :organization_id AND id = ANY(CAST(:ids AS uuid[]))"
        )
    )
    for name in ("campaign", "fund")
}


async def sums(session: ReadSession, group_by: str, first: date, last: date, currency: str | None) -> list[Row]:
    """Sums of the gifts of some days, by group and currency. `once` and `without_rate_once` count a
    gift for several funds in one of them only."""
    zone = clock.zone(session.tenant.timezone)
    begin = datetime.combine(first, datetime.min.time(), zone)
    end = datetime.combine(last + timedelta(days=1), datetime.min.time(), zone)
    return await session.fetch(
        _STATEMENTS[group_by], first=first, last=last, from_time=begin, to_time=end, currency=currency
    )


async def names(session: ReadSession, group_by: str, keys: list[Any]) -> dict[str, str]:
    """What campaigns or funds are called."""
    if group_by not in _NAMES or not keys:
        return {}
    rows = await session.fetch(_NAMES[group_by], ids=[UUID(key) for key in keys])
    return {row["id"]: row["name"] for row in rows}
