"""Reading what strangers send: bytes to values, values to clean text. Nothing here raises on hostile input. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from crm_api.kit import clock

LONGEST_ANSWER = 5_000
LONGEST_BODY = 50_000
MOST_FIELDS = 300
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SPACES = re.compile(r"\s+")
_CODE = re.compile(r"[^a-z0-9_.:-]+")


def parse_object(content: bytes) -> dict[str, Any] | None:
    """A JSON object, whole numbers of any size kept exact; nothing where the bytes are none."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def parse_form(content: bytes) -> dict[str, list[str]] | None:
    """The fields of a URL-encoded form in their order; nothing where it is none or has too many fields."""
    try:
        pairs = parse_qsl(content.decode("utf-8"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        return None
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def clean(value: Any, longest: int = LONGEST_ANSWER) -> str | None:
    """Text as it may be kept: well-formed, without control characters but line breaks, cut to `longest`. Formulas and
    markup stay the text they are. Nothing for blank text and for what is no text or number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = str(value)[: longest * 2].encode("utf-8", "replace").decode("utf-8", "replace")
    return _CONTROL.sub("", text).strip()[:longest].strip() or None


def line(value: Any, longest: int = 200) -> str | None:
    """Clean text on one line."""
    text = clean(value, longest * 4)
    return None if text is None else _SPACES.sub(" ", text)[:longest].strip() or None


def code(value: Any) -> str | None:
    """A short word of another system, as an outcome: lower case, no spaces."""
    text = line(value, 64)
    return (_CODE.sub("_", text.casefold()).strip("_.:-") or None) if text else None


def identifier(value: Any) -> str | None:
    """An id of another system as text. Whole numbers of any size stay exact; what else is no text is none."""
    if isinstance(value, float):
        return None
    text = line(value, 200)
    return text if text and " " not in text else None


def seconds(value: Any) -> int | None:
    """A duration of at most a year."""
    text = line(value, 20)
    if text is None or not text.isascii() or not text.isdigit():
        return None
    return min(int(text), 31_536_000)


def moment(value: Any, *, milliseconds: bool = False) -> datetime | None:
    """An instant from Unix time or RFC 3339; nothing where it is neither, or lies outside 1990 to 2200."""
    try:
        if isinstance(value, bool) or value is None:
            return None
        text = str(value).strip()[:40]
        if text.isascii() and text.isdigit():
            found = clock.from_unix(int(text) // 1000 if milliseconds else int(text))
        else:
            found = datetime.fromisoformat(text)
            found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return found if 1990 <= found.year <= 2200 else None


def digest(content: bytes) -> str:
    """A delivery key for what brings none."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def mapping_of(value: Any) -> dict[str, Any]:
    """The object itself, or an empty one."""
    return value if isinstance(value, dict) else {}
