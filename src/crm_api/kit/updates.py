"""Changing one versioned row, with `If-Match`."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import Table, bindparam, select, update

from crm_api.kit.db import Row, Statement, WriteSession, prepare
from crm_api.kit.problems import NotFound, PreconditionFailed


def _owner(table: Table) -> Any:
    return table.c[table.info.get("tenant_column", "organization_id")] == bindparam("organization_id")


@lru_cache(maxsize=256)
def _update(table: Table, columns: tuple[str, ...]) -> Statement:
    values: dict[str, Any] = {name: bindparam(f"v_{name}") for name in columns}
    return prepare(
        update(table)
        .where(_owner(table), table.c.id == bindparam("id"))
        .values(**values, version=table.c.version + 1, updated_at=bindparam("now"))
        .returning(table)
    )


@lru_cache(maxsize=256)
def _lock(table: Table) -> Statement:
    return prepare(
        select(table.c.version).where(_owner(table), table.c.id == bindparam("id")).with_for_update(key_share=True)
    )


@lru_cache(maxsize=256)
def _by_id(table: Table) -> Statement:
    return prepare(select(table).where(_owner(table), table.c.id == bindparam("id")))


async def get_row(session: Any, table: Table, row_id: UUID, what: str) -> Row:
    """One row by id, or a 404 that names the thing."""
    row: Row | None = await session.fetch_row(_by_id(table), id=row_id)
    if row is None:
        raise NotFound(f"There is no such {what}.")
    return row


def check_version(current: int, expected: int | None) -> None:
    """Compare `If-Match` with the current version."""
    if expected is not None and current != expected:
        raise PreconditionFailed(
            f"The resource is at version {current} now. Read it again, then repeat your change with the new ETag."
        )


async def lock_row(session: WriteSession, table: Table, row_id: UUID, *, expected: int | None, what: str) -> int:
    """Lock a versioned row for this transaction and check `If-Match`; its version."""
    version: int | None = await session.fetch_val(_lock(table), id=row_id)
    if version is None:
        raise NotFound(f"There is no such {what}.")
    check_version(version, expected)
    return version


async def update_row(
    session: WriteSession, table: Table, row_id: UUID, changes: dict[str, Any], *, expected: int | None
) -> Row:
    """Change the columns, raise the version, return the new row. 404 when there is none, 412 on another version."""
    what = table.name.rstrip("s").replace("_", " ")
    if expected is not None:
        await lock_row(session, table, row_id, expected=expected, what=what)
    values = {f"v_{name}": value for name, value in changes.items()}
    row = await session.fetch_row(_update(table, tuple(changes)), id=row_id, now=session.now, **values)
    if row is None:
        raise NotFound(f"There is no such {what}.")
    return row
