"""What clients send and get of teams."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import ConfigDict, Field

from crm_api.kit.schemas import Input, Name, NotNull, Output, Versioned

TeamId = Annotated[UUID, Field(strict=False)]
_Ids = Annotated[list[TeamId], Field(max_length=1000)]


class TeamCreate(Input):
    """A new team or branch."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Львів"}]})

    name: Name
    parent_id: TeamId | None = None
    """The team it is a part of: whoever sees that one's contacts sees this one's too."""


class TeamPatch(Input):
    """Changes to a team (JSON merge patch)."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Lviv branch"}]})

    name: Annotated[Name | None, NotNull] = None
    parent_id: TeamId | None = None


class TeamRead(Versioned):
    """A team or branch."""

    name: str
    parent_id: UUID | None


class TeamPage(Output):
    """A page of teams."""

    data: list[TeamRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None


class TeamPeople(Input):
    """Everybody who belongs to a team: members and API keys."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"member_ids": [], "key_ids": []}]})

    member_ids: _Ids = Field(default_factory=list)
    key_ids: _Ids = Field(default_factory=list)


class TeamPeopleRead(Output):
    """Everybody who belongs to a team itself; those of teams above it see its contacts too."""

    team_id: UUID
    member_ids: list[UUID]
    key_ids: list[UUID]
