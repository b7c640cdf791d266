"""What two answers of one report differ in. Pure.

Answers are compared figure by figure. A row of a list is known by what names it (its state, year, code …), not by its
place, so that a row which is new does not make all rows after it look changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

Path = tuple[str, ...]
_NAMES: Final = (
    "giving_level_id", "program", "state", "code", "cohort", "period", "year", "top_percent", "from_amount",
    "from_name", "to_name", "from_level", "to_level", "key", "month", "currency", "method", "feature", "name",
)  # fmt: skip
"""Members that name a row; those that it has make its name together, except that a code or an id is enough."""
_ENOUGH: Final = ("giving_level_id", "code", "period")
_NOTHING: Final = object()


@dataclass(frozen=True, slots=True)
class Change:
    """A figure that differs; None where there is none."""

    path: Path
    then: Any
    now: Any

    @property
    def by(self) -> str | None:
        """The difference of two numbers."""
        try:
            return None if self.then is None or self.now is None else f"{_number(self.now) - _number(self.then):f}"
        except InvalidOperation:
            return None


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    """Every figure that differs, in the order of the second answer; what only the first has comes last."""
    before, after = dict(_leaves(then, ())), dict(_leaves(now, ()))
    found = []
    for path in dict.fromkeys((*after, *before)):
        one, other = before.get(path, _NOTHING), after.get(path, _NOTHING)
        if one is not other and one != other:
            found.append(Change(path, None if one is _NOTHING else one, None if other is _NOTHING else other))
    return found


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, (*path, str(name)))
    elif isinstance(value, list):
        seen: dict[str, int] = {}
        for place, inner in enumerate(value):
            name = _name(inner) if isinstance(inner, Mapping) else str(place)
            seen[name] = seen.get(name, -1) + 1
            yield from _leaves(inner, (*path, name if not seen[name] else f"{name} #{seen[name] + 1}"))
    else:
        yield path, value


def _name(row: Mapping[str, Any]) -> str:
    for enough in _ENOUGH:
        if enough in row:
            return str(row[enough])
    named = [str(row[name]) for name in _NAMES if name in row and not isinstance(row[name], Mapping | list)]
    return " → ".join(named) if named else "…"


def _number(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise InvalidOperation
    return Decimal(value)
