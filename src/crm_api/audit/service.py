"""Recording changes, in the transaction that makes them, and reading what was recorded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select, text

from crm_api.audit.models import audit_events
from crm_api.kit import clock
from crm_api.kit.db import Actor, ReadSession, Row, RowLike, WriteSession, prepare
from crm_api.kit.ids import NEW_ID_SQL, id_head, new_id
from crm_api.kit.problems import NotFound

_READ = ("id", "at", "actor_kind", "actor_id", "action", "resource", "resource_id", "fields", "request_id")
_READ_SEAL = (
    "id", "number", "first_event_id", "last_event_id", "events", "digest", "previous_hash", "hash", "through_at",
    "sealed_at",
)  # fmt: skip
_GET = prepare(
    select(audit_events).where(
        audit_events.c.organization_id == bindparam("organization_id"), audit_events.c.id == bindparam("id")
    )
)

_RECORD_MANY = prepare(
    text(
        f"""
        INSERT INTO audit_events (organization_id, id, at, actor_kind, actor_id, action, resource, resource_id,
            request_id)
        SELECT :organization_id, {NEW_ID_SQL}, :at, :actor_kind, :actor_id, :action, :resource, CAST(r.id AS text),
            :request_id
        FROM unnest(CAST(:resource_ids AS uuid[])) AS r(id)
        """
    )
)


def record(
    session: WriteSession, action: str, resource: str, resource_id: object, *, fields: Iterable[str] | None = None
) -> None:
    """Note that the session's actor did `action` (past tense, ``contact.created``)."""
    session.later(audit_events, **event_row(session.actor, action, resource, resource_id, fields=fields))


async def record_many(session: WriteSession, action: str, resource: str, resource_ids: Sequence[UUID]) -> None:
    """Note that the session's actor did `action` to each of these, in one statement that makes the rows."""
    if resource_ids:
        actor = session.actor
        await session.execute(
            _RECORD_MANY, id_head=id_head(), at=clock.utc_now(), actor_kind=actor.kind, actor_id=actor.id,
            action=action, resource=resource, request_id=actor.request_id or None, resource_ids=list(resource_ids),
        )  # fmt: skip


def event_row(
    actor: Actor, action: str, resource: str, resource_id: object, *, fields: Iterable[str] | None = None
) -> dict[str, Any]:
    """The row of what somebody does at this moment."""
    return {
        "id": new_id(),
        "at": clock.utc_now(),
        "actor_kind": actor.kind,
        "actor_id": actor.id,
        "action": action,
        "resource": resource,
        "resource_id": str(resource_id),
        "fields": None if fields is None else sorted(fields),
        "request_id": actor.request_id or None,
    }


def to_read(row: RowLike) -> dict[str, Any]:
    """An event as the API shows it."""
    return {name: row[name] for name in _READ}


def seal_to_read(row: RowLike) -> dict[str, Any]:
    """A seal as the API shows it."""
    return {name: row[name] for name in _READ_SEAL}


async def get_event(session: ReadSession, event_id: UUID) -> Row:
    """One event, or 404."""
    row = await session.fetch_row(_GET, id=event_id)
    if row is None:
        raise NotFound("There is no such audit event.")
    return row
