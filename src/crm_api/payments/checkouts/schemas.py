"""What clients send and get of checkouts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, model_validator

from crm_api.contacts.parts import clean_email
from crm_api.donations.gifts.details import Utm
from crm_api.kit.rules import all_of, not_both
from crm_api.kit.schemas import VISIBLE, Code, Input, Language, Money, Name, Output, PositiveMoney, ShortText

Every = Literal["week", "month", "year"]
ReturnAddress = Annotated[
    str,
    StringConstraints(pattern=rf"^https?://{VISIBLE}+$", max_length=1500),
    Field(
        examples=["https://example.org/thanks"],
        description="https, and of an allowed origin; {checkout_id} in it is filled in.",
    ),
]
Origin = Annotated[
    str,
    StringConstraints(pattern=r"^https?://[a-z0-9.-]{1,200}(:[0-9]{1,5})?$", max_length=220),
    Field(examples=["https://example.org"]),
]
Email = Annotated[
    str,
    StringConstraints(min_length=3, max_length=320),
    AfterValidator(clean_email),
    Field(examples=["olena@example.org"]),
]


class CheckoutDonor(Input):
    """Who is about to give, as far as the page knows. A contact is made of it when a payment comes, not before."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"email": "olena@example.org", "name": "Олена Шевченко", "language": "uk"}]}
    )

    email: Email | None = None
    name: Name | None = None
    language: Language | None = None


class CheckoutCreate(Input):
    """A payment to be made on a provider's page. Name a fund or a campaign by id or by code."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "provider": "stripe",
                    "amount": {"amount": 2500, "currency": "USD"},
                    "donor": {"email": "olena@example.org", "name": "Олена Шевченко", "language": "uk"},
                    "success_url": "https://example.org/thanks?checkout={checkout_id}",
                    "cancel_url": "https://example.org/donate",
                }
            ],
            **all_of(not_both("fund_id", "fund_code"), not_both("campaign_id", "campaign_code")),
        }
    )

    connection_id: UUID | None = Field(
        None, description="Left out: the only active connection whose provider offers checkouts."
    )
    provider: Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=r"^[a-z_]+$")] | None = None
    amount: PositiveMoney
    every: Every | None = Field(None, description="A recurring gift, where the provider's page can start one.")
    contact_id: UUID | None = Field(None, description="Who gives, where that is known. Not with a publishable key.")
    donor: CheckoutDonor | None = None
    fund_id: UUID | None = None
    fund_code: Code | None = None
    campaign_id: UUID | None = None
    campaign_code: Code | None = None
    appeal_id: UUID | None = None
    source_code: Code | None = None
    utm: Utm | None = None
    donor_covered_fee: PositiveMoney | None = Field(
        None, description="What of the amount the donor added to cover the fee."
    )
    is_anonymous: bool = False
    description: Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=VISIBLE)] | None = None
    success_url: ReturnAddress
    cancel_url: ReturnAddress

    @model_validator(mode="after")
    def _named_once(self) -> CheckoutCreate:
        if self.fund_id is not None and self.fund_code is not None:
            raise ValueError("give fund_id or fund_code, not both")
        if self.campaign_id is not None and self.campaign_code is not None:
            raise ValueError("give campaign_id or campaign_code, not both")
        return self


class CheckoutRead(Output):
    """A checkout. Send the donor to `url` while `status` is `open`."""

    id: UUID
    status: str = Field(description="creating, open, pending, succeeded, failed, canceled, expired or refused")
    url: str | None
    expires_at: datetime
    donation_id: UUID | None
    amount: Money
    every: str | None
    connection_id: UUID
    provider: str
    reason: str | None
    """The provider's code, where it refused to make a page."""
    created_at: datetime


class CheckoutPage(Output):
    """A page of checkouts."""

    data: list[CheckoutRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None


class CheckoutLimits(Input):
    """Against card testing. A secret key's own requests are only held by the last two."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "per_key_per_minute": 60,
                    "per_address_per_hour": 20,
                    "per_email_per_hour": 10,
                    "failures_per_ten_minutes": 20,
                }
            ]
        }
    )

    per_key_per_minute: Annotated[int, Field(ge=1, le=10_000)] = 60
    per_address_per_hour: Annotated[int, Field(ge=1, le=10_000)] = 20
    per_email_per_hour: Annotated[int, Field(ge=1, le=10_000)] = 10
    failures_per_ten_minutes: Annotated[int, Field(ge=1, le=10_000)] = 20


class CheckoutSettings(Input):
    """What an organization allows on its checkouts."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "allowed_origins": ["https://example.org"],
                    "minimum": [{"amount": 500, "currency": "USD"}],
                    "page_minutes": 60,
                    "description": "Donation",
                    "limits": {"per_address_per_hour": 20},
                }
            ]
        }
    )

    allowed_origins: Annotated[list[Origin], Field(max_length=50)] = Field(
        [], description="Where donors may be sent afterwards; empty: any https address."
    )
    minimum: Annotated[list[PositiveMoney], Field(max_length=50)] = Field(
        [], description="The smallest gift, one for each currency; elsewhere one main unit."
    )
    page_minutes: Annotated[int, Field(ge=30, le=1440)] = 60
    description: Annotated[ShortText, StringConstraints(min_length=1, max_length=120, pattern=VISIBLE)] = "Donation"
    limits: CheckoutLimits = Field(default_factory=CheckoutLimits)


class CheckoutLimitsRead(Output):
    """Limits in force."""

    per_key_per_minute: int
    per_address_per_hour: int
    per_email_per_hour: int
    failures_per_ten_minutes: int


class CheckoutSettingsRead(Output):
    """What the organization allows on its checkouts."""

    allowed_origins: list[str]
    minimum: list[Money]
    page_minutes: int
    description: str
    limits: CheckoutLimitsRead
