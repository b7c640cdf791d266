"""What is foreseen of a donor, as the profile shows it."""

from __future__ import annotations

from typing import Any, Final

from crm_api.kit.schemas import money_or_none
from crm_api.scoring.repository import Giving

METHOD: Final = "predicted_giving"
"""BG/NBD times Gamma-Gamma: what the coming twelve months may bring."""
_FIGURES: Final = ("p_alive", "expected_gifts", "expected_average", "expected_value", "churn_risk")


def foreseen(giving: Giving, currency: str, *, past: bool) -> dict[str, Any]:
    """The profile's `ltv` and `prediction`: each figure, or why there is none. Of a day that is over there are none: what
    was foreseen then is not kept, and what is foreseen now knows what came after."""
    stored = None if past else giving.prediction
    if stored is not None:
        reasons = dict(stored["reasons"])
    else:
        why = "of_a_past_day" if past else "no_gift" if not giving.summary.gift_count else "not_computed_yet"
        reasons = dict.fromkeys(_FIGURES, why)
    found = {name: None if stored is None else stored[name] for name in _FIGURES}
    return {
        "ltv": {
            "historical": {"amount": giving.summary.total_given, "currency": currency},
            "predicted": money_or_none(found["expected_value"], currency),
            "method": METHOD,
            "reason": reasons.get("expected_value"),
        },
        "prediction": {
            "p_alive": found["p_alive"],
            "expected_gifts": found["expected_gifts"],
            "expected_average": money_or_none(found["expected_average"], currency),
            "expected_value": money_or_none(found["expected_value"], currency),
            "churn_risk": found["churn_risk"],
            "reasons": reasons,
            "as_of": None if stored is None else stored["as_of"],
        },
    }
