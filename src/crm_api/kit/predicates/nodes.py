"""A rule once it has been read: typed, resolved against the catalogue, nothing left to check."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal, TypeAlias

from crm_api.kit.predicates.catalogue import Attribute, Source

Operator = Literal[
    "eq", "ne", "in", "not_in", "gt", "gte", "lt", "lte", "between", "is_null", "starts_with", "within_last",
    "within_next",
]  # fmt: skip
Aggregate = Literal["count", "sum", "average", "min", "max"]
Unit = Literal["days", "weeks", "months", "years"]


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time in calendar units."""

    count: int
    unit: Unit


@dataclass(frozen=True, slots=True)
class Relative:
    """A day that moves with today: so long ago (or ahead), or the first day of a period."""

    span: Span | None = None
    ahead: bool = False
    start_of: Literal["month", "quarter", "year", "fiscal_year"] | None = None
    back: int = 0
    """For `start_of`: this many periods before the one of today."""


@dataclass(frozen=True, slots=True)
class Test:
    """One field compared with a value.

    `value` is typed: text, bool, int, Decimal, UUID, date, datetime, `Relative`, (amount, currency), `Span`, a tuple of
    these for ``in`` and ``between``; a bool for ``is_null``.
    """

    source: Source
    attribute: Attribute
    operator: Operator
    value: Any
    name: str
    """The field as the rule names it."""


@dataclass(frozen=True, slots=True)
class Related:
    """A figure over a contact's rows of a source, compared with a value."""

    source: Source
    where: Node | None
    aggregate: Aggregate
    attribute: Attribute | None
    operator: Operator
    value: Any


@dataclass(frozen=True, slots=True)
class All:
    """Every one of them."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of them."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Not so."""

    node: Node


Node: TypeAlias = Test | Related | All | AnyOf | Not


def walk(node: Node) -> Iterator[Node]:
    """The node and everything under it."""
    yield node
    if isinstance(node, All | AnyOf):
        for child in node.nodes:
            yield from walk(child)
    elif isinstance(node, Not):
        yield from walk(node.node)
    elif isinstance(node, Related) and node.where is not None:
        yield from walk(node.where)


def sources_of(node: Node) -> dict[str, Source]:
    """The sources that a rule reads."""
    return {one.source.name: one.source for one in walk(node) if isinstance(one, Test | Related)}


def moves_with_time(node: Node) -> bool:
    """Whether the answer may change though nothing happens."""

    def moving(value: Any) -> bool:
        return isinstance(value, Relative | Span) or (isinstance(value, tuple) and any(map(moving, value)))

    return any(isinstance(one, Test | Related) and moving(one.value) for one in walk(node))


def shift(day: date, span: Span, *, ahead: bool = False) -> date:
    """A day so long before (or after) another; the 31st becomes a shorter month's last day."""
    sign = 1 if ahead else -1
    if span.unit in {"days", "weeks"}:
        days = span.count * (7 if span.unit == "weeks" else 1)
        return _bounded(day.toordinal() + sign * days)
    months = span.count * (12 if span.unit == "years" else 1)
    year, month = divmod(day.year * 12 + day.month - 1 + sign * months, 12)
    if not 1 <= year <= 9998:
        return date.min if year < 1 else date.max
    first = date(year, month + 1, 1)
    following = date(year + (month + 1) // 12, (month + 1) % 12 + 1, 1)
    return first + timedelta(days=min(day.day, (following - first).days) - 1)


def _bounded(ordinal: int) -> date:
    return date.fromordinal(min(max(ordinal, 1), date.max.toordinal()))


def resolve(value: Relative, today: date, fiscal_start: int) -> date:
    """The day that a moving one is today. `fiscal_start` is the first month of the fiscal year."""
    if value.start_of is None:
        assert value.span is not None
        return shift(today, value.span, ahead=value.ahead)
    month = today.replace(day=1)
    if value.start_of == "month":
        return shift(month, Span(value.back, "months"))
    if value.start_of == "quarter":
        return shift(shift(month, Span((today.month - 1) % 3, "months")), Span(3 * value.back, "months"))
    start = fiscal_start if value.start_of == "fiscal_year" else 1
    return shift(shift(month, Span((today.month - start) % 12, "months")), Span(value.back, "years"))
