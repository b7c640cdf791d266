"""What clients send and get of payment connections."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from crm_api.kit.schemas import Input, Name, NotNull, Output, Versioned

Secret = Annotated[str, StringConstraints(min_length=1, max_length=4000, pattern=r"^[^\x00]+$")]
Credentials = Annotated[
    dict[Annotated[str, StringConstraints(max_length=64)], Secret],
    Field(max_length=20, description="What the provider needs; for Stripe: webhook_secret and, if you like, api_key."),
]
ProviderName = Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=r"^[a-z_]+$")]


class ConnectionCreate(Input):
    """A new payment connection."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"provider": "stripe", "name": "Main", "credentials": {"webhook_secret": "whsec_example"}}]
        }
    )

    provider: ProviderName
    name: Name
    credentials: Credentials


class ConnectionPatch(Input):
    """Changes to a payment connection. New credentials replace the old ones; the old webhook secret stays valid for a
    day, so that nothing in flight is refused."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Main account", "status": "active"}]})

    name: Annotated[Name | None, NotNull] = None
    status: Annotated[Literal["active", "disabled"] | None, NotNull] = None
    credentials: Annotated[Credentials | None, NotNull] = None


class ConnectionRead(Versioned):
    """A payment connection. Its secrets never come back."""

    provider: str
    name: str
    status: str
    webhook_url: str
    credentials_set: list[str]
    """Names of the credentials that are stored."""


class ConnectionPage(Output):
    """A page of payment connections."""

    data: list[ConnectionRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None
