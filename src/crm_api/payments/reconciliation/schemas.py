"""What clients send and get of reconciliations."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import ConfigDict, Field

from crm_api.kit.schemas import Input, Instant, Money, Output, Versioned


class ReconciliationCreate(Input):
    """A time whose payments are to be compared with the provider's own list."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"since": "2026-11-01T00:00:00Z", "until": "2026-11-22T00:00:00Z", "apply": False}]
        }
    )

    since: Instant
    until: Instant | None = Field(None, description="Left out: now.")
    apply: bool = Field(
        False, description="Apply what the provider says of payments that differ, as its events would have."
    )


class ReconciliationTotals(Output):
    """Counts of what was compared; differences that are left, by kind, and how many are gone since."""

    listed: int
    matched: int
    missing_here: int
    missing_there: int
    amount_differs: int
    status_differs: int
    refunded_differs: int
    fee_differs: int
    plan_missing_here: int
    plan_differs: int
    resolved: int


class ReconciliationRead(Versioned):
    """A comparison of a provider's list with ours: how far it is, and what it found."""

    connection_id: UUID
    provider: str
    origin: str
    """request or nightly"""
    state: str
    """queued, running, succeeded or failed"""
    progress: float = Field(ge=0, le=1)
    since: datetime
    until: datetime
    apply: bool
    totals: ReconciliationTotals
    reason: str | None
    """Why it failed, or what could not be compared."""
    finished_at: datetime | None


class ReconciliationPage(Output):
    """A page of reconciliations."""

    data: list[ReconciliationRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None


class PaymentState(Output):
    """A payment, or a recurring plan, as one side has it."""

    status: str
    amount: Money | None
    """Null for a plan without a fixed amount."""
    refunded_amount: Money | None
    """Null for a plan."""
    fee_amount: Money | None
    """Null where the provider's list does not say it."""


class ReconciliationItemRead(Output):
    """One way in which a payment or a recurring plan differs."""

    id: UUID
    kind: str
    """missing_here, missing_there, amount_differs, status_differs, refunded_differs, fee_differs,
    plan_missing_here or plan_differs"""
    provider_payment_id: str
    """Of a plan: the provider's id of the plan."""
    donation_id: UUID | None
    recurring_plan_id: UUID | None
    occurred_at: datetime
    provider: PaymentState | None
    ours: PaymentState | None
    resolved: bool
    """The difference is gone since: what the provider says was applied."""
    reason: str | None
    """Why it could not be applied."""


class ReconciliationItemPage(Output):
    """A page of differences."""

    data: list[ReconciliationItemRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None
