"""The body that a source of payments sends when it is none of the providers we know. Described for its author in
docs/guides/connect-anything.md."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from crm_api.kit import money
from crm_api.kit.schemas import Code, Country, Input, Instant, Language, Money, PositiveMoney

Ref = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,100}$"), Field(examples=["INV-1001"])]
"""An id of the source's own."""
_PLAIN = r"^[^\x00-\x1f\x7f]*$"
Text = Annotated[str, StringConstraints(max_length=200, pattern=_PLAIN)]
Hint = Annotated[str, StringConstraints(max_length=1000, pattern=_PLAIN)]
Reason = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_.-]{1,64}$"), Field(examples=["insufficient_funds"])]


class _NoLessThanZero(Money):
    amount: Annotated[int, Field(ge=0, le=money.MAX_MINOR, strict=True)]


class PayerBody(Input):
    """Who paid, as far as the source knows."""

    id: Ref | None = None
    """The source's own id of the payer: the same payer is known by it again."""
    email: Annotated[str, StringConstraints(max_length=320, pattern=r"^[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+$")] | None = (
        None
    )
    name: Text | None = None
    phone: Annotated[str, StringConstraints(max_length=40, pattern=_PLAIN)] | None = None
    """With its country code: +380501234567."""
    language: Language | None = None
    country: Country | None = None
    city: Annotated[str, StringConstraints(max_length=100, pattern=_PLAIN)] | None = None


class ProcessorBody(Input):
    """Where the money went through, if that account may be connected here as well: then both tell of one gift."""

    provider: Literal["stripe", "paypal"]
    id: Ref
    """Stripe: the charge (`ch_…`). PayPal: the capture or sale."""


class SourceBody(Input):
    """Where the donor came from."""

    utm_source: Text | None = None
    utm_medium: Text | None = None
    utm_campaign: Text | None = None
    utm_term: Text | None = None
    utm_content: Text | None = None
    source_code: Code | None = None
    appeal_code: Code | None = None


class PaymentBody(Input):
    """A payment as it stands."""

    payment_id: Ref
    amount: PositiveMoney
    """In minor units: 12550 is 125.50 hryvnias."""
    fee: _NoLessThanZero | None = None
    donor_covered_fee: _NoLessThanZero | None = None
    """What of the amount the donor added to cover the fee."""
    method: Literal["card", "bank_transfer", "wallet", "other"] = "other"
    reason: Reason | None = None
    """Why it failed or was canceled; a code, never a sentence about a person."""
    payer: PayerBody | None = None
    hint: Hint | None = None
    """Free text that came with the payment; it helps whoever finds out who paid."""
    plan_id: Ref | None = None
    is_anonymous: bool = False
    contact_id: Annotated[UUID, Field(strict=False)] | None = None
    """Our id of who paid, where the source has it."""
    campaign_code: Code | None = None
    fund_code: Code | None = None
    source: SourceBody | None = None
    processor: ProcessorBody | None = None


class RefundBody(Input):
    """One refund as it stands."""

    payment_id: Ref
    refund_id: Ref
    amount: PositiveMoney
    status: Literal["pending", "succeeded", "failed", "canceled"] = "succeeded"
    reason: Reason | None = None


class DisputeBody(Input):
    """One dispute (chargeback) as it stands."""

    payment_id: Ref
    dispute_id: Ref
    amount: PositiveMoney
    status: Literal["open", "won", "lost"]
    reason: Reason | None = None


class PlanBody(Input):
    """A recurring plan as it stands."""

    plan_id: Ref
    status: Literal["pending", "active", "past_due", "paused", "canceled", "completed"]
    amount: PositiveMoney | None = None
    frequency_unit: Literal["day", "week", "month", "year"] | None = None
    frequency_interval: Annotated[int, Field(ge=1, le=1200)] = 1
    payer_id: Ref | None = None
    started_at: Instant | None = None
    next_date: date | None = None
    ended_at: Instant | None = None


class _Event(Input):
    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,128}$")] | None = None
    """Of the event. One that comes again with the same id is known already."""
    timestamp: Instant
    """When the payment came to this state, by the source's own clock."""
    mode: Literal["live", "test"] | None = None
    """Test money never counts in a live organization, and live money never in a test one."""


class PaymentEvent(_Event):
    """Something became of a payment."""

    type: Literal["payment.created", "payment.succeeded", "payment.failed", "payment.canceled"]
    data: PaymentBody


class RefundEvent(_Event):
    """Money was given back, or is about to be."""

    type: Literal["payment.refunded"]
    data: RefundBody


class DisputeEvent(_Event):
    """The payer's bank disputes a payment."""

    type: Literal["payment.disputed"]
    data: DisputeBody


class PlanEvent(_Event):
    """Something became of a plan."""

    type: Literal["plan.updated"]
    data: PlanBody


EVENTS: dict[str, type[PaymentEvent | RefundEvent | DisputeEvent | PlanEvent]] = {
    **dict.fromkeys(("payment.created", "payment.succeeded", "payment.failed", "payment.canceled"), PaymentEvent),
    "payment.refunded": RefundEvent,
    "payment.disputed": DisputeEvent,
    "plan.updated": PlanEvent,
}


def one_currency(body: PaymentBody) -> str | None:
    """The pointer of an amount that is in another currency than the payment."""
    for name in ("fee", "donor_covered_fee"):
        value: Any = getattr(body, name)
        if value is not None and value.currency != body.amount.currency:
            return f"/data/{name}/currency"
    return None
