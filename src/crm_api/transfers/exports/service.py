"""Verbs of exports. The file is written by the worker (`work`)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select

from crm_api.audit.service import record
from crm_api.contacts.custom_fields.service import guarded_since
from crm_api.contacts.custom_fields.values import READ_SENSITIVE
from crm_api.kit.db import ReadSession, Row, RowLike, WriteSession, prepare
from crm_api.kit.ids import new_id
from crm_api.kit.problems import FieldError, Forbidden, Invalid, NotFound
from crm_api.outbox.service import emit
from crm_api.transfers.exports.facts import ExportDue
from crm_api.transfers.exports.models import KEPT_DAYS, exports
from crm_api.transfers.exports.resources import RESOURCES
from crm_api.transfers.exports.schemas import ExportCreate

GET = prepare(
    select(exports).where(exports.c.organization_id == bindparam("organization_id"), exports.c.id == bindparam("id"))
)
_PLAIN = (
    "id", "resource", "format", "filter", "columns", "state", "rows", "file_size", "reason", "finished_at", "purge_at",
    "version", "created_at", "updated_at",
)  # fmt: skip


def to_read(row: RowLike, url: str | None = None, expires: datetime | None = None) -> dict[str, Any]:
    """An export as the API shows it."""
    return {
        **{name: row[name] for name in _PLAIN},
        "progress": row["progress"] / 1000,
        "url": url,
        "url_expires_at": expires,
    }


async def may_download(session: ReadSession, row: RowLike) -> bool:
    """Whether the session's actor may see everything that the file holds. A file of contacts that was written before a
    field became sensitive holds that field too."""
    scopes = session.actor.scopes
    if not set(row["scopes"]) <= scopes:
        return False
    return READ_SENSITIVE in scopes or not await guarded_since(session, row["created_at"])


def _relevant(resource: str, scopes: frozenset[str]) -> list[str]:
    """The asker's scopes that decide what the file holds."""
    return sorted(scopes & {*RESOURCES[resource].scopes, READ_SENSITIVE})


async def create_export(session: WriteSession, body: ExportCreate) -> dict[str, Any]:
    """Ask for a file. 403 without the right to read the resource, 422 for a filter or a column that there is not."""
    resource = RESOURCES[body.resource]
    for scope in resource.scopes:
        if scope not in session.actor.scopes:
            said = f"Exporting {body.resource} needs the scope {scope}."
            raise Forbidden(said, code="missing_scope", scope=scope)
    try:
        await resource.query(session, body.filter)
    except Invalid as error:
        errors = [
            one._replace(pointer=f"/filter/{one.pointer[1:]}") if one.pointer.startswith("?") else one
            for one in error.errors
        ]
        raise Invalid("The filter cannot be read; see errors.", errors=errors) from None
    if body.columns is not None:
        known = {column.name for column in await resource.columns(session)}
        if not set(body.columns) <= known or len(set(body.columns)) != len(body.columns):
            said = f"Columns are, each at most once: {', '.join(sorted(known))}."
            raise Invalid(
                "columns cannot be read; see errors.", errors=[FieldError("/columns", "unknown_column", said)]
            )
    row: dict[str, Any] = {
        "id": new_id(),
        **body.model_dump(),
        "scopes": _relevant(body.resource, session.actor.scopes),
        "state": "queued",
        "progress": 0,
        "rows": 0,
        "file_size": None,
        "actor_kind": session.actor.kind,
        "actor_id": session.actor.id,
        "reason": None,
        "finished_at": None,
        "purge_at": session.now + timedelta(days=KEPT_DAYS),
        "version": 1,
        "created_at": session.now,
        "updated_at": session.now,
    }
    session.later(exports, **row)
    record(session, "export.requested", "export", row["id"])
    emit(session, ExportDue(export_id=row["id"]))
    return row


async def get_export(session: ReadSession, export_id: UUID) -> Row:
    """One export, or 404."""
    row = await session.fetch_row(GET, id=export_id)
    if row is None:
        raise NotFound("There is no such export.")
    return row
