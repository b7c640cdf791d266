"""What a donor gave by fiscal years, which are named by the calendar year they end in (`crm_api.kit.fiscal`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from crm_api.kit.fiscal import bounds, fiscal_year

FISCAL_YEAR_SQL: Final = (
    "CAST(date_part('year', {day}) AS integer) + "
    "CASE WHEN {start} > 1 AND date_part('month', {day}) >= {start} THEN 1 ELSE 0 END"
)
"""The fiscal year as an SQL expression over a date, for one donor's gifts; statements over every gift take
`year_starts`. `format` it with the expressions of ``day`` and of ``start``, the first month of the year."""


FIRST_YEAR: Final = 1900
"""The first fiscal year a gift can be of: no day before 1900 is taken."""


def year_starts(day: date, start_month: int, years: int | None = None) -> list[date]:
    """The first days of the fiscal year of a day and those before it: `years` in all, or from `FIRST_YEAR`. A day's
    place among them (``width_bucket`` in Postgres) is its fiscal year, counted from 1, in a fifth of the time of taking
    dates apart."""
    last = fiscal_year(day, start_month)
    first = FIRST_YEAR if years is None else last - years + 1
    return [bounds(year, start_month)[0] for year in range(first, last + 1)]


@dataclass(frozen=True, slots=True)
class YearFigures:
    """What a donor gave by fiscal years, in minor units of the organization's currency."""

    this_year_total: int
    last_year_total: int
    previous_year_total: int
    """Of the year before last."""
    streak_years: int
    """Consecutive fiscal years with a counted gift, up to the newest that has one."""
    best_year: int | None
    """The year of the largest sum; of equal ones the newest. None where no gift has a rate."""
    best_year_total: int | None


def last_complete_year(day: date, start_month: int) -> int:
    """The newest fiscal year that is over at the end of a day."""
    return fiscal_year(day + timedelta(days=1), start_month) - 1


def year_figures(totals: Mapping[int, int | None], current: int) -> YearFigures:
    """Figures by fiscal year from the sum of each year with a counted gift (None where none of its gifts has a rate)
    and the fiscal year of today."""
    newest = max(totals, default=current)
    streak = 0
    while newest - streak in totals:
        streak += 1
    rated = [(total, year) for year, total in totals.items() if total is not None]
    best = max(rated, default=(None, None))
    return YearFigures(
        this_year_total=totals.get(current) or 0,
        last_year_total=totals.get(current - 1) or 0,
        previous_year_total=totals.get(current - 2) or 0,
        streak_years=streak,
        best_year=best[1],
        best_year_total=best[0],
    )
