"""Reading other people's JSON exactly: numbers as they were printed, times to the second; no function here raises but
`parse_exact`. What is not what it should be is ``None``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NoReturn

from crm_api.kit.money import CURRENCIES, MAX_MINOR, Money, minor_from_major

_DECIMAL = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{0,12})?")
_MARK = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_EARLIEST, _LATEST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_LARGEST = 10**15


def _constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


def parse_exact(body: bytes) -> Any:
    """The JSON of a body with decimals as `Decimal`. Raises `ValueError` for what is none."""
    try:
        return json.loads(body.decode("utf-8"), parse_float=Decimal, parse_constant=_constant)
    except RecursionError:
        raise ValueError("nested too deep") from None


def decimal(value: Any) -> Decimal | None:
    """A number in main units, printed as a number or as text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        value = repr(value)
    if isinstance(value, str):
        value = value.strip()
        return Decimal(value) if _DECIMAL.fullmatch(value) else None
    if isinstance(value, int):
        return Decimal(value) if abs(value) < _LARGEST * 1000 else None
    if isinstance(value, Decimal) and value.is_finite() and -20 < value.adjusted() < 18:
        return value
    return None


def main_units(amount: Any, currency: Any) -> Money | None:
    """An amount in main units (``"100.0"``) as money: not below zero, no fraction of the smallest unit."""
    number = decimal(amount)
    if (
        number is None
        or number < 0
        or not isinstance(currency, str)
        or (iso := currency.strip().upper()) not in CURRENCIES
    ):
        return None
    try:
        minor = minor_from_major(number, iso)
    except (ValueError, ArithmeticError):
        return None
    return Money(minor, iso) if minor <= MAX_MINOR else None


def minor_units(amount: Any, currency: Any) -> Money | None:
    """An amount in the smallest units as money."""
    if isinstance(amount, bool) or not isinstance(amount, int) or not isinstance(currency, str):
        return None
    iso = currency.strip().upper()
    return Money(amount, iso) if iso in CURRENCIES and 0 <= amount <= MAX_MINOR else None


def moment(value: Any) -> datetime | None:
    """An instant from ISO 8601, to the second: two statements of one second must not differ by their fractions. A time
    without a zone is UTC."""
    if not isinstance(value, str) or not 10 <= len(value) <= 40:
        return None
    try:
        found = datetime.fromisoformat(value)
        found = (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC).replace(microsecond=0)
    except (ValueError, OverflowError):
        return None
    return found if _EARLIEST < found < _LATEST else None


def day(value: Any) -> date | None:
    """A calendar day from ISO 8601; of an instant, its day in UTC."""
    found = moment(value)
    return found.date() if found else None


def mark(value: Any) -> str | None:
    """An id, printed as text or as a whole number."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LARGEST * 1000:
        return str(value)
    return value if isinstance(value, str) and _MARK.fullmatch(value) else None


def word(value: Any) -> str | None:
    """A machine word, such as a status or a decline code, in lower case; a sentence about somebody is not one."""
    return value.lower() if isinstance(value, str) and _WORD.fullmatch(value) else None


def told(values: Mapping[str, str | None]) -> dict[str, str] | None:
    """Those that say something; nothing where none does."""
    return {name: value for name, value in values.items() if value} or None
