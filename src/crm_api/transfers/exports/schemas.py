"""What clients send and get of exports."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, StringConstraints

from crm_api.kit.schemas import Input, Output, Versioned

Parameter = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Value = Annotated[str, StringConstraints(max_length=4000)]
_LARGEST = 2**53 - 1
_MOST_VALUES = 200
Written = Value | Annotated[int, Field(ge=-_LARGEST, le=_LARGEST)] | bool
Several = Annotated[list[Written], Field(max_length=_MOST_VALUES)]


def _as_queries_write(parameters: Any) -> Any:
    """Numbers, yes and no, and lists, as a query string has them."""
    if not isinstance(parameters, dict):
        return parameters
    written = {}
    for name, value in parameters.items():
        if isinstance(value, list) and len(value) <= _MOST_VALUES and all(map(_plain, value)):
            name, value = (name if "[" in name else f"{name}[in]"), ",".join(_written(one) for one in value)
        written[name] = _written(value) if _plain(value) else value
    return written


def _plain(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, int) and abs(value) <= _LARGEST)


def _written(value: str | int) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _few(parameters: dict[str, str]) -> dict[str, str]:
    if len(parameters) > 20:
        raise ValueError("must not hold more than 20 parameters")
    return parameters


class ExportCreate(Input):
    """Records to be written into a file."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"resource": "contacts", "format": "csv", "filter": {"city": "Kyiv"}}]}
    )

    resource: Literal["contacts", "donations", "segment-members"]
    format: Literal["csv", "xlsx", "jsonl"] = Field(
        "csv",
        description="CSV and XLSX are safe to open in a spreadsheet; JSON Lines hold every value as the API does.",
    )
    filter: Annotated[
        dict[Parameter, Value],
        BeforeValidator(_as_queries_write, json_schema_input_type=dict[Parameter, Written | Several]),
        AfterValidator(_few),
    ] = Field(
        default={},
        description="Query parameters of the resource's list, such as `city` or `created_at[gte]`; a list of values "
        "is one of them. `segment-members` need a `segment_id`, take an `as_of`, and filters of contacts beside.",
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
