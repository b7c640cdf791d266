"""What an import needs to know of the kind of record it brings in. One file per kind implements `ImportKind`.

The engine reads the file, cuts it into chunks, keeps position, totals and the journal, and never looks into a record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol
from uuid import UUID

from crm_api.kit.db import ReadSession, WriteSession

Outcome = Literal["created", "updated", "skipped", "queued", "failed"]
OnMatch = Literal["update", "create", "skip", "queue"]


class CellError(NamedTuple):
    """What is wrong with one cell. `column` is the header; empty for the row as a whole. Never holds the value."""

    column: str
    code: str
    detail: str


@dataclass(slots=True)
class ParsedRow:
    """A row as the kind understands it."""

    number: int
    """Of the row, from 1 after the header."""
    cells: Sequence[str]
    values: dict[str, Any] = field(default_factory=dict)
    """Columns that the row says something about, checked, in the form they are stored in."""
    errors: list[CellError] = field(default_factory=list)
    blank: bool = False
    facts: Any = None
    """What the kind matches the row by."""


@dataclass(slots=True)
class RowResult:
    """What became of a row."""

    number: int
    outcome: Outcome
    reason: str | None = None
    matched_by: str | None = None
    record_id: UUID | None = None
    record_version: int | None = None
    own: bool = False
    changes: dict[str, list[Any]] | None = None
    errors: list[CellError] = field(default_factory=list)
    made: dict[str, UUID] = field(default_factory=dict)
    """Other records that the row created, by what they are; undo finds them in its changes."""


@dataclass(frozen=True, slots=True)
class Journal:
    """One row of what an import did, as undo gets it."""

    number: int
    outcome: str
    record_id: UUID
    own: bool
    changes: Mapping[str, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Target:
    """A field that a column can be mapped to."""

    name: str
    description: str
    repeated: bool = False
    """Several columns may go there."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the client said about reading and matching."""

    on_match: OnMatch = "update"
    preset: str | None = None
    external_system: str | None = None
    default_country: str | None = None
    date_order: str | None = None
    sensitive: bool = False
    """Whoever started the import may write beneficiary-sensitive fields."""
    create_contacts: bool = False
    """Of gifts: whoever a row names and nobody knows becomes a contact."""
    receipts: bool = False
    """Of gifts: receipts are issued as for gifts recorded one by one."""
    default_currency: str | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """Where a chunk of rows stands."""

    import_id: UUID
    options: Options
    dry_run: bool


ParseRow = Callable[[int, Sequence[str]], ParsedRow]


class ImportKind(Protocol):
    """A kind of record that can be imported."""

    name: str
    read_scope: str
    """Whoever may see such imports has this scope, and whoever may write, `write_scope`."""
    write_scope: str
    target_names: frozenset[str]
    """Names of the fields of every organization; its own fields are `custom.<key>`."""
    parameters: tuple[str, ...]
    """Targets that more may be said of after a colon or a point: `external_id:old-crm`, `custom.city`."""

    def targets(self, context: Any) -> Sequence[Target]:
        """Every field a column can be mapped to."""
        ...

    async def context(self, session: ReadSession) -> Any:
        """What parsing has to know of the organization; read once per run."""
        ...

    def sensitive_targets(self, context: Any) -> frozenset[str]:
        """Targets whose values only callers with `contacts:read_sensitive` may see."""
        ...

    def suggest(self, headers: Sequence[str], preset: str | None, context: Any) -> dict[str, str | None]:
        """A target, or None, for every header."""
        ...

    def parser(self, headers: Sequence[str], mapping: Mapping[str, str | None], options: Options,
               samples: Sequence[Sequence[str]], context: Any) -> ParseRow:  # fmt: skip
        """What turns cells into a checked row. Pure; runs in a thread."""
        ...

    async def write(self, session: WriteSession, chunk: Chunk, rows: Sequence[ParsedRow]) -> list[RowResult]:
        """Match good rows against what is there, and create or change records, a few statements for all of them. In a
        dry run nothing but drafts is written."""
        ...

    async def finished(self, session: WriteSession, import_id: UUID) -> None:
        """Record the one fact that stands for all that was imported or undone."""
        ...

    async def undo(self, session: WriteSession, import_id: UUID, rows: Sequence[Journal]) -> dict[int, str]:
        """Take rows back, the last one first: number → removed, restored or kept."""
        ...
