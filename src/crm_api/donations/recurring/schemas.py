"""What clients send and get of recurring plans."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, model_validator

from crm_api.kit import rules
from crm_api.kit.schemas import Input, LongText, Money, NotNull, Output, PositiveMoney, Versioned

Unit = Literal["day", "week", "month", "year"]
OwnMethod = Literal["monobank", "bank_standing_order", "manual"]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"[^\s\x00-\x1f]")]


def _sane(day: date) -> date:
    if not 1990 <= day.year <= 2100:
        raise ValueError("must lie between the years 1990 and 2100")
    return day


PlanDay = Annotated[date, AfterValidator(_sane), Field(json_schema_extra={"pattern": f"^{rules.years(1990, 2100)}-"})]
_ONE_END = rules.not_both("installments", "end_date")


class Card(Input):
    """A stored card: the provider's token for it. The token is kept sealed and never comes back."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"token": "67XZtXdR4NpKU3", "mask": "444403******1902", "expires": "2027-08"}]}
    )

    token: Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[!-~]+$"), Field(repr=False)]
    mask: Annotated[str, StringConstraints(pattern=r"^[0-9*xX •]{4,30}$")] | None = None
    expires: Annotated[str, StringConstraints(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$")] | None = None
    """The month until whose end the card is good."""


class PlanCreate(Input):
    """A new regular gift that we see to ourselves. Without `installments` and `end_date` it is open."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "contact_id": "01938d6e-5a00-7000-8000-000000000001",
                    "method": "bank_standing_order",
                    "amount": {"amount": 20000, "currency": "UAH"},
                    "frequency_unit": "month",
                    "frequency_interval": 1,
                    "anchor_day": 31,
                    "start_date": "2026-12-01",
                    "installments": 12,
                    "fund_id": None,
                    "campaign_id": None,
                }
            ],
            **rules.all_of(
                _ONE_END,
                rules.where(
                    "method", ["monobank"], rules.given("connection_id", "card"), rules.absent("connection_id", "card")
                ),
                rules.where("frequency_unit", ["day", "week"], rules.absent("anchor_day")),
            ),
        }
    )

    contact_id: UUID
    method: OwnMethod
    amount: PositiveMoney
    frequency_unit: Unit = "month"
    frequency_interval: Annotated[int, Field(ge=1, le=366)] = 1
    anchor_day: Annotated[int, Field(ge=1, le=31)] | None = None
    """Day of the month; in months that lack it their last day. Without it the day of `start_date`."""
    start_date: PlanDay | None = None
    """Nothing is due before it; today when not given. In the past: what was due before today is taken as done."""
    installments: Annotated[int, Field(ge=1, le=1200)] | None = None
    """The plan is complete after so many payments."""
    end_date: PlanDay | None = None
    """The last day on which a payment may be due."""
    fund_id: UUID | None = None
    campaign_id: UUID | None = None
    connection_id: UUID | None = None
    card: Card | None = None
    note: LongText | None = None

    @model_validator(mode="after")
    def _whole(self) -> PlanCreate:
        if self.installments is not None and self.end_date is not None:
            raise ValueError("a plan ends after installments or on end_date, not both")
        if self.method == "monobank" and (self.connection_id is None or self.card is None):
            raise ValueError("monobank needs connection_id and card")
        if self.method != "monobank" and (self.connection_id is not None or self.card is not None):
            raise ValueError("connection_id and card belong to monobank only")
        if self.frequency_unit in {"day", "week"} and self.anchor_day is not None:
            raise ValueError("anchor_day belongs to months and years")
        return self


class PlanPatch(Input):
    """Changes to a plan (JSON merge patch). Of a provider's plan only note, contact, fund and campaign are ours.

    A new amount holds from the next attempt on; a new day of the month leaves the next payment in its month; a new
    frequency begins with the next payment. `reason` goes into the log of changes."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"note": "Просить нагадувати за тиждень"},
                {"amount": {"amount": 30000, "currency": "UAH"}, "reason": "Зустріч у листопаді"},
            ],
            **_ONE_END,
        }
    )

    contact_id: Annotated[UUID | None, NotNull] = None
    fund_id: UUID | None = None
    campaign_id: UUID | None = None
    note: LongText | None = None
    amount: Annotated[PositiveMoney | None, NotNull] = None
    frequency_unit: Annotated[Unit | None, NotNull] = None
    frequency_interval: Annotated[Annotated[int, Field(ge=1, le=366)] | None, NotNull] = None
    anchor_day: Annotated[Annotated[int, Field(ge=1, le=31)] | None, NotNull] = None
    installments: Annotated[int, Field(ge=1, le=1200)] | None = None
    end_date: PlanDay | None = None
    card: Annotated[Card | None, NotNull] = None
    reason: Annotated[Reason | None, NotNull] = None

    @model_validator(mode="after")
    def _whole(self) -> PlanPatch:
        if self.installments is not None and self.end_date is not None:
            raise ValueError("a plan ends after installments or on end_date, not both")
        return self


