"""Verbs of simple versioned resources: rows that a client creates, reads and patches, without follow-up."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Table

from crm_api.kit.db import ReadSession, Row, RowLike, WriteSession
from crm_api.kit.ids import new_id
from crm_api.kit.problems import Invalid
from crm_api.kit.updates import check_version, get_row, update_row


@lru_cache(maxsize=256)
def _columns(table: Table) -> tuple[str, ...]:
    return tuple(str(column.name) for column in table.c if column.name != "organization_id")


def to_read(table: Table, row: RowLike) -> dict[str, Any]:
    """The row as the API shows it: every column but the organization."""
    return {name: row[name] for name in _columns(table)}


def add(session: WriteSession, table: Table, values: Mapping[str, Any]) -> dict[str, Any]:
    """Insert a row with id, version and times; columns that are not given take their defaults as null."""
    row = {
        "id": new_id(),
        **values,
        "version": 1,
        "created_at": session.now,
        "updated_at": session.now,
    }
    session.later(table, **row)
    return row


async def get(session: ReadSession, table: Table, row_id: UUID, what: str) -> Row:
    """One row, or 404."""
    return await get_row(session, table, row_id, what)


async def patch(
    session: WriteSession, table: Table, row_id: UUID, body: BaseModel, *, expected: int | None
) -> dict[str, Any]:
    """Apply a merge patch of plain columns; null is refused where the column needs a value."""
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    for name, value in changes.items():
        if value is None and not table.c[name].nullable:
            raise Invalid.at(f"/{name}", "null_not_allowed", f"{name} cannot be removed; send a value or leave it out.")
    if not changes:
        row = await get_row(session, table, row_id, table.name.rstrip("s"))
        check_version(row["version"], expected)
        return to_read(table, row)
    return to_read(table, await update_row(session, table, row_id, changes, expected=expected))
