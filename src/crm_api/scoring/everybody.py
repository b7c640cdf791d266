"""SQL of every donor's figures and status, from the gifts of an organization."""

from __future__ import annotations

from crm_api.scoring.status import IS_MAJOR_SQL, IS_NEW_SQL, IS_RECURRING_SQL, STATUS_SQL
from crm_api.scoring.summary import AVERAGE_GIFT_SQL

# All years of every donor at once, in the order of an index and in one go: nothing is sorted, and no table of everybody
# is kept in memory (`rebuilding.patience` sees to that). Sums are of doubles, which hold every whole number up to the
# largest amount that is taken, and add up many times faster than the numeric sums of bigints; beyond it a figure is
# capped anyhow. `given_in` has a bit for each year, the newest first; `best` the sum of the best year and, in its low
# nine bits, that year: of equal sums the newest. Of what comes in an order, `any_value` is the first.
_WORD = 60
_RECENT_YEARS = ("this_year_total", "last_year_total", "previous_year_total")


def _whole(total: str) -> str:
    return f"CAST(CASE WHEN {total} > 9007199254740991 THEN 9007199254740991 ELSE {total} END AS bigint)"


def _bits(years: int) -> list[str]:
    """Which years somebody gave in, in words of some bits; the first has the newest years."""
    if years <= _WORD:
        return [f"bit_or(CAST(1 AS bigint) << {_WORD - 1} - ({years} - g.year))"]
    return [
        f"bit_or(CAST(1 AS bigint) << {_WORD - 1} - ({years} - g.year) % {_WORD}) "
        f"FILTER (WHERE ({years} - g.year) / {_WORD} = {word})"
        for word in range((years - 1) // _WORD + 1)
    ]


def _given(years: int) -> str:
    """Figures of every donor of `years` fiscal years, three at least, the last of which is the present one."""
    bits = _bits(years)
    words = [f"CAST(coalesce(w.word_{place}, 0) AS bit({_WORD}))" for place in range(len(bits))]
    sums = (f"sum(g.given) FILTER (WHERE g.year = {year}) AS year_{year}" for year in range(1, years + 1))
    best = (f"{_whole(f'w.year_{year}')} * 512 + {year}" for year in range(1, years + 1))
    recent = (f"coalesce({_whole(f'w.year_{years - at}')}, 0) AS {name}" for at, name in enumerate(_RECENT_YEARS))
    return f"""
        given AS (
            SELECT w.*, coalesce({_whole("w.given")}, 0) AS total_given,
                coalesce({_whole("w.recent")}, 0) AS total_last_365_days, {", ".join(recent)},
                {" || ".join(words)} || B'0' AS given_in,
                greatest({", ".join(best)}) AS best
            FROM (SELECT g.contact_id, count(*) AS gift_count, count(g.given) AS gifts_with_rate, sum(g.given) AS given,
                    max(g.base_counted) AS largest_gift,
                    sum(g.given) FILTER (WHERE g.gift_date >= CAST(:as_of AS date) - 365) AS recent,
                    min(g.received_at) AS first_gift_at, max(g.received_at) AS last_gift_at,
                    min(g.gift_date) AS first_gift_date, max(g.gift_date) AS last_gift_date,
                    any_value(coalesce(g.channel, '') ORDER BY g.gift_date, g.id) AS first_channel,
                    {", ".join(f"{bit} AS word_{place}" for place, bit in enumerate(bits))}, {", ".join(sums)}
                FROM (SELECT contact_id, gift_date, id, received_at, base_counted, channel,
                        CAST(base_counted AS double precision) AS given,
                        greatest(1, width_bucket(gift_date, CAST(:year_starts AS date[]))) AS year
                    FROM gifts
                    WHERE organization_id = :organization_id AND contact_id IS NOT NULL AND counted > 0
                        AND gift_date <= CAST(:as_of AS date) ORDER BY contact_id, gift_date, id OFFSET 0) g
                GROUP BY g.contact_id) w
            OFFSET 0  -- each figure is reckoned once, and not wherever it is named
        ),
        live AS (
            SELECT DISTINCT p.contact_id FROM recurring_plans p
            WHERE p.organization_id = :organization_id AND p.status IN ('active', 'past_due') AND EXISTS (
                SELECT 1 FROM gifts g WHERE g.organization_id = :organization_id AND g.plan_id = p.id
                    AND g.contact_id = p.contact_id AND g.counted > 0 AND g.gift_date <= CAST(:as_of AS date))
        )"""


def _judged(years: int, which: str, known: str) -> str:
    """Statuses of the donors of `given`, and of those who are `known`."""
    return f"""
        figures AS (
            SELECT {which}, coalesce(g.gift_count, 0) AS gift_count, coalesce(g.gifts_with_rate, 0) AS gifts_with_rate,
                coalesce(g.gift_count - g.gifts_with_rate, 0) AS gifts_without_rate,
                coalesce(g.total_given, 0) AS total_given,
                g.largest_gift, coalesce(g.total_last_365_days, 0) AS total_last_365_days, g.first_gift_at,
                g.last_gift_at, g.first_gift_date, g.last_gift_date,
                {", ".join(f"coalesce(g.{name}, 0) AS {name}" for name in _RECENT_YEARS)},
                coalesce(position(B'0' IN substring(g.given_in FROM position(B'1' IN g.given_in))) - 1, 0)
                    AS streak_years,
                CAST(:fiscal_year - {years} + (g.best & 511) AS integer) AS best_year, g.best >> 9 AS best_year_total,
                nullif(g.first_channel, '') AS first_channel, l.contact_id IS NOT NULL AS is_live_recurring,
                CAST(:as_of AS date) - g.last_gift_date AS days_since_last_gift,
                CAST(:as_of AS date) - g.first_gift_date AS days_since_first_gift
            FROM given g {known} LEFT JOIN live l ON l.contact_id = g.contact_id
        ),
        judged AS (
            SELECT f.*, {AVERAGE_GIFT_SQL} AS average_gift, {STATUS_SQL} AS donor_status, {IS_NEW_SQL} AS is_new,
                {IS_MAJOR_SQL} AS is_major, {IS_RECURRING_SQL} AS is_recurring
            FROM figures f
        )"""


def everybody(years: int, which: str, known: str = "") -> str:
    """Common table expressions, the last of which is ``judged``: a row of figures for each donor.

    ``which`` is the beginning of its columns, ``known`` joins further contacts to the donors ``g``. Parameters:
    ``as_of``, ``fiscal_year`` of that day, ``year_starts`` (the first days of that year and those before it, `years` in
    all, oldest first; no gift is older) and `StatusRules.sql_params`.
    """
    return f"{_given(years)},{_judged(years, which, known)}"
