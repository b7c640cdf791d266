"""What clients send and get of imports."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

from crm_api.kit.schemas import Code, Country, Currency, Input, Output, Versioned
from crm_api.transfers.imports.headers import PRESETS

Header = Annotated[str, StringConstraints(min_length=1, max_length=210)]
TargetName = Annotated[str, StringConstraints(min_length=1, max_length=90)]


def _at_most(mapping: dict[str, str | None]) -> dict[str, str | None]:
    if len(mapping) > 500:
        raise ValueError("must not name more than 500 columns")
    return mapping


Mapping_ = Annotated[dict[Header, TargetName | None], AfterValidator(_at_most)]
Preset = Literal["google_forms", "donorbox", "benevity"]
assert set(Preset.__args__) == set(PRESETS)  # type: ignore[attr-defined]


Kind = Literal["contacts", "donations"]


class ImportOptions(Input):
    """How a file is read and what happens to rows that meet a record that is there already."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"dry_run": True, "on_match": "update", "mapping": {"E-mail": "email", "Notes": None}}]
        }
    )

    dry_run: bool = Field(
        True, description="Only try every row; `run` then writes. False: write without a further call."
    )
    on_match: Literal["update", "create", "skip", "queue"] = Field(
        "update",
        description="What a row does that meets a contact: change it, make another one all the same, leave it, or make "
        "another one and put both into the review queue of duplicates. A gift is met by its id only, so there `create` "
        "refuses the row, and `queue` is `update`.",
    )
    mapping: Mapping_ = Field(
        default={},
        description="Column header → field, or null for a column to leave out. Columns that are not named here are "
        "mapped by their headers. The other way round, field → column header, is understood as well.",
    )
    preset: Preset | None = Field(
        None, description="The program whose columns these are; found out by its headers where it is not given."
    )
    encoding: Annotated[str, StringConstraints(max_length=40)] | None = Field(
        None, description="Such as utf-8 or cp1251; found out where it is not given."
    )
    delimiter: Literal[",", ";", "\t", "|"] | None = Field(None, description="Found out where it is not given.")
    sheet: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = Field(
        None, description="Of a workbook; its first sheet where it is not given."
    )
    external_system: Code | None = Field(None, description="The system of external ids that do not name theirs.")
    default_country: Country | None = Field(None, description="Of phone numbers without a country code.")
    date_order: Literal["dmy", "mdy"] | None = Field(
        None, description="How 3/4/1980 is meant; found out from the column where it can be."
    )
    default_currency: Currency | None = Field(None, description="Of gifts whose row does not say one.")
    create_contacts: bool = Field(
        False, description="Of gifts: whoever a row names by e-mail or external id and nobody knows becomes a contact."
    )
    receipts: bool = Field(
        False, description="Of gifts: issue receipts as for gifts that are recorded one by one. History has its own."
    )


class ImportUpload(Input):
    """A file to be imported."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"kind": "contacts", "options": {"dry_run": True, "on_match": "update"}}]}
    )

    kind: Kind
    options: ImportOptions = ImportOptions()


class ImportPatch(Input):
    """Changes to an import that has not run: it is tried anew."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"on_match": "skip", "default_country": "UA"}]})

    on_match: Literal["update", "create", "skip", "queue"] | None = None
    mapping: Mapping_ | None = None
    preset: Preset | None = None
    encoding: Annotated[str, StringConstraints(max_length=40)] | None = None
    delimiter: Literal[",", ";", "\t", "|"] | None = None
    sheet: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    external_system: Code | None = None
    default_country: Country | None = None
    date_order: Literal["dmy", "mdy"] | None = None
    default_currency: Currency | None = None
    create_contacts: bool | None = None
    receipts: bool | None = None


class ImportTotals(Output):
    """What became of the rows, or in a dry run would."""

    rows: int
    created: int
    updated: int
    skipped: int
    queued: int
    failed: int


class ImportUndone(Output):
    """What became of the records when the import was undone."""

    removed: int
    restored: int
    kept: int


class ImportDetected(Output):
    """What was found out of the file."""

    encoding: str | None
    delimiter: str | None
    sheet: str | None
    sheets: list[str]
    headers: list[str]
    notices: list[str]


class ImportRead(Versioned):
    """An import."""

    kind: str
    state: str
    phase: str
    progress: float
    totals: ImportTotals
    undone: ImportUndone
    options: ImportOptions
    mapping: dict[str, str | None]
    detected: ImportDetected | None
    samples: list[dict[str, str]]
    filename: str
    file_size: int
    errors_url: str | None
    reason: str | None
    reason_code: str | None
    finished_at: datetime | None
    purge_at: datetime | None


class ImportPage(Output):
    """A page of imports."""

    data: list[ImportRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None


class ImportRowError(Output):
    """What is wrong with a cell; `column` is empty where it is the row as a whole."""

    column: str
    code: str
    detail: str


class ImportRowChange(Output):
    """A field before and after."""

    before: Any
    after: Any


class ImportRowRead(Output):
    """What became of a row, or in a dry run would."""

    id: UUID
    row: int
    outcome: str
    reason: str | None
    matched_by: str | None
    record_id: UUID | None
    changes: dict[str, ImportRowChange]
    errors: list[ImportRowError]
    undone: str | None


class ImportRowPage(Output):
    """A page of rows."""

    data: list[ImportRowRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None
