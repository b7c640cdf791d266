"""Fiscal years: named by the year they end in, so that one which begins in January is the calendar year. Pure."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

FISCAL_YEAR_SQL: Final = (
    "CAST(EXTRACT(YEAR FROM ({day} + make_interval(months => CAST(:fiscal_shift AS integer)))) AS integer)"
)
"""The fiscal year of a date expression, in Postgres; the parameter is `shift_of` of the first month."""


def shift_of(start_month: int) -> int:
    """Months by which a day is moved so that its calendar year is its fiscal year."""
    return (13 - start_month) % 12


def fiscal_year(day: date, start_month: int) -> int:
    """The fiscal year of a day: with July as the first month, 2025-07-01 to 2026-06-30 is 2026."""
    return day.year + (1 if start_month > 1 and day.month >= start_month else 0)


def bounds(year: int, start_month: int) -> tuple[date, date]:
    """The first and the last day of a fiscal year."""
    first = date(year if start_month == 1 else year - 1, start_month, 1)
    return first, date(first.year + 1, start_month, 1) - timedelta(days=1)
