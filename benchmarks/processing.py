"""A payment's whole way, from its stored webhook to the end of its follow-ups, beside Postgres writing the same rows.

Webhooks of new donors are delivered while no worker runs; then one worker does everything: gift, donor, letter, books,
summary, scores, segments. The rows that came of it are written again by Postgres alone, for another organization: one
statement and one commit a payment, from tables in memory, into the same tables with all their indexes and foreign keys,
by the superuser on a few connections. Rows that a run only changed (jobs, which are claimed and ended) count once.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from sqlalchemy import Table

from crm_api.bootstrap import make_organization
from crm_api.kit.db import Database
from crm_api.kit.ids import new_id
from crm_api.kit.tables import metadata
from crm_api.registry import load_models

CONNECTIONS = 4
Row = dict[str, Any]
_ROWS = """
    SELECT to_jsonb(t) AS row FROM {table} t
    WHERE t.organization_id = $1 AND CAST(CAST(t.xmin AS text) AS bigint) >= $2
"""
_NAMED = "SELECT to_jsonb(t) AS row FROM {table} t WHERE t.organization_id = $1 AND ({columns}) IN ({values})"


@dataclass(frozen=True, slots=True)
class Processing:
    """Payments a second."""

    payments: int
    rows: int
    """Written for all of them."""
    per_second: float
    bare_per_second: float

    @property
    def ratio(self) -> float:
        """Ours as a part of Postgres alone."""
        return self.per_second / self.bare_per_second


@dataclass
class _Written:
    """What a run wrote, by table, and what that refers to."""

    rows: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    before: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))

    def known(self, table: Table, names: Sequence[str]) -> set[tuple[Any, ...]]:
        """Values of some columns in all rows of a table."""
        return {tuple(row[name] for name in names) for row in (*self.rows[table.name], *self.before[table.name])}


def _tables() -> list[Table]:
    load_models()
    return [table for table in metadata.sorted_tables if "organization_id" in table.c]


def _references(table: Table) -> Iterable[tuple[Table, list[str], list[str]]]:
    """Foreign keys within the tenant: target, own columns, the target's."""
    for key in table.foreign_key_constraints:
        if key.referred_table.name != "organizations":
            own = [one.parent.name for one in key.elements if one.parent.name != "organization_id"]
            named = [one.column.name for one in key.elements if one.column.name != "organization_id"]
            yield key.referred_table, own, named


