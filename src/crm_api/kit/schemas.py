"""Pieces of request and response models that every resource shares."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
)
from pydantic_core import PydanticCustomError, core_schema

from crm_api.kit import clock, money, rules


class Input(BaseModel):
    """Base of everything a client sends: unknown members are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True, defer_build=True)


class Output(BaseModel):
    """Base of everything we answer."""

    model_config = ConfigDict(extra="forbid", defer_build=True)


def _currency(code: str) -> str:
    if code not in money.CURRENCIES:
        raise ValueError("is not an ISO 4217 currency code in capitals")
    return code


def _zone(name: str) -> str:
    try:
        clock.zone(name)
    except ValueError:
        raise ValueError("is not an IANA time zone, such as Europe/Kyiv") from None
    return name


def _sane(instant: datetime) -> datetime:
    if not 1900 <= instant.year <= 2200:
        raise ValueError("must lie between the years 1900 and 2200")
    return instant


def _trimmed(value: str) -> str:
    value = value.strip()
    if not value:
        raise ValueError("must not be blank")
    return value


class _NotNull:
    """Refuses null, and says so in the document."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self._given, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        (described,) = [one for one in handler(schema)["anyOf"] if one != {"type": "null"}]
        return dict(described)

    @staticmethod
    def _given(value: Any) -> Any:
        if value is None:
            raise PydanticCustomError("null_not_allowed", "cannot be removed; send a value or leave it out")
        return value


NotNull = _NotNull()
"""``Annotated[Name | None, NotNull] = None``: a member of a merge patch that can be left out but not removed."""


def _plain_day(text: Any) -> Any:
    if isinstance(text, str) and not _DAY.fullmatch(text):
        raise ValueError("must be a date such as 2026-11-22")
    return text


def _plain_instant(text: Any) -> Any:
    if isinstance(text, datetime):
        return text
    if isinstance(text, str) and _INSTANT.fullmatch(text):
        with suppress(ValueError):
            return datetime.fromisoformat(text.upper())
    raise ValueError("must be an instant with its zone, such as 2026-11-22T09:00:00Z")


_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT = re.compile(_DAY.pattern + r"[Tt ][0-9:.]{5,18}([Zz]|[+-][0-9]{2}:?[0-9]{2})")
"""What a number alone, which would be taken for Unix seconds, is not."""
QueryDay = Annotated[date, BeforeValidator(_plain_day)]
"""A date in a query, where a number would otherwise be taken for Unix seconds."""
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$"), AfterValidator(_currency), Field(examples=["UAH"])]
TimeZone = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(_zone)]
Instant = Annotated[
    AwareDatetime,
    BeforeValidator(_plain_instant),
    AfterValidator(_sane),
    Field(json_schema_extra={"pattern": f"^{rules.years(1900, 2200)}-"}),
]
VISIBLE = r"[^\s\x00-\x1f\x7f-\x9f\ufeff]"
"""A character that is no space and no control character, in every dialect of regular expressions: what they make of
``\\s`` alone differs."""
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=VISIBLE), AfterValidator(_trimmed)]
WebAddress = Annotated[
    str, StringConstraints(pattern=rf"^https?://{VISIBLE}+$", max_length=500), Field(examples=["https://example.org"])
]
ShortText = Annotated[str, StringConstraints(max_length=500)]
LongText = Annotated[str, StringConstraints(max_length=10_000)]
Code = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$")]
Language = Annotated[
    str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=35), Field(examples=["uk"])
]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$"), Field(examples=["UA"])]


class Money(BaseModel):
    """An amount in integer minor units by the currency's ISO 4217 exponent."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra={"examples": [{"amount": 12550, "currency": "UAH"}]}
    )

    amount: Annotated[int, Field(ge=-money.MAX_MINOR, le=money.MAX_MINOR, strict=True)]
    currency: Currency


class PositiveMoney(Money):
    """Money above zero."""

    amount: Annotated[int, Field(gt=0, le=money.MAX_MINOR, strict=True)]


class ExternalId(BaseModel):
    """The same thing's id in another system; kept for ever."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra={"examples": [{"system": "old-crm", "id": "42"}]}
    )

    system: Code
    id: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]


class Versioned(Output):
    """What every stored resource answers."""

    id: UUID
    version: int
    created_at: datetime
    updated_at: datetime


def money_or_none(amount: int | None, currency: str | None) -> dict[str, Any] | None:
    """The API's money object, or null where the amount is not known."""
    return None if amount is None or currency is None else {"amount": amount, "currency": currency}
