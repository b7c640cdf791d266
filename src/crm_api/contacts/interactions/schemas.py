"""What clients send and get of interactions."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from crm_api.kit import rules
from crm_api.kit.schemas import Code, ExternalId, Input, Instant, NotNull, Output, ShortText, Versioned

Kind = Literal["call", "meeting", "email", "message", "visit", "note"]
Direction = Literal["inbound", "outbound", "none"]
Channel = Literal[
    "phone", "email", "sms", "telegram", "viber", "whatsapp", "signal", "facebook", "instagram", "in_person", "video",
    "mail", "web", "other",
]  # fmt: skip
Role = Literal["participant", "organizer", "caller", "callee", "sender", "recipient", "about"]
Sensitivity = Literal["donor_sensitive", "beneficiary_sensitive"]
MOST_PARTICIPANTS = 100
Body = Annotated[str, StringConstraints(max_length=50_000)]
Seconds = Annotated[int, Field(ge=0, le=31_536_000, description="Seconds.")]
Mentions = Annotated[
    list[UUID],
    Field(max_length=50, description="Members this note calls in; `@[member id]` in a note's body does the same."),
]

_MENTION = re.compile(r"@\[([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})\]")


class ParticipantNew(Input):
    """Somebody who took part: a contact, or a member of the organization's staff."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"contact_id": "01989c5e-1b2c-7d3e-8a53-6f1d2b7c8e91", "role": "caller"}],
            **rules.exactly_one("contact_id", "member_id"),
        }
    )

    contact_id: UUID | None = None
    member_id: UUID | None = None
    role: Role = "participant"

    @model_validator(mode="after")
    def _one_party(self) -> ParticipantNew:
        if (self.contact_id is None) == (self.member_id is None):
            raise ValueError("a participant is either a contact_id or a member_id")
        return self


_A_CONTACT: rules.Schema = {"contains": rules.given("contact_id")}
Participants = Annotated[
    list[ParticipantNew],
    Field(
        min_length=1,
        max_length=MOST_PARTICIPANTS,
        description="Everybody who took part; one contact at least.",
        json_schema_extra=_A_CONTACT,
    ),
]
_SOME_TEXT = {"type": "string", "minLength": 1, "maxLength": 50_000}
_A_NOTE_SAYS_SOMETHING = rules.where(
    "kind",
    ["note"],
    {"anyOf": [{"required": [name], "properties": {name: _SOME_TEXT}} for name in ("body", "subject")]},
)
_SOMEBODY_TOOK_PART: rules.Schema = {
    "if": rules.given("contact_id"),
    "else": {"required": ["participants"], "properties": {"participants": {"not": rules.NULL, **_A_CONTACT}}},
}


def _with_a_contact(participants: list[ParticipantNew] | None) -> None:
    if participants is not None and all(one.contact_id is None for one in participants):
        raise ValueError("participants must name one contact at least")


