"""Income to come, with the error that the method made before, beside what is committed (`scoring.md` §6)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from crm_api.kit.db import ReadSession
from crm_api.kit.sums import exact
from crm_api.reports.giving.base import Asked, head
from crm_api.reports.report import Column, Report
from crm_api.scoring.forecast import Forecast, MonthlyIncome, committed, forecast, month_after, monthly_income

SHOWN = 36
"""Months of history that the answer holds; the forecast is made from all of them."""


async def income_forecast(session: ReadSession, question: Asked, months: int, currency: str | None) -> dict[str, Any]:
    """The forecast of every currency, or of one, from the months that are over on `as_of`."""
    income = [one for one in await monthly_income(session, question.as_of) if currency in (None, one.currency)]
    made = [(one, await asyncio.to_thread(forecast, one.totals, months)) for one in income]
    promised = [one for one in await committed(session, question.as_of, months) if currency in (None, one.currency)]
    return {
        **await head(session, "income-forecast", "Forecast of income", question),
        "gifts_without_rate": 0,  # nothing is converted here
        "currencies": [_currency(one, found) for one, found in made],
        "committed": [
            {
                "month": f"{one.month:%Y-%m}",
                "currency": one.currency,
                "plans": exact(one.plans),
                "pledges": exact(one.pledges),
                "pipeline": exact(one.pipeline),
            }
            for one in promised
        ],
    }


def factor(value: float | None) -> str | None:
    """A figure of a model as a decimal string to four places."""
    return None if value is None else f"{value:.4f}"


def _currency(income: MonthlyIncome, found: Forecast) -> dict[str, Any]:
    count = len(income.totals)
    history = [
        {"month": f"{month_after(income.first, place):%Y-%m}", "amount": exact(total)}
        for place, total in enumerate(income.totals)
    ]
    return {
        "currency": income.currency,
        "method": found.method,
        "reason": found.reason,
        "origins": found.origins,
        "mase": factor(found.mase),
        "wape": factor(found.wape),
        "candidates": [{"method": name, "wape": factor(wape)} for name, wape in found.candidates.items()],
        "history": history[-SHOWN:],
        "months": [
            {
                "month": f"{month_after(income.first, count - 1 + one.ahead):%Y-%m}",
                "expected": exact(one.expected),
                "low": None if one.low is None else exact(one.low),
                "high": None if one.high is None else exact(one.high),
            }
            for one in found.months
        ],
    }


def forecast_table(found: Mapping[str, Any]) -> Report:
    """Months that were and months to come, one row each."""
    columns = (
        Column("month", "text", "Month"),
        Column("currency", "text", "Currency"),
        Column("amount", "money", "Came", "currency"),
        Column("expected", "money", "Expected", "currency"),
        Column("low", "money", "Low", "currency"),
        Column("high", "money", "High", "currency"),
    )
    rows: list[tuple[Any, ...]] = []
    for one in found["currencies"]:
        name = one["currency"]
        rows += [(month["month"], name, month["amount"], None, None, None) for month in one["history"]]
        rows += [
            (month["month"], name, None, month["expected"], month["low"], month["high"]) for month in one["months"]
        ]
    return Report(found["title"], columns, rows)
