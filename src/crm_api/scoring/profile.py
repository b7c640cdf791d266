"""What is foreseen of a donor, as the profile shows it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

from crm_api.kit.money import MAX_MINOR
from crm_api.kit.schemas import money_or_none
from crm_api.scoring import ltv
from crm_api.scoring.repository import Giving
from crm_api.scoring.settings import DonorMethod, LtvSettings
from crm_api.scoring.summary import DonorSummary

_FIGURES: Final = ("p_alive", "expected_gifts", "expected_average", "expected_value", "churn_risk")
_YEAR: Final = 365


def foreseen(giving: Giving, status: str, settings: LtvSettings, currency: str, *, past: bool) -> dict[str, Any]:
    """The profile's `ltv` and `prediction`: each figure, or why there is none. Of a day that is over nothing is
    predicted: what was foreseen then is not kept, and what is foreseen now knows what came after."""
    stored = None if past else giving.prediction
    if stored is not None:
        reasons = dict(stored["reasons"])
    else:
        why = "of_a_past_day" if past else "no_gift" if not giving.summary.gift_count else "not_computed_yet"
        reasons = dict.fromkeys(_FIGURES, why)
    found = {name: None if stored is None else stored[name] for name in _FIGURES}
    methods: dict[str, DonorMethod] = {str(name): method for name, method in settings.status_methods.items()}
    method = methods.get(status, settings.method)
    value, net, reason = _value(method, giving.summary, settings, found, reasons)
    return {
        "ltv": {
            "historical": {"amount": giving.summary.total_given, "currency": currency},
            "predicted": money_or_none(value, currency),
            "net": money_or_none(net, currency),
            "method": method,
            "reason": reason,
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


def _value(
    method: DonorMethod, summary: DonorSummary, settings: LtvSettings, found: dict[str, Any], reasons: dict[str, str]
) -> tuple[int | None, int | None, str | None]:
    """The value in minor units, less service, and the reason where there is none. Exact but for the predictions."""
    since = summary.days_since_first_gift
    if since is None:
        return None, None, "no_gift"
    if method == "predicted_giving":
        value, periods, why = found["expected_value"], Fraction(1), reasons.get("expected_value")
        return _shown(None if value is None else Fraction(value), periods, settings, why)
    years = Fraction(max(since, _YEAR), _YEAR)
    arpu = summary.total_given / years
    margin, span = Fraction(settings.margin), settings.lifespan_years
    if method == "multiplicative":
        average = Fraction(summary.average_gift or 0)
        worth = ltv.multiplicative(average, summary.gift_count / years, Fraction(span))
        return _shown(worth.value, Fraction(span), settings, None)
    risk = settings.churn if settings.churn is not None else found["churn_risk"]
    if risk is None:
        return None, None, reasons.get("churn_risk", "no_churn")
    churn, discount = Fraction(str(risk)), Fraction(settings.discount_rate)
    if method == "npv":
        stream = [arpu * (1 - churn) ** t for t in range(1, span + 1)]
        worth = ltv.npv(stream, margin, discount, Fraction(0))
        return _shown(worth.value, Fraction(span), settings, worth.reason)
    worth = (
        ltv.arpu_lifetime(arpu, None, churn)
        if method == "arpu_lifetime"
        else ltv.margin_churn(arpu, margin, churn, discount)
    )
    return _shown(worth.value, 1 / churn if churn else Fraction(0), settings, worth.reason)


def _shown(
    value: Fraction | None, periods: Fraction, settings: LtvSettings, reason: str | None
) -> tuple[int | None, int | None, str | None]:
    if value is None:
        return None, None, reason
    cost = settings.service_cost_per_year
    whole, net = round(value), None if cost is None else round(value - cost.amount * periods)
    if max(abs(whole), abs(net or 0)) > MAX_MINOR:
        return None, None, "beyond_any_amount"
    return whole, net, None
