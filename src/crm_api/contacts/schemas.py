"""What clients send and get of contacts."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, ConfigDict, Field, JsonValue, StringConstraints, model_validator

from crm_api.kit.schemas import Country, ExternalId, Input, Language, Name, Output, ShortText, Versioned


def clean_email(address: str) -> str:
    """The normalized address; `ValueError` when it is none. Asks no name server."""
    try:
        return validate_email(address.strip(), check_deliverability=False, allow_smtputf8=True).normalized
    except EmailNotValidError:
        raise ValueError("is not an e-mail address") from None


def clean_phone(number: str) -> str:
    """The number in E.164; `ValueError` when it is no possible international number."""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        raise ValueError("is not a phone number in international form, such as +380501234567") from None
    if not phonenumbers.is_possible_number(parsed):
        raise ValueError("is not a possible phone number; check its length")
    return str(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))


def _custom(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if len(value) > 100:
        raise ValueError("must not hold more than 100 members")
    return value


EmailAddress = Annotated[
    str,
    StringConstraints(min_length=3, max_length=254),
    AfterValidator(clean_email),
    Field(examples=["olena@example.org"]),
]
PhoneNumber = Annotated[
    str,
    StringConstraints(min_length=5, max_length=40),
    AfterValidator(clean_phone),
    Field(examples=["+380501234567"]),
]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f,]+$")]
Label = Annotated[str, StringConstraints(min_length=1, max_length=40)]
Custom = Annotated[dict[Annotated[str, StringConstraints(max_length=64)], JsonValue], AfterValidator(_custom)]


class Email(Input):
    """An e-mail address of a contact."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"address": "olena@example.org", "is_primary": True}]})

    address: EmailAddress
    label: Label | None = None
    is_primary: bool = False
    status: Literal["valid", "bouncing", "invalid", "opted_out"] = "valid"


class Phone(Input):
    """A phone number of a contact, stored in E.164."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"number": "+380501234567", "label": "mobile"}]})

    number: PhoneNumber
    label: Label | None = None
    is_primary: bool = False


class Address(Input):
    """A postal address of a contact."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"line1": "Khreshchatyk 1", "city": "Kyiv", "postal_code": "01001", "country": "UA"}]
        }
    )

    line1: ShortText | None = None
    line2: ShortText | None = None
    city: ShortText | None = None
    region: ShortText | None = None
    postal_code: Annotated[str, StringConstraints(max_length=20)] | None = None
    country: Country | None = None
    label: Label | None = None
    is_primary: bool = False


Emails = Annotated[list[Email], Field(max_length=20)]
Phones = Annotated[list[Phone], Field(max_length=20)]
Addresses = Annotated[list[Address], Field(max_length=20)]
ExternalIds = Annotated[list[ExternalId], Field(max_length=50)]
Tags = Annotated[list[Tag], Field(max_length=100)]


def _one_primary(items: list[Any]) -> list[dict[str, Any]]:
    """As stored: exactly one primary where there is any, the first one marked or simply the first."""
    dumped = [item.model_dump(mode="json") for item in items]
    primary = next((n for n, item in enumerate(dumped) if item["is_primary"]), 0)
    return [{**item, "is_primary": number == primary} for number, item in enumerate(dumped)]


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
            ]
        }
    )

    kind: Literal["person", "organization"] = "person"
    given_name: Name | None = None
    middle_name: Name | None = None
    family_name: Name | None = None
    organization_name: Name | None = None
    emails: Emails = []
    phones: Phones = []
    addresses: Addresses = []
    language: Language | None = None
    external_ids: ExternalIds = []
    tags: Tags = []
    custom: Custom = {}
    do_not_contact: bool = False
    deceased: bool = False

    @model_validator(mode="after")
    def _says_who(self) -> ContactCreate:
        if self.kind == "organization" and not self.organization_name:
            raise ValueError("an organization needs organization_name")
        if not any(
            (self.given_name, self.family_name, self.organization_name, self.emails, self.phones, self.external_ids)
        ):
            raise ValueError("give at least a name, an e-mail, a phone or an external id")
        return self

    def stored(self) -> dict[str, Any]:
        """Column values."""
        return stored_parts(self, set(type(self).model_fields))


class ContactPatch(Input):
    """Changes to a contact: a JSON merge patch. Lists are replaced whole; null clears a field."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"language": "uk", "tags": ["friend"], "middle_name": None}]}
    )

    kind: Literal["person", "organization"] | None = None
    given_name: Name | None = None
    middle_name: Name | None = None
    family_name: Name | None = None
    organization_name: Name | None = None
    emails: Emails | None = None
    phones: Phones | None = None
    addresses: Addresses | None = None
    language: Language | None = None
    external_ids: ExternalIds | None = None
    tags: Tags | None = None
    custom: Custom | None = None
    do_not_contact: bool | None = None
    deceased: bool | None = None

    def stored(self) -> dict[str, Any]:
        """Column values of the members that were sent."""
        return stored_parts(self, self.model_fields_set)


_REQUIRED: dict[str, Any] = {"kind": "person", "do_not_contact": False, "deceased": False, "custom": {}}


def stored_parts(body: ContactCreate | ContactPatch, names: set[str]) -> dict[str, Any]:
    """Column values of some members of a body."""
    values: dict[str, Any] = {}
    for name in type(body).model_fields:
        if name not in names:
            continue
        value = getattr(body, name)
        if name in {"emails", "phones", "addresses"}:
            value = _one_primary(value or [])
        elif name == "external_ids":
            value = list({(e.system, e.id): e.model_dump() for e in value or []}.values())
        elif name == "tags":
            value = list(dict.fromkeys(value or []))
        elif value is None:
            value = _REQUIRED.get(name)
        values[name] = value
    return values


class EmailRead(Output):
    """An e-mail address of a contact."""

    address: str
    label: str | None
    is_primary: bool
    status: str


class PhoneRead(Output):
    """A phone number in E.164."""

    number: str
    label: str | None
    is_primary: bool


class AddressRead(Output):
    """A postal address."""

    line1: str | None
    line2: str | None
    city: str | None
    region: str | None
    postal_code: str | None
    country: str | None
    label: str | None
    is_primary: bool


class ContactRead(Versioned):
    """A contact."""

    kind: str
    display_name: str
    given_name: str | None
    middle_name: str | None
    family_name: str | None
    organization_name: str | None
    emails: list[EmailRead]
    phones: list[PhoneRead]
    addresses: list[AddressRead]
    language: str | None
    external_ids: list[ExternalId]
    tags: list[str]
    roles: list[str]
    custom: dict[str, JsonValue]
    do_not_contact: bool
    deceased: bool
    source: str | None


class ContactPage(Output):
    """A page of contacts."""

    data: list[ContactRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None
