"""Exchange rates of every month, invented but plausible."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date

from crm_api.demo.calendar import month_later

# Dollars for one main unit: at the beginning, and what a month changes on average.
_DOLLARS = {"USD": (1.0, 0.0), "EUR": (1.06, 0.0012), "UAH": (0.0272, -0.00008), "GEL": (0.374, -0.0002)}
CURRENCIES = tuple(_DOLLARS)
_ALSO = {
    "GBP": 1.29, "CHF": 1.14, "PLN": 0.255, "CZK": 0.0432, "HUF": 0.00272, "ISK": 0.0072, "JPY": 0.0067,
    "ILS": 0.272, "JOD": 1.41, "VND": 0.0000395,
}  # fmt: skip
"""Nobody in the demo gives in these, but a simulated donor may."""


def make_rates(rng: random.Random, first: date, today: date, target: str) -> Iterator[tuple[str, date, str]]:
    """Currency, first day of a month and main units of `target` for one of the currency; oldest first."""
    values = {currency: start for currency, (start, _) in _DOLLARS.items()}
    day = first.replace(day=1)
    while day <= today:
        for currency, (start, drift) in _DOLLARS.items():
            if currency != target:
                yield currency, day, f"{values[currency] / values[target]:.6f}"
            if drift:
                values[currency] += drift + start * rng.gauss(0.0, 0.006)
        day = month_later(day, 1)
    latest = today.replace(day=1)
    for currency, dollars in _ALSO.items():
        yield currency, latest, f"{dollars / values[target]:.10f}"
