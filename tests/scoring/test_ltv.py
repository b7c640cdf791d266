"""Lifetime value through the API: the worked examples, the identities, and where there is no number."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_api.scoring import ltv
from tests.support.world import World

EXAMPLES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"method": "arpu_lifetime", "arpu": "30", "lifetime": "24"}, {"value": "720.00"}),
    ({"method": "arpu_lifetime", "arpu": "30", "churn": "0.04"}, {"value": "750.00"}),
    ({"method": "arpu_lifetime", "arpu": "30", "churn": "0"}, {"value": None, "reason": "unbounded"}),
    ({"method": "multiplicative", "aov": "80", "frequency": "4", "lifespan": "3"}, {"value": "960.00"}),
    ({"method": "margin_churn", "arpu": "15", "margin": "0.60", "churn": "0.04"}, {"value": "225.00"}),
    ({"method": "margin_churn", "arpu": "15", "margin": "0.6", "churn": "0"}, {"value": None, "reason": "unbounded"}),
    ({"method": "npv", "revenues": ["200", "240", "300"], "margin": "0.5", "discount_rate": "0.10", "cac": "100"},
     {"value": "202.78", "ltv_cac": "3.03", "band": "healthy"}),
    ({"method": "npv", "revenues": ["100"], "margin": "1", "discount_rate": "0.5", "first_period": 0, "cac": "0"},
     {"value": "100.00", "ltv_cac": None, "band": None}),
    ({"method": "segmented", "segments": [{"revenue": "100", "retention": "0.5"}, {"revenue": "10", "retention": "1"}],
      "margin": "0.5"}, {"value": "30.00"}),
    ({"method": "segmented", "segments": [], "margin": "0.5", "cac": "10"}, {"value": "0.00", "band": "loss"}),
    ({"method": "multiplicative", "aov": "2000", "frequency": "6", "lifespan": "1", "currency": "UAH",
      "service_hours": "2", "hourly_cost": "500", "service_periods": "12"},
     {"value": "12000.00", "service_cost": "12000.00", "net": "0.00", "currency": "UAH"}),
    ({"method": "multiplicative", "aov": "0.5", "frequency": "1", "lifespan": "1", "currency": "JPY"}, {"value": "0"}),
    ({"method": "multiplicative", "aov": "1.0005", "frequency": "1", "lifespan": "1", "currency": "KWD"}, {"value": "1.000"}),
]  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), EXAMPLES)
async def test_worked_examples(world: World, body: dict[str, Any], expected: dict[str, Any]) -> None:
    found = await world.post("/v1/ltv/calculate", body, expect=200)
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"method": "margin_churn", "arpu": "1", "margin": "1", "churn": "1.01"}, ["/churn"]),
        ({"method": "npv", "revenues": ["1"], "margin": "1", "discount_rate": "-1"}, ["/discount_rate"]),
        (
            {"method": "segmented", "segments": [{"revenue": "1", "retention": "1.1"}], "margin": "1"},
            ["/segments/0/retention"],
        ),
        ({"method": "multiplicative", "aov": "1", "arpu": "1"}, ["/frequency", "/lifespan", "/arpu"]),
        ({"method": "arpu_lifetime", "arpu": "NaN", "lifetime": "1"}, ["/arpu"]),
    ],
)
async def test_what_cannot_be_is_refused(world: World, body: dict[str, Any], pointers: list[str]) -> None:
    problem = await world.post("/v1/ltv/calculate", body, expect=422)
    assert [one["pointer"] for one in problem["errors"]] == pointers


SHARE = st.fractions(Fraction(1, 50), Fraction(1), max_denominator=50)


@given(st.fractions(0, 10_000, max_denominator=100), SHARE, SHARE, st.fractions(0, 1, max_denominator=20))
def test_margin_over_churn_is_the_endless_sum_of_what_remains(
    arpu: Fraction, margin: Fraction, churn: Fraction, discount: Fraction
) -> None:
    stays = 1 - churn
    horizon = 120
    value = ltv.margin_churn(arpu, margin, churn, discount).value
    assert value is not None
    ahead = ltv.npv([arpu * stays**t for t in range(horizon)], margin, discount, Fraction(0), 0).value
    assert ahead is not None
    rest = value * (stays / (1 + discount)) ** horizon  # the same again, once the horizon is reached
    assert ahead + rest == value
