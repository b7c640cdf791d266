"""Lists filtered by custom fields: `custom.<key>` parameters become ranges of key rows."""

from __future__ import annotations

from dataclasses import replace

from crm_api.contacts.custom_fields import service
from crm_api.contacts.custom_fields.values import Definition, from_text, key_values, require_sensitive
from crm_api.kit.db import ReadSession
from crm_api.kit.fields import MOST_VALUES
from crm_api.kit.listing import Filter, KeyRange, ListQuery
from crm_api.kit.problems import FieldError, Invalid

_LAST = "\U0010ffff"


async def resolve(session: ReadSession, query: ListQuery, resource: str = "contacts") -> ListQuery:
    """The query with its `custom.<key>` filters made into ranges of key rows. One trip where there are any, else none.

    422 for a field that is unknown, not filterable or still being indexed, or a value not of its type; 403 for a
    beneficiary-sensitive one without the scope.
    """
    if not any(item.field.kind == "custom" for item in query.filters):
        return query
    known = await service.definitions(session, resource)
    errors: list[FieldError] = []
    filters: list[Filter] = []
    for item in query.filters:
        if item.field.kind != "custom":
            filters.append(item)
            continue
        key, text = item.value
        at = f"?custom.{key}" + ("" if item.operator == "eq" else f"[{item.operator}]")
        definition = known.get(key)
        if definition is not None and definition.sensitive:
            require_sensitive(session.actor.scopes, definition.key, "Filtering by it")
        try:
            filters.append(replace(item, value=_range(definition, item.operator, text)))
        except _Indexing:
            said = "This custom field is still being indexed; GET /v1/custom-fields shows how far it is. Try then."
            errors.append(FieldError(at, "still_being_indexed", said))
        except ValueError as error:
            errors.append(FieldError(at, "invalid_filter", f"This filter {error}."))
    if errors:
        raise Invalid("The list cannot be read as asked; see errors.", errors=errors)
    return replace(query, filters=tuple(filters))


class _Indexing(Exception):
    pass


def _range(definition: Definition | None, operator: str, text: str) -> KeyRange:
    if definition is None or not definition.active:
        raise ValueError("names no custom field; GET /v1/custom-fields lists them")
    if not definition.filterable:
        raise ValueError("names a custom field that is not filterable; PATCH it with filterable true")
    if not definition.indexed:
        raise _Indexing
    if operator == "in":
        parts = text.split(",")
        if len(parts) > MOST_VALUES or not all(part.strip() for part in parts):
            raise ValueError(f"takes 1 to {MOST_VALUES} values separated by commas")
        return KeyRange(definition.key_kind, tuple(_key(definition, part) for part in parts))
    value = _key(definition, text)
    if operator == "eq":
        return KeyRange(definition.key_kind, (value,))
    if not definition.ordered:
        raise ValueError(f"takes eq, in: a {definition.type} field has no order")
    # Amounts of one currency are compared with each other only.
    low, high = (value[:3], value[:3] + _LAST) if definition.type == "money" else ("", _LAST)
    return KeyRange(definition.key_kind, (value, high) if operator in {"gt", "gte"} else (low, value))


def _key(definition: Definition, text: str) -> str:
    """A filter's value as key rows hold it. A retired choice can still be looked for."""
    if definition.type in {"choice", "multi_choice"}:
        codes = [item["code"] for item in definition.choices]
        if text not in codes:
            raise ValueError(f"must be one of {', '.join(codes)}")
        return text
    (key,) = key_values(definition, from_text(definition, text))
    return key
