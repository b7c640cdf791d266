"""What clients send and get of soft credits."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from crm_api.kit.schemas import Input, Money, Output, PositiveMoney, Versioned

CreditType = Literal[
    "household_member",
    "solicitor",
    "matched_gift",
    "employer",
    "in_honor_of",
    "influencer",
    "donor_advised_fund",
    "workplace",
    "other",
]


class SoftCreditCreate(Input):
    """Recognition of somebody who brought about or shared a gift that another gave."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"contact_id": "01938d6e-5a00-7000-8000-000000000006", "type": "solicitor"}]}
    )

    contact_id: UUID
    type: CreditType
    amount: PositiveMoney | None = Field(None, description="A part of the gift; all of it when not given.")


class SoftCreditRead(Versioned):
    """A soft credit. `amount` is what was credited, `counted_amount` what counts of it now: in proportion to what is
    left of the gift."""

    donation_id: UUID
    contact_id: UUID
    type: str
    amount: Money
    is_full: bool
    counted_amount: Money
    origin: str


class SoftCreditPage(Output):
    """A page of soft credits."""

    data: list[SoftCreditRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None
