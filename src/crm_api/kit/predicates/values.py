"""Reading the values of a rule: each reader takes what JSON has, and gives what is compared or says what is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, get_args
from uuid import UUID

from crm_api.kit.money import CURRENCIES, MAX_MINOR
from crm_api.kit.predicates.catalogue import Attribute
from crm_api.kit.predicates.nodes import Relative, Span, Unit

_LONGEST_SPAN = 40_000


class Wrong(Exception):
    """What is wrong, at a pointer below the one being read."""

    def __init__(self, code: str, detail: str, below: str = "") -> None:
        super().__init__(detail)
        self.code, self.below = code, below


def each(one: Callable[[Any], Any], item: Any, place: int) -> Any:
    """One value of a list; what is wrong with it is told at its place."""
    try:
        return one(item)
    except Wrong as wrong:
        raise Wrong(wrong.code, str(wrong), f"/{place}{wrong.below}") from None


def text_of(raw: Any, attribute: Attribute) -> str:
    """A text in the form that the field is stored in."""
    if not isinstance(raw, str) or not 1 <= len(raw) <= 500 or "\x00" in raw:
        raise Wrong("not_a_text", "Takes a text of 1 to 500 characters.")
    try:
        raw.encode()
    except UnicodeEncodeError:
        raise Wrong("not_a_text", "This is not well-formed text.") from None
    if attribute.choices and raw not in attribute.choices:
        raise Wrong("unknown_choice", f"Takes one of {', '.join(attribute.choices)}.")
    try:
        return attribute.normalize(raw)
    except ValueError as error:
        raise Wrong("invalid", f"This {error}.") from None


def integer_of(raw: Any) -> int:
    """A whole number."""
    if isinstance(raw, bool) or not isinstance(raw, int) or abs(raw) > MAX_MINOR:
        raise Wrong("not_an_integer", "Takes a whole number.")
    return raw


def decimal_of(raw: Any) -> Decimal:
    """A number, exactly."""
    if isinstance(raw, bool) or not isinstance(raw, int | str) or len(str(raw)) > 40:
        raise Wrong("not_a_number", "Takes a number, as a decimal text such as 12.5.")
    try:
        found = Decimal(raw)
    except InvalidOperation:
        raise Wrong("not_a_number", "Takes a number, as a decimal text such as 12.5.") from None
    if not found.is_finite() or abs(found.adjusted()) > 30:
        raise Wrong("not_a_number", "Takes a finite number.")
    return found


def boolean_of(raw: Any) -> bool:
    """True or false."""
    if not isinstance(raw, bool):
        raise Wrong("not_a_boolean", "Takes true or false.")
    return raw


def uuid_of(raw: Any) -> UUID:
    """An id."""
    try:
        return UUID(raw)
    except (ValueError, TypeError, AttributeError):
        raise Wrong("not_a_uuid", "Takes an id.") from None


def money_of(raw: Any, currency: str | None) -> tuple[int, str]:
    """Money, where `currency` is given only in that one."""
    if not isinstance(raw, dict) or set(raw) != {"amount", "currency"}:
        raise Wrong("not_money", 'Takes money such as {"amount": 50000, "currency": "UAH"}, in minor units.')
    amount = raw["amount"]
    if isinstance(amount, bool) or not isinstance(amount, int) or not 0 <= amount <= MAX_MINOR:
        raise Wrong("not_an_amount", "Takes minor units from 0 to 2^53-1.", "/amount")
    if raw["currency"] not in CURRENCIES:
        raise Wrong("unknown_currency", "Takes an ISO 4217 code such as UAH.", "/currency")
    if currency is not None and raw["currency"] != currency:
        raise Wrong("currency_mismatch", f"This figure is in {currency}.", "/currency")
    return amount, raw["currency"]


def span_of(raw: Any) -> Span:
    """A length of time."""
    if isinstance(raw, dict) and len(raw) == 1:
        ((unit, count),) = raw.items()
        if (
            unit in get_args(Unit)
            and isinstance(count, int)
            and not isinstance(count, bool)
            and 0 <= count <= _LONGEST_SPAN
        ):
            return Span(count, unit)
    raise Wrong("not_a_span", 'Takes a length of time such as {"days": 180}; units are days, weeks, months, years.')


def day_of(raw: Any) -> date | Relative:
    """A day, or one that moves."""
    if isinstance(raw, dict):
        return _relative(raw)
    if isinstance(raw, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", raw):
        try:
            found = date.fromisoformat(raw)
        except ValueError:
            found = None
        if found is not None and 1 < found.year < 9999:
            return found
    raise Wrong("not_a_date", 'Takes a date such as 2026-11-22, or one that moves: {"ago": {"days": 30}}.')


def _relative(raw: Mapping[str, Any]) -> Relative:
    if set(raw) == {"ago"}:
        return Relative(_at("ago", span_of, raw))
    if set(raw) == {"ahead"}:
        return Relative(_at("ahead", span_of, raw), ahead=True)
    if "start_of" in raw and set(raw) <= {"start_of", "back"}:
        if raw["start_of"] not in {"month", "quarter", "year", "fiscal_year"}:
            raise Wrong("unknown_period", "start_of takes month, quarter, year or fiscal_year.", "/start_of")
        back = raw.get("back", 0)
        if isinstance(back, bool) or not isinstance(back, int) or not 0 <= back <= 400:
            raise Wrong("not_an_integer", "back takes a whole number of periods from 0 to 400.", "/back")
        return Relative(start_of=raw["start_of"], back=back)
    raise Wrong("not_a_date", 'A moving day is {"ago": {"days": 30}}, {"ahead": …} or {"start_of": "year", "back": 1}.')


def _at(name: str, read: Callable[[Any], Any], raw: Mapping[str, Any]) -> Any:
    try:
        return read(raw[name])
    except Wrong as wrong:
        raise Wrong(wrong.code, str(wrong), f"/{name}{wrong.below}") from None


def moment_of(raw: Any) -> datetime | date | Relative:
    """An instant, or a day: days are compared as days of the organization's time zone."""
    if isinstance(raw, str) and "T" in raw:
        try:
            found = datetime.fromisoformat(raw)
        except ValueError:
            found = None
        if found is not None and found.tzinfo is not None and 1 < found.year < 9998:
            return found
        raise Wrong("not_an_instant", "Takes an instant with a zone, such as 2026-11-22T09:00:00Z, or a date.")
    return day_of(raw)


def birthday_of(raw: Any) -> str:
    """A month and a day."""
    if isinstance(raw, str) and re.fullmatch(r"\d\d-\d\d", raw):
        try:
            date.fromisoformat(f"2000-{raw}")
        except ValueError:
            pass
        else:
            return raw
    raise Wrong("not_a_birthday", "Takes a month and a day, such as 05-17.")
