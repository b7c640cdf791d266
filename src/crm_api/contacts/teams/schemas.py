"""What clients send and get of the teams that look after contacts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from crm_api.kit.schemas import Input, Output

_Id = Annotated[UUID, Field(strict=False)]
MOST = 1_000


class ContactTeams(Input):
    """The teams that look after a contact: these, and no others."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"team_ids": []}]})

    team_ids: Annotated[list[_Id], Field(max_length=50)]


class ContactTeam(Output):
    """A team that looks after a contact."""

    team_id: UUID
    name: str
    assigned_at: datetime


class ContactTeamsRead(Output):
    """The teams that look after a contact."""

    contact_id: UUID
    teams: list[ContactTeam]


class TeamContacts(Input):
    """Contacts that a team is to look after from now on, or no more."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"action": "add", "contact_ids": ["019306f6-1b4e-7c3a-9d1f-0242ac120002"]}],
        }
    )

    action: Literal["add", "remove"] = "add"
    contact_ids: Annotated[list[_Id], Field(min_length=1, max_length=MOST)]


class TeamContactsRead(Output):
    """What became of it."""

    team_id: UUID
    changed: int
    """How many contacts were given to the team, or taken from it."""
    unchanged: int
    """How many were so already."""
