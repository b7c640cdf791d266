"""What clients send and get of funds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict

from crm_api.kit.schemas import Code, Input, Name, NotNull, Output, ShortText, Versioned


class FundCreate(Input):
    """A new fund."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"code": "winter", "name": "Winter relief", "is_restricted": True}]}
    )

    code: Code
    name: Name
    description: ShortText | None = None
    is_restricted: bool = False


class FundPatch(Input):
    """Changes to a fund (JSON merge patch)."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Winter relief 2026", "status": "active"}]})

    name: Annotated[Name | None, NotNull] = None
    description: ShortText | None = None
    is_restricted: Annotated[bool | None, NotNull] = None
    status: Annotated[Literal["active", "closed"] | None, NotNull] = None


class FundRead(Versioned):
    """A fund: the purpose a gift is restricted to."""

    code: str
    name: str
    description: str | None
    is_restricted: bool
    status: str


class FundPage(Output):
    """A page of funds."""

    data: list[FundRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None
