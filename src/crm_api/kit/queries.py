"""What a client asked of a list, and what it wants beside each row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from crm_api.kit.fields import Field, Operator
from crm_api.kit.problems import FieldError

_MAX_EXPAND = 500


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition of a list."""

    field: Field
    operator: Operator
    value: Any


@dataclass(frozen=True, slots=True)
class ListQuery:
    """What a client asked of a list, validated."""

    filters: tuple[Filter, ...]
    sort: Field
    descending: bool
    limit: int
    after: tuple[Any, UUID] | None
    include_total: bool
    signature: str
    parameters: tuple[tuple[str, str], ...]
    path: str
    expand: tuple[str, ...] = ()
    """What to put beside each row."""


def parse_expand(text: str, known: tuple[str, ...], errors: list[FieldError]) -> tuple[str, ...]:
    """What `expand` asks for, from what there is."""
    wanted = text.split(",") if len(text) <= _MAX_EXPAND else [""]
    if not set(wanted) <= set(known):
        said = f"expand takes, separated by commas: {', '.join(known)}."
        errors.append(FieldError("?expand", "unknown_expand", said))
    return tuple(name for name in known if name in wanted)
