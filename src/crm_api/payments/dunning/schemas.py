"""What clients send and get of dunning: the policy, and the attempts to charge."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from crm_api.kit import rules as said
from crm_api.kit.schemas import Input, Money, Output, Versioned


def _rising(days: list[int]) -> list[int]:
    if any(second <= first for first, second in pairwise(days)):
        raise ValueError("must rise from one to the next")
    return days


RetryDays = Annotated[
    list[Annotated[int, Field(ge=1, le=90)]], Field(max_length=10, examples=[[3, 7, 14]]), AfterValidator(_rising)
]
Letters = Annotated[
    list[Annotated[int, Field(ge=1, le=11)]], Field(max_length=11, examples=[[1, 3]]), AfterValidator(_rising)
]


class DunningRule(Input):
    """What follows declines of one class.

    `retry_days` are counted from the first failure of the payment, so a late worker moves nothing. `letters` are the
    failures of one payment after which the donor is told. After `give_up_after` failures since money last came the plan
    is paused or canceled; null: never.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"retry_days": [3, 7, 14], "letters": [1, 3], "give_up_after": 4, "give_up": "pause"}]
        }
    )

    retry_days: RetryDays = []
    letters: Letters = [1]
    give_up_after: Annotated[int, Field(ge=1, le=100)] | None = 1
    give_up: Literal["pause", "cancel"] = "pause"


class DunningRules(Input):
    """A rule for each class of declines; what is left out keeps its default."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"insufficient_funds": {"retry_days": [2, 5]}}]})

    insufficient_funds: DunningRule | None = None
    expired_card: DunningRule | None = None
    lost_or_stolen: DunningRule | None = None
    do_not_honor: DunningRule | None = None
    authentication: DunningRule | None = None
    technical: DunningRule | None = None
    unknown: DunningRule | None = None


class DunningLetters(Input):
    """Which letters go to donors beside those about failed charges: a note that the money of a standing order has not
    come, that a regular gift has ended after the last failure (in place of the letter about that failure), reminders of
    overdue pledges."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"payment_missed": False, "plan_given_up": True, "pledge_overdue": True}]}
    )

    payment_missed: bool = True
    plan_given_up: bool = True
    pledge_overdue: bool = True


class DunningPolicy(Input):
    """What follows failed charges, and how long money that donors send themselves is waited for.

    It holds for stored cards that we charge. A provider's own subscriptions follow the provider's rules; they only
    bring letters and statuses."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "rules": {
                        "insufficient_funds": {
                            "retry_days": [3, 7, 14],
                            "letters": [1, 3],
                            "give_up_after": 8,
                            "give_up": "pause",
                        },
                        "expired_card": {"retry_days": [], "letters": [1], "give_up_after": 1, "give_up": "pause"},
                    },
                    "early_days": 5,
                    "late_days": 10,
                    "letters": {"payment_missed": True, "plan_given_up": True, "pledge_overdue": True},
                }
            ]
        }
    )

    rules: DunningRules = DunningRules()
    early_days: Annotated[int, Field(ge=0, le=30)] = 5
    late_days: Annotated[int, Field(ge=0, le=60)] = 10
    letters: DunningLetters = DunningLetters()


class DunningRuleRead(Output):
    """What follows declines of one class."""

    retry_days: list[int]
    letters: list[int]
    give_up_after: int | None
    give_up: str


class DunningLettersRead(Output):
    """Which letters go to donors beside those about failed charges."""

    payment_missed: bool
    plan_given_up: bool
    pledge_overdue: bool


class DunningPolicyRead(Output):
    """The policy in force. Version 0 are the defaults."""

    version: int
    rules: dict[str, DunningRuleRead]
    early_days: int
    late_days: int
    letters: DunningLettersRead


class ChargeAttemptRead(Versioned):
    """One attempt to charge a stored card. `unknown`: the provider has not said what became of it; nothing is tried
    again before that is known."""

    plan_id: UUID
    period_id: UUID
    number: int
    state: str
    amount: Money
    connection_id: UUID
    provider_payment_id: str | None
    decline_class: str | None
    decline_code: str | None
    sent_at: datetime
    settled_at: datetime | None


class ChargeAttemptPage(Output):
    """A page of attempts."""

    data: list[ChargeAttemptRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None


class ChargeOutcome(Input):
    """What a person found out about a charge whose outcome is not known."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"outcome": "not_charged"}],
            **said.where("outcome", ["charged"], said.given("donation_id"), said.absent("donation_id")),
        }
    )

    outcome: Literal["charged", "not_charged"]
    donation_id: UUID | None = None
    """The gift of that charge."""

    @model_validator(mode="after")
    def _whole(self) -> ChargeOutcome:
        if (self.outcome == "charged") != (self.donation_id is not None):
            raise ValueError("donation_id belongs to charged, and only to it")
        return self
