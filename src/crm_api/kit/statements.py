"""Statements compiled once: SQL with numbered parameters, and the form that sets the tenant in the same trip."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects.postgresql import asyncpg as asyncpg_dialect
from sqlalchemy.sql.elements import ClauseElement

_DIALECT: Any = asyncpg_dialect.dialect()  # type: ignore[no-untyped-call]


class Statement:
    """A statement compiled to SQL with numbered parameters. Make it once, at import time or per shape of a filter."""

    __slots__ = ("_bound", "_defaults", "names", "sql")

    def __init__(self, clause: ClauseElement) -> None:
        compiled: Any = clause.compile(dialect=_DIALECT)
        self.sql: str = str(compiled)
        self.names: tuple[str, ...] = tuple(compiled.positiontup or ())
        self._defaults: dict[str, Any] = {
            name: bound.value for bound, name in compiled.bind_names.items() if not bound.required
        }
        inner = f"SELECT i.* FROM ({self.sql}) i WHERE _tenant.v IS NOT NULL OFFSET 0"
        self._bound = (
            "WITH _tenant AS MATERIALIZED "
            f"(SELECT set_config('crm.organization_id', ${len(self.names) + 1}, true) AS v) "
            f"SELECT q.* FROM _tenant, LATERAL ({inner}) q"
        )

    @property
    def bound(self) -> str:
        """The statement behind a fence that sets the tenant first; the last parameter is the organization's id.

        The lateral reference makes Postgres evaluate ``set_config`` before it scans a table. Were a plan ever to do it
        the other way round, the policy would see no tenant and no row would come back: it fails closed.
        """
        return self._bound

    @property
    def limited(self) -> str:
        """The statement as callers that see some rows only send it (`kit.limits`). Another text, so that its plans,
        which hold their policies, are kept beside everybody else's."""
        return f"{self.sql} /* limited */"

    def arguments(self, values: dict[str, Any]) -> list[Any]:
        """Positional parameters; a missing name is a `KeyError` unless the statement carries a value of its own."""
        defaults = self._defaults
        return [values[name] if name in values else defaults[name] for name in self.names]


def prepare(clause: ClauseElement) -> Statement:
    """Compile a SQLAlchemy clause. Expanding ``IN`` is not supported: use ``= ANY(:array)``."""
    return Statement(clause)


def plain(value: Any) -> Any:
    """What JSON for Postgres holds in place of a value of another kind."""
    if isinstance(value, bytes | memoryview):
        return "\\x" + bytes(value).hex()
    return str(value)


def column_type(table: Table, column: str) -> str:
    """The SQL type of a column, as a record definition names it."""
    return str(table.c[column].type.compile(dialect=_DIALECT))


@lru_cache(maxsize=256)
def insert_sql(slots: tuple[tuple[Table, tuple[str, ...]], ...], *, fenced: bool) -> str:
    """One statement that inserts rows of several tables: the organization's id, then one JSON array of rows for each.

    `fenced` makes it set the tenant too, so that it can be a whole transaction: every row comes from a join with the
    one that sets it, and a policy checks a row only after it has come. Without a tenant it would refuse every row.

    A table whose rows are derived from what is given says how in ``info["insert"]``: a statement over ``{rows}``, named
    r, with ``{tenant}`` for the organization's id and ``{source}`` before a lateral part that must come after it.
    """
    source, guard = ("_tenant, ", " WHERE _tenant.v IS NOT NULL") if fenced else ("", "")
    inserts: list[str] = []
    for number, (table, columns) in enumerate(slots, start=2):
        names = ", ".join(columns)
        kinds = ", ".join(f"{name} {table.c[name].type.compile(dialect=_DIALECT)}" for name in columns)
        rows = f"json_to_recordset(${number}::text::json) AS r({kinds})"
        if "insert" in table.info:
            tenant_id = "CAST(_tenant.v AS uuid)" if fenced else "$1::uuid"
            inserts.append(table.info["insert"].format(source=source, tenant=tenant_id, rows=rows))
            continue
        inserts.append(
            f"INSERT INTO {table.name} (organization_id, {names}) SELECT $1::uuid, {names} FROM {source}{rows}{guard}"
        )
    *rest, last = inserts
    parts = [f"w{n} AS ({sql})" for n, sql in enumerate(rest)]
    if fenced:
        tenant = "SELECT set_config('crm.organization_id', CAST($1::uuid AS text), true) AS v"
        parts.insert(0, f"_tenant AS MATERIALIZED ({tenant})")
    return f"WITH {', '.join(parts)} {last}" if parts else last
