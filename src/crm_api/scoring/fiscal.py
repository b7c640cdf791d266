"""Fiscal years: named by the calendar year they end in, and what a donor gave in each.

With a fiscal year from July, 2026-07-01 to 2027-06-30 is 2027; with one from January it is the calendar year.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

FISCAL_YEAR_SQL: Final = (
    "CAST(date_part('year', {day}) AS integer) + "
    "CASE WHEN {start} > 1 AND date_part('month', {day}) >= {start} THEN 1 ELSE 0 END"
)
"""`fiscal_year` as an SQL expression over a date; `format` it with the expressions of ``day`` and ``start``."""


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


def fiscal_year(day: date, start_month: int) -> int:
    """The fiscal year of a day; `start_month` is the first month of the year."""
    return day.year + (1 if start_month > 1 and day.month >= start_month else 0)


def first_day(year: int, start_month: int) -> date:
    """The first day of a fiscal year."""
    return date(year if start_month == 1 else year - 1, start_month, 1)


def last_day(year: int, start_month: int) -> date:
    """The last day of a fiscal year."""
    return first_day(year + 1, start_month) - timedelta(days=1)


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
