"""What clients get of scoring."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from pydantic import JsonValue

from crm_api.kit.schemas import Money, Output


class RfmRead(Output):
    """Recency, frequency and monetary scores from 1 to 5 against the organization's quintile borders."""

    recency: int
    frequency: int
    monetary: int
    code: str
    name: str
    flags: list[str]


class LtvRead(Output):
    """Lifetime value. `historical` is what the donor has given, net of refunds; `predicted` what the coming twelve months
    may bring by `method`, null with a `reason` where the data cannot carry it."""

    historical: Money
    predicted: Money | None
    method: str
    reason: str | None


class PredictionRead(Output):
    """What the models foresee of a donor for the coming twelve months, as of the last fit. `reasons` says of each figure
    that is null why.

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
