"""Bars: things compared, each with its name and its value; and columns over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from crm_api.reports.charts.style import (
    BLUE,
    RED,
    Heading,
    Point,
    Spec,
    chart,
    empty,
    in_reading_order,
    lookup,
    plain,
    ticks,
)
from crm_api.reports.charts.words import Words

_ROW = 30
_MOST_LABELS = 7


def bars(words: Words, heading: Heading, points: Sequence[Point], axis: str) -> Spec:
    """One bar below the other; what is below zero goes the other way. In a right-to-left language bars grow from the
    right."""
    if not points:
        return empty(words, heading)
    values = [point.value or 0 for point in points]
    low, high = min(0, *values), max(0, *values)
    room = (high - low or 1) * 0.24  # for the values, written where bars end
    keys = [point.key for point in points]
    scale: dict[str, Any] = {"domain": [low - room if low < 0 else 0, high + room if high > 0 or low == 0 else 0]}
    x = {"field": "_value", "type": "quantitative", "scale": {**scale, "reverse": words.rtl, "nice": False}}
    named = {
        "labelExpr": lookup({point.key: point.label for point in points}),
        "orient": "right" if words.rtl else "left",
    }
    y = {
        "field": "_key",
        "type": "nominal",
        "scale": {"domain": keys, "paddingInner": 0.3},
        "axis": {**named, "title": None, "ticks": False, "domain": False, "labelPadding": 8},
    }
    colour = {"condition": {"test": "datum._value < 0", "value": RED}, "value": BLUE}
    after, before = ("right", "left") if words.rtl else ("left", "right")
    body = {
        "data": {"values": [point.row for point in points]},
        "encoding": {"y": y},
        "layer": [
            {"mark": {"type": "bar"}, "encoding": {"x": {**x, "title": axis, "axis": _quiet()}, "color": colour}},
            _written("datum._value >= 0", after, -6 if words.rtl else 6, x),
            _written("datum._value < 0", before, 6 if words.rtl else -6, x),
        ],
    }
    return chart(words, heading, body, height=max(60, _ROW * len(points)))


def _quiet() -> dict[str, Any]:
    """An axis of nothing but its title: values are written at the bars."""
    return {"labels": False, "ticks": False, "grid": False, "domain": False}


def _written(test: str, align: str, dx: int, x: dict[str, Any]) -> dict[str, Any]:
    return {
        "transform": [{"filter": test}],
        "mark": {"type": "text", "align": align, "dx": dx, "baseline": "middle"},
        "encoding": {"x": x, "text": {"field": "_text"}},
    }


def columns(words: Words, heading: Heading, points: Sequence[Point], tick: Callable[[float], str]) -> Spec:
    """Columns side by side in the order of time, which runs with the writing. `tick` writes a value of the axis."""
    if not points:
        return empty(words, heading)
    values = [point.value or 0 for point in points]
    low, high = min(0, *values), max(0, *values) or 1
    marks = ticks(low, high)
    keys = [point.key for point in points]
    every = -(-len(keys) // _MOST_LABELS)
    shown = {point.key: point.label if place % every == 0 else "" for place, point in enumerate(points)}
    side = "right" if words.rtl else "left"
    x = {
        "field": "_key",
        "type": "ordinal",
        "scale": {"domain": in_reading_order(words, keys), "paddingInner": 0.25 if len(keys) < 120 else 0},
        "axis": {
            "values": [key for key in keys if shown[key]], "labelExpr": lookup(shown), "labelAngle": 0, "title": None,
            "ticks": False, "labelPadding": 12,
        },
    }  # fmt: skip
    y = {
        "field": "_value",
        "type": "quantitative",
        "scale": {"domain": [min(low, marks[0]), max(high, marks[-1])]},
        "axis": {
            "values": marks, "labelExpr": lookup({plain(mark): tick(mark) for mark in marks}), "title": None,
            "orient": side, "domain": False, "ticks": False,
        },
    }  # fmt: skip
    colour = {"condition": {"test": "datum._value < 0", "value": RED}, "value": BLUE}
    body = {
        "data": {"values": [point.row for point in points]},
        "mark": "bar",
        "encoding": {"x": x, "y": y, "color": colour},
    }
    return chart(words, heading, body, height=300)
