"""The chart of the donation report: columns over time, or bars of what gifts are grouped by.

It shows what is left after refunds and fees, in the organization's currency; by currency, each in its own would not
compare, so there too in the organization's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from crm_api.reports.charts.bars import bars, columns
from crm_api.reports.charts.style import Heading, Point, Spec
from crm_api.reports.charts.words import Words

_MOST_BARS: Final = 25


def donations_chart(words: Words, found: Mapping[str, Any]) -> Spec:
    """The chart."""
    group_by, base = found["group_by"], found["totals"]["base"]
    currency = base["currency"]
    timed = group_by in ("day", "month")
    groups = found["groups"] if timed else found["groups"][:_MOST_BARS]
    points = [
        Point(
            str(group["key"]),
            _label(words, group_by, group),
            float(int(group["base"]["net"])),
            words.money(group["base"]["net"], currency),
            {"key": group["key"], "count": group["count"], "net": group["base"]["net"]},
        )
        for group in groups
    ]
    total = words.say("said.total", amount=words.money(base["net"], currency))
    lines = [
        words.say("said.between", **{"from": words.day(found["from_date"]), "to": words.day(found["to_date"])}),
        words.joined(words.say("said.net", currency=currency), total),
    ]
    if len(groups) < len(found["groups"]):
        lines.append(
            words.say("said.first_of", count=words.count(len(groups)), total=words.count(len(found["groups"])))
        )
    if base["gifts_without_rate"]:
        lines.append(words.say("said.without_rate", count=words.count(base["gifts_without_rate"])))
    heading = Heading(words.say(f"title.donations.{group_by}"), lines)
    if not found["totals"]["count"]:
        points = []
    if timed:
        return columns(words, heading, points, lambda value: words.money(round(value), currency))
    return bars(words, heading, points, words.say("axis.given"))


def _label(words: Words, group_by: str, group: Mapping[str, Any]) -> str:
    key = group["key"]
    if key is None:
        return words.say("key.none")
    if group_by == "month":
        return words.month(key)
    if group_by == "day":
        return words.day(key)
    if group_by == "method":
        return words.method(key)
    return str(group["label"] or key)
