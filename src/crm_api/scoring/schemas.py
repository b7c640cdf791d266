"""What clients get of scoring."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import ConfigDict, Field, JsonValue

from crm_api.kit.schemas import Input, Money, Output, PositiveMoney, Versioned
from crm_api.kit.sums import Sum
from crm_api.scoring.status import Days


class RfmRead(Output):
    """Recency, frequency and monetary scores from 1 to 5 against the organization's quintile borders."""

    recency: int
    frequency: int
    monetary: int
    code: str
    name: str
    flags: list[str]


class LtvRead(Output):
    """Lifetime value. `historical` is what the donor has given, net of refunds; `predicted` the value by `method` (see
    `GET /v1/ltv/settings`), null with a `reason` where the data cannot carry it. `predicted_giving` is what the coming
    twelve months may bring; the other methods take the donor's giving per year. `net`: less what service costs."""

    historical: Money
    predicted: Money | None
    net: Money | None
    method: str
    reason: str | None


class PredictionRead(Output):
    """What the models foresee of a donor for the coming twelve months, as of the last fit. `reasons` says of each
    figure that is null why.

    BG/NBD gives `p_alive` (for donors with a repeat gift; without one it would be 1 by construction) and
    `expected_gifts`; Gamma-Gamma `expected_average`; `expected_value` is their product. `churn_risk` is the chance that
    the next fiscal year brings no gift, by BG/BB: that model under-predicts donors without a repeat gift."""

    p_alive: float | None
    expected_gifts: float | None
    expected_average: Money | None
    expected_value: Money | None
    churn_risk: float | None
    reasons: dict[str, str]
    as_of: date | None


class FiscalYears(Output):
    """Giving by fiscal years, which are named by the calendar year they end in. `streak_years`: consecutive ones with a
    gift, up to the newest that has one."""

    fiscal_year: int
    this_year: Money
    last_year: Money
    previous_year: Money
    streak_years: int
    best_year: int | None
    best_year_total: Money | None


class ReasonRead(Output):
    """One rule of the donor status, the value it looked at and its verdict."""

    rule: str
    field: str
    value: JsonValue
    verdict: bool


class SoftCreditFigures(Output):
    """Gifts of others that the contact is credited with, each once. Never part of what the contact has given."""

    gift_count: int
    total: Money
    gifts_without_rate: int


class DonorProfile(Output):
    """A contact as a donor. Money is in the organization's currency; gifts without a rate count in `gift_count` but
    in no sum, and `gifts_without_rate` says how many there are."""

    contact_id: UUID
    donor_status: str
    is_new: bool
    is_major: bool
    is_recurring: bool
    gift_count: int
    gifts_without_rate: int
    total_given: Money
    average_gift: Money | None
    largest_gift: Money | None
    total_last_365_days: Money
    first_gift_at: datetime | None
    last_gift_at: datetime | None
    fiscal_years: FiscalYears
    first_channel: str | None
    soft_credits: SoftCreditFigures
    rfm: RfmRead | None
    ltv: LtvRead
    prediction: PredictionRead
    reasons: list[ReasonRead]
    rules_version: int
    as_of: date
    computed_at: datetime


class DonorStatusRules(Input):
    """Thresholds of the donor status. What is left out takes its default; `major_gift_threshold` null switches the
    rule for major donors off. Each `*_after_days` is the last day before the status: with 365 a donor is lapsing from
    day 366 on."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "lapsing_after_days": 365,
                    "lapsed_after_days": 730,
                    "lost_after_days": 1095,
                    "new_within_days": 365,
                    "major_gift_threshold": None,
                }
            ]
        }
    )

    lapsing_after_days: Days = 365
    lapsed_after_days: Days = 730
    lost_after_days: Days = 1095
    new_within_days: Days = 365
    major_gift_threshold: PositiveMoney | None = None
    """Giving of the last 365 days that makes a donor major, in the organization's currency; 1,000 main units when left
    out."""


class DonorStatusRulesRead(Output):
    """The donor-status rules in force. Version 1 are the defaults; every change is a version of its own."""

    version: int
    lapsing_after_days: int
    lapsed_after_days: int
    lost_after_days: int
    new_within_days: int
    major_gift_threshold: Money | None
    created_at: datetime | None


class StatusMove(Output):
    """How many donors would go from one status to another."""

    previous_status: str
    status: str
    donors: int
    text: str


class RulesPreview(Output):
    """What other rules would change: donors of each status by the rules in force and by the others, and who would
    move. Figures are those last stored."""

    now: dict[str, int]
    then: dict[str, int]
    moves: list[StatusMove]
    donors: int
    donors_moved: int


Part = Literal["summary", "status", "rfm", "predictions"]


class ScoringRunCreate(Input):
    """Parts to reckon anew. With a day that is over in `as_of`, the run keeps what was true on that day in its own
    `totals` and leaves every donor's current figures alone."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"parts": ["summary", "status", "rfm"], "as_of": None}]})

    parts: Annotated[list[Part], Field(min_length=1, max_length=4)] = Field(
        default=["summary", "status", "rfm", "predictions"]
    )
    as_of: date | None = None


class FitRead(Output):
    """One fit of a model, or why there is none: `too_few_donors` (under 100), `no_repeat_gifts`, `not_converged`,
    `at_bounds`, `no_finite_mean`."""

    kind: str
    parameters: dict[str, float] | None
    log_likelihood: float | None
    sample_size: int
    reason: str | None


class RunTotals(Output):
    """What a run came to: donors by status and by RFM cell, what they gave in all, and the fits."""

    donors: int | None
    total_given: Sum | None
    currency: str
    statuses: dict[str, int] | None
    rfm_cells: dict[str, int] | None
    models: list[FitRead] | None


class ScoringRunRead(Versioned):
    """A run of scoring. `state` is queued, running, succeeded or failed."""

    parts: list[str]
    as_of: date | None
    state: str
    progress: Annotated[float, Field(ge=0, le=1)]
    reason: str | None
    totals: RunTotals | None
    finished_at: datetime | None


class ScoringRunPage(Output):
    """A page of runs."""

    data: list[ScoringRunRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None


class ScoringModelRead(FitRead):
    """A stored fit. `is_current`: predictions are made by it until the next; else it looked back from a day that was
    over. BG/BB counts fiscal years, BG/NBD weeks, Gamma-Gamma main units of the organization's currency."""

    id: UUID
    as_of: date
    is_current: bool
    fitted_at: datetime


class ScoringModelPage(Output):
    """A page of fits, newest first."""

    data: list[ScoringModelRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None
