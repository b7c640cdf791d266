"""A provider event without the person: what stays is its shape, its ids, amounts, codes and times. Pure."""

from __future__ import annotations

import re
from typing import Any

import orjson

_ID = re.compile(r"[a-z]{1,12}_[A-Za-z0-9_]{4,80}")
_CODES = frozenset(
    [
        "object", "type", "status", "currency", "api_version", "livemode", "reason", "billing_reason",
        "collection_method", "interval", "failure_code", "code", "decline_code", "outcome_type", "network_status",
        "payment_status", "mode", "balance_type", "reporting_category", "capture_method", "confirmation_method",
        "usage", "billing_scheme", "recurring_type", "funding", "brand", "cancellation_reason",
    ]
)  # fmt: skip
"""Members whose text is a code of the provider's."""
_WHO = frozenset(["customer", "customer_account", "client_reference_id", "client_secret", "fingerprint"])
"""Members whose id names the person."""
_OWN_WORDS = frozenset(
    ["metadata", "custom_fields", "shipping", "billing_details", "customer_details", "receipt_email"]
)
"""Members that people and programs write what they like into."""
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,40}")
_DEEPEST = 60


def scrub(body: bytes | None) -> bytes | None:
    """The event's stub; of what is no JSON only a note that there was something. A stub stays as it is."""
    if body is None:
        return None
    try:
        document = orjson.loads(body)
    except ValueError:
        return b'{"erased":true}'
    return orjson.dumps(_scrubbed(document, "", 0))


def _scrubbed(value: Any, name: str, depth: int) -> Any:
    if depth > _DEEPEST or name in _OWN_WORDS or name in _WHO:
        return {} if isinstance(value, dict) else None
    if isinstance(value, dict):
        if value.get("object") == "customer":
            return {"object": "customer"}
        return {key: _scrubbed(item, key, depth + 1) for key, item in value.items() if _CODE.fullmatch(key)}
    if isinstance(value, list):
        return [_scrubbed(item, name, depth + 1) for item in value]
    if not isinstance(value, str):
        return value
    if name in _CODES and _CODE.fullmatch(value):
        return value
    return value if _ID.fullmatch(value) and not value.startswith("cus_") else None
