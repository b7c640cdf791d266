"""Verbs of teams: make them, put them into each other, say who belongs to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete, select, text

from crm_api.audit.service import record
from crm_api.kit import simple
from crm_api.kit.db import ReadSession, RowLike, WriteSession, prepare
from crm_api.kit.problems import Conflict, Invalid, NotFound
from crm_api.kit.updates import lock_row, update_row
from crm_api.organizations.teams.models import team_keys, team_members, teams
from crm_api.organizations.teams.schemas import TeamCreate, TeamPatch, TeamPeople

MOST = 500
"""Teams of one organization: a caller's are named in each of its transactions."""
_ORG: Any = bindparam("organization_id")
_LOCK = prepare(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"))
_COUNT = prepare(text("SELECT count(*) FROM teams WHERE organization_id = :organization_id"))
_ABOVE = prepare(
    text(
        """
        WITH RECURSIVE above AS (
            SELECT id, parent_id FROM teams WHERE organization_id = :organization_id AND id = :id
            UNION
            SELECT t.id, t.parent_id FROM above a
            JOIN teams t ON t.organization_id = :organization_id AND t.id = a.parent_id
        )
        SELECT id FROM above
        """
    )
)
_IN_USE = prepare(
    text(
        """
        SELECT EXISTS (SELECT 1 FROM teams WHERE organization_id = :organization_id AND parent_id = :id) AS parts,
            EXISTS (SELECT 1 FROM contact_teams WHERE organization_id = :organization_id AND team_id = :id) AS contacts
        """
    )
)
_DELETE = prepare(delete(teams).where(teams.c.organization_id == _ORG, teams.c.id == bindparam("id")))
_MEMBERS = prepare(
    select(team_members.c.member_id)
    .where(team_members.c.organization_id == _ORG, team_members.c.team_id == bindparam("id"))
    .order_by(team_members.c.member_id)
)
_KEYS = prepare(
    select(team_keys.c.key_id)
    .where(team_keys.c.organization_id == _ORG, team_keys.c.team_id == bindparam("id"))
    .order_by(team_keys.c.key_id)
)


def _replacing(table: str, column: str) -> tuple[Any, Any]:
    leave = (
        f"DELETE FROM {table} WHERE organization_id = :organization_id AND team_id = :id "
        f"AND {column} <> ALL (CAST(:ids AS uuid[]))"
    )
    join = (
        f"INSERT INTO {table} (organization_id, team_id, {column}, joined_at) "
        "SELECT :organization_id, :id, i, :now FROM unnest(CAST(:ids AS uuid[])) AS i ON CONFLICT DO NOTHING"
    )
    return prepare(text(leave)), prepare(text(join))


_PUT_MEMBERS = _replacing("team_members", "member_id")
_PUT_KEYS = _replacing("team_keys", "key_id")


def to_read(row: RowLike) -> dict[str, Any]:
    """A team as the API shows it."""
    return simple.to_read(teams, row)


async def create_team(session: WriteSession, body: TeamCreate) -> dict[str, Any]:
    """Add a team; its name is unique in the organization. 404 for a parent that there is not."""
    await _alone(session)
    if await session.fetch_val(_COUNT) >= MOST:
        raise Conflict(f"An organization has at most {MOST} teams; remove one first.", code="too_many_teams")
    if body.parent_id is not None:
        await _above(session, body.parent_id)
    row = simple.add(session, teams, body.model_dump())
    record(session, "team.created", "team", row["id"])
    return to_read(row)


async def _alone(session: WriteSession) -> None:
    """One change of the tree at a time."""
    await session.fetch(_LOCK, name=f"{session.organization_id}:teams")


async def _above(session: ReadSession, team_id: UUID) -> set[UUID]:
    """A team and those it is a part of; 404 at ``parent_id`` for none."""
    found = {row["id"] for row in await session.fetch(_ABOVE, id=team_id)}
    if not found:
        raise NotFound.reference("parent_id")
    return found


async def get_team(session: ReadSession, team_id: UUID) -> dict[str, Any]:
    """One team, or 404."""
    return to_read(await simple.get(session, teams, team_id, "team"))


async def patch_team(session: WriteSession, team_id: UUID, body: TeamPatch, *, expected: int | None) -> dict[str, Any]:
    """Rename a team or make it a part of another; 422 for one of its own parts."""
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    await _alone(session)
    await lock_row(session, teams, team_id, expected=expected, what="team")
    if not changes:
        return await get_team(session, team_id)
    if changes.get("parent_id") is not None and team_id in await _above(session, changes["parent_id"]):
        detail = "A team cannot be a part of itself or of one of its own parts."
        raise Invalid.at("/parent_id", "circular", detail)
    row = await update_row(session, teams, team_id, changes, expected=None)
    record(session, "team.updated", "team", team_id, fields=changes)
    return to_read(row)


async def delete_team(session: WriteSession, team_id: UUID, *, expected: int | None) -> None:
    """Remove a team that nothing is left of. 409 while it has parts or contacts: these would be without a team."""
    await _alone(session)
    await lock_row(session, teams, team_id, expected=expected, what="team")
    left = await session.fetch_row(_IN_USE, id=team_id)
    assert left is not None
    if left["parts"]:
        raise Conflict("The team has parts. Remove them, or put them into another team, first.", code="team_has_parts")
    if left["contacts"]:
        detail = "The team looks after contacts. Give them to another team first (POST /v1/teams/{team_id}/contacts)."
        raise Conflict(detail, code="team_has_contacts")
    await session.execute(_DELETE, id=team_id)
    record(session, "team.deleted", "team", team_id)


async def people_of(session: ReadSession, team_id: UUID) -> dict[str, Any]:
    """Who belongs to a team; 404 for none."""
    await get_team(session, team_id)
    member_ids = [row["member_id"] for row in await session.fetch(_MEMBERS, id=team_id)]
    return {
        "team_id": team_id,
        "member_ids": member_ids,
        "key_ids": [row["key_id"] for row in await session.fetch(_KEYS, id=team_id)],
    }


async def put_people(session: WriteSession, team_id: UUID, body: TeamPeople) -> dict[str, Any]:
    """Say who belongs to a team: these, and nobody else. 404 for a member or key that there is not."""
    await lock_row(session, teams, team_id, expected=None, what="team")
    for (leave, join), ids in ((_PUT_MEMBERS, body.member_ids), (_PUT_KEYS, body.key_ids)):
        await _replace(session, leave, join, team_id, ids)
    record(session, "team.people_set", "team", team_id)
    return await people_of(session, team_id)


async def _replace(session: WriteSession, leave: Any, join: Any, team_id: UUID, ids: Sequence[UUID]) -> None:
    await session.execute(leave, id=team_id, ids=list(ids))
    await session.execute(join, id=team_id, ids=sorted(set(ids)), now=session.now)
