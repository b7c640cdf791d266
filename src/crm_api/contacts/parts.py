"""The parts a contact is made of: how its e-mails, phones, addresses, names and roles are checked and shown."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Literal

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, ConfigDict, Field, JsonValue, StringConstraints, model_validator

from crm_api.contacts.quick import quick_email, quick_phone
from crm_api.kit import rules
from crm_api.kit.schemas import VISIBLE, Code, Country, ExternalId, Input, Name, Output, ShortText


def clean_email(address: str) -> str:
    """The normalized address; `ValueError` when it is none. Asks no name server."""
    if (quick := quick_email(address)) is not None:
        return quick
    try:
        return validate_email(address.strip(), check_deliverability=False, allow_smtputf8=True).normalized
    except EmailNotValidError:
        raise ValueError("is not an e-mail address") from None


def clean_phone(number: str) -> str:
    """The number in E.164; `ValueError` when it is no possible international number."""
    if (quick := quick_phone(number)) is not None:
        return quick
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


def _month_day(text: str) -> str:
    try:
        date.fromisoformat(f"2000-{text}")
    except ValueError:
        raise ValueError("must be a day of the year such as 05-17") from None
    return text


def _sane_day(day: date) -> date:
    if not 1850 <= day.year <= 2200:
        raise ValueError("must lie between the years 1850 and 2200")
    return day


_PARTIAL = re.compile(
    r"(?:(?P<year>[0-9]{4})(?:-(?P<month>[0-9]{2})(?:-(?P<day>[0-9]{2}))?)?|--(?P<md>[0-9]{2}-[0-9]{2}))"
)


def _birth_date(text: str) -> str:
    match = _PARTIAL.fullmatch(text)
    if match is None:
        raise ValueError("must be a date such as 1980-05-17, or as much of it as is known: 1980-05, 1980 or --05-17")
    if match["md"]:
        return "--" + _month_day(match["md"])
    try:
        _sane_day(date.fromisoformat(f"{match['year']}-{match['month'] or '01'}-{match['day'] or '01'}"))
    except ValueError:
        raise ValueError("must be a real date between the years 1850 and 2200") from None
    return text


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
ReachStatus = Literal["valid", "bouncing", "invalid", "opted_out"]
Channel = Literal[
    "email", "phone", "sms", "post", "telegram", "viber", "whatsapp", "signal", "facebook", "instagram", "in_person"
]
Network = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{1,30}$"), Field(examples=["telegram"])]
HandleText = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=f"^{VISIBLE}+$")]
Role = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{1,39}$"), Field(examples=["volunteer"])]
Stage = Literal["prospect", "active", "lapsed", "former"]
MonthDay = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{2}-[0-9]{2}$"),
    AfterValidator(_month_day),
    Field(json_schema_extra={"pattern": f"^{rules.MONTH_AND_DAY}$"}),
]
"""A day of every year, ``MM-DD``."""
_YEARS = rules.years(1850, 2200)
BirthDate = Annotated[
    str,
    StringConstraints(max_length=10),
    AfterValidator(_birth_date),
    Field(
        examples=["1980-05-17"],
        json_schema_extra={
            "pattern": f"^({_YEARS}(-(0[1-9]|1[0-2]))?|{_YEARS}-{rules.MONTH_AND_DAY}|--{rules.MONTH_AND_DAY})$"
        },
    ),
]
"""A date of which parts may be unknown: ``1980-05-17``, ``1980-05``, ``1980`` or ``--05-17``."""
PlainDay = Annotated[date, AfterValidator(_sane_day), Field(json_schema_extra={"pattern": f"^{_YEARS}-"})]
Gender = Annotated[str, StringConstraints(min_length=1, max_length=40)]
Greeting = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Custom = Annotated[dict[Annotated[str, StringConstraints(max_length=64)], JsonValue], AfterValidator(_custom)]


class Email(Input):
    """An e-mail address of a contact."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"address": "olena@example.org", "is_primary": True}]})

    address: EmailAddress
    label: Label | None = None
    is_primary: bool = False
    status: ReachStatus = "valid"


