"""Lifetime value by five methods, exactly.

Source: `scoring.md` §4. m is the margin, c the churn per period, r = 1 - c, d the discount per period. Everything is
reckoned in fractions of whole numbers and rounded once, half to even, to the currency's minor unit.

    arpu_lifetime    ARPU · lifetime; lifetime = 1/c where it is not given
    multiplicative   AOV · frequency · lifespan
    margin_churn     ARPU · m / c, the first payment at t = 0; discounted ARPU · m · (1+d) / (1+d-r)
    npv              Σ revenue_t · m / (1+d)^t - CAC, t from `first_period`
    segmented        Σ revenue · retention · m
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from typing import Final, Literal, get_args

Method = Literal["arpu_lifetime", "multiplicative", "margin_churn", "npv", "segmented"]
METHODS: Final[tuple[Method, ...]] = get_args(Method)
UNBOUNDED: Final = "unbounded"
"""Nobody ever leaves (churn 0): the sum has no end."""


@dataclass(frozen=True, slots=True)
class Band:
    """A range of LTV:CAC, from the upper end of the one before up to `below`; the last has no end."""

    name: str
    below: Fraction | None


BANDS: Final = (
    Band("loss", Fraction(1)),
    Band("weak", Fraction(3)),
    Band("healthy", Fraction(5)),
    Band("possibly_under_investing", None),
)
"""Below 1 a loss, from 1 weak, from 3 to 5 healthy, above 5 perhaps too little is invested in finding donors."""


@dataclass(frozen=True, slots=True)
class Value:
    """A lifetime value, or the reason why there is none."""

    value: Fraction | None
    reason: str | None = None


def arpu_lifetime(arpu: Fraction, lifetime: Fraction | None, churn: Fraction | None) -> Value:
    """Average revenue per period times periods; with a churn instead of a lifetime, times 1/churn."""
    if lifetime is None:
        if churn is None:
            raise ValueError("one of lifetime and churn is needed")
        if churn == 0:
            return Value(None, UNBOUNDED)
        lifetime = 1 / churn
    return Value(arpu * lifetime)


def multiplicative(aov: Fraction, frequency: Fraction, lifespan: Fraction) -> Value:
    """Average gift times gifts per period times periods; frequency and lifespan in the same period."""
    return Value(aov * frequency * lifespan)


def margin_churn(arpu: Fraction, margin: Fraction, churn: Fraction, discount: Fraction = Fraction(0)) -> Value:
    """The margin of every period as long as the donor stays, the first at t = 0."""
    growth = 1 + discount - (1 - churn)
    if growth <= 0:
        return Value(None, UNBOUNDED)
    return Value(arpu * margin * (1 + discount) / growth)


def npv(
    revenues: Sequence[Fraction], margin: Fraction, discount: Fraction, cac: Fraction, first_period: int = 1
) -> Value:
    """The margin of each period discounted to today, less what it cost to win the donor."""
    total = sum(
        (revenue * margin / (1 + discount) ** t for t, revenue in enumerate(revenues, first_period)), Fraction(0)
    )
    return Value(total - cac)


def segmented(segments: Sequence[tuple[Fraction, Fraction]], margin: Fraction) -> Value:
    """The sum over segments of revenue times retention times margin; an empty one is worth nothing."""
    return Value(sum((revenue * retention for revenue, retention in segments), Fraction(0)) * margin)


def band_of(ratio: Fraction, bands: Sequence[Band] = BANDS) -> str:
    """The name of the band that an LTV:CAC lies in. A border belongs to the upper one, but the upper end of the last
    bounded band to itself: exactly 5 is healthy."""
    for place, band in enumerate(bands):
        if band.below is None or ratio < band.below:
            return band.name
        if ratio == band.below and place == len(bands) - 2:
            return band.name
    return bands[-1].name


def rounded(value: Fraction, decimals: int) -> str:
    """A decimal string with that many places, half to even."""
    scaled = round(value * 10**decimals)  # Fraction rounds half to even
    return str((Decimal(scaled).scaleb(-decimals)).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_EVEN))
