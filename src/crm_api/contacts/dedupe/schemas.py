"""What clients send and get of merges."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import ConfigDict, Field, JsonValue, StringConstraints

from crm_api.kit.schemas import Input, Output, Versioned


class WrittenValue(Input):
    """A value that is written out, in the form PATCH of a contact takes for the field."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"value": "Олена"}]})

    value: JsonValue


FieldName = Annotated[str, StringConstraints(min_length=1, max_length=80)]


PlainText = Annotated[str, StringConstraints(max_length=500)]


def _choice(choice: UUID | WrittenValue | str) -> object:
    if isinstance(choice, WrittenValue):
        return choice.value
    with suppress(ValueError):
        return UUID(str(choice))
    return choice


class MergeCreate(Input):
    """Which contacts become part of the one in the path, and whose value of single fields is kept.

    A choice in `fields` is the id of the survivor or of one of `from`, or a value: `{"value": …}`, or a text as it is.
    Fields that are not named
    follow the rule: the survivor's value where it has one, else the oldest contact's; lists are united.
    """

    model_config = ConfigDict(
        populate_by_name=False,
        json_schema_extra={
            "examples": [
                {
                    "from": ["01989c5e-1b2c-7d3e-8a53-6f1d2b7c8e92"],
                    "fields": {"given_name": {"value": "Олена"}},
                }
            ]
        },
    )

    from_: Annotated[list[UUID], Field(alias="from", min_length=1, max_length=20)]
    fields: Annotated[dict[FieldName, UUID | WrittenValue | PlainText], Field(max_length=50)] = {}

    def choices(self) -> dict[str, object]:
        """Field → a contact's id, or the value written out."""
        return {name: _choice(choice) for name, choice in self.fields.items()}


class TableCount(Output):
    """What a merge did to one table: rows that are the survivor's now, and rows that had no place beside its own."""

    table: str
    moved: int
    dropped: int


class MergeRead(Versioned):
    """A merge: `retired_ids` became part of `survivor_id`. `tables` says how many rows moved; undo brings them back."""

    survivor_id: UUID
    retired_ids: list[UUID]
    state: str
    chosen_fields: list[str]
    tables: list[TableCount]
    batch_id: UUID | None
    actor_kind: str
    actor_id: str
    merged_at: datetime
    undone_at: datetime | None


class MergePage(Output):
    """A page of merges."""

    data: list[MergeRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None


MOST_PAIRS = 10_000
MOST_BATCH_BYTES = 2_000_000
"""So many pairs, and the spaces that a program may put between them."""


class MergePair(Input):
    """One merge of a batch."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "into": "01989c5e-1b2c-7d3e-8a53-6f1d2b7c8e91",
                    "from": "01989c5e-1b2c-7d3e-8a53-6f1d2b7c8e92",
                }
            ]
        }
    )

    into: UUID
    from_: Annotated[UUID, Field(alias="from")]


class MergeBatchCreate(Input):
    """Many merges, done one after the other in the order given. One that cannot be done does not stop the rest."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "merges": [
                        {
                            "into": "01989c5e-1b2c-7d3e-8a53-6f1d2b7c8e91",
                            "from": "01989c5e-1b2c-7d3e-8a53-6f1d2b7c8e92",
                        }
                    ]
                }
            ]
        }
    )

    merges: Annotated[list[MergePair], Field(min_length=1, max_length=MOST_PAIRS)]


class MergeOutcome(Output):
    """What became of one merge of a batch."""

    into: UUID
    from_: Annotated[UUID, Field(alias="from")]
    state: str
    merge_id: UUID | None
    code: str | None
    detail: str | None


class MergeBatchRead(Versioned):
    """A batch of merges on its way. `results` are in the order of the request, as far as it has come."""

    state: str
    progress: float
    total: int
    merged: int
    failed: int
    results: list[MergeOutcome]
    reason: str | None
    finished_at: datetime | None


class MergeBatchPage(Output):
    """A page of batches."""

    data: list[MergeBatchRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None
