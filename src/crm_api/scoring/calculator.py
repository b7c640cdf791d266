"""The lifetime-value calculator: what a client sends, and what comes of it."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Any

from pydantic import ConfigDict, Field, StringConstraints

from crm_api.kit.money import exponent
from crm_api.kit.problems import FieldError, Invalid
from crm_api.kit.schemas import Currency, Input, Output
from crm_api.scoring import ltv
from crm_api.scoring.ltv import Band, Method, Value

DecimalText = Annotated[
    str, StringConstraints(pattern=r"^-?[0-9]{1,16}(\.[0-9]{1,12})?$", max_length=30), Field(examples=["15.00"])
]
"""An exact decimal number."""
_NEEDED: dict[Method, tuple[str, ...]] = {
    "arpu_lifetime": ("arpu",),
    "multiplicative": ("aov", "frequency", "lifespan"),
    "margin_churn": ("arpu", "margin", "churn"),
    "npv": ("revenues", "margin", "discount_rate"),
    "segmented": ("segments", "margin"),
}
_TAKEN: dict[Method, tuple[str, ...]] = {
    "arpu_lifetime": ("lifetime", "churn"),
    "multiplicative": (),
    "margin_churn": ("discount_rate",),
    "npv": ("first_period",),
    "segmented": (),
}
_COMMON = ("method", "currency", "cac", "service_hours", "hourly_cost", "service_periods")


class SegmentInput(Input):
    """One segment: its revenue, and which part of it is kept."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"revenue": "10000", "retention": "0.8"}]})

    revenue: DecimalText
    retention: DecimalText


class LtvRequest(Input):
    """Inputs of one method, as decimal strings. Amounts are in main units, rates are shares per period (0.04: 4 %)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "method": "npv",
                    "revenues": ["200", "240", "300"],
                    "margin": "0.5",
                    "discount_rate": "0.10",
                    "cac": "100",
                }
            ]
        }
    )

    method: Method
    currency: Currency | None = None
    """Whose minor unit the value is rounded to; the organization's when not given."""
    arpu: DecimalText | None = None
    lifetime: DecimalText | None = None
    aov: DecimalText | None = None
    frequency: DecimalText | None = None
    lifespan: DecimalText | None = None
    margin: DecimalText | None = None
    churn: DecimalText | None = None
    revenues: Annotated[list[DecimalText], Field(max_length=1_200)] | None = None
    discount_rate: DecimalText | None = None
    cac: DecimalText | None = None
    """What it cost to win the donor; `npv` takes it off."""
    first_period: Annotated[int, Field(ge=0, le=1)] | None = None
    """When the first revenue comes, in periods from today: 1 unless said otherwise."""
    segments: Annotated[list[SegmentInput], Field(max_length=1_000)] | None = None
    service_hours: DecimalText | None = None
    """Hours of service per period, at `hourly_cost`, for `service_periods`: taken off in `net`."""
    hourly_cost: DecimalText | None = None
    service_periods: DecimalText | None = None


class LtvResult(Output):
    """A lifetime value. Null with a reason where there is none."""

    method: str
    value: str | None
    currency: str
    reason: str | None
    service_cost: str | None
    net: str | None
    """The value less what serving the donor costs."""
    ltv_cac: str | None
    """Lifetime value over what the donor cost to win, to two decimals; null without a cost, or one of zero."""
    band: str | None


class _Reader:
    def __init__(self, body: LtvRequest) -> None:
        self.body, self.errors = body, list[FieldError]()

    def number(self, name: str, default: Fraction | None = None) -> Fraction | None:
        given = getattr(self.body, name)
        return default if given is None else Fraction(given)

    def within(self, name: str, low: Fraction | None, high: Fraction | None, said: str, *, above: bool = False) -> None:
        value = self.number(name)
        if value is None:
            return
        too_low = low is not None and (value <= low if above else value < low)
        if too_low or (high is not None and value > high):
            self.errors.append(FieldError(f"/{name}", "out_of_range", said))


