"""What clients send and get of pledges."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, model_validator

from crm_api.kit import rules
from crm_api.kit.schemas import Input, LongText, Money, NotNull, Output, PositiveMoney, Versioned

Reason = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"[^\s\x00-\x1f]")]
Description = Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=r"[^\s\x00-\x1f]")]


def _sane(day: date) -> date:
    if not 1990 <= day.year <= 2100:
        raise ValueError("must lie between the years 1990 and 2100")
    return day


def _each_once(days: list[int]) -> list[int]:
    return sorted(set(days))


PledgeDay = Annotated[date, AfterValidator(_sane), Field(json_schema_extra={"pattern": f"^{rules.years(1990, 2100)}-"})]
ReminderDays = Annotated[
    list[Annotated[int, Field(ge=1, le=365)]],
    Field(max_length=10, examples=[[1, 14, 30]]),
    AfterValidator(_each_once),
]
"""So many days after an installment was due somebody is reminded of it."""


class InstallmentIn(Input):
    """One part of a pledge and the day it is due."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"due_on": "2026-12-15", "amount": {"amount": 250000, "currency": "UAH"}}]}
    )

    due_on: PledgeDay
    amount: PositiveMoney


class PledgeSchedule(Input):
    """Installments to be made: `count` nearly equal parts that add up exactly, the first on or after `start_date`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"count": 4, "frequency_unit": "month", "frequency_interval": 3, "start_date": "2026-12-31"}]
        }
    )

    count: Annotated[int, Field(ge=1, le=600)]
    frequency_unit: Literal["day", "week", "month", "year"] = "month"
    frequency_interval: Annotated[int, Field(ge=1, le=60)] = 1
    start_date: PledgeDay
    anchor_day: Annotated[int, Field(ge=1, le=31)] | None = None


_WAYS = ("due_date", "installments", "schedule")
_ONE_WAY: rules.Schema = {
    "oneOf": [
        rules.all_of(rules.given(one), rules.absent(*(other for other in _WAYS if other != one))) for one in _WAYS
    ]
}
Installments = Annotated[list[InstallmentIn], Field(min_length=1, max_length=600)]


class PledgeCreate(Input):
    """A promise of a total: money in one or more installments, or something in kind."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "contact_id": "01938d6e-5a00-7000-8000-000000000001",
                    "amount": {"amount": 1000000, "currency": "UAH"},
                    "schedule": {
                        "count": 4,
                        "frequency_unit": "month",
                        "frequency_interval": 3,
                        "start_date": "2026-12-31",
                    },
                    "fund_id": None,
                    "campaign_id": None,
                },
                {
                    "contact_id": "01938d6e-5a00-7000-8000-000000000001",
                    "kind": "in_kind",
                    "description": "Двадцять спальних мішків",
                    "due_date": "2026-12-15",
                },
            ],
            **rules.all_of(
                rules.where("kind", ["in_kind"], rules.given("description", "due_date")),
                rules.where("kind", ["in_kind"], rules.absent("amount", "installments", "schedule")),
                {"if": {"properties": {"kind": {"const": "money"}}}, "then": rules.given("amount")},
                _ONE_WAY,
            ),
        }
    )

    contact_id: UUID
    kind: Literal["money", "in_kind"] = "money"
    amount: PositiveMoney | None = None
    description: Description | None = None
    due_date: PledgeDay | None = None
    """The one day on which all of it is due; or `installments`; or a `schedule`."""
    installments: Installments | None = None
    schedule: PledgeSchedule | None = None
    pledged_on: PledgeDay | None = None
    """Today when not given."""
    auto_apply: bool = True
    """Gifts of the contact in this currency pay the oldest open pledge by themselves."""
    reminder_days: ReminderDays = [1, 14, 30]
    fund_id: UUID | None = None
    campaign_id: UUID | None = None
    owner_member_id: UUID | None = None
    """Who gets the task when an installment is overdue."""
    note: LongText | None = None

    @model_validator(mode="after")
    def _whole(self) -> PledgeCreate:
        if sum(one is not None for one in (self.due_date, self.installments, self.schedule)) != 1:
            raise ValueError("give one of due_date, installments and schedule")
        if self.kind == "money" and self.amount is None:
            raise ValueError("a pledge of money needs amount")
        if self.kind == "in_kind" and (self.amount is not None or self.due_date is None or self.description is None):
            raise ValueError("a pledge in kind has description and due_date, and no amount")
        return self


class PledgePatch(Input):
    """Changes to a pledge (JSON merge patch). New installments take the place of all; what was paid is spread anew."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"note": "Домовились телефоном", "reminder_days": [3, 21]}]}
    )

    amount: Annotated[PositiveMoney | None, NotNull] = None
    """The whole, in the same currency; with `installments` that add up to it."""
    installments: Annotated[Installments | None, NotNull] = None
    description: Annotated[Description | None, NotNull] = None
    auto_apply: Annotated[bool | None, NotNull] = None
    reminder_days: Annotated[ReminderDays | None, NotNull] = None
    fund_id: UUID | None = None
    campaign_id: UUID | None = None
    owner_member_id: UUID | None = None
    note: LongText | None = None


class PledgePaymentCreate(Input):
    """A gift that pays a pledge."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"donation_id": "01938d6e-5a00-7000-8000-000000000007"}]})

    donation_id: UUID
    amount: PositiveMoney | None = None
    """So much of the gift; all of it when not given."""


class PledgeWriteOffCreate(Input):
    """What will not come any more: an installment, or all that is open."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "Компанія закрилась"}]})

    reason: Reason
    installment_id: UUID | None = None


class PledgeCancel(Input):
    """A pledge that is taken back, or was recorded by mistake."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "Записано двічі"}]})

    reason: Reason


class PledgeRead(Versioned):
    """A pledge. Status and figures follow from installments, payments, write-offs and the day; of one in kind there are
    no figures."""

    contact_id: UUID
    kind: str
    status: str
    amount: Money | None
    paid_amount: Money | None
    written_off_amount: Money | None
    open_amount: Money | None
    """What is still to come: amount less paid and written off."""
    overpaid_amount: Money | None
    next_due_on: date | None
    description: str | None
    pledged_on: date
    auto_apply: bool
    reminder_days: list[int]
    fund_id: UUID | None
    campaign_id: UUID | None
    owner_member_id: UUID | None
    note: str | None
    canceled_at: datetime | None
    cancel_reason: str | None


class PledgePage(Output):
    """A page of pledges."""

    data: list[PledgeRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None


class InstallmentRead(Output):
    """One installment and where it stands."""

    id: UUID
    number: int
    due_on: date
    amount: Money | None
    paid_amount: Money | None
    written_off_amount: Money | None
    open_amount: Money | None
    is_open: bool
    reminded_on: date | None


class InstallmentList(Output):
    """The installments of a pledge, in order."""

    data: list[InstallmentRead]
    has_more: bool
    next_cursor: str | None


class PledgePaymentRead(Output):
    """A gift that pays a pledge. `counted_amount` is what stands of it after refunds."""

    id: UUID
    pledge_id: UUID
    donation_id: UUID
    amount: Money | None
    counted_amount: Money | None
    applied_by: str
    created_at: datetime


class PledgePaymentList(Output):
    """The payments of a pledge, oldest first."""

    data: list[PledgePaymentRead]
    has_more: bool
    next_cursor: str | None
