"""OpenAPI descriptions of the parameters that routes share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from crm_api.kit.fields import Catalogue
from crm_api.kit.listing import DEFAULT_LIMIT, MAX_LIMIT


def _query(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    found = {"name": name, "in": "query", "required": False, "description": description, "schema": schema}
    return {**found, "style": "form", "explode": False} if schema["type"] == "array" else found


def _header(name: str, description: str, pattern: str) -> dict[str, Any]:
    schema = {"type": "string", "pattern": pattern}
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}


IF_MATCH = _header("If-Match", 'The ETag the change is based on, such as "3".', r'^("[0-9]{1,9}"|\*)$')
IDEMPOTENCY_KEY = _header(
    "Idempotency-Key", "Makes the request safe to repeat; kept 7 days.", r"^[!-~]([ -~]{0,253}[!-~])?$"
)


def of_members(members: Iterable[str]) -> dict[str, Any]:
    """The parameter that asks for some members only."""
    items = {"type": "string", "enum": sorted(members)}
    return _query(
        "fields",
        "Only these members, separated by commas; `id` always comes. The answer lacks the others.",
        {"type": "array", "items": items, "minItems": 1},
    )


def of_expand(names: Iterable[str]) -> dict[str, Any]:
    """The parameter that asks for what a resource refers to."""
    items = {"type": "string", "enum": list(names)}
    said = "What to put beside the resource, separated by commas."
    return _query("expand", said, {"type": "array", "items": items, "minItems": 1, "maxItems": len(items["enum"])})


_CURSOR = {"type": "string", "pattern": "^[A-Za-z0-9_-]{20,400}$"}


def of_list(catalogue: Catalogue) -> list[dict[str, Any]]:
    """Parameters of a list, from its catalogue."""
    filters = [
        _query(
            item.name if operator == "eq" else f"{item.name}[{operator}]",
            item.description or f"Filter by {item.name}.",
            item.schema(operator),
        )
        for item in catalogue.fields
        for operator in item.operators
    ]
    limit = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}
    return [
        *filters,
        _query("limit", "How many rows at most.", limit),
        _query("cursor", "`next_cursor` of the page before, with the same filters and sort.", _CURSOR),
        _query("sort", "Order; `-` means descending.", {"type": "string", "enum": catalogue.sorts}),
        _query("include_total", "Also count all matching rows.", {"type": "boolean", "default": False}),
        *([of_expand(catalogue.expands)] if catalogue.expands else []),
    ]
