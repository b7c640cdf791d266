"""The declarations of all tables as statements: which rows are a person's, and what is done with them.

Everything is found before anything is changed: which rows belong to a person may depend on rows of other tables, which
the erasure removes. Found rows are passed as their keys, so that finding is done once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import LargeBinary, Table, text
from sqlalchemy.dialects import postgresql

from crm_api.kit.db import Statement, prepare
from crm_api.kit.personal import Personal
from crm_api.kit.tables import metadata

_DIALECT: Any = postgresql.dialect()  # type: ignore[no-untyped-call]
_TYPES = {"ids": "uuid[]", "names": "text[]", "traces": "text[]"}
_NAMED = re.compile(r"(?<!CAST\():(ids|names|traces)\b")


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One declaration of one table."""

    table: Table
    personal: Personal
    number: int
    """Its place among all, children before the tables they refer to."""

    @property
    def key(self) -> tuple[str, ...]:
        """The primary key without the organization."""
        return tuple(str(column.name) for column in self.table.primary_key if column.name != "organization_id")

    @property
    def condition(self) -> str:
        """Which rows ``t`` are the person's, in SQL."""
        parts = [_chain(self.table, "t", chain.split(".")) for chain in self.personal.via]
        if self.personal.where:
            parts.append(_NAMED.sub(lambda found: f"CAST(:{found[1]} AS {_TYPES[found[1]]})", self.personal.where))
        return " OR ".join(f"({part})" for part in parts) or "true"

    @property
    def standing(self) -> bool:
        """Whether rows stay that may be about anybody, such as an import's file: until their own last day."""
        return not self.personal.via and not self.personal.where

    @property
    def shown(self) -> tuple[str, ...]:
        """Columns that the person's export shows."""
        hidden = {"organization_id", *self.personal.hidden}
        return tuple(
            str(column.name)
            for column in self.table.c
            if column.name not in hidden and column.info.get("sensitivity") != "secret"
        )


def leads_to(table: Table, column: str) -> tuple[Table, str] | None:
    """The table and column that a foreign key of one column (beside the organization) leads to."""
    for key in table.foreign_key_constraints:
        own = [str(item.parent.name) for item in key.elements]
        if own == ["organization_id", column]:
            target = key.elements[1].column
            return target.table, str(target.name)
    return None


def _chain(table: Table, alias: str, steps: list[str]) -> str:
    column, *rest = steps
    if not rest:
        return f"{alias}.{column} = ANY(CAST(:ids AS uuid[]))"
    found = leads_to(table, column)
    if found is None:
        raise ValueError(f"{table.name}.{column} is no foreign key")
    target, key = found
    inner = f"{alias}_{column}"
    return (
        f"{alias}.{column} IN (SELECT {inner}.{key} FROM {target.name} {inner} "
        f"WHERE {inner}.organization_id = :organization_id AND {_chain(target, inner, rest)})"
    )


@lru_cache(maxsize=1)
def rules() -> tuple[Rule, ...]:
    """Every declaration that concerns a person, children first."""
    found = []
    for table in reversed(metadata.sorted_tables):
        found += [(table, one) for one in table.info.get("personal", ()) if one.action != "none"]
    return tuple(Rule(table, one, number) for number, (table, one) in enumerate(found))


@lru_cache(maxsize=1)
def traces() -> Statement:
    """Texts that name the person in documents of others."""
    parts = [
        f"SELECT {trace} AS trace FROM {rule.table.name} t WHERE t.organization_id = :organization_id "
        f"AND ({rule.condition})"
        for rule in rules()
        for trace in rule.personal.traces
    ]
    whole = " UNION ".join(parts)
    return prepare(text(f"SELECT DISTINCT trace FROM ({whole}) x WHERE length(trace) >= 6"))


