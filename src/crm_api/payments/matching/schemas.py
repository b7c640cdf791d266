"""What clients send and get of unmatched payments and the rules that match them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from crm_api.contacts.schemas import ContactCreate
from crm_api.kit.rules import exactly_one
from crm_api.kit.schemas import VISIBLE, Input, Money, Name, NotNull, Output, Versioned

RuleKind = Literal["contains", "code", "iban", "external_id"]
RuleValue = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=VISIBLE)]
Position = Annotated[int, Field(ge=0, le=100_000)]


class UnmatchedRead(Output):
    """A payment that belongs to nobody yet: a gift without its donor, or an event without its payment."""

    id: UUID
    kind: str
    state: str
    reason: str
    donation_id: UUID | None
    event_id: UUID | None
    connection_id: UUID | None
    provider: str | None
    amount: Money | None
    hint: str | None = Field(description="Free text that came with the payment; null without the scope contacts:read.")
    rule_id: UUID | None
    """The rule that matched it."""
    received_at: datetime


class UnmatchedPage(Output):
    """A page of unmatched payments."""

    data: list[UnmatchedRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None


class Suggestion(Output):
    """A contact that a payment may be from, and why."""

    contact_id: UUID
    display_name: str
    reasons: list[str]
    """same_customer, external_id, name"""


class SuggestionList(Output):
    """Contacts that a payment may be from, the likeliest first."""

    data: list[Suggestion]


class MatchCreate(Input):
    """Who a gift is from: a contact, or one to be made."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"contact_id": "01938d6e-5a00-7000-8000-000000000001"}],
            **exactly_one("contact_id", "create"),
        }
    )

    contact_id: UUID | None = None
    create: ContactCreate | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> MatchCreate:
        if (self.contact_id is None) == (self.create is None):
            raise ValueError("send either contact_id or create")
        return self


class MatchRuleCreate(Input):
    """A rule that joins payments by the free text they come with.

    `contains`: the value stands anywhere in it. `code`: it stands there by itself, such as D-2002. `iban`: an account
    number, however spaced. `external_id`: any word of the text is the id of a contact in the system that `value` names;
    that contact has given, so the rule names none. Of several rules that fit, the lowest `position` decides; fund and
    campaign are only filled in where the gift has none.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Monthly transfer of the bakery",
                    "kind": "code",
                    "value": "D-2002",
                    "contact_id": "01938d6e-5a00-7000-8000-000000000001",
                }
            ]
        }
    )

    name: Name
    kind: RuleKind
    value: RuleValue
    position: Position = 100
    is_active: bool = True
    connection_id: UUID | None = Field(None, description="Only for payments of this connection.")
    contact_id: UUID | None = None
    campaign_id: UUID | None = None
    fund_id: UUID | None = None


class MatchRulePatch(Input):
    """Changes to a rule (JSON merge patch). Its kind is for good."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Transfers of the bakery", "position": 10}]})

    name: Annotated[Name | None, NotNull] = None
    value: Annotated[RuleValue | None, NotNull] = None
    position: Annotated[Position | None, NotNull] = None
    is_active: Annotated[bool | None, NotNull] = None
    connection_id: UUID | None = None
    contact_id: UUID | None = None
    campaign_id: UUID | None = None
    fund_id: UUID | None = None


class MatchRuleRead(Versioned):
    """A rule."""

    name: str
    kind: str
    value: str
    position: int
    is_active: bool
    connection_id: UUID | None
    contact_id: UUID | None
    campaign_id: UUID | None
    fund_id: UUID | None


class MatchRulePage(Output):
    """A page of rules."""

    data: list[MatchRuleRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None
