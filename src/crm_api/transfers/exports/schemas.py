"""What clients send and get of exports."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

from crm_api.kit.schemas import Input, Output, Versioned

Parameter = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Value = Annotated[str, StringConstraints(max_length=4000)]


def _few(parameters: dict[str, str]) -> dict[str, str]:
    if len(parameters) > 20:
        raise ValueError("must not hold more than 20 parameters")
    return parameters


class ExportCreate(Input):
    """Records to be written into a file."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"resource": "contacts", "format": "csv", "filter": {"city": "Kyiv"}}]}
    )

    resource: Literal["contacts", "donations"]
    format: Literal["csv", "xlsx", "jsonl"] = Field(
        "csv",
        description="CSV and XLSX are safe to open in a spreadsheet; JSON Lines hold every value as the API does.",
    )
    filter: Annotated[dict[Parameter, Value], AfterValidator(_few)] = Field(
        default={}, description="Query parameters of the resource's list, such as `city` or `created_at[gte]`."
    )
    columns: Annotated[list[Parameter], Field(min_length=1, max_length=200)] | None = Field(
        None, description="Only these, in this order; every column that the caller may read where it is not given."
    )


class ExportRead(Versioned):
    """An export. `url` works without credentials for some minutes; read the export again for a fresh one."""

    resource: str
    format: str
    filter: dict[str, str]
    columns: list[str] | None
    state: str
    progress: float
    rows: int
    url: str | None
    url_expires_at: datetime | None
    file_size: int | None
    reason: str | None
    finished_at: datetime | None
    purge_at: datetime


class ExportPage(Output):
    """A page of exports."""

    data: list[ExportRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None