@lru_cache(maxsize=1)
def census() -> Statement:
    """How many rows each declaration concerns, and the newest day that a retention is counted from."""
    parts = []
    for rule in rules():
        until = f"max(CAST(t.{rule.personal.until} AS date))" if rule.personal.until else "CAST(NULL AS date)"
        files = f"count(t.{rule.personal.files})" if rule.personal.files else "0"
        parts.append(
            f"SELECT {rule.number} AS rule, count(*) AS rows, {until} AS newest, {files} AS files "
            f"FROM {rule.table.name} t WHERE t.organization_id = :organization_id AND ({rule.condition})"
        )
    return prepare(text(" UNION ALL ".join(parts)))


@lru_cache(maxsize=512)
def find(rule: Rule) -> Statement:
    """Keys of the person's rows, and their files."""
    files = f", t.{rule.personal.files} AS _file" if rule.personal.files else ""
    keys = ", ".join(f"t.{name}" for name in rule.key)
    return prepare(
        text(
            f"SELECT {keys}{files} FROM {rule.table.name} t "
            f"WHERE t.organization_id = :organization_id AND ({rule.condition})"
        )
    )


def _recordset(table: Table, names: tuple[str, ...]) -> str:
    kinds = ", ".join(f"{name} {table.c[name].type.compile(dialect=_DIALECT)}" for name in names)
    return f"jsonb_to_recordset(CAST(:keys AS jsonb)) AS k({kinds})"


def _same(names: tuple[str, ...]) -> str:
    return " AND ".join(["t.organization_id = :organization_id", *(f"t.{name} = k.{name}" for name in names)])


@lru_cache(maxsize=512)
def change(rule: Rule) -> Statement | None:
    """Erase or anonymise the rows with the keys; nothing where they stay as they are."""
    source = _recordset(rule.table, rule.key)
    name = rule.table.name
    if rule.personal.action == "erase":
        return prepare(text(f"DELETE FROM {name} t USING {source} WHERE {_same(rule.key)}"))
    if rule.personal.action == "anonymise" and rule.personal.columns:
        changes = ", ".join(f"{column} = {value}" for column, value in rule.personal.columns.items())
        return prepare(text(f"UPDATE {name} t SET {changes} FROM {source} WHERE {_same(rule.key)}"))
    return None


@lru_cache(maxsize=512)
def read(rule: Rule, columns: tuple[str, ...]) -> Statement:
    """Columns of the rows with the keys."""
    wanted = ", ".join(f"t.{name}" for name in columns)
    return prepare(
        text(f"SELECT {wanted} FROM {rule.table.name} t JOIN {_recordset(rule.table, rule.key)} ON {_same(rule.key)}")
    )


@lru_cache(maxsize=512)
def rewrite(rule: Rule, column: str) -> Statement:
    """Put new values of a column in place, given with the keys as ``value``; bytes as ``\\x…``."""
    binary = isinstance(rule.table.c[column].type, LargeBinary)
    value = "CAST(k.value AS bytea)" if binary else "k.value"
    kind = "text" if binary else rule.table.c[column].type.compile(dialect=_DIALECT)
    source = _recordset(rule.table, rule.key).removesuffix(")") + f", value {kind})"
    return prepare(text(f"UPDATE {rule.table.name} t SET {column} = {value} FROM {source} WHERE {_same(rule.key)}"))


@lru_cache(maxsize=256)
def loosen(table: Table) -> tuple[Statement, ...]:
    """Take away what other rows say of rows that are about to go, where a key of theirs may be empty."""
    found = []
    for other in metadata.sorted_tables:
        for key in other.foreign_key_constraints:
            own = [str(item.parent.name) for item in key.elements]
            if key.referred_table is not table or key.ondelete or len(own) != 2 or not other.c[own[1]].nullable:
                continue
            target = str(key.elements[1].column.name)
            if target not in {str(column.name) for column in table.primary_key}:
                continue
            source = _recordset(table, (target,))
            found.append(
                prepare(
                    text(
                        f"UPDATE {other.name} t SET {own[1]} = NULL FROM {source} "
                        f"WHERE t.organization_id = :organization_id AND t.{own[1]} = k.{target}"
                    )
                )
            )
    return tuple(found)
