"""What clients send and get of contacts."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field, JsonValue, model_validator

from crm_api.contacts.parts import (
    Addresses,
    AddressRead,
    BirthDate,
    Channel,
    Custom,
    EmailRead,
    Emails,
    ExternalIds,
    Gender,
    Greeting,
    HandleRead,
    Handles,
    OtherNameRead,
    OtherNames,
    PhoneRead,
    Phones,
    PlainDay,
    RoleDetailRead,
    RoleDetails,
    Roles,
    Source,
    SourceRead,
    Tags,
)
from crm_api.kit import rules
from crm_api.kit.schemas import ExternalId, Input, Language, Name, Output, TimeZone, Versioned


def _one_primary(items: list[Any]) -> list[dict[str, Any]]:
    """As stored: exactly one primary where there is any, the first one marked or simply the first."""
    dumped = [item.model_dump(mode="json") for item in items]
    primary = next((n for n, item in enumerate(dumped) if item["is_primary"]), 0)
    return [{**item, "is_primary": number == primary} for number, item in enumerate(dumped)]


_NO_ITEMS: dict[str, Any] = {
    "properties": {name: {"maxItems": 0} for name in ("other_names", "emails", "phones", "handles", "external_ids")}
}
_NO_NAME = rules.absent("given_name", "family_name", "organization_name")
_ONE_WAY_TO_SAY_ROLES = rules.not_both("roles", "role_details")


def _one_way_to_say_roles(body: ContactCreate | ContactPatch) -> None:
    if body.roles is not None and body.role_details is not None:
        raise ValueError("give roles (names) or role_details (with stages and dates), not both")


class ContactCreate(Input):
    """A new person or organization."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "kind": "person",
                    "given_name": "Олена",
                    "family_name": "Шевченко",
                    "emails": [{"address": "olena@example.org", "is_primary": True}],
                    "phones": [{"number": "+380501234567"}],
                    "addresses": [{"city": "Kyiv", "country": "UA"}],
                    "language": "uk",
                    "external_ids": [{"system": "old-crm", "id": "42"}],
                    "tags": [],
                    "custom": {},
                }
            ],
            **rules.all_of(
                rules.where("kind", ["organization"], rules.given("organization_name")),
                {"not": rules.all_of(_NO_NAME, _NO_ITEMS)},
                _ONE_WAY_TO_SAY_ROLES,
            ),
        }
    )

    kind: Literal["person", "organization"] = "person"
    given_name: Name | None = None
    middle_name: Name | None = None
    family_name: Name | None = None
    organization_name: Name | None = None
    other_names: OtherNames = []
    salutation: Greeting | None = None
    formal_greeting: Greeting | None = None
    informal_greeting: Greeting | None = None
    emails: Emails = []
    phones: Phones = []
    addresses: Addresses = []
    handles: Handles = []
    language: Language | None = None
    timezone: TimeZone | None = None
    birth_date: BirthDate | None = None
    gender: Gender | None = None
    preferred_channel: Channel | None = None
    external_ids: ExternalIds = []
    tags: Tags = []
    roles: Roles | None = None
    role_details: RoleDetails | None = None
    owner_member_id: UUID | None = None
    custom: Custom = {}
    do_not_contact: bool = False
    deceased: bool = False
    deceased_on: PlainDay | None = None
    source: Source | None = None
    on_match: Annotated[
        Literal["create", "reject", "return", "queue"],
        Field(
            description="What to do where the contact may be there already: create it all the same; reject (409, with "
            "the candidates); return the certain match, where there is one; create it and queue the pairs for review."
        ),
    ] = "create"

    @model_validator(mode="after")
    def _says_who(self) -> ContactCreate:
        if self.kind == "organization" and not self.organization_name:
            raise ValueError("an organization needs organization_name")
        known = (self.given_name, self.family_name, self.organization_name, self.other_names, self.emails, self.phones)
        if not any((*known, self.handles, self.external_ids)):
            raise ValueError("give at least a name, an e-mail, a phone, a handle or an external id")
        _one_way_to_say_roles(self)
        return self

    def stored(self) -> dict[str, Any]:
        """Column values."""
        return stored_parts(self, set(type(self).model_fields))


