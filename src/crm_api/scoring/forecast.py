"""Income to come, by month, with the error that the method made before.

Source: `scoring.md` §6. Candidates are the seasonal naive (the same month a year ago) and the monthly share (mean share
of the month in the last up to three years, times the last twelve months' total). The better one by a rolling-origin
backtest is taken: from every origin with at least 24 months before it, up to twelve months ahead. With less than 24
months there is no backtest: the trailing mean is given, marked so. Amounts are minor units of one currency.

    MASE   mean |error| / mean |y_t - y_(t-12)| of the whole series; None where that is 0 or history is short
    WAPE   sum |error| / sum |y|
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from sqlalchemy import text

from crm_api.kit import clock
from crm_api.kit.db import ReadSession, prepare

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[np.float64]

ForecastMethod = Literal["seasonal_naive", "monthly_share", "trailing_mean"]
YEAR: Final = 12
ENOUGH: Final = 24
"""Months of history that a seasonal method needs."""
MOST_ORIGINS: Final = 24
COVERAGE: Final = 0.8
"""Of the interval: so much of the backtest's errors lies within."""


@dataclass(frozen=True, slots=True)
class MonthAhead:
    """One month to come: the expected income and the interval, in minor units, never below zero."""

    ahead: int
    """1 is the first month after the history."""
    expected: int
    low: int | None
    high: int | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """Months to come, and how far the method was off before."""

    method: ForecastMethod
    months: tuple[MonthAhead, ...]
    history: int
    """Months that it was made from."""
    origins: int
    """Of the backtest."""
    mase: float | None
    wape: float | None
    candidates: dict[str, float | None] = field(default_factory=dict)
    """WAPE of each candidate in the backtest."""
    reason: str | None = None
    """``short_history`` where there were less than 24 months, ``no_history`` where there was none."""


def forecast(series: Sequence[int], horizon: int = YEAR) -> Forecast:
    """Forecast a series of monthly income, oldest first, without the month that is under way."""
    import numpy as np

    y = np.asarray(series, dtype=np.float64)
    if len(y) < ENOUGH:
        mean = float(y[-YEAR:].mean()) if len(y) else 0.0
        ahead = tuple(MonthAhead(h, round(mean), None, None) for h in range(1, horizon + 1))
        reason = "short_history" if len(y) else "no_history"
        return Forecast("trailing_mean", ahead, len(y), 0, None, None, reason=reason)
    candidates: tuple[ForecastMethod, ...] = ("seasonal_naive", "monthly_share")
    first = max(ENOUGH, len(y) - MOST_ORIGINS)
    origins = list(range(first, len(y))) or [len(y)]
    tried = {method: _backtest(y, method, origins, horizon) for method in candidates}
    method = min(candidates, key=lambda one: (_mean_error(tried[one]), candidates.index(one)))
    chosen = tried[method]
    scale = float(np.abs(y[YEAR:] - y[:-YEAR]).mean())
    errors = np.concatenate([step for step, _ in chosen.values()]) if chosen else np.empty(0)
    mase = float(np.abs(errors).mean() / scale) if scale > 0 and len(errors) else None
    points = _ahead(y, method, horizon)
    return Forecast(
        method=method,
        months=tuple(_month(h, float(points[h - 1]), chosen, errors) for h in range(1, horizon + 1)),
        history=len(y),
        origins=len(origins) if chosen else 0,
        mase=mase,
        wape=_wape(chosen),
        candidates={one: _wape(found) for one, found in tried.items()},
    )


Backtest: TypeAlias = "dict[int, tuple[Array, Array]]"
"""Months ahead → errors (came minus expected) and what came."""


def _backtest(y: Array, method: ForecastMethod, origins: Sequence[int], horizon: int) -> Backtest:
    import numpy as np

    errors: dict[int, list[float]] = {}
    came: dict[int, list[float]] = {}
    for origin in origins:
        steps = min(horizon, len(y) - origin)
        points = _ahead(y[:origin], method, steps)
        for h in range(1, steps + 1):
            value = float(y[origin + h - 1])
            errors.setdefault(h, []).append(value - float(points[h - 1]))
            came.setdefault(h, []).append(value)
    return {h: (np.asarray(errors[h]), np.asarray(came[h])) for h in errors}


