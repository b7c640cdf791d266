"""A resource's catalogue of fields: the one list of what can be filtered, sorted and shown."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal, Protocol
from uuid import UUID

from pydantic import AwareDatetime, TypeAdapter, ValidationError
from sqlalchemy import BigInteger, Column, Table
from sqlalchemy.sql.elements import ColumnElement

from crm_api.kit.tables import Sensitivity

Kind = Literal["text", "uuid", "integer", "instant", "date", "boolean", "choice", "key", "words", "custom"]
Operator = Literal["eq", "ne", "gt", "gte", "lt", "lte", "in"]

_OPERATORS: dict[Kind, tuple[Operator, ...]] = {
    "text": ("eq", "in"),
    "uuid": ("eq", "in"),
    "integer": ("eq", "gt", "gte", "lt", "lte"),
    "instant": ("eq", "gt", "gte", "lt", "lte"),
    "date": ("eq", "gt", "gte", "lt", "lte"),
    "boolean": ("eq",),
    "choice": ("eq", "ne", "in"),
    "key": ("eq", "in"),
    "words": ("eq",),
    "custom": ("eq", "in", "gt", "gte", "lt", "lte"),
}
MOST_VALUES = 100
"""How many values `[in]` takes."""
_INSTANT: TypeAdapter[datetime] = TypeAdapter(AwareDatetime)
_SCHEMA: dict[Kind, dict[str, Any]] = {
    "text": {"type": "string", "maxLength": 500},
    "uuid": {"type": "string", "format": "uuid"},
    "integer": {"type": "integer"},
    "instant": {"type": "string", "format": "date-time"},
    "date": {"type": "string", "format": "date"},
    "boolean": {"type": "boolean"},
    "choice": {"type": "string"},
    "key": {"type": "string", "minLength": 1, "maxLength": 200},
    "words": {"type": "string", "minLength": 2, "maxLength": 200},
    "custom": {"type": "string", "minLength": 1, "maxLength": 500},
}
CUSTOM = "custom."
"""How parameters of an organization's own fields begin: ``custom.shirt_size``, ``custom.age[gte]``."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a resource.

    `column` for plain ones. A ``key`` field is looked up through key rows: `key_kind` names them and `normalize` gives
    a value the form it is stored in.
    """

    name: str
    kind: Kind
    column: Column[Any] | None = None
    key_kind: str | None = None
    normalize: Callable[[str], Any] = str
    choices: tuple[str, ...] = ()
    sortable: bool = False
    filterable: bool = True
    sensitivity: Sensitivity = "internal"
    description: str = ""
    sources: tuple[tuple[Column[Any], ...], ...] = ()
    """Where rows with the value are found: (the row's id, the value, a column that must be null) of some table each.
    Both sides of a relationship, or the rows of its members."""

    @property
    def operators(self) -> tuple[Operator, ...]:
        """What it can be compared by."""
        return _OPERATORS[self.kind] if self.filterable else ()

    def schema(self, operator: Operator) -> dict[str, Any]:
        """JSON schema of the query parameter."""
        if operator == "in":
            items = self.schema("eq")
            if items["type"] == "string" and "format" not in items and not self.choices:
                items["minLength"] = 1
            return {"type": "array", "items": items, "minItems": 1, "maxItems": MOST_VALUES}
        schema = dict(_SCHEMA[self.kind])
        if self.choices:
            schema["enum"] = list(self.choices)
        if self.kind == "integer":
            schema |= {"minimum": -self.largest, "maximum": self.largest}
        return schema

    @property
    def largest(self) -> int:
        """The largest whole number it is compared with: what JavaScript keeps exact, or the column takes."""
        small = self.column is not None and not isinstance(self.column.type, BigInteger)
        return 2**31 - 1 if small else 2**53 - 1

    def parse(self, text: str) -> Any:
        """A typed value from a query parameter; `ValueError` says in words what is expected."""
        if "\x00" in text:
            raise ValueError("must not hold the NUL character")
        if self.kind == "uuid":
            try:
                return UUID(text)
            except ValueError:
                raise ValueError("must be a UUID") from None
        if self.kind == "integer":
            return _integer(text, self.largest)
        if self.kind == "instant":
            try:
                value = _INSTANT.validate_python(text) if not text.lstrip("-").replace(".", "").isdigit() else None
            except ValidationError:
                value = None
            if value is None or not 1 < value.year < 9999:
                raise ValueError("must be an RFC 3339 instant with a zone, such as 2026-11-22T09:00:00Z")
            return value
        if self.kind == "date":
            try:
                return date.fromisoformat(text) if len(text) == 10 else _no_date()
            except ValueError:
                raise ValueError("must be a date such as 2026-11-22") from None
        return self._parse_text(text)

    def _parse_text(self, text: str) -> Any:
        if self.kind == "boolean":
            if text not in {"true", "false"}:
                raise ValueError("must be true or false")
            return text == "true"
        if self.choices and text not in self.choices:
            raise ValueError(f"must be one of {', '.join(self.choices)}")
        bounds = _SCHEMA[self.kind]
        if not bounds.get("minLength", 0) <= len(text) <= bounds.get("maxLength", 500):
            raise ValueError(f"takes {bounds.get('minLength', 0)} to {bounds.get('maxLength', 500)} characters")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError("is not well-formed text") from None
        return self.normalize(text)


class Words(Protocol):
    """What a filter of kind ``words`` holds once the words have been looked up, by whoever knows how."""

    shape: Hashable
    """What the SQL depends on."""

    def condition(self, row_id: Any, name: str) -> ColumnElement[bool]:
        """Whether a row is one of those found."""

    def values(self, name: str) -> dict[str, Any]:
        """Values of the parameters of the condition."""


@dataclass(frozen=True, slots=True)
class KeyRange:
    """What a filter by an organization's own field looks for: key rows of a kind, with one of the values (``eq``,
    ``in``) or between two of them, of which ``gt`` leaves out the lower and ``lt`` the upper."""

    kind: str
    values: tuple[str, ...]


def _no_date() -> date:
    raise ValueError


def _integer(text: str, largest: int) -> int:
    digits = text.removeprefix("-")
    if not digits.isdecimal() or not digits.isascii() or len(digits) > 16 or int(digits) > largest:
        raise ValueError(f"must be a whole number of at most {largest}")
    return int(text)


@dataclass(frozen=True, eq=False)
class Catalogue:
    """The fields of one resource and how its lists are read.

    `default_sort` is a field's name, with ``-`` for descending. `key_table` holds the key rows, with the columns
    ``kind``, ``value`` and `key_owner`.
    """

    resource: str
    table: Table
    fields: tuple[Field, ...]
    default_sort: str
    hidden: Column[Any] | None = None
    """Rows with a value here are in no list."""
    key_table: Table | None = None
    key_owner: str = ""
    custom: Field | None = None
    """Stands for every `custom.<key>` parameter. What its filters hold has to be made into key ranges by whoever knows
    the organization's own fields, before the list is read."""
    relevance: Field | None = None
    """The order of lists with a filter of kind ``words`` when no other is asked for; whoever reads them keeps it."""
    expands: tuple[str, ...] = ()
    """What `expand` may put beside each row; whoever reads the list looks it up (`read_page`)."""
    by_name: dict[str, Field] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.by_name.update({item.name: item for item in self.fields})

    @property
    def sorts(self) -> list[str]:
        """Every value `sort` takes."""
        names = [item.name for item in self.fields if item.sortable]
        return [sign + name for name in names for sign in ("", "-")]
