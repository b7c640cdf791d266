"""SQL of scoring: every donor of an organization in single statements."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.kit.db import ReadSession, Row, WriteSession, prepare
from crm_api.kit.fiscal import fiscal_year
from crm_api.kit.ids import new_id
from crm_api.scoring.fiscal import FISCAL_YEAR_SQL
from crm_api.scoring.repository import NO_GIFT_NO_SCORE, YEARS_TOO, Standing
from crm_api.scoring.rfm import (
    RFM_AGAINST_BORDERS_SQL,
    RFM_BORDERS_SQL,
    RFM_SCORES_SQL,
    RfmBorders,
    borders_from_row,
)
from crm_api.scoring.settings import Rfm
from crm_api.scoring.status import IS_MAJOR_SQL, IS_NEW_SQL, IS_RECURRING_SQL, REASONS_SQL, STATUS_SQL
from crm_api.scoring.summary import AVERAGE_GIFT_SQL

_PATIENCE = prepare(
    text(
        "SELECT set_config('statement_timeout', '900000', true), "
        "set_config('idle_in_transaction_session_timeout', '900000', true) "
        "WHERE CAST(:organization_id AS uuid) IS NOT NULL"
    )
)


def _capped(total: str) -> str:
    return f"CAST(least(coalesce({total}, 0), 9007199254740991) AS bigint)"


_STORED = """
        SELECT contact_id, CAST(:as_of AS date) - last_gift_date AS days_since_last_gift, gift_count,
            CASE WHEN CAST(:by_average AS boolean) THEN coalesce(average_gift, 0) ELSE total_given END AS monetary_value
        FROM donor_summaries WHERE organization_id = :organization_id AND gift_count > 0 {only}"""
_WITHIN = f"""
        SELECT contact_id, days_since_last_gift, gift_count,
            CASE WHEN CAST(:by_average AS boolean) THEN coalesce({AVERAGE_GIFT_SQL}, 0) ELSE total_given
                END AS monetary_value
        FROM (SELECT g.contact_id, count(*) AS gift_count,
                CAST(:as_of AS date) - max(g.gift_date) AS days_since_last_gift,
                count(g.base_counted) AS gifts_with_rate, {_capped("sum(g.base_counted)")} AS total_given
            FROM gifts g WHERE g.organization_id = :organization_id AND g.contact_id IS NOT NULL AND g.counted > 0
                AND g.gift_date <= CAST(:as_of AS date)
                AND g.gift_date >= CAST(:as_of AS date) - CAST(:look_back AS integer) {{only}}
            GROUP BY 1) w"""


def _rescore(values: str) -> str:
    return f"""
        WITH rfm_values AS ({values}), scored AS ({RFM_AGAINST_BORDERS_SQL})
        UPDATE donor_summaries d SET rfm_recency = scored.recency, rfm_frequency = scored.frequency,
            rfm_monetary = scored.monetary
        FROM scored WHERE d.organization_id = :organization_id AND d.contact_id = scored.contact_id
            AND (d.rfm_recency, d.rfm_frequency, d.rfm_monetary)
                IS DISTINCT FROM (scored.recency, scored.frequency, scored.monetary)
    """


class _Scoring:
    """The statements of scores over one kind of values: all gifts, as stored, or those of a look-back."""

    def __init__(self, values: str) -> None:
        everybody = values.format(only="")
        self.borders = prepare(text(f"WITH rfm_values AS ({everybody}) {RFM_BORDERS_SQL}"))
        self.all = prepare(text(_rescore(everybody)))
        self.few = prepare(text(_rescore(everybody) + " RETURNING d.contact_id"))
        self.one = prepare(text(_rescore(values.format(only="AND contact_id = :contact_id"))))


_BY_STORED, _BY_WINDOW = _Scoring(_STORED), _Scoring(_WITHIN)
_UNSCORE = prepare(
    text(
        """
        UPDATE donor_summaries d SET rfm_recency = NULL, rfm_frequency = NULL, rfm_monetary = NULL
        WHERE d.organization_id = :organization_id AND d.rfm_recency IS NOT NULL
            AND (CAST(:contact_id AS uuid) IS NULL OR d.contact_id = CAST(:contact_id AS uuid))
            AND NOT EXISTS (SELECT 1 FROM gifts g WHERE g.organization_id = :organization_id
                AND g.contact_id = d.contact_id AND g.counted > 0 AND g.gift_date <= CAST(:as_of AS date)
                AND g.gift_date >= CAST(:as_of AS date) - CAST(:look_back AS integer))
        """
    )
)
_STORE_BORDERS = prepare(
    text(
        "INSERT INTO rfm_borders (organization_id, n, {names}, as_of, computed_at) "
        "VALUES (:organization_id, :n, {values}, :as_of, :computed_at) "
        "ON CONFLICT (organization_id, as_of) DO UPDATE SET n = excluded.n, {updates}, "
        "computed_at = excluded.computed_at".format(
            names=", ".join(f"{p}_{k}" for p in ("recency", "frequency", "monetary") for k in range(1, 5)),
            values=", ".join(f":{p}_{k}" for p in ("recency", "frequency", "monetary") for k in range(1, 5)),
            updates=", ".join(
                f"{p}_{k} = excluded.{p}_{k}" for p in ("recency", "frequency", "monetary") for k in range(1, 5)
            ),
        )
    )
)
# A UUIDv7 of now for every row: its first part is the same for all of them, the rest is random.
_NEW_ID = "CAST(overlay(CAST(gen_random_uuid() AS text) PLACING :id_head FROM 1 FOR 15) AS uuid)"
_OR_KNOWN = "UNION SELECT contact_id FROM donor_summaries WHERE organization_id = :organization_id"
# Gifts are summed by fiscal year first, then the years of each donor. `best` holds the sum of the best year and, in its
# last four digits, that year: of equal sums the newest.
JUDGED = f"""
        years AS (
            SELECT g.contact_id, {FISCAL_YEAR_SQL.format(day="g.gift_date", start="CAST(:fiscal_start AS integer)")}
                    AS fiscal_year,
                count(*) AS gift_count, count(g.base_counted) AS gifts_with_rate, sum(g.base_counted) AS total,
                max(g.base_counted) AS largest_gift,
                sum(g.base_counted) FILTER (WHERE g.gift_date >= CAST(:as_of AS date) - 365) AS recent,
                min(g.received_at) AS first_gift_at, max(g.received_at) AS last_gift_at,
                min(g.gift_date) AS first_gift_date, max(g.gift_date) AS last_gift_date,
                bool_or(p.status IN ('active', 'past_due') AND p.contact_id = g.contact_id) AS is_live_recurring
            FROM gifts g LEFT JOIN recurring_plans p
                ON p.organization_id = :organization_id AND p.id = g.plan_id
            WHERE g.organization_id = :organization_id AND g.contact_id IS NOT NULL AND g.counted > 0
                AND g.gift_date <= CAST(:as_of AS date)
            GROUP BY 1, 2
        ),
        runs AS (
            SELECT y.*, y.fiscal_year = first_value(y.fiscal_year) OVER w + 1 - row_number() OVER w AS in_streak
            FROM years y WINDOW w AS (PARTITION BY y.contact_id ORDER BY y.fiscal_year DESC)
        ),
        given AS (
            SELECT r.contact_id, CAST(sum(r.gift_count) AS bigint) AS gift_count,
                CAST(sum(r.gifts_with_rate) AS bigint) AS gifts_with_rate,
                {_capped("sum(r.total)")} AS total_given, max(r.largest_gift) AS largest_gift,
                {_capped("sum(r.recent)")} AS total_last_365_days,
                min(r.first_gift_at) AS first_gift_at, max(r.last_gift_at) AS last_gift_at,
                min(r.first_gift_date) AS first_gift_date, max(r.last_gift_date) AS last_gift_date,
                bool_or(r.is_live_recurring) AS is_live_recurring,
                {_capped("sum(r.total) FILTER (WHERE r.fiscal_year = :fiscal_year)")} AS this_year_total,
                {_capped("sum(r.total) FILTER (WHERE r.fiscal_year = :fiscal_year - 1)")} AS last_year_total,
                {_capped("sum(r.total) FILTER (WHERE r.fiscal_year = :fiscal_year - 2)")} AS previous_year_total,
                count(*) FILTER (WHERE r.in_streak) AS streak_years,
                max(least(r.total, 9007199254740991) * 10000 + r.fiscal_year) FILTER (WHERE r.total IS NOT NULL)
                    AS best
            FROM runs r GROUP BY r.contact_id
        ),
        donors AS (
            SELECT contact_id FROM given {_OR_KNOWN}
        ),
        figures AS (
            SELECT d.contact_id, coalesce(g.gift_count, 0) AS gift_count,
                coalesce(g.gifts_with_rate, 0) AS gifts_with_rate,
                coalesce(g.gift_count - g.gifts_with_rate, 0) AS gifts_without_rate,
                coalesce(g.total_given, 0) AS total_given,
                g.largest_gift, coalesce(g.total_last_365_days, 0) AS total_last_365_days, g.first_gift_at,
                g.last_gift_at, g.first_gift_date, g.last_gift_date,
                coalesce(g.this_year_total, 0) AS this_year_total, coalesce(g.last_year_total, 0) AS last_year_total,
                coalesce(g.previous_year_total, 0) AS previous_year_total,
                coalesce(g.streak_years, 0) AS streak_years, CAST(mod(g.best, 10000) AS integer) AS best_year,
                CAST(div(g.best, 10000) AS bigint) AS best_year_total,
                coalesce(g.is_live_recurring, false) AS is_live_recurring,
                CAST(:as_of AS date) - g.last_gift_date AS days_since_last_gift,
                CAST(:as_of AS date) - g.first_gift_date AS days_since_first_gift
            FROM donors d LEFT JOIN given g USING (contact_id)
        ),
        judged AS (
            SELECT f.*, {AVERAGE_GIFT_SQL} AS average_gift, {STATUS_SQL} AS donor_status, {IS_NEW_SQL} AS is_new,
                {IS_MAJOR_SQL} AS is_major, {IS_RECURRING_SQL} AS is_recurring
            FROM figures f
        )"""
_KEPT = (
    "gift_count", "gifts_without_rate", "total_given", "average_gift", "largest_gift", "total_last_365_days",
    "first_gift_at", "last_gift_at", "first_gift_date", "last_gift_date", "fiscal_year", "this_year_total",
    "last_year_total", "previous_year_total", "streak_years", "best_year", "best_year_total", "first_channel",
    "donor_status", "is_new", "is_major", "is_recurring", "rules_version",
)  # fmt: skip


def _names(table: str) -> str:
    return ", ".join(f"{table}.{name}" for name in _KEPT)


# A row that would come out as it stands is not written: on most nights that is nearly everybody.
_REBUILD = prepare(
    text(
        f"""
        WITH {JUDGED},
        changed AS (
            INSERT INTO donor_status_changes (organization_id, id, contact_id, previous_status, status, rules_version,
                reasons, as_of, changed_at)
            SELECT :organization_id, {_NEW_ID}, j.contact_id, s.donor_status, j.donor_status, :rules_version,
                {REASONS_SQL}, CAST(:as_of AS date), :computed_at
            FROM judged j LEFT JOIN donor_summaries s
                ON s.organization_id = :organization_id AND s.contact_id = j.contact_id
            WHERE s.donor_status IS DISTINCT FROM j.donor_status
        )
        INSERT INTO donor_summaries AS s (organization_id, contact_id, gift_count, gifts_without_rate, total_given,
            average_gift, largest_gift, total_last_365_days, first_gift_at, last_gift_at, first_gift_date,
            last_gift_date, fiscal_year, this_year_total, last_year_total, previous_year_total, streak_years, best_year,
            best_year_total, first_channel, donor_status, is_new, is_major, is_recurring, rules_version, as_of,
            computed_at)
        SELECT :organization_id, contact_id, gift_count, gifts_without_rate, total_given, average_gift, largest_gift,
            total_last_365_days, first_gift_at, last_gift_at, first_gift_date, last_gift_date, :fiscal_year,
            this_year_total, last_year_total, previous_year_total, streak_years, best_year, best_year_total, f.channel,
            donor_status, is_new, is_major, is_recurring, :rules_version, CAST(:as_of AS date), :computed_at
        FROM judged j LEFT JOIN LATERAL (SELECT g.channel FROM gifts g WHERE g.organization_id = :organization_id
            AND g.contact_id = j.contact_id AND g.gift_date = j.first_gift_date AND g.counted > 0
            ORDER BY g.id LIMIT 1) f ON true
        ON CONFLICT (organization_id, contact_id) DO UPDATE SET
            gift_count = excluded.gift_count, gifts_without_rate = excluded.gifts_without_rate,
            total_given = excluded.total_given, average_gift = excluded.average_gift,
            largest_gift = excluded.largest_gift, total_last_365_days = excluded.total_last_365_days,
            first_gift_at = excluded.first_gift_at, last_gift_at = excluded.last_gift_at,
            first_gift_date = excluded.first_gift_date, last_gift_date = excluded.last_gift_date,
            {YEARS_TOO}, donor_status = excluded.donor_status, is_new = excluded.is_new, is_major = excluded.is_major,
            is_recurring = excluded.is_recurring, rules_version = excluded.rules_version, as_of = excluded.as_of,
            computed_at = excluded.computed_at, {NO_GIFT_NO_SCORE}
        WHERE ({_names("s")}) IS DISTINCT FROM ({_names("excluded")})
        """
    )
)
_OVERVIEW = prepare(
    text(
        f"""
        WITH {JUDGED.replace(_OR_KNOWN, "")},
        rfm_values AS (
            SELECT contact_id, days_since_last_gift, gift_count, total_given AS monetary_value FROM judged
        ),
        scored AS ({RFM_SCORES_SQL})
        SELECT (SELECT count(*) FROM judged) AS donors, (SELECT sum(j.total_given) FROM judged j) AS total_given,
            (SELECT jsonb_object_agg(c.donor_status, c.n)
                FROM (SELECT donor_status, count(*) AS n FROM judged GROUP BY 1) c) AS statuses,
            (SELECT jsonb_object_agg(c.cell, c.n) FROM (SELECT 100 * recency + 10 * frequency + monetary AS cell,
                count(*) AS n FROM scored GROUP BY 1) c) AS cells
        WHERE CAST(:organization_id AS uuid) IS NOT NULL
        """
    )
)
_UNNOTED = prepare(
    text(
        """
        SELECT s.contact_id FROM donor_summaries s
        WHERE s.organization_id = :organization_id AND s.gift_count > 0 AND NOT EXISTS (
            SELECT 1 FROM contact_keys k WHERE k.organization_id = :organization_id AND k.kind = 'role'
                AND k.value = 'donor' AND k.contact_id = s.contact_id)
        """
    )
)


async def patience(session: WriteSession) -> None:
    """Let statements of this transaction take minutes: they go through all gifts of an organization."""
    await session.fetch(_PATIENCE)


def _how(rfm: Rfm, as_of: date) -> tuple[_Scoring, dict[str, Any]]:
    values: dict[str, Any] = {"as_of": as_of, "by_average": rfm.monetary == "average"}
    if rfm.look_back_days is None:
        return _BY_STORED, values
    return _BY_WINDOW, {**values, "look_back": rfm.look_back_days}


async def rebuild_borders(session: WriteSession, as_of: date, rfm: Rfm | None = None) -> RfmBorders | None:
    """Compute and store the quintile borders of a date."""
    by, values = _how(rfm or Rfm(), as_of)
    row = await session.fetch_row(by.borders, **values)
    borders = None if row is None else borders_from_row(dict(row))
    if borders is not None:
        await session.execute(_STORE_BORDERS, n=borders.n, **borders.sql_params(), as_of=as_of, computed_at=session.now)
    return borders


async def rescore(
    session: WriteSession, borders: RfmBorders, as_of: date, contact_id: UUID | None = None, rfm: Rfm | None = None
) -> None:
    """Score every donor, or one, against borders. Whose gifts are all older than the look-back has no score."""
    drawn = rfm or Rfm()
    by, values = _how(drawn, as_of)
    if drawn.look_back_days is not None:
        await session.execute(_UNSCORE, contact_id=contact_id, as_of=as_of, look_back=drawn.look_back_days)
    if contact_id is None:
        await session.execute(by.all, **values, **borders.sql_params())
    else:
        await session.execute(by.one, contact_id=contact_id, **values, **borders.sql_params())


async def rescore_few(session: WriteSession, borders: RfmBorders, as_of: date, rfm: Rfm | None = None) -> list[UUID]:
    """Score every donor of an organization with few; those whose scores changed."""
    drawn = rfm or Rfm()
    by, values = _how(drawn, as_of)
    if drawn.look_back_days is not None:
        await session.execute(_UNSCORE, contact_id=None, as_of=as_of, look_back=drawn.look_back_days)
    rows = await session.fetch(by.few, **values, **borders.sql_params())
    return [row["contact_id"] for row in rows]


async def rebuild_summaries(session: WriteSession, by: Standing, as_of: date) -> int:
    """Every donor's figures and status in one statement, with a row for each change of status; how many donors' rows
    had to be written. `as_of` and `computed_at` of the others stay: what they say has held since."""
    return await session.execute(
        _REBUILD,
        as_of=as_of,
        computed_at=session.now,
        currency=session.tenant.currency,
        id_head=str(new_id())[:15],
        fiscal_start=by.fiscal_start,
        fiscal_year=fiscal_year(as_of, by.fiscal_start),
        rules_version=by.rules.version,
        **by.rules.sql_params(),
    )


async def overview(session: ReadSession, by: Standing, as_of: date) -> Row:
    """Donors of a day by status and by RFM cell, from their gifts alone; nothing is stored. Rules and plans are those
    of now."""
    row = await session.fetch_row(
        _OVERVIEW,
        as_of=as_of,
        fiscal_start=by.fiscal_start,
        fiscal_year=fiscal_year(as_of, by.fiscal_start),
        **by.rules.sql_params(),
    )
    assert row is not None  # counts always give a row
    return row


async def unnoted_donors(session: ReadSession) -> list[UUID]:
    """Contacts with a counted gift that do not have the role of a donor yet."""
    return [row["contact_id"] for row in await session.fetch(_UNNOTED)]
