"""Giving everything of one contact to another, and back: whatever table refers to contacts, whoever adds one.

The foreign keys of the metadata say where contacts are named. Each such column is changed by one statement that writes
the journal with it. Where a unique key would then hold a row twice, or a row would relate a contact to itself, the
retired contact's row is dropped and journalled whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, MetaData, Table, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import asyncpg as asyncpg_dialect

from crm_api.kit.db import Statement, WriteSession, prepare
from crm_api.kit.tables import metadata

_DIALECT: Any = asyncpg_dialect.dialect()  # type: ignore[no-untyped-call]
KEEP, DERIVED, KEYS, MOVE = "keep", "derived", "keys", "move"
_WAYS = {"contact_keys": KEYS, "donor_summaries": DERIVED}


@dataclass(frozen=True, slots=True)
class Reference:
    """A column that names a contact."""

    table: Table
    column: str

    @property
    def way(self) -> str:
        """What a merge does with it."""
        return str(self.table.info.get("on_merge", _WAYS.get(self.table.name, MOVE)))

    @property
    def key(self) -> list[str]:
        """The rest of the primary key, beside the organization and this column."""
        return [c.name for c in self.table.primary_key.columns if c.name not in {"organization_id", self.column}]

    @property
    def unique(self) -> list[tuple[list[str], str]]:
        """The other columns of each unique key that holds this one, and the key's condition."""
        found: list[tuple[list[str], str]] = []
        for constraint in self.table.constraints:
            if isinstance(constraint, UniqueConstraint) or constraint is self.table.primary_key:
                found.append(([c.name for c in constraint.columns], ""))
        for index in self.table.indexes:
            if index.unique:
                where = index.dialect_options["postgresql"].get("where")
                found.append(([c.name for c in index.columns], "" if where is None else _sql(where)))
        return [
            ([name for name in names if name not in {"organization_id", self.column}], where)
            for names, where in found
            if self.column in names
        ]

    @property
    def never_itself(self) -> list[str]:
        """Columns that must name another contact than this one."""
        checks = [str(c.sqltext) for c in self.table.constraints if isinstance(c, CheckConstraint)]
        others = [reference.column for reference in references(self.table.metadata) if reference.table is self.table]
        return [
            other
            for other in others
            if other != self.column
            and any(f"{a} <> {b}" in check for check in checks for a, b in ((self.column, other), (other, self.column)))
        ]


def _sql(clause: Any) -> str:
    return str(clause.compile(dialect=_DIALECT, compile_kwargs={"literal_binds": True}))


def _type(column: Column[Any]) -> str:
    return str(column.type.compile(dialect=_DIALECT)).partition(" COLLATE")[0]


@lru_cache(maxsize=4)
def references(schema: MetaData = metadata) -> tuple[Reference, ...]:
    """Every column of the schema that names a contact, in a fixed order."""
    return tuple(sorted(_references(schema), key=lambda found: (found.table.name, found.column)))


def _references(schema: MetaData) -> Iterator[Reference]:
    for table in schema.tables.values():
        for constraint in table.constraints:
            if not isinstance(constraint, ForeignKeyConstraint):
                continue
            for element in constraint.elements:
                if element.target_fullname == "contacts.id":
                    yield Reference(table, element.parent.name)


def _conflicts(reference: Reference) -> str:
    """The condition that a row ``r`` of the retired contact has no place beside the survivor's."""
    name, column = reference.table.name, reference.column
    found = []
    for others, where in reference.unique:
        same = "".join(f" AND s.{other} = r.{other}" for other in others)
        source = f"(SELECT * FROM {name} WHERE {where})" if where else name
        taken = (
            f"EXISTS (SELECT 1 FROM {source} s WHERE s.organization_id = :organization_id "
            f"AND s.{column} = :survivor{same})"
        )
        if where:  # an index over some rows holds only those
            own = "".join(f" AND o.{c.name} = r.{c.name}" for c in reference.table.primary_key.columns)
            taken += f" AND EXISTS (SELECT 1 FROM (SELECT * FROM {name} WHERE {where}) o WHERE true{own})"
        found.append(f"({taken})")
    found += [f"r.{other} = :survivor" for other in reference.never_itself]
    return " OR ".join(found)


def _touch(table: Table) -> str:
    return ", version = version + 1, updated_at = :now" if {"version", "updated_at"} <= set(table.c.keys()) else ""


def _journal(reference: Reference, change: str, source: str, before: str) -> str:
    keys = ", ".join(f"'{name}', x.{name}" for name in reference.key)
    parity = (
        0 if change == "dropped" else 1
    )  # two kinds of rows are numbered in one statement, neither sees the other's
    return (
        "INSERT INTO merge_changes "
        "(organization_id, merge_id, step, table_name, column_name, n, change, row_key, before) "
        f"SELECT :organization_id, :merge_id, :step, '{reference.table.name}', '{reference.column}', "
        f":last + 2 * (row_number() OVER ()) - {parity}, '{change}', jsonb_build_object({keys}), {before} "
        f"FROM {source} x"
    )


