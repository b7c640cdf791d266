"""What clients send and get of members."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict

from crm_api.kit.schemas import Input, Name, NotNull, Output, Versioned
from crm_api.organizations.schemas import LowerEmail

Role = Literal["owner", "admin", "fundraiser", "volunteer_coordinator", "finance", "viewer"]


class MemberCreate(Input):
    """A new member: whoever signs in with this verified e-mail address."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"email": "olena@example.org", "name": "Олена", "role": "fundraiser"}]}
    )

    email: LowerEmail
    name: Name | None = None
    role: Role
    sees_all: bool | None = None
    """Whether teams do not limit what the member sees; left out: owners and administrators see all."""


class MemberPatch(Input):
    """Changes to a member (JSON merge patch)."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"role": "finance"}]})

    name: Name | None = None
    role: Annotated[Role | None, NotNull] = None
    status: Annotated[Literal["active", "disabled"] | None, NotNull] = None
    sees_all: Annotated[bool | None, NotNull] = None
    """Whether teams do not limit what the member sees. An owner always sees all."""


class MemberRead(Versioned):
    """A person who may act for the organization, with a role."""

    email: str
    name: str | None
    role: str
    status: str
    sees_all: bool
    """Whether teams do not limit what the member sees, where the organization has switched them on."""


class MemberPage(Output):
    """A page of members."""

    data: list[MemberRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None
