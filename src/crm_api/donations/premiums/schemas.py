"""What clients send and get of premiums."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import ConfigDict, Field

from crm_api.campaigns.appeals.schemas import Cost
from crm_api.kit.schemas import Input, Money, Name, Output


class PremiumCreate(Input):
    """Goods that the donor got for the gift; their fair-market value is no part of what can be deducted."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "Calendar", "quantity": 2, "fair_market_value": {"amount": 1500, "currency": "UAH"}}]
        }
    )

    name: Name
    quantity: Annotated[int, Field(ge=1, le=10_000, strict=True)] = 1
    fair_market_value: Cost = Field(description="Of one piece, in the gift's currency.")


class PremiumRead(Output):
    """A premium. `fair_market_value` is of one piece, `total_value` of all of them."""

    id: UUID
    name: str
    quantity: int
    fair_market_value: Money
    total_value: Money
    created_at: datetime


class PremiumPage(Output):
    """Every premium of a gift, oldest first."""

    data: list[PremiumRead]
    has_more: bool
    next_cursor: str | None
