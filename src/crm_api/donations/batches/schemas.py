"""What clients send and get of batches of gifts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import ConfigDict, Field

from crm_api.kit.schemas import Input, Money, Name, NotNull, Output, PositiveMoney, Versioned

Count = Annotated[int, Field(ge=1, le=5_000, strict=True)]


class GiftBatchCreate(Input):
    """A batch: how many gifts it will hold and what they will add up to, counted before any is entered."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Collection of 22 November",
                    "control_count": 12,
                    "control_amount": {"amount": 184500, "currency": "UAH"},
                }
            ]
        }
    )

    name: Name
    control_count: Count
    control_amount: PositiveMoney = Field(description="Its currency is that of every gift in the batch.")


class GiftBatchPatch(Input):
    """Changes to an open batch (JSON merge patch)."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"control_count": 13}]})

    name: Annotated[Name | None, NotNull] = None
    control_count: Annotated[Count | None, NotNull] = None
    control_amount: Annotated[PositiveMoney | None, NotNull] = None


class GiftBatchRead(Versioned):
    """A batch of gifts. Its gifts are pending until it is posted; those that were canceled are in neither figure."""

    name: str
    status: str
    control_count: int
    control_amount: Money
    entered_count: int
    entered_amount: Money
    posted_at: datetime | None


class GiftBatchPage(Output):
    """A page of batches."""

    data: list[GiftBatchRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None