class Phone(Input):
    """A phone number of a contact, stored in E.164."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"number": "+380501234567", "label": "mobile"}]})

    number: PhoneNumber
    label: Label | None = None
    is_primary: bool = False
    status: ReachStatus = "valid"


class Address(Input):
    """A postal address of a contact. One with a season is where the contact is between those days of every year."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"line1": "Khreshchatyk 1", "city": "Kyiv", "postal_code": "01001", "country": "UA"}],
            **rules.together("season_from", "season_until"),
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
    status: Literal["unverified", "verified", "invalid", "opted_out"] = "unverified"
    season_from: MonthDay | None = None
    season_until: MonthDay | None = None

    @model_validator(mode="after")
    def _whole_season(self) -> Address:
        if (self.season_from is None) != (self.season_until is None):
            raise ValueError("give season_from and season_until together, or neither")
        return self


class Handle(Input):
    """A contact's name or number in a messenger or a social network."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"network": "telegram", "handle": "olena_sh"}]})

    network: Network
    handle: HandleText
    label: Label | None = None
    is_primary: bool = False
    status: ReachStatus = "valid"


class OtherName(Input):
    """A further name of the contact: in another script, before a marriage, a nickname. It is found by each."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"type": "latin", "given_name": "Olena", "family_name": "Shevchenko"}],
            **rules.one_at_least("given_name", "middle_name", "family_name", "organization_name"),
        }
    )

    type: Literal["native", "latin", "maiden", "former", "nickname", "alias"]
    given_name: Name | None = None
    middle_name: Name | None = None
    family_name: Name | None = None
    organization_name: Name | None = None

    @model_validator(mode="after")
    def _says_something(self) -> OtherName:
        if not any((self.given_name, self.middle_name, self.family_name, self.organization_name)):
            raise ValueError("give at least one part of the name")
        return self


class RoleDetail(Input):
    """What the contact is, or was, to the organization, and how far along."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"role": "volunteer", "stage": "active", "since": "2026-03-01"}]}
    )

    role: Role
    stage: Stage = "active"
    since: PlainDay | None = None
    until: PlainDay | None = None

    @model_validator(mode="after")
    def _in_order(self) -> RoleDetail:
        if self.since and self.until and self.until < self.since:
            raise ValueError("until must not be before since")
        return self


class Source(Input):
    """The first touch: how the contact came to the organization."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"channel": "website", "utm_campaign": "winter"}]})

    channel: Code
    referrer: ShortText | None = None
    utm_source: ShortText | None = None
    utm_medium: ShortText | None = None
    utm_campaign: ShortText | None = None
    utm_term: ShortText | None = None
    utm_content: ShortText | None = None


Emails = Annotated[list[Email], Field(max_length=20)]
Phones = Annotated[list[Phone], Field(max_length=20)]
Addresses = Annotated[list[Address], Field(max_length=20)]
ExternalIds = Annotated[list[ExternalId], Field(max_length=50)]
Handles = Annotated[list[Handle], Field(max_length=20)]
OtherNames = Annotated[list[OtherName], Field(max_length=20)]
Roles = Annotated[list[Role], Field(max_length=20)]
RoleDetails = Annotated[list[RoleDetail], Field(max_length=50)]
Tags = Annotated[list[Tag], Field(max_length=100)]


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
    status: str


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
    status: str
    season_from: str | None
    season_until: str | None


class HandleRead(Output):
    """A name or number in a messenger or a social network."""

    network: str
    handle: str
    label: str | None
    is_primary: bool
    status: str


class OtherNameRead(Output):
    """A further name."""

    type: str
    given_name: str | None
    middle_name: str | None
    family_name: str | None
    organization_name: str | None


class RoleDetailRead(Output):
    """What the contact is, or was, to the organization."""

    role: str
    stage: str
    since: date | None
    until: date | None


class SourceRead(Output):
    """The first touch."""

    channel: str
    referrer: str | None
    utm_source: str | None
    utm_medium: str | None
    utm_campaign: str | None
    utm_term: str | None
    utm_content: str | None