class ContactPatch(Input):
    """Changes to a contact: a JSON merge patch. Lists are replaced whole; null clears a field."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"language": "uk", "tags": ["friend"], "middle_name": None}],
            **_ONE_WAY_TO_SAY_ROLES,
        }
    )

    kind: Literal["person", "organization"] | None = None
    given_name: Name | None = None
    middle_name: Name | None = None
    family_name: Name | None = None
    organization_name: Name | None = None
    other_names: OtherNames | None = None
    salutation: Greeting | None = None
    formal_greeting: Greeting | None = None
    informal_greeting: Greeting | None = None
    emails: Emails | None = None
    phones: Phones | None = None
    addresses: Addresses | None = None
    handles: Handles | None = None
    language: Language | None = None
    timezone: TimeZone | None = None
    birth_date: BirthDate | None = None
    gender: Gender | None = None
    preferred_channel: Channel | None = None
    external_ids: ExternalIds | None = None
    tags: Tags | None = None
    roles: Roles | None = None
    role_details: RoleDetails | None = None
    owner_member_id: UUID | None = None
    custom: Custom | None = None
    do_not_contact: bool | None = None
    deceased: bool | None = None
    deceased_on: PlainDay | None = None

    @model_validator(mode="after")
    def _says_once(self) -> ContactPatch:
        _one_way_to_say_roles(self)
        return self

    def stored(self) -> dict[str, Any]:
        """Column values of the members that were sent."""
        return stored_parts(self, self.model_fields_set)


_LISTS_WITH_PRIMARY = frozenset({"emails", "phones", "addresses", "handles"})
_REQUIRED: dict[str, Any] = {"kind": "person", "do_not_contact": False, "deceased": False, "custom": {}}


def _roles_said(value: Any, *, sent: bool) -> Any:
    if value is None:
        return [] if sent else None
    return [item if isinstance(item, str) else item.model_dump(mode="json") for item in value]


def stored_parts(body: ContactCreate | ContactPatch, names: set[str]) -> dict[str, Any]:
    """Column values of some members of a body; `roles` and `role_details` are left as they were said."""
    values: dict[str, Any] = {}
    for name in type(body).model_fields:
        if name not in names or name == "on_match":
            continue
        value = getattr(body, name)
        if name in _LISTS_WITH_PRIMARY:
            value = _one_primary(value or [])
        elif name == "external_ids":
            value = list({(e.system, e.id): e.model_dump() for e in value or []}.values())
        elif name == "tags":
            value = list(dict.fromkeys(value or []))
        elif name == "other_names":
            value = [item.model_dump() for item in value or []]
        elif name in {"roles", "role_details"}:
            value = _roles_said(value, sent=isinstance(body, ContactPatch))
        elif name == "source" and value is not None:
            value = value.model_dump()
        elif value is None:
            value = _REQUIRED.get(name)
        values[name] = value
    return values


class ContactRead(Versioned):
    """A contact. `roles` are the current ones of `role_details`; `latin_name` is the name in Latin letters, given or
    transliterated."""

    kind: str
    display_name: str
    latin_name: str | None
    given_name: str | None
    middle_name: str | None
    family_name: str | None
    organization_name: str | None
    other_names: list[OtherNameRead]
    salutation: str | None
    formal_greeting: str | None
    informal_greeting: str | None
    emails: list[EmailRead]
    phones: list[PhoneRead]
    addresses: list[AddressRead]
    handles: list[HandleRead]
    language: str | None
    timezone: str | None
    birth_date: str | None
    gender: str | None
    preferred_channel: str | None
    external_ids: list[ExternalId]
    tags: list[str]
    roles: list[str]
    role_details: list[RoleDetailRead]
    owner_member_id: UUID | None
    custom: dict[str, JsonValue]
    do_not_contact: bool
    deceased: bool
    deceased_on: date | None
    source: SourceRead | None
    erased_at: datetime | None


class ContactPage(Output):
    """A page of contacts."""

    data: list[ContactRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None
