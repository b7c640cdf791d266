"""HTTP of who looks after contacts."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Response

from crm_api.contacts.teams import service
from crm_api.contacts.teams.schemas import ContactTeams, ContactTeamsRead, TeamContacts, TeamContactsRead
from crm_api.idempotency.boundary import json_body, reads, router, writes
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.reply import reply

routes = router("teams")


@routes.get("/v1/contacts/{contact_id}/teams", operation_id="contacts_teams", response_model=ContactTeamsRead)
async def contacts_teams(session: Annotated[ReadSession, reads("contacts:read")], contact_id: UUID) -> Response:
    """The teams that look after a contact."""
    return reply(await service.teams_of(session, contact_id))


@routes.put("/v1/contacts/{contact_id}/teams", operation_id="contacts_set_teams", response_model=ContactTeamsRead)
async def contacts_set_teams(
    session: Annotated[WriteSession, writes("contacts:write")],
    contact_id: UUID,
    body: Annotated[ContactTeams, json_body(ContactTeams)],
) -> Response:
    """Say which teams look after a contact: these, and no others."""
    return reply(await service.put_teams(session, contact_id, body.team_ids))


@routes.post("/v1/teams/{team_id}/contacts", operation_id="teams_change_contacts", response_model=TeamContactsRead)
async def teams_change_contacts(
    session: Annotated[WriteSession, writes("contacts:write")],
    team_id: UUID,
    body: Annotated[TeamContacts, json_body(TeamContacts)],
) -> Response:
    """Give up to 1,000 contacts to a team, or take them from it, all or none. For those of a team, filter contacts by
    `team_id`."""
    remove = body.action == "remove"
    return reply(await service.change_many(session, team_id, body.contact_ids, remove=remove))