def _check(body: LtvRequest) -> None:
    reader = _Reader(body)
    for name in _NEEDED[body.method]:
        if getattr(body, name) is None:
            reader.errors.append(FieldError(f"/{name}", "missing", f"{body.method} needs {name}."))
    allowed = {*_COMMON, *_NEEDED[body.method], *_TAKEN[body.method]}
    for name in sorted(body.model_fields_set - allowed):
        if getattr(body, name) is not None:
            reader.errors.append(FieldError(f"/{name}", "not_of_this_method", f"{body.method} does not take {name}."))
    if body.method == "arpu_lifetime" and body.lifetime is None and body.churn is None:
        reader.errors.append(FieldError("/lifetime", "missing", "Give lifetime, or churn to take 1/churn."))
    zero, one = Fraction(0), Fraction(1)
    reader.within("churn", zero, one, "A churn lies between 0 and 1.")
    reader.within("margin", None, one, "A margin is at most 1.")
    reader.within("discount_rate", Fraction(-1), None, "A discount rate is above -1.", above=True)
    for name in ("cac", "lifetime", "lifespan", "frequency", "service_hours", "hourly_cost", "service_periods"):
        reader.within(name, zero, None, f"{name} is not below 0.")
    for place, segment in enumerate(body.segments or ()):
        if not 0 <= Fraction(segment.retention) <= 1:
            pointer = f"/segments/{place}/retention"
            reader.errors.append(FieldError(pointer, "out_of_range", "A retention lies between 0 and 1."))
    service = [name for name in ("service_hours", "hourly_cost", "service_periods") if getattr(body, name) is not None]
    if service and len(service) < 3:
        said = "Give service_hours, hourly_cost and service_periods together."
        reader.errors.append(FieldError(f"/{service[0]}", "incomplete", said))
    if reader.errors:
        raise Invalid("The value cannot be reckoned from these inputs; see errors.", errors=reader.errors)


def _value(body: LtvRequest) -> Value:
    reader = _Reader(body)

    def given(name: str) -> Fraction:
        found = reader.number(name, Fraction(0))
        assert found is not None
        return found

    if body.method == "arpu_lifetime":
        return ltv.arpu_lifetime(given("arpu"), reader.number("lifetime"), reader.number("churn"))
    if body.method == "multiplicative":
        return ltv.multiplicative(given("aov"), given("frequency"), given("lifespan"))
    if body.method == "margin_churn":
        return ltv.margin_churn(given("arpu"), given("margin"), given("churn"), given("discount_rate"))
    if body.method == "npv":
        revenues = [Fraction(one) for one in body.revenues or ()]
        first = 1 if body.first_period is None else body.first_period
        return ltv.npv(revenues, given("margin"), given("discount_rate"), given("cac"), first)
    pairs = [(Fraction(one.revenue), Fraction(one.retention)) for one in body.segments or ()]
    return ltv.segmented(pairs, given("margin"))


def calculate(body: LtvRequest, *, currency: str, bands: tuple[Band, ...] = ltv.BANDS) -> dict[str, Any]:
    """The value, rounded once. Raises `Invalid` with everything that is wrong with the inputs."""
    _check(body)
    decimals = exponent(body.currency or currency)
    found = _value(body)
    service = None
    if body.service_hours and body.hourly_cost and body.service_periods:
        service = Fraction(body.service_hours) * Fraction(body.hourly_cost) * Fraction(body.service_periods)
    cac = Fraction(body.cac) if body.cac is not None else Fraction(0)
    ratio = None
    if found.value is not None and cac > 0:
        ratio = (found.value + cac if body.method == "npv" else found.value) / cac

    def shown(value: Fraction | None) -> str | None:
        return None if value is None else ltv.rounded(value, decimals)

    return {
        "method": body.method,
        "value": shown(found.value),
        "currency": body.currency or currency,
        "reason": found.reason,
        "service_cost": shown(service),
        "net": None if found.value is None or service is None else shown(found.value - service),
        "ltv_cac": None if ratio is None else ltv.rounded(ratio, 2),
        "band": None if ratio is None else ltv.band_of(ratio, bands),
    }