async def _written(admin: asyncpg.Connection, organization: UUID, since: int, payments: int) -> _Written:
    """Rows of a run, and those beside them that they name; what is not written for each payment comes before."""
    found = _Written()
    for table in _tables():
        rows = [orjson.loads(one["row"]) for one in await admin.fetch(_ROWS.format(table=table), organization, since)]
        (found.rows if len(rows) >= payments // 2 else found.before)[table.name] = rows
    for table in reversed(_tables()):
        for target, own, named in _references(table):
            values = {
                tuple(row[name] for name in own) for row in (*found.rows[table.name], *found.before[table.name])
            } - found.known(target, named)
            values = {one for one in values if None not in one}
            if values:
                listed = ", ".join("(" + ", ".join(f"'{value}'" for value in one) + ")" for one in values)
                query = _NAMED.format(table=target, columns=", ".join(named), values=listed)
                more = await admin.fetch(query, organization)
                found.before[target.name] += [orjson.loads(one["row"]) for one in more]
    return found


def _grouped(found: _Written, payments: int) -> list[tuple[str, Row, int]]:
    """Each row with the number of its payment: rows that name each other belong together."""
    groups: dict[tuple[str, tuple[Any, ...]], int] = {}
    numbered: list[tuple[str, Row, int]] = []
    for table in _tables():
        for number, row in enumerate(found.rows[table.name]):
            named = (
                groups.get((f"{target.name}:{','.join(names)}", tuple(row[name] for name in own)))
                for target, own, names in _references(table)
            )
            group = next((one for one in named if one is not None), number % payments)
            numbered.append((table.name, row, group))
            for other in _tables():
                for target, _, names in _references(other):
                    if target.name == table.name:
                        groups[f"{table.name}:{','.join(names)}", tuple(row[name] for name in names)] = group
    return numbered


async def _columns(admin: asyncpg.Connection, table: str) -> str:
    rows = await admin.fetch(
        "SELECT attname FROM pg_attribute WHERE attrelid = CAST($1 AS regclass) AND attnum > 0 AND NOT attisdropped "
        "AND attgenerated = ''",
        table,
    )
    return ", ".join(row["attname"] for row in rows)


async def _again(admin: asyncpg.Connection, url: str, found: _Written, other: UUID, payments: int) -> float:
    """Seconds that Postgres alone takes for the rows, for another organization."""
    # A webhook's address names the connection alone, so its id is nobody else's.
    renamed = {row["id"]: str(new_id()) for row in found.before["payment_connections"]}

    def told(rows: list[Row]) -> str:
        text = orjson.dumps([{**row, "organization_id": str(other)} for row in rows]).decode()
        for name, new in renamed.items():
            text = text.replace(name, new)
        return text

    staged: dict[str, list[tuple[Row, int]]] = defaultdict(list)
    for table, row, group in _grouped(found, payments):
        staged[table].append((row, group))
    for one in _tables():
        if rows := found.before[one.name]:
            names = await _columns(admin, one.name)
            await admin.execute(
                f"INSERT INTO {one.name} ({names}) SELECT {names} FROM jsonb_populate_recordset(NULL::{one.name}, $1) "
                "ON CONFLICT DO NOTHING",
                told(rows),
            )
    await admin.execute("DROP SCHEMA IF EXISTS again CASCADE; CREATE SCHEMA again")
    parts = []
    for table, grouped in staged.items():
        names = await _columns(admin, table)
        await admin.execute(f"CREATE UNLOGGED TABLE again.{table} AS SELECT {names}, 0 AS payment FROM {table} LIMIT 0")
        await admin.execute(
            f"INSERT INTO again.{table} SELECT {', '.join(f't.{name}' for name in names.split(', '))}, p.number "
            f"FROM jsonb_array_elements($1) WITH ORDINALITY AS r(row, place) "
            "JOIN unnest(CAST($2 AS int[])) WITH ORDINALITY AS p(number, place) ON p.place = r.place, "
            f"jsonb_populate_record(NULL::{table}, r.row) t",
            told([row for row, _ in grouped]),
            [group for _, group in grouped],
        )
        await admin.execute(f"CREATE INDEX ON again.{table} (payment); ANALYZE again.{table}")
        parts.append(f"INSERT INTO {table} ({names}) SELECT {names} FROM again.{table} WHERE payment = $1")
    *rest, last = parts
    statement = f"WITH {', '.join(f'w{number} AS ({part})' for number, part in enumerate(rest))} {last}"
    waiting = list(range(payments))
    connections = [await asyncpg.connect(url) for _ in range(CONNECTIONS)]
    prepared = [await connection.prepare(statement) for connection in connections]

    async def work(one: Any) -> None:
        while waiting:
            await one.fetch(waiting.pop())

    began = time.perf_counter()
    await asyncio.gather(*(work(one) for one in prepared))
    seconds = time.perf_counter() - began
    for connection in connections:
        await connection.close()
    await admin.execute("DROP SCHEMA again CASCADE")
    return seconds


async def mark(superuser_url: str) -> int:
    """The transaction that a run begins after."""
    admin = await asyncpg.connect(superuser_url)
    try:
        return int(await admin.fetchval("SELECT CAST(CAST(pg_current_xact_id() AS text) AS bigint)"))
    finally:
        await admin.close()


async def beside(
    superuser_url: str, service_url: str, organization: UUID, since: int, payments: int, seconds: float
) -> Processing:
    """What `payments` took, beside Postgres alone."""
    database = await Database.open(service_url, size=1)
    made = await make_organization(database, name="Written Again", mode="live")
    await database.close()
    admin = await asyncpg.connect(superuser_url, command_timeout=600)
    try:
        found = await _written(admin, organization, since, payments)
        bare = await _again(admin, superuser_url, found, made.id, payments)
    finally:
        await admin.close()
    count = sum(len(rows) for rows in found.rows.values())
    return Processing(payments, count, payments / seconds, payments / bare)
