"""SQL of scoring: every donor of an organization in single statements."""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.kit.db import ReadSession, Row, Statement, WriteSession, prepare
from crm_api.kit.fiscal import fiscal_year
from crm_api.kit.ids import NEW_ID_SQL, id_head
from crm_api.kit.planner import configure
from crm_api.scoring.everybody import everybody
from crm_api.scoring.fiscal import year_starts
from crm_api.scoring.repository import NO_GIFT_NO_SCORE, YEARS_TOO, Standing
from crm_api.scoring.rfm import (
    RFM_AGAINST_BORDERS_SQL,
    RFM_BORDERS_SQL,
    RfmBorders,
    borders_from_row,
)
from crm_api.scoring.settings import Rfm
from crm_api.scoring.status import REASONS_SQL
from crm_api.scoring.summary import AVERAGE_GIFT_SQL


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
                AND g.gift_date <= CAST(:as_of AS date) {{since}} {{only}}
            GROUP BY 1) w"""
_SINCE = "AND g.gift_date >= CAST(:as_of AS date) - CAST(:look_back AS integer)"


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

    def __init__(self, values: str, since: str = "") -> None:
        everybody = values.format(only="", since=since)
        self.borders = prepare(text(f"WITH rfm_values AS ({everybody}) {RFM_BORDERS_SQL}"))
        self.all = prepare(text(_rescore(everybody)))
        self.few = prepare(text(_rescore(everybody) + " RETURNING d.contact_id"))
        self.one = prepare(text(_rescore(values.format(only="AND contact_id = :contact_id", since=since))))
        self.cells = prepare(text(_cells(everybody)))


def _cells(values: str) -> str:
    return f"""
        WITH rfm_values AS ({values}), scored AS ({RFM_AGAINST_BORDERS_SQL})
        SELECT jsonb_object_agg(c.cell, c.n) FROM (SELECT 100 * recency + 10 * frequency + monetary AS cell,
            count(*) AS n FROM scored GROUP BY 1) c
        WHERE CAST(:organization_id AS uuid) IS NOT NULL"""


_BY_STORED, _BY_WINDOW = _Scoring(_STORED), _Scoring(_WITHIN, _SINCE)
_OF_DAY = _Scoring(_WITHIN)
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
_FIGURES = (
    "gift_count", "gifts_without_rate", "total_given", "average_gift", "largest_gift", "total_last_365_days",
    "first_gift_at", "last_gift_at", "first_gift_date", "last_gift_date", "this_year_total", "last_year_total",
    "previous_year_total", "streak_years", "best_year", "best_year_total", "donor_status", "is_new", "is_major",
    "is_recurring", "first_channel",
)  # fmt: skip
_STORED_AS = ", ".join(f"(j.before).{name}" for name in (*_FIGURES, "fiscal_year", "rules_version"))
_COMES_OUT = ", ".join(f"j.{name}" for name in _FIGURES)


# A row that would come out as it stands is not written, nor locked: on most nights that is nearly everybody.
@lru_cache(maxsize=8)
def _rebuild(years: int) -> Statement:
    which = "coalesce(g.contact_id, s.contact_id) AS contact_id, s.before"
    known = """FULL JOIN (SELECT d.contact_id, d AS before FROM donor_summaries d
                WHERE d.organization_id = :organization_id) s ON s.contact_id = g.contact_id"""
    return prepare(
        text(
            f"""
        WITH {everybody(years, which, known)},
        fresh AS MATERIALIZED (
            SELECT j.* FROM judged j
            WHERE ({_STORED_AS})
                IS DISTINCT FROM ({_COMES_OUT}, CAST(:fiscal_year AS integer), CAST(:rules_version AS integer))
        ),
        changed AS (
            INSERT INTO donor_status_changes (organization_id, id, contact_id, previous_status, status, rules_version,
                reasons, as_of, changed_at)
            SELECT :organization_id, {NEW_ID_SQL}, j.contact_id, (j.before).donor_status, j.donor_status,
                :rules_version, {REASONS_SQL}, CAST(:as_of AS date), :computed_at
            FROM fresh j WHERE (j.before).donor_status IS DISTINCT FROM j.donor_status
        )
        INSERT INTO donor_summaries AS s (organization_id, contact_id, gift_count, gifts_without_rate, total_given,
            average_gift, largest_gift, total_last_365_days, first_gift_at, last_gift_at, first_gift_date,
            last_gift_date, fiscal_year, this_year_total, last_year_total, previous_year_total, streak_years, best_year,
            best_year_total, first_channel, donor_status, is_new, is_major, is_recurring, rules_version, as_of,
            computed_at)
        SELECT :organization_id, contact_id, gift_count, gifts_without_rate, total_given, average_gift, largest_gift,
            total_last_365_days, first_gift_at, last_gift_at, first_gift_date, last_gift_date, :fiscal_year,
            this_year_total, last_year_total, previous_year_total, streak_years, best_year, best_year_total,
            first_channel, donor_status, is_new, is_major, is_recurring, :rules_version, CAST(:as_of AS date),
            :computed_at
        FROM fresh
        ON CONFLICT (organization_id, contact_id) DO UPDATE SET
            gift_count = excluded.gift_count, gifts_without_rate = excluded.gifts_without_rate,
            total_given = excluded.total_given, average_gift = excluded.average_gift,
            largest_gift = excluded.largest_gift, total_last_365_days = excluded.total_last_365_days,
            first_gift_at = excluded.first_gift_at, last_gift_at = excluded.last_gift_at,
            first_gift_date = excluded.first_gift_date, last_gift_date = excluded.last_gift_date,
            {YEARS_TOO}, donor_status = excluded.donor_status, is_new = excluded.is_new, is_major = excluded.is_major,
            is_recurring = excluded.is_recurring, rules_version = excluded.rules_version, as_of = excluded.as_of,
            computed_at = excluded.computed_at, {NO_GIFT_NO_SCORE}
        """
        )
    )


@lru_cache(maxsize=8)
def _overview(years: int) -> Statement:
    return prepare(
        text(
            f"""
        WITH {everybody(years, "g.contact_id")}
        SELECT (SELECT count(*) FROM judged) AS donors, (SELECT sum(j.total_given) FROM judged j) AS total_given,
            (SELECT jsonb_object_agg(c.donor_status, c.n)
                FROM (SELECT donor_status, count(*) AS n FROM judged GROUP BY 1) c) AS statuses
        WHERE CAST(:organization_id AS uuid) IS NOT NULL
        """
        )
    )


# A gift's day is that of its moment, in some time zone.
_OLDEST = prepare(text("SELECT min(received_at) FROM gifts WHERE organization_id = :organization_id"))
_YEARS_AT_ONCE = 8
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
    """Let statements of this transaction take minutes: they go through all gifts of an organization. In the order of an
    index, that is: tables of all donors in memory took twice the time and a hundred megabytes. And never by a loop for
    each donor: of gifts that have just been imported the planner knows nothing, and would take them for a handful."""
    await configure(
        session,
        statement_timeout="900s",
        idle_in_transaction_session_timeout="900s",
        enable_hashagg="off",
        enable_nestloop="off",
        work_mem="64MB",
    )


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
    starts = await _year_starts(session, by, as_of)
    return await session.execute(
        _rebuild(len(starts)),
        as_of=as_of,
        computed_at=session.now,
        currency=session.tenant.currency,
        id_head=id_head(),
        year_starts=starts,
        fiscal_year=fiscal_year(as_of, by.fiscal_start),
        rules_version=by.rules.version,
        **by.rules.sql_params(),
    )


async def _year_starts(session: ReadSession, by: Standing, as_of: date) -> list[date]:
    """The first days of the fiscal years of all gifts, and of some years before, so that there are few statements."""
    oldest = await session.fetch_val(_OLDEST)
    first = as_of if oldest is None else min(as_of, oldest.date() - timedelta(days=2))
    years = fiscal_year(as_of, by.fiscal_start) - fiscal_year(first, by.fiscal_start) + 1
    return year_starts(as_of, by.fiscal_start, -(-years // _YEARS_AT_ONCE) * _YEARS_AT_ONCE)


async def borders_of_day(session: ReadSession, as_of: date, rfm: Rfm) -> RfmBorders | None:
    """The quintile borders of a day, straight from the gifts; nothing is stored. None without a donor."""
    by, values = _of_day(rfm, as_of)
    row = await session.fetch_row(by.borders, **values)
    return None if row is None else borders_from_row(dict(row))


def _of_day(rfm: Rfm, as_of: date) -> tuple[_Scoring, dict[str, Any]]:
    by, values = _how(rfm, as_of)
    return (_OF_DAY if rfm.look_back_days is None else by), values


async def cells_of_day(session: ReadSession, as_of: date, rfm: Rfm, borders: RfmBorders | None) -> dict[str, int]:
    """How many donors of a day are in each RFM cell, straight from the gifts; cells without any are left out."""
    if borders is None:
        return {}
    by, values = _of_day(rfm, as_of)
    return await session.fetch_val(by.cells, **values, **borders.sql_params()) or {}


async def overview(session: ReadSession, by: Standing, as_of: date) -> Row:
    """Donors of a day by status, from their gifts alone; nothing is stored. Rules and plans are those of now."""
    starts = await _year_starts(session, by, as_of)
    row = await session.fetch_row(
        _overview(len(starts)),
        as_of=as_of,
        year_starts=starts,
        fiscal_year=fiscal_year(as_of, by.fiscal_start),
        **by.rules.sql_params(),
    )
    assert row is not None  # counts always give a row
    return row


async def unnoted_donors(session: ReadSession) -> list[UUID]:
    """Contacts with a counted gift that do not have the role of a donor yet."""
    return [row["contact_id"] for row in await session.fetch(_UNNOTED)]
