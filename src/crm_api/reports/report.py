"""A report as a table, whatever it is about: what files, and later charts, are made of. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from crm_api.kit.formulas import guard
from crm_api.kit.sums import in_main_units

ColumnKind = Literal["text", "date", "count", "money"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column. Values of kind ``money`` are whole minor units, of the currency in the column that `currency` names."""

    name: str
    kind: ColumnKind
    label: str
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """A table with a title; every row has one value for each column, null where there is none."""

    title: str
    columns: tuple[Column, ...]
    rows: Sequence[Sequence[Any]]
    notes: tuple[str, ...] = field(default=())
    """What a reader has to know, such as how many gifts a sum leaves out."""


def as_csv(report: Report) -> bytes:
    """The table in UTF-8 with a row of column names; money in main units; no cell is taken for a formula."""
    places = {column.name: place for place, column in enumerate(report.columns)}
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([column.name for column in report.columns])
    for row in report.rows:
        writer.writerow([_cell(column, value, row, places) for column, value in zip(report.columns, row, strict=True)])
    return text.getvalue().encode()


def _cell(column: Column, value: Any, row: Sequence[Any], places: dict[str, int]) -> str:
    if value is None:
        return ""
    if column.kind == "money":
        assert isinstance(value, int | str | Decimal)
        return in_main_units(value, row[places[column.currency]])
    if isinstance(value, date):
        return value.isoformat()
    return guard(value) if isinstance(value, str) else str(value)
