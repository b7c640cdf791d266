"""What clients send and get of appeals."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from crm_api.campaigns.schemas import columns_of
from crm_api.kit.money import MAX_MINOR
from crm_api.kit.schemas import Code, Input, Money, Name, NotNull, Output, Versioned

Channel = Literal["email", "sms", "mail", "phone", "event", "web", "social", "other"]


class Cost(Money):
    """Money of zero or more."""

    amount: Annotated[int, Field(ge=0, le=MAX_MINOR, strict=True)]


class AppealCreate(Input):
    """A new appeal of a campaign."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "campaign_id": "01989c5e-0f5a-7c3e-9a53-6f1d2b7c8e90",
                    "code": "winter-2026-letter",
                    "name": "November letter",
                    "channel": "mail",
                    "sent_on": "2026-11-10",
                    "cost": {"amount": 1250000, "currency": "UAH"},
                }
            ]
        }
    )

    campaign_id: UUID
    code: Code
    name: Name
    channel: Channel
    sent_on: date | None = None
    cost: Cost | None = None

    def stored(self) -> dict[str, Any]:
        """Column values."""
        return columns_of(self, type(self).model_fields, money="cost")


class AppealPatch(Input):
    """Changes to an appeal (JSON merge patch); its campaign and code are for good."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"sent_on": "2026-11-12", "cost": {"amount": 1190000, "currency": "UAH"}}]}
    )

    name: Annotated[Name | None, NotNull] = None
    channel: Annotated[Channel | None, NotNull] = None
    sent_on: date | None = None
    cost: Cost | None = None

    def stored(self) -> dict[str, Any]:
        """Column values of the members that were sent."""
        return columns_of(self, self.model_fields_set, money="cost")


class AppealRead(Versioned):
    """An appeal: one solicitation inside a campaign."""

    campaign_id: UUID
    code: str
    name: str
    channel: str
    sent_on: date | None
    cost: Money | None


class AppealPage(Output):
    """A page of appeals."""

    data: list[AppealRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None
