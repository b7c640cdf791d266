"""What all charts share: fonts, colours, the heading, the order of things in either direction of writing.

A chart is a Vega-Lite specification. Text of users is data or a JSON literal in it, never part of an expression.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from crm_api.reports.charts.words import Words

Spec = dict[str, Any]
WIDTH: Final = 640
INK, GREY, GRID = "#1f2933", "#5f6c7b", "#e4e7eb"
BLUE, ORANGE, GREEN, RED, PURPLE = "#2a6f97", "#c8701f", "#3f7d4e", "#b23a48", "#6d4c8f"
SERIES: Final = (BLUE, ORANGE, GREEN, PURPLE, RED)
RAMP: Final = ("#f1f6f9", "#a9cbdd", "#5b9bbd", "#2a6f97", "#123f5c")
"""From nothing to the most, for maps."""
_FONTS: Final = dict.fromkeys(("ka", "ar"), "'DejaVu Sans', 'Noto Sans', sans-serif")
"""One font that has the letters of the language and the digits too, lest they come from two."""
_FONT: Final = "'Noto Sans', 'DejaVu Sans', sans-serif"


@dataclass(frozen=True, slots=True)
class Heading:
    """What stands above a chart: its title, and lines below it that say what a reader has to know."""

    title: str
    lines: Sequence[str] = field(default=())


@dataclass(frozen=True, slots=True)
class Point:
    """Something drawn: where it belongs, how it is called there, what is written beside it, and the members of the
    report that it was made of, which stay in the data as they are."""

    key: str
    label: str
    value: float | None
    text: str
    of: Mapping[str, Any]

    @property
    def row(self) -> dict[str, Any]:
        """The point as a row of the chart's data."""
        return {**self.of, "_key": self.key, "_value": self.value, "_text": self.text}


def chart(words: Words, heading: Heading, body: Mapping[str, Any], *, width: int = WIDTH, height: int) -> Spec:
    """A whole chart around the layers or the mark of `body`."""
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": width,
        "height": height,
        "padding": 16,
        "background": "white",
        "title": {
            "text": heading.title,
            "subtitle": [line for line in heading.lines if line],
            "anchor": "end" if words.rtl else "start",
            "frame": "bounds",
        },
        "config": _config(_FONTS.get(words.language, _FONT)),
        **body,
    }


def _config(font: str) -> dict[str, Any]:
    return {
        "font": font,
        "view": {"stroke": None},
        "title": {
            "fontSize": 17, "fontWeight": "bold", "color": INK, "offset": 18, "subtitleFontSize": 12,
            "subtitleColor": GREY, "subtitlePadding": 6, "subtitleLineHeight": 17, "subtitleFont": font, "font": font,
        },
        "axis": {
            "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "titleColor": GREY,
            "titlePadding": 10, "labelColor": INK, "labelLimit": 240, "domainColor": GRID, "tickColor": GRID,
            "gridColor": GRID,
        },
        "text": {"fontSize": 12, "color": INK},
    }  # fmt: skip


def lookup(labels: Mapping[str, str]) -> str:
    """A Vega expression that gives an axis value its label."""
    return f"({json.dumps(dict(labels))})[datum.value]"


def empty(words: Words, heading: Heading) -> Spec:
    """A chart of nothing: it says so."""
    said = {"_text": words.say("said.nothing")}
    body = {
        "data": {"values": [said]},
        "mark": {"type": "text", "fontSize": 14, "color": GREY},
        "encoding": {"text": {"field": "_text"}},
    }
    return chart(words, heading, body, height=120)


def start_side(words: Words) -> str:
    """The side on which lines of text begin."""
    return "right" if words.rtl else "left"


def in_reading_order(words: Words, keys: Sequence[str]) -> list[str]:
    """Keys of a horizontal axis in the order in which they stand from the left."""
    return list(reversed(keys)) if words.rtl else list(keys)


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round values over a range."""
    span = high - low or 1.0
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if span / (power * factor) <= most)
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 10) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def plain(value: float) -> str:
    """A number as JavaScript writes it where it stands for a member's name."""
    return str(int(value)) if value == int(value) else repr(value)
