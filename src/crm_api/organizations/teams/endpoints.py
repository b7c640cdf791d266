"""HTTP of teams."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Request, Response

from crm_api.idempotency.boundary import IfMatch, json_body, list_query, reads, router, services, writes
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.listing import ListQuery, read_page
from crm_api.kit.reply import created, no_content, reply
from crm_api.organizations.teams import service
from crm_api.organizations.teams.fields import TEAMS
from crm_api.organizations.teams.schemas import (
    TeamCreate,
    TeamPage,
    TeamPatch,
    TeamPeople,
    TeamPeopleRead,
    TeamRead,
)

routes = router("teams")


def _forget(request: Request, session: WriteSession) -> None:
    """Drop cached principals once the change stands: they carry the teams whose contacts they see."""
    authenticator, organization_id = services(request).authenticator, session.organization_id
    session.after_commit(lambda: authenticator.forget(organization_id))


@routes.post("/v1/teams", operation_id="teams_create", status_code=201, response_model=TeamRead)
async def teams_create(
    request: Request,
    session: Annotated[WriteSession, writes("teams:write")],
    body: Annotated[TeamCreate, json_body(TeamCreate)],
) -> Response:
    """Add a team or branch, by itself or as a part of another."""
    team = await service.create_team(session, body)
    _forget(request, session)
    return created(team, f"/v1/teams/{team['id']}")


@routes.get("/v1/teams", operation_id="teams_list", response_model=TeamPage)
async def teams_list(
    session: Annotated[ReadSession, reads("teams:read")], query: Annotated[ListQuery, list_query(TEAMS)]
) -> Response:
    """List teams, newest first."""
    return await read_page(session, TEAMS, query, service.to_read)


@routes.get("/v1/teams/{team_id}", operation_id="teams_get", response_model=TeamRead)
async def teams_get(session: Annotated[ReadSession, reads("teams:read")], team_id: UUID) -> Response:
    """One team."""
    team = await service.get_team(session, team_id)
    return reply(team, version=team["version"])


@routes.patch("/v1/teams/{team_id}", operation_id="teams_update", response_model=TeamRead)
async def teams_update(
    request: Request,
    session: Annotated[WriteSession, writes("teams:write")],
    team_id: UUID,
    body: Annotated[TeamPatch, json_body(TeamPatch, media_type="application/merge-patch+json")],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Rename a team, or make it a part of another, by JSON merge patch."""
    team = await service.patch_team(session, team_id, body, expected=expected)
    _forget(request, session)
    return reply(team, version=team["version"])


@routes.delete("/v1/teams/{team_id}", operation_id="teams_delete", status_code=204, response_model=None)
async def teams_delete(
    request: Request,
    session: Annotated[WriteSession, writes("teams:write")],
    team_id: UUID,
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Remove a team without parts and contacts."""
    await service.delete_team(session, team_id, expected=expected)
    _forget(request, session)
    return no_content()


@routes.get("/v1/teams/{team_id}/members", operation_id="teams_members", response_model=TeamPeopleRead)
async def teams_members(session: Annotated[ReadSession, reads("teams:read")], team_id: UUID) -> Response:
    """Members and API keys that belong to a team."""
    return reply(await service.people_of(session, team_id))


@routes.put("/v1/teams/{team_id}/members", operation_id="teams_set_members", response_model=TeamPeopleRead)
async def teams_set_members(
    request: Request,
    session: Annotated[WriteSession, writes("teams:write")],
    team_id: UUID,
    body: Annotated[TeamPeople, json_body(TeamPeople)],
) -> Response:
    """Say which members and API keys belong to a team. It limits those that do not see all (`sees_all`)."""
    people = await service.put_people(session, team_id, body)
    _forget(request, session)
    return reply(people)
