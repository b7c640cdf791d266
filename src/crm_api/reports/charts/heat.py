"""Maps: two things against each other, each cell the darker the more it holds, with its figure in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crm_api.reports.charts.style import INK, RAMP, Heading, Spec, chart, empty, in_reading_order, lookup, start_side
from crm_api.reports.charts.words import Words

_DARK = 0.5
"""From which share of the most the figure is written in white."""


_APART: dict[str, Any] = {"scale": {"color": "independent"}}  # figures have colours of their own


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell: its column and row, how much it holds, what is written in it, and the report's members it was made of."""

    column: str
    row: str
    value: float
    text: str
    of: Mapping[str, Any]
    second: str = ""
    """A second line."""


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a map: its title, and the keys and labels along it."""

    title: str | None
    labels: Mapping[str, str]


def heat_map(
    words: Words,
    heading: Heading,
    cells: Sequence[Cell],
    columns: Side,
    rows: Side,
    *,
    most: float | None = None,
    cell_height: int = 30,
    angle: int = 0,
    written: bool = True,
) -> Spec:
    """The map. `most`: what the darkest colour stands for, where it is not the fullest cell; not `written`: colours
    alone, where there is no room for figures."""
    if not cells:
        return empty(words, heading)
    full = most or max(cell.value for cell in cells) or 1
    across = list(columns.labels)
    x = {
        "field": "_column",
        "type": "ordinal",
        "scale": {"domain": in_reading_order(words, across)},
        "axis": {
            "labelExpr": lookup(columns.labels), "title": columns.title, "labelAngle": angle, "orient": "bottom",
            "ticks": False, "domain": False,
            **({"labelOverlap": "greedy"} if len(across) > 24 else {}),
        },
    }  # fmt: skip
    y = {
        "field": "_row",
        "type": "ordinal",
        "scale": {"domain": list(rows.labels)},
        "axis": {
            "labelExpr": lookup(rows.labels), "title": rows.title, "orient": start_side(words), "ticks": False,
            "domain": False,
        },
    }  # fmt: skip
    colour = {
        "field": "_value",
        "type": "quantitative",
        "scale": {"domain": [0, full], "range": list(RAMP)},
        "legend": None,
    }
    layers: list[dict[str, Any]] = [
        {"mark": {"type": "rect", "stroke": "white", "strokeWidth": 2}, "encoding": {"color": colour}}
    ]
    if written:
        two = any(cell.second for cell in cells)
        layers += [_text("_text", -8 if two else 0, 12)] + ([_text("_second", 9, 10)] if two else [])
    data = [
        {
            **cell.of, "_column": cell.column, "_row": cell.row, "_value": cell.value, "_text": cell.text,
            "_second": cell.second, "_ink": "white" if cell.value > full * _DARK else INK,
        }
        for cell in cells
    ]  # fmt: skip
    body = {"data": {"values": data}, "encoding": {"x": x, "y": y}, "layer": layers, "resolve": _APART}
    return chart(words, heading, body, height=max(60, cell_height * len(rows.labels)))


def _text(field: str, dy: int, size: int) -> dict[str, Any]:
    return {
        "mark": {"type": "text", "dy": dy, "fontSize": size, "baseline": "middle"},
        "encoding": {"text": {"field": field}, "color": {"field": "_ink", "type": "nominal", "scale": None}},
    }
