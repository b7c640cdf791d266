"""The pyramid: how many on one side, how much on the other, from the foot up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crm_api.reports.charts.style import BLUE, ORANGE, WIDTH, Heading, Spec, chart, empty, lookup, start_side
from crm_api.reports.charts.words import Words

_ROW = 32
_ROOM = 1.45
"""How far the axis goes beyond the longest bar, so that its figure fits beside it."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the pyramid: what of all donors and of all giving it holds, as shares, and how both are written."""

    key: str
    label: str
    people: float
    people_text: str
    money: float
    money_text: str
    of: Mapping[str, Any]


def pyramid(words: Words, heading: Heading, steps: Sequence[Step], people: str, money: str) -> Spec:
    """Steps from the foot up; people on the side where lines begin, money on the other."""
    if not any(step.people or step.money for step in steps):
        return empty(words, heading)
    side = max(max(step.people, step.money) for step in steps) * _ROOM
    x = {
        "type": "quantitative",
        "scale": {"domain": [-side, side], "reverse": words.rtl, "nice": False},
        "axis": None,
    }
    labels = {step.key: step.label for step in reversed(steps)}
    y = {
        "field": "_key",
        "type": "nominal",
        "scale": {"domain": list(labels), "paddingInner": 0.22},
        "axis": {
            "labelExpr": lookup(labels), "title": None, "orient": start_side(words), "ticks": False, "domain": False,
            "labelPadding": 8,
        },
    }  # fmt: skip
    rows = [
        {
            **step.of, "_key": step.key, "_people": -step.people, "_people_text": step.people_text,
            "_money": step.money, "_money_text": step.money_text,
        }
        for step in steps
    ]  # fmt: skip
    toward, away = (8, -8) if words.rtl else (-8, 8)
    layers = [
        _bar("_people", BLUE, x),
        _bar("_money", ORANGE, x),
        _figure("_people", "left" if words.rtl else "right", toward, x),
        _figure("_money", "right" if words.rtl else "left", away, x),
        _title(people, BLUE, 0.75 if words.rtl else 0.25),
        _title(money, ORANGE, 0.25 if words.rtl else 0.75),
    ]
    body = {"data": {"values": rows}, "encoding": {"y": y}, "layer": layers}
    return chart(words, heading, body, height=max(80, _ROW * len(steps)))


def _bar(field: str, colour: str, x: dict[str, Any]) -> dict[str, Any]:
    return {"mark": {"type": "bar", "color": colour}, "encoding": {"x": {**x, "field": field}}}


def _figure(field: str, align: str, dx: int, x: dict[str, Any]) -> dict[str, Any]:
    return {
        "mark": {"type": "text", "align": align, "dx": dx},
        "encoding": {"x": {**x, "field": field}, "text": {"field": f"{field}_text"}},
    }


def _title(text: str, colour: str, place: float) -> dict[str, Any]:
    """What a side means, above it."""
    return {
        "data": {"values": [{"_said": text}]},
        "mark": {"type": "text", "fontWeight": "bold", "color": colour, "y": -10, "x": WIDTH * place},
        "encoding": {"text": {"field": "_said"}, "y": None},
    }
