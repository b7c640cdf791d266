"""Sums of money as answers hold them: exact beyond what a single amount can be.

One amount is at most 2^53 - 1, since JavaScript's numbers lose digits beyond. Sums of many may pass that: then the
whole minor units are written as a string of digits, which no client rounds.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field, StringConstraints

from crm_api.kit.money import MAX_MINOR, exponent

Sum = Annotated[
    Annotated[int, Field(ge=-MAX_MINOR, le=MAX_MINOR)]
    | Annotated[str, StringConstraints(pattern=r"^-?[0-9]{16,40}$", max_length=41)],
    Field(description="Whole minor units of the currency; a string of digits where it lies beyond 2^53 - 1."),
]


def exact(total: int | Decimal | None) -> int | str:
    """A sum as an answer holds it; nothing summed is 0."""
    whole = int(total or 0)
    return whole if abs(whole) <= MAX_MINOR else str(whole)


def in_main_units(total: int | str | Decimal, currency: str) -> str:
    """A sum in main units for a file, with the currency's decimals: 12550 UAH is ``125.50``."""
    return format(Decimal(total).scaleb(-exponent(currency)), "f")
