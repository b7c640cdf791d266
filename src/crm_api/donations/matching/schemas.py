"""What clients send and get of matching gifts."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from crm_api.kit.schemas import Input, Money, NotNull, Output, PositiveMoney, Versioned


class MatchingGiftCreate(Input):
    """An employer that may match a gift, or was asked to."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "company_contact_id": "01938d6e-5a00-7000-8000-000000000016",
                    "status": "submitted",
                    "expected_amount": {"amount": 12550, "currency": "UAH"},
                    "submitted_on": "2026-11-22",
                }
            ]
        }
    )

    company_contact_id: UUID
    status: Literal["potential", "submitted"] = "potential"
    expected_amount: PositiveMoney | None = None
    submitted_on: date | None = None


class MatchingGiftPatch(Input):
    """Changes to a matching gift (JSON merge patch). It is received by naming the gift that the company gave; taking
    that name away again makes it submitted."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "submitted", "submitted_on": "2026-11-22"}]})

    status: Annotated[Literal["potential", "submitted", "received"] | None, NotNull] = None
    expected_amount: PositiveMoney | None = None
    submitted_on: date | None = None
    matching_donation_id: UUID | None = Field(None, description="The company's gift, once it has come.")
    received_amount: Annotated[PositiveMoney | None, NotNull] = Field(
        None,
        description="The part of the company's gift that matches this one; when not given, what was expected of it, "
        "or what other matches leave of it.",
    )


class MatchingGiftRead(Versioned):
    """A gift, the employer that matches it, and the gift that this brought."""

    donation_id: UUID
    company_contact_id: UUID
    status: str
    expected_amount: Money | None
    submitted_on: date | None
    matching_donation_id: UUID | None
    received_amount: Money | None


class MatchingGiftPage(Output):
    """A page of matching gifts."""

    data: list[MatchingGiftRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None
