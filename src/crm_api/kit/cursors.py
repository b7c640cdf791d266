"""Cursors: where a list goes on, opaque, sealed and bound to the filter and sort it came from."""

from __future__ import annotations

import base64
import hmac
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson

from crm_api.kit.fields import Field
from crm_api.kit.problems import FieldError, Invalid
from crm_api.kit.reply import dumps

if TYPE_CHECKING:
    from crm_api.kit.listing import ListQuery

_CURSOR_KEY = b"crm-api cursor v1"  # guards against accidents, not attackers: a cursor grants nothing


def _seal(payload: bytes) -> str:
    mac = hmac.digest(_CURSOR_KEY, payload, "sha256")[:6]
    return base64.urlsafe_b64encode(mac + payload).decode().rstrip("=")


def make_cursor(query: ListQuery, sort_value: Any, row_id: UUID) -> str:
    """The cursor that continues after a row."""
    return _seal(dumps([query.signature, sort_value, row_id]))


def mark(bound: str, *parts: Any) -> str:
    """A cursor of a list that is no `ListQuery`: some values, bound to whatever `bound` says of what is listed."""
    return _seal(dumps([bound, *parts]))


def unmark(text: str, bound: str) -> list[Any]:
    """The values of such a cursor, as JSON has them; `Invalid` says what is wrong with it."""
    try:
        raw = base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4))
        mac, payload = raw[:6], raw[6:]
        if not hmac.compare_digest(mac, hmac.digest(_CURSOR_KEY, payload, "sha256")[:6]):
            raise ValueError
        found, *rest = orjson.loads(payload)
    except (ValueError, TypeError, UnicodeError):
        raise Invalid.at("?cursor", "cursor_invalid", "This is not a cursor of this API; start without one.") from None
    if found != bound:
        raise Invalid.at("?cursor", "cursor_mismatch", "This cursor belongs to another list or filter; start anew.")
    parts: list[Any] = rest
    return parts


def read_cursor(text: str, signature: str, sort: Field, errors: list[FieldError]) -> tuple[Any, UUID] | None:
    """The sort value and id a cursor goes on after; what is wrong with it is added to `errors`."""
    try:
        raw = base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4))
        mac, payload = raw[:6], raw[6:]
        if not hmac.compare_digest(mac, hmac.digest(_CURSOR_KEY, payload, "sha256")[:6]):
            raise ValueError
        bound, value, row_id = orjson.loads(payload)
        if bound != signature:
            errors.append(
                FieldError("?cursor", "cursor_mismatch", "This cursor belongs to another filter or sort; start anew.")
            )
            return None
        return _cursor_value(sort, value), UUID(str(row_id))
    except (ValueError, TypeError, UnicodeError):
        errors.append(FieldError("?cursor", "cursor_invalid", "This is not a cursor of this API; start without one."))
        return None


def _cursor_value(sort: Field, value: Any) -> Any:
    """The sort value a cursor carries, of its field's type: the seal keeps out accidents, not a forger."""
    if value is None:
        return None
    if sort.kind == "integer":
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) > sort.largest:
            raise ValueError
        return value
    if not isinstance(value, str):
        raise ValueError
    if sort.kind != "text":
        return sort.parse(value)
    if "\x00" in value:
        raise ValueError
    return value