def _ahead(y: Array, method: ForecastMethod, horizon: int) -> Array:
    """The next months by one method, from at least 24 months."""
    import numpy as np

    last = y[-YEAR:]
    if method == "seasonal_naive":
        year = last
    else:
        years = min(len(y) // YEAR, 3)
        blocks = y[len(y) - years * YEAR :].reshape(years, YEAR)
        totals = blocks.sum(axis=1)
        full = blocks[totals > 0]
        shares = (full / full.sum(axis=1, keepdims=True)).mean(axis=0) if len(full) else np.full(YEAR, 1 / YEAR)
        year = shares * last.sum()
    found: Array = np.resize(year, horizon)
    return found


def _mean_error(found: Backtest) -> float:
    sizes = [float(abs(error)) for errors, _ in found.values() for error in errors]
    return sum(sizes) / len(sizes) if sizes else 0.0


def _wape(found: Backtest) -> float | None:
    off = sum(float(abs(error)) for errors, _ in found.values() for error in errors)
    came = sum(float(abs(value)) for _, values in found.values() for value in values)
    return off / came if came > 0 else None


def _month(ahead: int, point: float, found: Backtest, errors: Array) -> MonthAhead:
    """A month with the interval of the backtest's errors so far ahead; of all of them, where few are that far."""
    import numpy as np

    own = found[ahead][0] if ahead in found and len(found[ahead][0]) >= 5 else errors
    low = high = None
    if len(own):
        tail = (1 - COVERAGE) / 2
        below, above = np.quantile(own, [tail, 1 - tail])
        low = max(0, round(min(point, point + float(below))))
        high = max(0, round(max(point, point + float(above))))
    return MonthAhead(ahead, max(0, round(point)), low, high)


# What has come, and what is promised

_MONTHLY = prepare(
    text(
        """
        SELECT g.currency, CAST(date_trunc('month', g.gift_date) AS date) AS month, sum(g.counted) AS total
        FROM gifts g WHERE g.organization_id = :organization_id AND g.counted > 0
            AND g.gift_date < CAST(:until AS date)
        GROUP BY 1, 2 ORDER BY 1, 2
        """
    )
)
_PLEDGED = prepare(
    text(
        """
        SELECT p.currency, CAST(date_trunc('month', greatest(i.due_on, CAST(:first AS date))) AS date) AS month,
            sum(i.amount - i.paid - i.written_off) AS total
        FROM pledges p JOIN pledge_installments i ON i.organization_id = p.organization_id AND i.pledge_id = p.id
        WHERE p.organization_id = :organization_id AND p.status IN ('pending', 'active', 'overdue') AND i.is_open
            AND i.amount IS NOT NULL AND i.due_on < CAST(:until AS date)
        GROUP BY 1, 2 ORDER BY 1, 2
        """
    )
)
_PIPELINE = prepare(
    text(
        """
        SELECT d.currency, CAST(date_trunc('month', greatest(d.expected_on, CAST(:first AS date))) AS date) AS month,
            sum(CAST(d.amount AS numeric) * coalesce(s.probability, 0) / 100) AS total
        FROM deals d JOIN pipeline_stages s ON s.organization_id = d.organization_id AND s.id = d.stage_id
        WHERE d.organization_id = :organization_id AND d.status = 'open' AND d.amount IS NOT NULL
            AND d.expected_on < CAST(:until AS date)
        GROUP BY 1, 2 ORDER BY 1, 2
        """
    )
)


def month_after(day: date, months: int) -> date:
    """The first day of the month so many months after that of a day."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, 1)


def month_under_way(session: ReadSession, as_of: date) -> date:
    """The first day of the first month that is not over on a day. A past day is over, so its last month may be too;
    today is not."""
    over = as_of < clock.local_date(session.now, session.tenant.timezone)
    return (as_of + timedelta(days=1) if over else as_of).replace(day=1)


@dataclass(frozen=True, slots=True)
class MonthlyIncome:
    """What came in one currency: every month from the first with a gift to the last that is over."""

    currency: str
    first: date
    """First day of the first month."""
    totals: tuple[int, ...]


async def monthly_income(session: ReadSession, as_of: date) -> list[MonthlyIncome]:
    """Settled income net of refunds by month and currency of the gift, up to the last month that is over on a day;
    months without a gift are zero."""
    until = month_under_way(session, as_of)
    sums: dict[str, dict[date, int]] = {}
    for row in await session.fetch(_MONTHLY, until=until):
        sums.setdefault(row["currency"], {})[row["month"]] = int(row["total"])
    found = []
    for currency, months in sums.items():
        first = min(months)
        count = (until.year - first.year) * 12 + until.month - first.month
        totals = tuple(months.get(month_after(first, number), 0) for number in range(count))
        found.append(MonthlyIncome(currency, first, totals))
    return found


@dataclass(frozen=True, slots=True)
class Committed:
    """Income that somebody has committed to, of one currency and month; never part of the forecast itself."""

    month: date
    currency: str
    plans: int
    """By live recurring plans."""
    pledges: int
    """Open installments; what is overdue stands in the first month."""
    pipeline: int
    """Open deals times the probability of their stage, by the day they are expected on."""


async def committed(session: ReadSession, as_of: date, months: int = YEAR) -> list[Committed]:
    """Committed income from the month on that is under way on a day. It is known as of now, whatever the day."""
    from crm_api.donations.recurring.forecast import forecast as of_plans

    first = month_under_way(session, as_of)
    values: dict[str, Any] = {"first": first, "until": month_after(first, months)}
    plans = {
        (date.fromisoformat(f"{row['month']}-01"), row["currency"]): int(row["expected"]["amount"])
        for row in (await of_plans(session, first, months))["data"]
    }
    pledges = {(row["month"], row["currency"]): int(row["total"]) for row in await session.fetch(_PLEDGED, **values)}
    deals = {(row["month"], row["currency"]): round(row["total"]) for row in await session.fetch(_PIPELINE, **values)}
    keys = sorted({*plans, *pledges, *deals})
    return [
        Committed(month, currency, *(one.get((month, currency), 0) for one in (plans, pledges, deals)))
        for month, currency in keys
    ]
