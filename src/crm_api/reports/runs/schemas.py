"""What clients send and get of kept runs."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import ConfigDict, Field, JsonValue

from crm_api.kit.schemas import Input, Name, Output


class ReportRunCreate(Input):
    """Keep a report: `parameters` are those of its address (`as_of`, `fund_id`, `year` …), with their defaults."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"label": "Annual report 2025", "parameters": {"as_of": "2025-12-31"}}]}
    )

    label: Name | None = None
    parameters: Annotated[dict[str, JsonValue], Field(max_length=12)] = {}


class ReportRunItem(Output):
    """A kept run in a list, without its numbers. A run is kept with its numbers or not at all: its state is always
    `succeeded`."""

    id: UUID
    report: str
    label: str | None
    state: Literal["succeeded"]
    parameters: dict[str, JsonValue]
    as_of: date
    created_at: datetime


class ReportRunRead(ReportRunItem):
    """A kept run with its numbers: the report's answer at that time, without donors' names."""

    result: dict[str, JsonValue]


class ReportRunPage(Output):
    """A page of kept runs."""

    data: list[ReportRunItem]
    has_more: bool
    next_cursor: str | None
    total: int | None = None


class ReportChange(Output):
    """A figure that is another now. `path` leads to it: members, and the names of rows (`["states", "new", "donors"]`).
    Null: it was not there then, or is not there now. `change` is the difference of two numbers, as a decimal string."""

    path: list[str]
    then: JsonValue
    now: JsonValue
    change: str | None


class ReportDifference(Output):
    """What the same question answers now, against what was kept: back-dated gifts and late refunds change the past.
    `omitted`: how many changes are beyond the first thousand."""

    id: UUID
    report: str
    as_of: date
    kept_at: datetime
    compared_at: datetime
    same: bool
    changes: list[ReportChange]
    omitted: int
