"""Charts of levels, of what donors are worth, and of what is to come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from crm_api.reports.charts.bars import bars
from crm_api.reports.charts.lines import Band, Line, lines
from crm_api.reports.charts.style import BLUE, ORANGE, Heading, Point, Spec, empty
from crm_api.reports.charts.words import Words

Found = Mapping[str, Any]
_MOST_BARS: Final = 25


def _as_of(words: Words, found: Found) -> str:
    return words.say("said.as_of", day=words.day(found["as_of"]))


def ltv_chart(words: Words, found: Found) -> Spec:
    """What a donor is worth, by group; beside it what winning one cost."""
    currency = found["currency"]
    groups = [one for one in found["groups"] if one["lifetime_value"] is not None][:_MOST_BARS]
    points = []
    for one in groups:
        text = words.money(one["lifetime_value"], currency)
        if one["cac"] is not None:
            text = words.joined(text, words.say("said.cost", amount=words.money(one["cac"], currency)))
        label = words.say("key.none") if one["key"] is None else one["label"] or one["key"]
        points.append(Point(str(one["key"]), label, float(int(one["lifetime_value"])), text, one))
    warning = words.say("said.ten_carry") if found["warning"] else ""
    said = [_as_of(words, found), warning]
    if found["gifts_without_rate"]:
        said.append(words.say("said.without_rate", count=words.count(found["gifts_without_rate"])))
    return bars(words, Heading(words.say(f"title.ltv.{found['by']}"), said), points, words.say("axis.per_donor"))


def forecast_chart(words: Words, found: Found) -> Spec:
    """What came and what is expected, with a band around it: of the organization's currency, else of the first."""
    title = words.say("title.income-forecast")
    forecasts = {one["currency"]: one for one in found["currencies"]}
    if not forecasts:
        return empty(words, Heading(title, [_as_of(words, found)]))
    currency = found["currency"] if found["currency"] in forecasts else next(iter(forecasts))
    one = forecasts[currency]
    history = [Point(m["month"], "", float(int(m["amount"])), "", m) for m in one["history"]]
    ahead = [Point(m["month"], "", float(int(m["expected"])), "", m) for m in one["months"]]
    band = [
        Band(m["month"], float(int(m["low"])), float(int(m["high"]))) for m in one["months"] if m["low"] is not None
    ]
    if history:  # the forecast begins where history ends
        last = history[-1]
        joint = Point(last.key, "", last.value, "", {})
        drawn_ahead = [joint, *ahead]
        band = [Band(last.key, last.value or 0.0, last.value or 0.0), *band] if band else []
    else:
        drawn_ahead = ahead
    error = words.say("said.error", percent=words.percent(one["wape"])) if one["wape"] else ""
    few = words.say("said.short_history") if one["reason"] else ""
    heading = Heading(words.joined(title, currency), [_as_of(words, found), error, few])
    drawn = [
        Line("actual", words.say("series.actual"), BLUE, history),
        Line("forecast", words.say("series.forecast"), ORANGE, drawn_ahead, dashed=True),
    ]
    moments = [(point.key, words.month(point.key)) for point in (*history, *ahead)]
    return lines(words, heading, drawn, moments, lambda value: words.money(round(value), currency), band=band)


def prospects_chart(words: Words, found: Found) -> Spec:
    """Donors with the best chances; or that there is no telling them apart."""
    said = [_as_of(words, found)]
    if found["auc"] is not None:
        said.append(words.say("said.auc", auc=found["auc"]))
    if not found["gain"]:
        said.append(words.say("said.no_gain", percent=words.percent(found["baseline"])))
    shown = found["data"][:_MOST_BARS]
    points = [
        Point(
            str(one["contact_id"]),
            one["display_name"],
            float(one["chance"]),
            words.percent(one["chance"]),
            {"contact_id": one["contact_id"], "chance": one["chance"]},
        )
        for one in shown
    ]
    return bars(words, Heading(words.say("title.prospects"), said), points, words.say("axis.chance"))