@lru_cache(maxsize=256)
def _move(reference: Reference) -> Statement:
    """Change one column of all rows of the retired contact, journalled; rows without a place go."""
    table, column = reference.table, reference.column
    own = f"r.organization_id = :organization_id AND r.{column} = :retired"
    conflicts = _conflicts(reference)
    parts = []
    if conflicts:
        parts.append(f"dropped AS (DELETE FROM {table.name} r WHERE {own} AND ({conflicts}) RETURNING r.*)")
        parts.append(f"noted AS ({_journal(reference, 'dropped', 'dropped', 'to_jsonb(x)')} RETURNING 1)")
        own += f" AND NOT coalesce({conflicts}, false)"
    returned = ", ".join(f"r.{name}" for name in reference.key) or "1 AS one"
    change = f"{column} = :survivor{_touch(table)}"
    parts.append(f"moved AS (UPDATE {table.name} r SET {change} WHERE {own} RETURNING {returned})")
    return _prepared(f"WITH {', '.join(parts)} {_journal(reference, 'moved', 'moved', 'NULL::jsonb')}", reference)


def _prepared(sql: str, reference: Reference) -> Statement:
    """The statement with its parameters typed; ``:last`` is the last number the journal has of this column."""
    last = (
        "(SELECT coalesce(max(j.n), 0) FROM merge_changes j WHERE j.organization_id = :organization_id "
        "AND j.merge_id = :merge_id AND j.step = :step "
        f"AND j.table_name = '{reference.table.name}' AND j.column_name = '{reference.column}')"
    )
    sql = sql.replace(":last", last)
    for name, kind in _PARAMETERS.items():
        sql = sql.replace(f":{name}", f"CAST(:{name} AS {kind})")
    return prepare(text(sql))


_PARAMETERS = {
    "organization_id": "uuid", "merge_id": "uuid", "retired": "uuid", "survivor": "uuid", "step": "integer",
    "now": "timestamptz",
}  # fmt: skip


@lru_cache(maxsize=64)
def _set_aside(reference: Reference) -> Statement:
    """Journal a derived table's rows of both contacts, and remove the retired one's."""
    name, column = reference.table.name, reference.column
    gone = f"gone AS (DELETE FROM {name} WHERE organization_id = :organization_id AND {column} = :retired RETURNING *)"
    noted = f"noted AS ({_journal(reference, 'dropped', 'gone', 'to_jsonb(x)')} RETURNING 1)"
    own = f"(SELECT * FROM {name} WHERE organization_id = :organization_id AND {column} = :survivor)"
    return _prepared(f"WITH {gone}, {noted} {_journal(reference, 'kept', own, 'to_jsonb(x)')}", reference)


async def repoint(
    session: WriteSession, merge_id: UUID, step: int, *, retired: UUID, survivor: UUID, derived: bool = True
) -> None:
    """Give everything of the retired contact to the survivor. The contact's own row and search keys are the caller's.
    Not `derived`: rows that follow from others are left alone."""
    values = {"merge_id": merge_id, "step": step, "retired": retired, "survivor": survivor, "now": session.now}
    for reference in references():
        if reference.way == MOVE:
            await session.execute(_move(reference), **values)
        elif reference.way == DERIVED and derived:
            await session.execute(_set_aside(reference), **values)


def _journalled(reference: Reference, changes: str) -> str:
    return (
        "j.organization_id = :organization_id AND j.merge_id = :merge_id AND j.step = :step "
        f"AND j.table_name = '{reference.table.name}' AND j.column_name = '{reference.column}' "
        f"AND j.change IN ({changes})"
    )


@lru_cache(maxsize=256)
def _move_back(reference: Reference) -> Statement:
    table, column = reference.table, reference.column
    same = "".join(f" AND t.{name} = CAST(j.row_key ->> '{name}' AS {_type(table.c[name])})" for name in reference.key)
    return _prepared(
        f"UPDATE {table.name} t SET {column} = :retired{_touch(table).replace('= version', '= t.version')} "
        f"FROM merge_changes j WHERE {_journalled(reference, chr(39) + 'moved' + chr(39))} "
        f"AND t.organization_id = :organization_id AND t.{column} = :survivor{same}",
        reference,
    )


@lru_cache(maxsize=256)
def _put_back(reference: Reference) -> Statement:
    table = reference.table
    columns = ", ".join(column.name for column in table.columns)
    chosen = ", ".join(f"b.{column.name}" for column in table.columns)
    return _prepared(
        f"INSERT INTO {table.name} ({columns}) SELECT {chosen} FROM merge_changes j, "
        f"LATERAL jsonb_populate_record(NULL::{table.name}, j.before) b "
        f"WHERE {_journalled(reference, chr(39) + 'dropped' + chr(39) + ', ' + chr(39) + 'kept' + chr(39))} "
        "ON CONFLICT DO NOTHING",
        reference,
    )


@lru_cache(maxsize=64)
def _clear(reference: Reference) -> Statement:
    return _prepared(
        f"DELETE FROM {reference.table.name} WHERE organization_id = :organization_id "
        f"AND {reference.column} = ANY(ARRAY[:retired, :survivor])",
        reference,
    )


async def point_back(session: WriteSession, merge_id: UUID, step: int, *, retired: UUID, survivor: UUID) -> None:
    """Undo `repoint`: every row that it moved or dropped is as it was. Rows that came later stay with the survivor."""
    values = {"merge_id": merge_id, "step": step, "retired": retired, "survivor": survivor, "now": session.now}
    for reference in reversed(references()):
        if reference.way == DERIVED:
            await session.execute(_clear(reference), **values)
            await session.execute(_put_back(reference), **values)
        elif reference.way == MOVE:
            await session.execute(_move_back(reference), **values)
            if _conflicts(reference):
                await session.execute(_put_back(reference), **values)
