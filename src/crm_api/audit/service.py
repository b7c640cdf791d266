"""Recording changes, in the transaction that makes them."""

from __future__ import annotations

from collections.abc import Iterable

from crm_api.audit.models import audit_events
from crm_api.kit import clock
from crm_api.kit.db import WriteSession
from crm_api.kit.ids import new_id


def record(
    session: WriteSession, action: str, resource: str, resource_id: object, *, fields: Iterable[str] | None = None
) -> None:
    """Note that the session's actor did `action` (past tense, ``contact.created``)."""
    actor = session.actor
    session.later(
        audit_events,
        id=new_id(),
        at=clock.utc_now(),
        actor_kind=actor.kind,
        actor_id=actor.id,
        action=action,
        resource=resource,
        resource_id=str(resource_id),
        fields=None if fields is None else sorted(fields),
        request_id=actor.request_id or None,
    )
