"""What clients get of scoring."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from pydantic import JsonValue

from crm_api.kit.schemas import Money, Output


class RfmRead(Output):
    """Recency, frequency and monetary scores from 1 to 5 against the organization's quintile borders."""

    recency: int
    frequency: int
    monetary: int
    code: str
    name: str
    flags: list[str]


class LtvRead(Output):
    """Lifetime value. `historical` is what the donor has given, net of refunds."""

    historical: Money


class ReasonRead(Output):
    """One rule of the donor status, the value it looked at and its verdict."""

    rule: str
    field: str
    value: JsonValue
    verdict: bool


class SoftCreditFigures(Output):
    """Gifts of others that the contact is credited with, each once. Never part of what the contact has given."""

    gift_count: int
    total: Money
    gifts_without_rate: int


class DonorProfile(Output):
    """A contact as a donor. Money is in the organization's currency; gifts without a rate count in `gift_count` but
    in no sum, and `gifts_without_rate` says how many there are."""

    contact_id: UUID
    donor_status: str
    is_new: bool
    is_major: bool
    is_recurring: bool
    gift_count: int
    gifts_without_rate: int
    total_given: Money
    average_gift: Money | None
    largest_gift: Money | None
    total_last_365_days: Money
    first_gift_at: datetime | None
    last_gift_at: datetime | None
    soft_credits: SoftCreditFigures
    rfm: RfmRead | None
    ltv: LtvRead
    reasons: list[ReasonRead]
    rules_version: int
    as_of: date
    computed_at: datetime
