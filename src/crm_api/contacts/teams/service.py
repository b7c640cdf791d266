"""Verbs of who looks after a contact. A limited caller looks its contacts up under its limit, and may give them to the
teams it sees, and take them from these; who looks after a contact is itself written past the limit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.audit.service import record
from crm_api.contacts.service import get_contact, lock_contact
from crm_api.kit.db import ReadSession, WriteSession, prepare
from crm_api.kit.problems import Conflict, FieldError, Forbidden, NotFound

_TEAMS = prepare(
    text(
        """
        SELECT a.team_id, t.name, a.assigned_at FROM contact_teams a
        JOIN teams t ON t.organization_id = :organization_id AND t.id = a.team_id
        WHERE a.organization_id = :organization_id AND a.contact_id = :id ORDER BY t.name, a.team_id
        """
    )
)
_KNOWN = prepare(
    text("SELECT id FROM teams WHERE organization_id = :organization_id AND id = ANY(CAST(:ids AS uuid[]))")
)
_LEAVE = prepare(
    text(
        "DELETE FROM contact_teams WHERE organization_id = :organization_id AND contact_id = :id "
        "AND team_id = ANY(CAST(:teams AS uuid[]))"
    )
)
_JOIN = prepare(
    text(
        "INSERT INTO contact_teams (organization_id, contact_id, team_id, assigned_at) "
        "SELECT :organization_id, :id, t, :now FROM unnest(CAST(:teams AS uuid[])) AS t ON CONFLICT DO NOTHING"
    )
)
_LOCK_MANY = prepare(
    text(
        "SELECT id, merged_into, erased_at FROM contacts WHERE organization_id = :organization_id "
        "AND id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR NO KEY UPDATE"
    )
)
_ADD_MANY = prepare(
    text(
        "INSERT INTO contact_teams (organization_id, contact_id, team_id, assigned_at) "
        "SELECT :organization_id, c, :team, :now FROM unnest(CAST(:ids AS uuid[])) AS c ON CONFLICT DO NOTHING "
        "RETURNING contact_id"
    )
)
_REMOVE_MANY = prepare(
    text(
        "DELETE FROM contact_teams WHERE organization_id = :organization_id AND team_id = :team "
        "AND contact_id = ANY(CAST(:ids AS uuid[])) RETURNING contact_id"
    )
)
_LEFT = prepare(
    text(
        """
        SELECT c FROM unnest(CAST(:ids AS uuid[])) AS c WHERE NOT EXISTS (
            SELECT 1 FROM contact_teams a WHERE a.organization_id = :organization_id AND a.contact_id = c
                AND a.team_id = ANY(CAST(:seen AS uuid[])))
        LIMIT 1
        """
    )
)


async def teams_of(session: ReadSession, contact_id: UUID) -> dict[str, Any]:
    """The teams that look after a contact; 404 for none, `Moved` for one that was merged."""
    contact = await get_contact(session, contact_id)
    rows = await session.fetch(_TEAMS, id=contact["id"])
    return {"contact_id": contact["id"], "teams": [dict(row) for row in rows]}


async def put_teams(session: WriteSession, contact_id: UUID, team_ids: Sequence[UUID]) -> dict[str, Any]:
    """Say which teams look after a contact: these, and no others. A limited caller changes what concerns the teams it
    sees, and keeps the contact with one of them."""
    await lock_contact(session, contact_id)
    had = {row["team_id"] for row in await session.fetch(_TEAMS, id=contact_id)}
    has = set(team_ids)
    await _check_known(session, list(team_ids))
    _check_reach(session, had ^ has, [f"/team_ids/{n}" for n, one in enumerate(team_ids) if one in has - had])
    if had != has:
        async with session.beyond_limit():
            await session.execute(_LEAVE, id=contact_id, teams=sorted(had - has))
            await session.execute(_JOIN, id=contact_id, teams=sorted(has - had), now=session.now)
            await _check_left(session, [contact_id])
        record(session, "contact.teams_changed", "contact", contact_id)
    return await teams_of(session, contact_id)


async def _check_known(session: ReadSession, team_ids: Sequence[UUID]) -> None:
    known = {row["id"] for row in await session.fetch(_KNOWN, ids=list(team_ids))} if team_ids else set()
    for number, one in enumerate(team_ids):
        if one not in known:
            raise NotFound.reference(f"team_ids/{number}")


def _check_reach(session: WriteSession, changed: Iterable[UUID], pointers: Sequence[str]) -> None:
    """A limited caller gives nothing to a team that it does not see, and takes nothing from one."""
    seen = None if session.actor.limit is None else session.actor.limit.teams
    if seen is not None and not set(changed) <= set(seen):
        detail = "You can give contacts to the teams whose contacts you see, and take them from these only."
        errors = [FieldError(pointer, "team_out_of_reach", detail) for pointer in pointers]
        raise Forbidden(detail, code="team_out_of_reach", errors=errors)


async def _check_left(session: WriteSession, contact_ids: Sequence[UUID]) -> None:
    """Nobody loses a contact from sight by a change of its own."""
    limit = session.actor.limit
    if limit is None or limit.teams is None:
        return
    if await session.fetch(_LEFT, ids=list(contact_ids), seen=list(limit.teams)):
        detail = "None of your teams would see the contact any more. Leave it with one, or ask an administrator."
        raise Conflict(detail, code="contact_out_of_sight")


async def change_many(
    session: WriteSession, team_id: UUID, contact_ids: Sequence[UUID], *, remove: bool
) -> dict[str, Any]:
    """Give contacts to a team, or take them from it. 404 for a contact or team that there is not; nothing is done
    then."""
    if not await session.fetch(_KNOWN, ids=[team_id]):
        raise NotFound("There is no such team.")
    _check_reach(session, [team_id], ())
    found = {row["id"]: row for row in await session.fetch(_LOCK_MANY, ids=list(contact_ids))}
    for number, one in enumerate(contact_ids):
        if one not in found:
            raise NotFound.reference(f"contact_ids/{number}")
        if found[one]["merged_into"] is not None:
            detail = f"contact_ids/{number} was merged into another contact; name that one."
            raise Conflict(detail, code="contact_merged", survivor_id=str(found[one]["merged_into"]))
    async with session.beyond_limit():
        if remove:
            rows = await session.fetch(_REMOVE_MANY, team=team_id, ids=list(found))
        else:
            rows = await session.fetch(_ADD_MANY, team=team_id, ids=list(found), now=session.now)
        await _check_left(session, list(found))
    for row in rows:
        record(session, "contact.teams_changed", "contact", row["contact_id"])
    return {"team_id": team_id, "changed": len(rows), "unchanged": len(found) - len(rows)}
