"""What clients send and get of gifts."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from crm_api.kit.schemas import ExternalId, Input, Instant, Money, Output, PositiveMoney, ShortText, Versioned

Method = Literal["card", "bank_transfer", "cash", "cheque", "wallet", "crypto", "in_kind", "stock", "other"]


class DonationCreate(Input):
    """A gift recorded by hand or by another system: money that has arrived."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "contact_id": "01938d6e-5a00-7000-8000-000000000001",
                    "amount": {"amount": 12550, "currency": "UAH"},
                    "method": "bank_transfer",
                    "received_at": "2026-11-22T09:00:00Z",
                    "fund_id": None,
                    "campaign_id": None,
                    "external_ids": [],
                }
            ]
        }
    )

    contact_id: UUID | None = None
    amount: PositiveMoney
    method: Method = "other"
    received_at: Instant | None = None
    fund_id: UUID | None = None
    campaign_id: UUID | None = None
    is_anonymous: bool = False
    external_ids: Annotated[list[ExternalId], Field(max_length=20)] = []


class RefundCreate(Input):
    """Money given back for a gift that was recorded by hand."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"amount": {"amount": 2500, "currency": "UAH"}}]})

    amount: PositiveMoney | None = None
    """What was given back; everything that is left when not given."""
    reason: ShortText | None = None
    refunded_at: Instant | None = None


class DonationRead(Versioned):
    """A gift. Status and balances follow from its payment entries."""

    contact_id: UUID | None
    amount: Money
    status: str
    refunded_amount: Money
    fee_amount: Money
    net_amount: Money
    base_amount: Money | None
    base_rate: str | None
    base_rate_date: date | None
    method: str
    is_anonymous: bool
    received_at: datetime
    gift_date: date
    fund_id: UUID | None
    campaign_id: UUID | None
    recurring_plan_id: UUID | None
    connection_id: UUID | None
    provider: str | None
    provider_payment_id: str | None
    failure_reason: str | None
    external_ids: list[ExternalId]


class DonationPage(Output):
    """A page of gifts."""

    data: list[DonationRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None


class EntryRead(Output):
    """One piece of evidence about a gift's payment."""

    id: UUID
    kind: str
    occurred_at: datetime
    amount: Money | None
    ref: str | None
    status: str | None
    reason: str | None
    recorded_at: datetime


class EntryPage(Output):
    """Every payment entry of a gift, oldest first."""

    data: list[EntryRead]
    has_more: bool
    next_cursor: str | None
