"""What clients get of the reports on what donors are worth and what is to come."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import Field

from crm_api.kit.schemas import Output
from crm_api.kit.sums import Sum
from crm_api.reports.giving.schemas import Head, Rate

Factor = Annotated[str, Field(pattern=r"^-?[0-9]+\.[0-9]+$", examples=["3.2500"])]


class LtvGroup(Output):
    """Donors who were won in one way, live in one country, or are in one segment. `lifetime_value` is what they have
    given so far, per donor; `cac` what appeals cost, per donor won. `band` names the range that `ltv_cac` lies in."""

    key: str | None
    label: str | None
    donors: int
    given: Sum
    lifetime_value: Sum | None
    cost: Sum | None
    cac: Sum | None
    ltv_cac: Factor | None
    band: str | None
    gifts_without_rate: int
    costs_without_rate: int


class LtvReport(Head):
    """Lifetime value and cost of acquisition of the donors whose first gift lies between `from_date` and `as_of`. A
    `warning` says that ten donors carry half of all giving, so that an average says little."""

    by: str
    from_date: date
    groups: list[LtvGroup]
    warning: str | None


class MonthOfIncome(Output):
    """What came in a month that is over."""

    month: str
    amount: Sum


class MonthExpected(Output):
    """A month to come; between `low` and `high` lie eight of ten months, by the backtest's errors."""

    month: str
    expected: Sum
    low: Sum | None
    high: Sum | None


class CurrencyForecast(Output):
    """The forecast of one currency. `mase` and `wape` are the errors of the method in the backtest over `origins`
    starting months; `candidates` holds the WAPE of each method that was tried. `reason` says why there is no more than
    a mean: `short_history`."""

    currency: str
    method: str
    reason: str | None
    origins: int
    mase: Factor | None
    wape: Factor | None
    candidates: list[ForecastCandidate]
    history: list[MonthOfIncome]
    months: list[MonthExpected]


class ForecastCandidate(Output):
    """A method that was tried, and its error."""

    method: str
    wape: Factor | None


class CommittedIncome(Output):
    """Income that somebody has committed to: by live plans, by open pledges, by deals times their probability. It
    stands beside the forecast and is never part of it."""

    month: str
    currency: str
    plans: Sum
    pledges: Sum
    pipeline: Sum


class IncomeForecast(Head):
    """Income expected by month, of each currency for itself, beside what is committed."""

    currencies: list[CurrencyForecast]
    committed: list[CommittedIncome]


class ProspectFeature(Output):
    """A feature and its value."""

    feature: str
    value: Factor


class ProspectDonor(Output):
    """A donor who is neither major nor recurring, and the chance to become so within a year."""

    contact_id: UUID
    display_name: str
    chance: Rate
    features: list[ProspectFeature]


class ProspectReport(Head):
    """Who looks like those who became major or recurring donors. Learnt from where donors stood a year before; `auc` is
    measured on donors held out, `auc_low` is the lower end of its interval, `baseline_auc` is that of the plain
    response rate (`baseline`), which ranks nobody. Without a gain over it `data` is empty, and `reason` says why."""

    gain: bool
    reason: str | None
    baseline: Rate
    donors: int
    responders: int
    held_out: int
    auc: Factor | None
    auc_low: Factor | None
    baseline_auc: Factor | None
    log_loss: Factor | None
    baseline_log_loss: Factor | None
    intercept: Factor | None
    coefficients: list[ProspectFeature]
    data: list[ProspectDonor]
