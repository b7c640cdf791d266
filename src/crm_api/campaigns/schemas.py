"""What clients send and get of campaigns."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from crm_api.kit.schemas import Code, Input, LongText, Money, Name, NotNull, Output, PositiveMoney, Versioned

CampaignStatus = Literal["planned", "active", "completed", "canceled"]


def columns_of(body: BaseModel, names: Iterable[str], *, money: str) -> dict[str, Any]:
    """Column values of some members of a body; the member `money` becomes its two columns."""
    values = {name: getattr(body, name) for name in names}
    if money in values:
        given = values.pop(money)
        values[f"{money}_amount"] = None if given is None else given.amount
        values[f"{money}_currency"] = None if given is None else given.currency
    return values


class CampaignCreate(Input):
    """A new campaign."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "code": "winter-2026",
                    "name": "Зимова допомога 2026",
                    "status": "active",
                    "starts_on": "2026-11-01",
                    "ends_on": "2027-02-28",
                    "goal": {"amount": 50000000, "currency": "UAH"},
                }
            ]
        }
    )

    code: Code
    name: Name
    description: LongText | None = None
    status: CampaignStatus = "planned"
    starts_on: date | None = None
    ends_on: date | None = None
    goal: PositiveMoney | None = None

    @model_validator(mode="after")
    def _in_order(self) -> CampaignCreate:
        if self.starts_on and self.ends_on and self.ends_on < self.starts_on:
            raise ValueError("ends_on must not be before starts_on")
        return self

    def stored(self) -> dict[str, Any]:
        """Column values."""
        return columns_of(self, type(self).model_fields, money="goal")


class CampaignPatch(Input):
    """Changes to a campaign (JSON merge patch); its code is for good, since payments name it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "completed", "ends_on": "2027-02-28"}]})

    name: Annotated[Name | None, NotNull] = None
    description: LongText | None = None
    status: Annotated[CampaignStatus | None, NotNull] = None
    starts_on: date | None = None
    ends_on: date | None = None
    goal: PositiveMoney | None = None

    def stored(self) -> dict[str, Any]:
        """Column values of the members that were sent."""
        return columns_of(self, self.model_fields_set, money="goal")


class CampaignRead(Versioned):
    """A campaign: a fundraising effort with a goal and dates."""

    code: str
    name: str
    description: str | None
    status: str
    starts_on: date | None
    ends_on: date | None
    goal: Money | None


class CampaignPage(Output):
    """A page of campaigns."""

    data: list[CampaignRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None
