"""A contact's timeline: what every package declares of its own rows, and the one statement made of them.

There is no copy of anything. A package says in its ``timeline.py`` where its rows of a contact are, by which moment
they stand in the list, and which few facts of a row are worth a line. The statement takes at most one page from each of
them, newest first, each by an index of (organization, contact, moment, id), and merges these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    CompoundSelect,
    DateTime,
    Select,
    Uuid,
    bindparam,
    cast,
    func,
    literal_column,
    select,
    tuple_,
    union_all,
)

COMPARISONS = {"eq": "__eq__", "gt": "__gt__", "gte": "__ge__", "lt": "__lt__", "lte": "__le__"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TimelineSource:
    """One kind of entry in a contact's timeline.

    `contact`, `at` and `id` are columns that an index holds in this order after the organization; `id` is the entry's
    own, and no other kind uses it for the same moment. `facts` go into the entry: ``title`` (what people wrote, never
    words of ours), ``status``, ``direction``, ``channel`` and ``amount`` with ``currency`` have members of their own
    there, everything else is in ``details``.
    """

    kind: str
    scope: str
    """What a caller needs to see this kind."""
    resource: str
    """The collection under /v1 that `resource_id` belongs to."""
    contact: ColumnElement[Any]
    at: ColumnElement[Any]
    id: ColumnElement[Any]
    resource_id: ColumnElement[Any]
    facts: Mapping[str, ColumnElement[Any]]
    rows: Any = None
    """What is read, where it is more than the table of `contact`; joins compare organizations too."""
    where: Sequence[ColumnElement[bool]] = ()
    part: ColumnElement[Any] | None = None
    """What tells rows of this kind apart that can be asked for by a name of their own."""
    parts: Sequence[str] = ()
    """These names: words of ours, other than every kind's."""
    open_rows: ColumnElement[bool] | None = None
    """Rows that callers without ``contacts:read_sensitive`` see; all, where it is nothing."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a statement depends on the question, and not on its values. `parts` are those that are wanted of kinds
    that are not wanted whole, as (kind, part). `moments` are comparisons with ``at``, by
    position: the value of the first is bound as ``at_0``."""

    kinds: tuple[str, ...]
    sensitive: bool
    descending: bool
    after: bool
    moments: tuple[str, ...] = ()
    parts: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Sources:
    """Every kind there is; filled once by `crm_api.registry`."""

    by_kind: dict[str, TimelineSource] = field(default_factory=dict)

    def add(self, *sources: TimelineSource) -> None:
        """Add kinds; each belongs to one package."""
        for source in sources:
            if self.by_kind.setdefault(source.kind, source) is not source:
                raise ValueError(f"two timelines named {source.kind}")
        names = [*self.by_kind, *(part for source in self.by_kind.values() for part in source.parts)]
        if len(set(names)) != len(names):
            raise ValueError("a part of a timeline is named like another one")

    def names(self) -> dict[str, str]:
        """What can be asked for → the kind that it is, or is a part of."""
        return {name: kind for kind, source in self.by_kind.items() for name in (kind, *source.parts)}


SOURCES = Sources()


def _owner(column: Any) -> Any:
    return column.table.c.organization_id == bindparam("organization_id")


def _branch(source: TimelineSource, shape: Shape, *columns: Any) -> Select[Any]:
    """Rows of one kind that match, in no order."""
    rows = source.rows if source.rows is not None else source.contact.table
    found = (
        select(*columns)
        .select_from(rows)
        .where(
            _owner(source.contact),
            source.contact == bindparam("contact_id", type_=Uuid()),
            *source.where,
            *(
                getattr(source.at, COMPARISONS[operator])(bindparam(f"at_{number}", type_=DateTime(timezone=True)))
                for number, operator in enumerate(shape.moments)
            ),
        )
    )
    parts = [part for kind, part in shape.parts if kind == source.kind]
    if source.part is not None and parts:
        found = found.where(source.part.in_([literal_column(f"'{part}'") for part in parts]))
    if source.open_rows is not None and not shape.sensitive:
        found = found.where(source.open_rows)
    return found


def _entries(source: TimelineSource, shape: Shape) -> Select[Any]:
    """One page of one kind: a range of its index."""
    pairs = [part for name, value in source.facts.items() for part in (literal_column(f"'{name}'"), value)]
    found = _branch(
        source,
        shape,
        literal_column(f"'{source.kind}'").label("kind"),
        source.at.label("at"),
        source.id.label("id"),
        literal_column(f"'{source.resource}'").label("resource"),
        source.resource_id.label("resource_id"),
        func.jsonb_build_object(*pairs).label("facts"),
    )
    if shape.after:
        place = tuple_(source.at, source.id)
        seen = tuple_(bindparam("after_at", type_=DateTime(timezone=True)), bindparam("after_id", type_=Uuid()))
        found = found.where(place < seen if shape.descending else place > seen)
    if shape.descending:
        found = found.order_by(source.at.desc(), source.id.desc())
    else:
        found = found.order_by(source.at, source.id)
    return found.limit(bindparam("row_limit"))


def entries(sources: Sequence[TimelineSource], shape: Shape) -> CompoundSelect[Any]:
    """A page of each kind: columns kind, at, id, resource, resource_id and facts. Binds contact_id, row_limit, the
    moments, and after_at with after_id."""
    return union_all(*(_entries(source, shape).subquery(source.kind).select() for source in sources))


def total(sources: Sequence[TimelineSource], shape: Shape) -> Select[Any]:
    """How many entries match."""
    counts = [_branch(source, shape, func.count().label("n")) for source in sources]
    every = union_all(*counts).subquery("every")
    return select(cast(func.sum(every.c.n), BigInteger).label("total"))
