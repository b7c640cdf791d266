"""What clients send and get of tributes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from crm_api.contacts.parts import EmailAddress
from crm_api.kit.rules import exactly_one
from crm_api.kit.schemas import Country, Input, Instant, Name, NotNull, Output, ShortText, Versioned

TributeType = Literal["honor", "memorial"]
Message = Annotated[str, StringConstraints(max_length=2000)]


class PostalAddress(Input):
    """Where a letter goes."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"line1": "Khreshchatyk 1", "city": "Kyiv", "country": "UA"}]}
    )

    line1: ShortText | None = None
    line2: ShortText | None = None
    city: ShortText | None = None
    region: ShortText | None = None
    postal_code: Annotated[str, StringConstraints(max_length=20)] | None = None
    country: Country | None = None


class TributeNoticeCreate(Input):
    """Somebody who is to be told: a contact, or a name with an address."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "Ivan Franko", "email": "ivan@example.org"}],
            **exactly_one("contact_id", "name"),
        }
    )

    contact_id: UUID | None = None
    name: Name | None = None
    email: EmailAddress | None = None
    postal_address: PostalAddress | None = None

    @model_validator(mode="after")
    def _whom(self) -> TributeNoticeCreate:
        if (self.contact_id is None) == (self.name is None):
            raise ValueError("say either contact_id or name")
        return self


class TributeCreate(Input):
    """In whose honour or memory a gift is, and who is to be told of it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "memorial",
                    "honoree_name": "Леся Українка",
                    "message": "Світла пам’ять",
                    "notify": [{"name": "Ivan Franko", "email": "ivan@example.org"}],
                }
            ],
            **exactly_one("honoree_contact_id", "honoree_name"),
        }
    )

    type: TributeType
    honoree_contact_id: UUID | None = None
    honoree_name: Name | None = None
    message: Message | None = Field(None, description="The donor's words to those who are told.")
    notify: Annotated[list[TributeNoticeCreate], Field(max_length=20)] = []

    @model_validator(mode="after")
    def _who(self) -> TributeCreate:
        if (self.honoree_contact_id is None) == (self.honoree_name is None):
            raise ValueError("say either honoree_contact_id or honoree_name")
        return self


class TributePatch(Input):
    """Changes to a tribute (JSON merge patch)."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"type": "memorial", "honoree_name": "Леся Українка"}]})

    type: Annotated[TributeType | None, NotNull] = None
    honoree_name: Annotated[Name | None, NotNull] = None
    message: Message | None = None


class TributeNoticePatch(Input):
    """What became of a notice (JSON merge patch)."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"status": "sent", "notified_at": "2026-11-22T09:00:00Z"}]}
    )

    status: Annotated[Literal["pending", "sent", "failed", "not_needed"] | None, NotNull] = None
    notified_at: Instant | None = Field(None, description="When they were told; now when not given. Only for sent.")


class TributeNoticeRead(Versioned):
    """Somebody who is to be told of a tribute, and whether they were."""

    tribute_id: UUID
    contact_id: UUID | None
    name: str | None
    email: str | None
    postal_address: dict[str, str] | None
    status: str
    notified_at: datetime | None


class TributeRead(Versioned):
    """A gift's tribute."""

    donation_id: UUID
    type: str
    honoree_contact_id: UUID | None
    honoree_name: str | None
    message: str | None
    notices: list[TributeNoticeRead]


class TributePage(Output):
    """Every tribute of a gift, oldest first."""

    data: list[TributeRead]
    has_more: bool
    next_cursor: str | None


class TributeNoticePage(Output):
    """A page of notices."""

    data: list[TributeNoticeRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None
