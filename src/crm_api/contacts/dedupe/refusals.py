"""What a merge does about consent: it never widens it.

The events of both records are one history afterwards, in which one record's newer grant would lift the other's standing
refusal. Nobody said that both are the same person's last word, so the refusal is stated anew, with its origin. An undo
states anew what held before, since events are never removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Uuid

from crm_api.contacts.consents.models import consent_events
from crm_api.contacts.consents.rules import Event, current, event_of
from crm_api.kit.db import WriteSession, prepare
from crm_api.kit.ids import new_id

MERGED, UNDONE = "merge", "merge_undone"
_OF = prepare(
    select(consent_events).where(
        consent_events.c.organization_id == bindparam("organization_id"),
        consent_events.c.contact_id == func.any(bindparam("ids", type_=ARRAY(Uuid()))),
    )
)


def restated(histories: Sequence[Sequence[Event]]) -> list[tuple[Event, Event]]:
    """The refusals that a grant of another record would lift: each with that grant, whose scope it is stated for."""
    found: dict[Any, tuple[Event, Event]] = {}
    states = [current(history) for history in histories]
    for number, own in enumerate(states):
        grants = [
            grant for n, state in enumerate(states) if n != number for grant in state if grant.status == "granted"
        ]
        for refusal in (event for event in own if event.status != "granted"):
            for grant in grants:
                if grant.newer(refusal) and grant.within(refusal) and not _granted_since(own, refusal, grant):
                    known = found.get(grant.scope)
                    if known is None or (refusal.status, refusal.at) > (known[0].status, known[0].at):
                        found[grant.scope] = (refusal, grant)
    return list(found.values())


def _granted_since(own: Sequence[Event], refusal: Event, grant: Event) -> bool:
    """Whether the record itself said yes to this after it refused."""
    return any(
        event.status == "granted" and event.newer(refusal) and event.within(refusal) and grant.within(event)
        for event in own
    )


async def keep_refusals(session: WriteSession, merge_id: UUID, contact_ids: Sequence[UUID], survivor: UUID) -> None:
    """State anew what the merge would lift. To be called before events change hands."""
    rows = [dict(row) for row in await session.fetch(_OF, ids=list(contact_ids))]
    histories = [[event_of(row) for row in rows if row["contact_id"] == one] for one in contact_ids]
    for refusal, grant in restated(histories):
        _state(session, survivor, merge_id, MERGED, refusal, scope=grant)


async def restore_consent(session: WriteSession, merge_id: UUID, survivor: UUID) -> None:
    """After events were given back: where the merge stated a refusal, what the survivor had said holds again."""
    rows = [dict(row) for row in await session.fetch(_OF, ids=[survivor])]
    by_merge = {row["id"] for row in rows if row["evidence"].get("merge_id") == str(merge_id)}
    if not by_merge:
        return
    latest = {event.scope: event for event in current(event_of(row) for row in rows)}
    before = {event.scope: event for event in current(event_of(row) for row in rows if row["id"] not in by_merge)}
    bodies: dict[UUID, dict[str, Any]] = {row["id"]: row for row in rows}
    for scope, event in latest.items():
        if event.id in by_merge and scope in before:
            _state(session, survivor, merge_id, UNDONE, before[scope], scope=event, said=bodies[before[scope].id])


def _state(
    session: WriteSession,
    survivor: UUID,
    merge_id: UUID,
    source: str,
    event: Event,
    *,
    scope: Event,
    said: dict[str, Any] | None = None,
) -> None:
    session.later(
        consent_events,
        id=new_id(),
        contact_id=survivor,
        purpose=scope.purpose,
        channel=scope.channel,
        list=scope.list,
        status=event.status,
        legal_basis=event.legal_basis,
        wording=None if said is None else said["wording"],
        wording_version=None if said is None else said["wording_version"],
        language=None if said is None else said["language"],
        source=source,
        evidence={"merge_id": str(merge_id), "restates": str(event.id)},
        recorded_by_kind=session.actor.kind,
        recorded_by=session.actor.id,
        at=session.now,
        recorded_at=session.now,
    )
