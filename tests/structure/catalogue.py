"""What Postgres itself says of the schema, for tests of its structure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import asyncpg

_TABLES = """
    SELECT c.oid, c.relname AS name, c.relrowsecurity AS enabled, c.relforcerowsecurity AS forced,
        c.relowner::regrole::text AS owner
    FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') ORDER BY c.relname
"""
_COLUMNS = """
    SELECT a.attrelid AS oid, a.attname AS name, a.attnotnull AS required, t.typtype::text AS kind, t.typname AS type
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = ANY($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
_CONSTRAINTS = """
    SELECT c.conrelid AS oid, c.conname AS name, c.contype::text AS kind, c.confrelid::regclass::text AS target,
        c.convalidated AS valid,
        (SELECT array_agg(a.attname ORDER BY k.place) FROM unnest(c.conkey) WITH ORDINALITY k(number, place)
            JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.number) AS columns,
        (SELECT array_agg(a.attname ORDER BY k.place) FROM unnest(c.confkey) WITH ORDINALITY k(number, place)
            JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.number) AS target_columns
    FROM pg_constraint c WHERE c.conrelid = ANY($1::oid[])
"""
_INDEXES = """
    SELECT i.indrelid AS oid, i.indexrelid::regclass::text AS name, i.indisvalid AS valid,
        pg_get_expr(i.indpred, i.indrelid) AS condition,
        (SELECT array_agg(coalesce(a.attname, '(expression)') ORDER BY k.place)
            FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(number, place)
            LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
            WHERE k.place <= i.indnkeyatts) AS columns
    FROM pg_index i WHERE i.indrelid = ANY($1::oid[])
"""
_POLICIES = """
    SELECT polrelid AS oid, polname AS name, polcmd::text AS command, polpermissive AS permissive,
        polroles::oid[] AS roles, pg_get_expr(polqual, polrelid) AS using_, pg_get_expr(polwithcheck, polrelid) AS check_
    FROM pg_policy WHERE polrelid = ANY($1::oid[])
"""


@dataclass
class LiveTable:
    """A table as it is in the database."""

    oid: int
    name: str
    enabled: bool
    forced: bool
    owner: str
    columns: dict[str, Any] = field(default_factory=dict)
    constraints: list[Any] = field(default_factory=list)
    indexes: list[Any] = field(default_factory=list)
    policies: dict[str, Any] = field(default_factory=dict)

    @property
    def tenant_column(self) -> str:
        """The column that says whose a row is."""
        return "id" if self.name == "organizations" else "organization_id"

    @property
    def primary_key(self) -> list[str]:
        """Its columns, in order."""
        (found,) = [one["columns"] for one in self.constraints if one["kind"] == "p"]
        return list(found)

    @property
    def foreign_keys(self) -> list[Any]:
        """Its foreign keys."""
        return [one for one in self.constraints if one["kind"] == "f"]


async def read_catalogue(connection: asyncpg.Connection) -> dict[str, LiveTable]:
    """Every table of ours, with what belongs to it."""
    rows = [row for row in await connection.fetch(_TABLES) if row["name"] != "alembic_version"]
    tables = {row["oid"]: LiveTable(*row) for row in rows}
    oids = list(tables)
    for row in await connection.fetch(_COLUMNS, oids):
        tables[row["oid"]].columns[row["name"]] = row
    for row in await connection.fetch(_CONSTRAINTS, oids):
        tables[row["oid"]].constraints.append(row)
    for row in await connection.fetch(_INDEXES, oids):
        tables[row["oid"]].indexes.append(row)
    for row in await connection.fetch(_POLICIES, oids):
        tables[row["oid"]].policies[row["name"]] = row
    return {table.name: table for table in tables.values()}
