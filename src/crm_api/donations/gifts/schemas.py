"""What clients send and get of gifts."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field, JsonValue, model_validator
from pydantic_core import PydanticCustomError

from crm_api.campaigns.appeals.schemas import Channel, Cost
from crm_api.donations.allocations.schemas import AllocationRead, Allocations
from crm_api.donations.gifts.details import MethodDetails, Utm
from crm_api.kit.rules import not_both
from crm_api.kit.schemas import (
    Code,
    ExternalId,
    Input,
    Instant,
    Money,
    NotNull,
    Output,
    PositiveMoney,
    ShortText,
    Versioned,
)

Method = Literal["card", "bank_transfer", "cash", "cheque", "wallet", "crypto", "in_kind", "stock", "other"]
CancelReason = Literal["entered_in_error", "duplicate", "not_received", "donor_request", "other"]
RefundReason = Literal["donor_request", "duplicate", "entered_in_error", "not_authorized", "other"]
ReversalReason = Literal["cheque_bounced", "transfer_returned", "counterfeit", "entered_in_error", "other"]
AdjustmentReason = Literal["entered_in_error", "bank_correction", "valuation", "other"]


class DonationDetails(Input):
    """What a gift says of its donor, purpose and origin."""

    contact_id: UUID | None = None
    fund_id: UUID | None = None
    allocations: Allocations | None = None
    campaign_id: UUID | None = None
    appeal_id: UUID | None = Field(None, description="Its campaign and channel are the gift's where none are given.")
    source_code: Code | None = Field(
        None, description="Code of the audience's version of an appeal; the code of an appeal names that appeal."
    )
    channel: Channel | None = None
    utm: Utm | None = None
    method_details: MethodDetails | None = None
    note: ShortText | None = None


class DonationCreate(DonationDetails):
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
                },
                {
                    "contact_id": "01938d6e-5a00-7000-8000-000000000001",
                    "amount": {"amount": 100000, "currency": "UAH"},
                    "method": "cheque",
                    "method_details": {"cheque": {"number": "001542"}},
                    "source_code": "winter-2026-letter",
                    "donor_covered_fee": {"amount": 250, "currency": "UAH"},
                },
            ],
            **not_both("fund_id", "allocations"),
        }
    )

    amount: PositiveMoney
    method: Method = "other"
    received_at: Instant | None = None
    is_anonymous: bool = False
    donor_covered_fee: Cost | None = Field(None, description="The part of the amount that the donor added for the fee.")
    external_ids: Annotated[list[ExternalId], Field(max_length=20)] = []


class DonationPatch(DonationDetails):
    """Changes to a gift (JSON merge patch). Its amount is never overwritten: see adjustments and refunds."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"note": "Thanked by phone", "is_anonymous": True}],
            **not_both("fund_id", "allocations"),
        }
    )

    method: Annotated[Method | None, NotNull] = None
    is_anonymous: Annotated[bool | None, NotNull] = None
    donor_covered_fee: Cost | None = None
    external_ids: Annotated[list[ExternalId] | None, Field(max_length=20), NotNull] = None


class RefundCreate(Input):
    """Money given back for a gift that was recorded by hand."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"amount": {"amount": 2500, "currency": "UAH"}, "reason": "donor_request"}],
        }
    )

    amount: PositiveMoney | None = None
    """What was given back; everything that is left when not given."""
    reason: RefundReason = Field(
        "other", description="Kept with the entry; entries stay for ever, so it is a word only."
    )
    refunded_at: Instant | None = None


class RefundFailed(Input):
    """A refund that did not reach the donor."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"refund_id": "01938d6e-5a00-7000-8000-00000000002a"}]})

    refund_id: UUID = Field(description="The `ref` of the refund's payment entry.")
    failed_at: Instant | None = None


class AdjustmentCreate(Input):
    """A correction of a gift recorded by hand: what its amount, or the time of its receipt, should have been."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"amount": {"amount": 12600, "currency": "UAH"}, "reason": "entered_in_error"}],
            "minProperties": 1,
        }
    )

    amount: PositiveMoney | None = Field(None, description="The right amount, not the difference.")
    received_at: Instant | None = None
    reason: AdjustmentReason = "entered_in_error"

    @model_validator(mode="after")
    def _something(self) -> AdjustmentCreate:
        if self.amount is None and self.received_at is None:
            raise PydanticCustomError("nothing_to_adjust", "Send the right amount, the right received_at, or both.")
        return self


class ReversalCreate(Input):
    """Money of a gift recorded by hand that was taken back without our doing: a cheque bounced, a transfer returned."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "cheque_bounced"}]})

    reason: ReversalReason
    reversed_at: Instant | None = None


class CancelCreate(Input):
    """Why a pending gift is given up."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "not_received"}]})

    reason: CancelReason = "other"


class ContactBrief(Output):
    """A contact beside what refers to it."""

    id: UUID
    kind: str
    display_name: str


class PurposeBrief(Output):
    """A fund or a campaign beside what refers to it."""

    id: UUID
    code: str
    name: str


class SoftCreditBrief(Output):
    """A soft credit beside its gift."""

    id: UUID
    contact_id: UUID
    type: str
    amount: Money


class DonationRead(Versioned):
    """A gift. Status and balances follow from its payment entries. `deductible_amount` is what counts of it less the
    value of premiums. `contact`, `fund`, `campaign` and `soft_credits` are there when asked for by `expand`;
    `allocations` in lists, too."""

    contact_id: UUID | None
    amount: Money
    status: str
    refunded_amount: Money
    fee_amount: Money
    net_amount: Money
    donor_covered_fee: Money | None
    deductible_amount: Money
    base_amount: Money | None
    base_rate: str | None
    base_rate_date: date | None
    method: str
    method_details: dict[str, JsonValue] | None
    is_anonymous: bool
    received_at: datetime
    gift_date: date
    fund_id: UUID | None
    is_split: bool
    campaign_id: UUID | None
    appeal_id: UUID | None
    source_code: str | None
    channel: str | None
    utm: dict[str, Any] | None
    recurring_plan_id: UUID | None
    batch_id: UUID | None
    connection_id: UUID | None
    provider: str | None
    provider_payment_id: str | None
    failure_reason: str | None
    note: str | None
    external_ids: list[ExternalId]
    allocations: list[AllocationRead] | None = None
    contact: ContactBrief | None = None
    fund: PurposeBrief | None = None
    campaign: PurposeBrief | None = None
    soft_credits: list[SoftCreditBrief] | None = None


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
