"""What clients send and get of API keys."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import ConfigDict, Field, StringConstraints

from crm_api.kit.schemas import Input, Instant, Name, NotNull, Output, Versioned

KeyKind = Literal["secret", "publishable"]
Scope = Annotated[str, StringConstraints(min_length=1, max_length=64), Field(examples=["contacts:read"])]
MAX_OVERLAP = 604_800


class ApiKeyCreate(Input):
    """A new API key."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "Website", "scopes": ["contacts:write", "donations:write"]}]}
    )

    name: Name
    kind: KeyKind = "secret"
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=100)]
    expires_at: Instant | None = None
    sees_all: bool = True
    """Whether teams do not limit what the key sees."""


class ApiKeyPatch(Input):
    """Changes to an API key (JSON merge patch). Its scopes are for good: create another key for others."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Website, spring"}]})

    name: Annotated[Name | None, NotNull] = None
    sees_all: Annotated[bool | None, NotNull] = None


class ApiKeyRotate(Input):
    """How long the old key still works beside the new one."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"overlap_seconds": 86400}]})

    overlap_seconds: Annotated[int, Field(ge=0, le=MAX_OVERLAP)] = 86_400


class ApiKeyRead(Versioned):
    """An API key, without its secret."""

    name: str
    kind: str
    scopes: list[str]
    last_four: str
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    rotated_from: UUID | None
    sees_all: bool
    """Whether teams do not limit what the key sees, where the organization has switched them on."""


class ApiKeyIssued(ApiKeyRead):
    """A new API key, whole in `key` this one time; null when the answer is an idempotent replay."""

    key: str | None


class ApiKeyPage(Output):
    """A page of API keys."""

    data: list[ApiKeyRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None
