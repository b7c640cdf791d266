"""What clients send and get of allocations."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from crm_api.kit.rules import exactly_one
from crm_api.kit.schemas import Input, Money, Output, PositiveMoney

Percent = Annotated[
    str,
    StringConstraints(pattern=r"^(100(\.0{1,6})?|[1-9][0-9]?(\.[0-9]{1,6})?|0\.[0-9]{0,5}[1-9])$"),
    Field(examples=["33.3333"], description="Percent of the gift as a decimal string, above 0 and at most 100."),
]


class Allocation(Input):
    """A part of a gift for one fund: an amount, or a percentage of the gift."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"fund_id": "01938d6e-5a00-7000-8000-00000000000d", "percent": "60"}],
            **exactly_one("amount", "percent"),
        }
    )

    fund_id: UUID
    amount: PositiveMoney | None = None
    percent: Percent | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Allocation:
        if (self.amount is None) == (self.percent is None):
            raise ValueError("say either amount or percent")
        return self


Allocations = Annotated[
    list[Allocation],
    Field(
        min_length=1,
        max_length=50,
        description="How the gift is split over funds: all by amounts that add up to the gift's, or all by percentages "
        "that add up to 100. What a percentage leaves of a minor unit goes to the largest remainders.",
    ),
]


class AllocationRead(Output):
    """A fund's part of a gift. `counted_amount` is what counts of it now: settled, and less its proportion of what was
    given back or lost."""

    fund_id: UUID
    percent: str | None
    amount: Money
    counted_amount: Money


def problem_of(parts: Sequence[Allocation], amount: int, currency: str) -> tuple[str, str, str] | None:
    """What is wrong with a split of a gift: pointer, code and words; nothing where it is in order."""
    if len({part.fund_id for part in parts}) < len(parts):
        return "/allocations", "fund_repeated", "Name each fund once."
    by_percent = [part for part in parts if part.percent is not None]
    if by_percent and len(by_percent) < len(parts):
        return "/allocations", "mixed_allocations", "Give every part as an amount, or every part as a percentage."
    if by_percent:
        if sum(Decimal(part.percent or 0) for part in by_percent) != 100:
            return "/allocations", "percent_sum", "The percentages must add up to 100 exactly."
        return None
    for place, part in enumerate(parts):
        if part.amount is not None and part.amount.currency != currency:
            return f"/allocations/{place}/amount/currency", "currency_mismatch", f"The gift is in {currency}."
    if sum(part.amount.amount for part in parts if part.amount is not None) != amount:
        return "/allocations", "amount_sum", f"The amounts must add up to the gift's {amount} minor units exactly."
    return None