class PlanPause(Input):
    """Nothing is due while a plan is paused."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"reason": "Втратила роботу", "resume_on": "2099-03-01"}, {"reason": "Відпустка"}]
        }
    )

    reason: Reason
    resume_on: PlanDay | None = None
    """On this day it goes on by itself; without it, when somebody resumes it."""


class PlanReason(Input):
    """Why; for the log of changes."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "Просила телефоном"}]})

    reason: Reason | None = None


class PlanCancel(Input):
    """The end of a plan."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "Переїжджає за кордон"}]})

    reason: Reason


class PlanReactivate(Input):
    """A plan that was given up, or canceled, goes on."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "Нова картка", "retry": False}]})

    reason: Reason | None = None
    card: Card | None = None
    """The card from now on."""
    retry: bool = False
    """Try the newest failed period once more, today."""


class PlanPayment(Input):
    """A gift that pays a period of the plan."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"donation_id": "01938d6e-5a00-7000-8000-000000000007"}]})

    donation_id: UUID
    due_on: PlanDay | None = None
    """Which period; when not given the oldest one that is open, or else the one that is next."""


class PlanRead(Versioned):
    """A donor's standing promise to give. `method` says who sees to the payments."""

    contact_id: UUID | None
    status: str
    method: str
    amount: Money | None
    frequency_unit: str | None
    frequency_interval: int | None
    anchor_day: int | None
    start_date: date | None
    installments: int | None
    end_date: date | None
    fund_id: UUID | None
    campaign_id: UUID | None
    note: str | None
    connection_id: UUID | None
    provider: str | None
    provider_plan_id: str | None
    card_mask: str | None
    card_expires_on: date | None
    started_at: datetime | None
    next_date: date | None
    ended_at: datetime | None
    resume_on: date | None
    pause_reason: str | None
    cancel_reason: str | None
    failures: int
    """Failed attempts and missed periods since money last came."""


class PlanPage(Output):
    """A page of recurring plans."""

    data: list[PlanRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None


class PlanTerms(Output):
    """Amount, frequency and status of a plan at one side of a change."""

    amount: Money | None
    frequency_unit: str | None
    frequency_interval: int | None
    annual_value: Money | None
    """What it comes to in a year of 365¼ days."""
    status: str | None


class PlanChangeRead(Output):
    """A change of a plan: upgrade or downgrade by annual value, or another step of its life."""

    id: UUID
    plan_id: UUID
    kind: str
    changed_at: datetime
    reason: str | None
    previous: PlanTerms
    current: PlanTerms
    actor_kind: str
    actor_id: str


class PlanChanges(Output):
    """The changes of a plan, newest first; at most the newest thousand."""

    data: list[PlanChangeRead]
    has_more: bool
    next_cursor: str | None


class PeriodRead(Versioned):
    """One payment of our own schedules, from the day it was due until it is settled."""

    plan_id: UUID
    due_on: date
    state: str
    amount: Money
    attempts: int
    decline_class: str | None
    retry_on: date | None
    donation_id: UUID | None
    reason: str | None
    settled_at: datetime | None


class PeriodPage(Output):
    """A page of periods."""

    data: list[PeriodRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None


class ForecastMonth(Output):
    """One month in one currency."""

    month: str
    currency: str
    expected: Money
    """What plans promise for the month: what was due, and what is to come."""
    received: Money
    """What came, net of refunds."""
    missed: Money
    """What was due and did not come."""
    payments_expected: int
    payments_received: int
    payments_missed: int


class Forecast(Output):
    """Expected and received regular gifts by month and currency. Two currencies are never added."""

    data: list[ForecastMonth]
    plans_without_date: int
    """Running plans of providers whose next date or amount is not known: they are in no sum."""
