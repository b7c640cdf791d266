"""Reading a provider's JSON without trusting it: every function answers ``None`` instead of raising.

Ids, codes and texts end up in keys and columns, so what Postgres could not store (NUL, lone surrogates, endless
strings) is refused here, once.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from crm_api.kit.clock import from_unix
from crm_api.payments.provider import Interpretation

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_IDENT = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_CODE = re.compile(r"[a-z0-9_.-]{1,64}")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_LATEST = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp())


def ignore(reason: str) -> Interpretation:
    """Nothing to do, and why."""
    return Interpretation(ignored=reason)


def at(value: Any, *path: str) -> Any:
    """The value under nested keys, ``None`` when the path breaks anywhere."""
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def mapping(value: Any) -> dict[str, Any]:
    """The value when it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def sequence(value: Any) -> list[Any]:
    """The value when it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def text(value: Any, limit: int = 320) -> str | None:
    """A non-empty string that Postgres can store, its white space tidied; too long ones are refused, not shortened."""
    if not isinstance(value, str):
        return None
    trimmed = " ".join(value.split())
    if not trimmed or len(trimmed) > limit:
        return None
    if any(char < " " or char == "\x7f" or "\ud800" <= char <= "\udfff" for char in trimmed):
        return None
    return trimmed


def ident(value: Any) -> str | None:
    """A provider's id, also out of the object that it names."""
    if isinstance(value, dict):
        value = value.get("id")
    return value if isinstance(value, str) and _IDENT.fullmatch(value) else None


def code(value: Any) -> str | None:
    """A machine word such as a decline code; a sentence about somebody is not one."""
    return value if isinstance(value, str) and _CODE.fullmatch(value) else None


def uuid(value: Any) -> str | None:
    """A UUID in its usual spelling, lower-cased: the only form our own ids have."""
    if not isinstance(value, str):
        return None
    lowered = value.strip().lower()
    return lowered if _UUID.fullmatch(lowered) else None


def instant(value: Any) -> datetime | None:
    """An instant from Unix seconds."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < _LATEST:
        return None
    return from_unix(value)


def unix(moment: datetime) -> int:
    """Whole Unix seconds of an instant, as Stripe counts."""
    return int(moment.timestamp())


def statement_key(kind: str, subject: str, moment: datetime, *facts: object) -> str:
    """The identity of a statement: everything that was said, so that two equal keys never differ in content.

    It names the object and never the event, so the same fact told by two events is one statement.
    """
    return ":".join([kind, subject, *(str(fact) for fact in facts if fact is not None)]) + f"@{unix(moment)}"


def email(*candidates: Any) -> str | None:
    """The first candidate that looks like an e-mail address."""
    for candidate in candidates:
        address = text(candidate)
        if address is not None and _EMAIL.fullmatch(address):
            return address
    return None
