"""What clients send and get of households."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

from crm_api.contacts.households.naming import OF_HOUSEHOLD, OF_PERSON, check_pattern
from crm_api.contacts.parts import Address, AddressRead
from crm_api.kit.schemas import Input, Language, Name, NotNull, Output, Versioned

MOST_MEMBERS = 50
Role = Literal["head", "spouse", "partner", "parent", "child", "grandparent", "sibling", "other"]
_IN_GREETINGS = "Whether greetings name them; by default everybody but a child."
_MOVE = "Leave the household they belong to now. Without it that is a 409."
_BY_HAND = "Fixed by hand; null makes it of the members again."


class HouseholdMemberCreate(Input):
    """Somebody who belongs to a household from `since` on (today, where it is left out). For somebody who is a member
    already, what is sent is changed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"contact_id": "01938d6e-5a00-7000-8000-000000000001", "role": "spouse", "move": True}]
        }
    )

    contact_id: UUID
    role: Role = "other"
    is_primary: bool = False
    in_name: bool = True
    in_greetings: Annotated[bool, Field(description=_IN_GREETINGS)] | None = None
    since: date | None = None
    move: Annotated[bool, Field(description=_MOVE)] = False


class HouseholdMemberPatch(Input):
    """Changes to a membership (JSON merge patch). A household has exactly one primary member: make another one that."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"role": "head", "in_greetings": True}]})

    role: Annotated[Role | None, NotNull] = None
    is_primary: Annotated[Literal[True] | None, NotNull] = None
    in_name: Annotated[bool | None, NotNull] = None
    in_greetings: Annotated[bool | None, NotNull] = None


class HouseholdCreate(Input):
    """A new household. Name and greetings are made of its members unless they are given. The first member is the
    primary one where none is marked."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "members": [{"contact_id": "01938d6e-5a00-7000-8000-000000000001", "role": "head", "move": True}],
                    "language": "uk",
                    "address": {"line1": "Khreshchatyk 1", "city": "Kyiv", "country": "UA"},
                }
            ]
        }
    )

    members: Annotated[list[HouseholdMemberCreate], Field(min_length=1, max_length=MOST_MEMBERS)]
    name: Annotated[Name, Field(description=_BY_HAND)] | None = None
    formal_greeting: Annotated[Name, Field(description=_BY_HAND)] | None = None
    informal_greeting: Annotated[Name, Field(description=_BY_HAND)] | None = None
    language: Language | None = None
    address: Address | None = None


class HouseholdPatch(Input):
    """Changes to a household (JSON merge patch). Dissolving it ends every membership."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"informal_greeting": "Olena and Andriy"}]})

    name: Annotated[Name, Field(description=_BY_HAND)] | None = None
    formal_greeting: Annotated[Name, Field(description=_BY_HAND)] | None = None
    informal_greeting: Annotated[Name, Field(description=_BY_HAND)] | None = None
    language: Language | None = None
    address: Address | None = None
    status: Annotated[Literal["active", "dissolved"] | None, NotNull] = None


class HouseholdMemberRead(Versioned):
    """A membership; `until` is the day it ended."""

    household_id: UUID
    contact_id: UUID
    role: str
    is_primary: bool
    in_name: bool
    in_greetings: bool
    since: date
    until: date | None


class HouseholdSummary(Versioned):
    """A household without its members. `…_auto`: made of the members, not fixed by hand."""

    name: str
    name_auto: bool
    formal_greeting: str | None
    formal_greeting_auto: bool
    informal_greeting: str | None
    informal_greeting_auto: bool
    language: str | None
    address: AddressRead | None
    all_deceased: bool
    status: str


class HouseholdRead(HouseholdSummary):
    """A household with those who belong to it now, the primary member first."""

    members: list[HouseholdMemberRead]


class HouseholdPage(Output):
    """A page of households."""

    data: list[HouseholdSummary]
    has_more: bool
    next_cursor: str | None
    total: int | None = None


class HouseholdMemberPage(Output):
    """A page of memberships."""

    data: list[HouseholdMemberRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None


def _of_household(pattern: str) -> str:
    return check_pattern(pattern, OF_HOUSEHOLD)


def _of_person(pattern: str) -> str:
    return check_pattern(pattern, OF_PERSON)


_Text = Annotated[str, StringConstraints(min_length=1, max_length=500)]


class HouseholdPatternPut(Input):
    """How households of a language are named and greeted. Placeholders of the name are {families}, {families_genitive}
    and {names}; of greetings, said of each person, {given}, {middle}, {family}, {salutation}, {given_vocative},
    {middle_vocative} and {name}. `|` separates alternatives: the first that can be filled in is taken. A member that is
    left out is the language's usual one."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"conjunction": " & "}, {"name": "The {families} Family|{names}", "conjunction": " & "}]
        }
    )

    name: Annotated[_Text, AfterValidator(_of_household)] | None = None
    formal_greeting: Annotated[_Text, AfterValidator(_of_person)] | None = None
    informal_greeting: Annotated[_Text, AfterValidator(_of_person)] | None = None
    conjunction: Annotated[str, StringConstraints(min_length=1, max_length=20)] | None = None


class HouseholdPatternRead(Output):
    """How households of a language are named and greeted; `is_default` is the language's usual way."""

    language: str
    name: str
    formal_greeting: str
    informal_greeting: str
    conjunction: str
    is_default: bool


class HouseholdPatterns(Output):
    """The patterns of every language."""

    data: list[HouseholdPatternRead]
