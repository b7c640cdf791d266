"""Lines over time, each with its name at its end; a band around what is uncertain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from crm_api.reports.charts.style import Heading, Point, Spec, chart, empty, in_reading_order, lookup, plain, ticks
from crm_api.reports.charts.words import Words

_HEIGHT = 320
_APART = 18
_MOST_LABELS = 7


@dataclass(frozen=True, slots=True)
class Line:
    """A line: its points in the order of time, of which some may have no value."""

    name: str
    label: str
    colour: str
    points: Sequence[Point]
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Band:
    """A range at one moment."""

    key: str
    low: float
    high: float


def lines(
    words: Words,
    heading: Heading,
    drawn: Sequence[Line],
    moments: Sequence[tuple[str, str]],
    tick: Callable[[float], str],
    *,
    band: Sequence[Band] = (),
    top: float | None = None,
) -> Spec:
    """Lines over `moments` (key and label). `top`: the upper end of the axis, where it is known."""
    values = [point.value for line in drawn for point in line.points if point.value is not None]
    if not values:
        return empty(words, heading)
    low = min(0.0, *values, *(one.low for one in band))
    high = top if top is not None else max(*values, *(one.high for one in band), low + 1)
    marks = ticks(low, high)
    keys = [key for key, _ in moments]
    every = -(-len(keys) // _MOST_LABELS)
    shown = {key: label for place, (key, label) in enumerate(moments) if (len(keys) - 1 - place) % every == 0}
    x = {
        "field": "_key",
        "type": "ordinal",
        "scale": {"type": "point", "domain": in_reading_order(words, keys), "padding": 0.3},
        "axis": {"values": list(shown), "labelExpr": lookup(shown), "labelAngle": 0, "title": None, "grid": False},
    }
    y = {
        "field": "_value",
        "type": "quantitative",
        "scale": {"domain": [low, high]},
        "axis": {
            "values": marks, "labelExpr": lookup({plain(mark): tick(mark) for mark in marks}), "title": None,
            "orient": "right" if words.rtl else "left", "domain": False, "ticks": False,
        },
    }  # fmt: skip
    layers: list[dict[str, Any]] = []
    if band:
        layers.append(_band(band, drawn[-1].colour, x, y))
    for line in drawn:
        layers.append(_line(line, x, y))
    layers += _names(words, drawn, (low, high), keys[-1], x, y)
    return chart(words, heading, {"layer": layers}, height=_HEIGHT)


def _line(line: Line, x: dict[str, Any], y: dict[str, Any]) -> dict[str, Any]:
    mark: dict[str, Any] = {
        "type": "line", "color": line.colour, "strokeWidth": 2.5,
        "point": {"size": 36, "filled": True, "color": line.colour} if len(line.points) <= 60 else False,
    }  # fmt: skip
    if line.dashed:
        mark["strokeDash"] = [6, 4]
    rows = [{**point.row, "_series": line.name} for point in line.points]
    # The order of the rows is that of time; left alone, it would be that of the axis, which may run the other way.
    return {"data": {"values": rows}, "mark": mark, "encoding": {"x": x, "y": y, "order": {"value": None}}}


def _band(band: Sequence[Band], colour: str, x: dict[str, Any], y: dict[str, Any]) -> dict[str, Any]:
    rows = [{"_key": one.key, "_low": one.low, "_high": one.high} for one in band]
    return {
        "data": {"values": rows},
        "mark": {"type": "area", "color": colour, "opacity": 0.18},
        "encoding": {"x": x, "y": {**y, "field": "_low"}, "y2": {"field": "_high"}},
    }


def _names(
    words: Words, drawn: Sequence[Line], span: tuple[float, float], last: str, x: dict[str, Any], y: dict[str, Any]
) -> list[dict[str, Any]]:
    """The name of each line where it ends, moved apart where ends lie close together; of a line that ends before the
    others do, above its end, lest it stand in their way."""
    ends: list[tuple[float, str, Line]] = []
    early: list[tuple[float, str, Line]] = []
    for line in drawn:
        known = [point for point in line.points if point.value is not None]
        if known:
            end = (known[-1].value or 0.0, known[-1].key, line)
            (ends if known[-1].key == last else early).append(end)
    apart = (span[1] - span[0]) * _APART / _HEIGHT
    beside, lowest = [], span[0] - apart
    for value, key, line in sorted(ends, key=lambda end: end[0]):
        lowest = max(value, lowest + apart)
        beside.append(_name(lowest, key, line))
    above = [_name(value, key, line) for value, key, line in early]
    ahead, back = ("right", "left") if words.rtl else ("left", "right")
    forward = -10 if words.rtl else 10
    return [_labels(beside, {"align": ahead, "dx": forward}, x, y), _labels(above, {"align": back, "dy": -16}, x, y)]


def _name(value: float, key: str, line: Line) -> dict[str, Any]:
    return {"_key": key, "_value": value, "_text": line.label, "_colour": line.colour}


def _labels(rows: list[dict[str, Any]], placed: dict[str, Any], x: dict[str, Any], y: dict[str, Any]) -> dict[str, Any]:
    return {
        "data": {"values": rows},
        "mark": {"type": "text", **placed},
        "encoding": {
            "x": x, "y": y, "text": {"field": "_text"},
            "color": {"field": "_colour", "type": "nominal", "scale": None},
        },
    }  # fmt: skip