class InteractionCreate(Input):
    """A call, meeting, e-mail, message, visit or note that took place.

    Who took part is said by `participants`, or by `contact_id` alone. `external_ref` is what another system calls it:
    the same ref sent again answers the interaction that is there.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "kind": "call",
                    "direction": "inbound",
                    "channel": "phone",
                    "subject": "Питає про звіт",
                    "body": "Хоче знати, куди пішли гроші зимової кампанії.",
                    "outcome": "answered",
                    "at": "2026-11-22T09:00:00Z",
                    "duration_seconds": 340,
                    "participants": [
                        {"contact_id": "01989c5e-1b2c-7d3e-8a53-6f1d2b7c8e91", "role": "caller"},
                        {"member_id": "01989c5e-2c3d-7e4f-9b64-7a2e3c8d9fa2", "role": "callee"},
                    ],
                },
                {
                    "kind": "message",
                    "direction": "inbound",
                    "channel": "telegram",
                    "body": "Дякую за звіт!",
                    "participants": [{"contact_id": "01989c5e-1b2c-7d3e-8a53-6f1d2b7c8e91", "role": "sender"}],
                    "external_ref": {"system": "telegram", "id": "42:7"},
                },
                {"kind": "visit", "contact_id": "01989c5e-1b2c-7d3e-8a53-6f1d2b7c8e91", "subject": "Приніс речі"},
            ],
            **rules.all_of(_A_NOTE_SAYS_SOMETHING, _SOMEBODY_TOOK_PART),
        }
    )

    kind: Kind
    direction: Direction = "none"
    channel: Channel | None = None
    subject: ShortText | None = None
    body: Body | None = None
    outcome: Code | None = None
    at: Instant | None = None
    duration_seconds: Seconds | None = None
    campaign_id: UUID | None = None
    external_ref: ExternalId | None = None
    sensitivity: Sensitivity = "donor_sensitive"
    contact_id: UUID | None = Field(None, description="A contact who took part, with or without others.")
    participants: Annotated[list[ParticipantNew], Field(min_length=1, max_length=MOST_PARTICIPANTS)] | None = None
    mentions: Mentions = []

    @model_validator(mode="after")
    def _whole(self) -> InteractionCreate:
        if self.contact_id is None and self.participants is None:
            raise ValueError("name who took part: contact_id, or participants")
        _with_a_contact(self.people())
        if self.kind == "note" and not self.body and not self.subject:
            raise ValueError("a note needs a body or a subject")
        return self

    def people(self) -> list[ParticipantNew]:
        """Everybody who took part, the contact of `contact_id` last."""
        people = list(self.participants or ())
        if self.contact_id is not None and all(one.contact_id != self.contact_id for one in people):
            people.append(ParticipantNew(contact_id=self.contact_id))
        return people


class InteractionPatch(Input):
    """Changes to an interaction (JSON merge patch). Participants and mentions are replaced whole; `external_ref` is for
    good."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"outcome": "will_call_back", "body": "Зателефонує в понеділок."}]}
    )

    kind: Annotated[Kind | None, NotNull] = None
    direction: Annotated[Direction | None, NotNull] = None
    channel: Channel | None = None
    subject: ShortText | None = None
    body: Body | None = None
    outcome: Code | None = None
    at: Annotated[Instant | None, NotNull] = None
    duration_seconds: Seconds | None = None
    campaign_id: UUID | None = None
    sensitivity: Annotated[Sensitivity | None, NotNull] = None
    participants: Annotated[Participants | None, NotNull] = None
    mentions: Annotated[Mentions | None, NotNull] = None

    @model_validator(mode="after")
    def _whole(self) -> InteractionPatch:
        _with_a_contact(self.participants)
        return self

    def stored(self) -> dict[str, Any]:
        """Column values of the members that were sent; participants and mentions are not columns of their own."""
        names = self.model_fields_set - {"participants", "mentions"}
        return {name: getattr(self, name) for name in type(self).model_fields if name in names}


def mentioned_in(body: str | None) -> list[UUID]:
    """The members a body calls in by ``@[member id]``, in the order they are named."""
    return list(dict.fromkeys(UUID(found) for found in _MENTION.findall(body or "")))


class ParticipantRead(Output):
    """Somebody who took part: a contact or a member."""

    contact_id: UUID | None
    member_id: UUID | None
    role: str


class InteractionRead(Versioned):
    """An interaction with everybody who took part. More kinds, channels and roles may come.

    `sensitivity` is the row's: a `beneficiary_sensitive` one is only there for callers with `contacts:read_sensitive`.
    `actor_kind` and `actor_id` say who recorded it.
    """

    kind: str
    direction: str
    channel: str | None
    subject: str | None
    body: str | None
    outcome: str | None
    at: datetime
    duration_seconds: int | None
    campaign_id: UUID | None
    external_ref: ExternalId | None
    sensitivity: str
    participants: list[ParticipantRead]
    mentions: list[UUID]
    actor_kind: str
    actor_id: str


class InteractionPage(Output):
    """A page of interactions."""

    data: list[InteractionRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None
