"""Searching contacts: a query's levels one after the other, each a few narrow ranges of the key rows, ranked.

Without `sort`, found contacts come by relevance: (level, kind, value, contact), which is the order of the index, so
that a page costs what it shows, however many contacts there are. With `sort` or for a total, the same contacts are a
condition of the list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import (
    ARRAY,
    Boolean,
    Text,
    Uuid,
    and_,
    bindparam,
    case,
    cast,
    column,
    func,
    literal_column,
    or_,
    select,
    true,
    tuple_,
    union,
    union_all,
)
from sqlalchemy.dialects.postgresql import JSONB, array
from sqlalchemy.sql.elements import ColumnElement

from crm_api.contacts.fields import CONTACTS
from crm_api.contacts.models import contact_keys, contacts
from crm_api.contacts.query import LEVELS, TYPOS, Range, Search, Step, Way
from crm_api.contacts.words import words_near
from crm_api.kit.cursors import make_cursor
from crm_api.kit.db import ReadSession, Row, Statement, prepare
from crm_api.kit.listing import Builder, Filter, ListQuery, count, page_of, read_page, shape, values_of
from crm_api.kit.problems import FieldError, Invalid
from crm_api.kit.reply import Reply
from crm_api.kit.scripts import forms, mended, readings

_ORG: Any = bindparam("organization_id")
_NOBODY = UUID(int=0)
_SAME = "same"
_MOST_MEANT = 20
"""Forms that a word with a typo may have been meant for."""
_FEW = 2000
"""So many contacts found are handed to a sorted list one by one."""


def _ranges(name: str, extra: str, kind: Any) -> Any:
    """Ranges given as JSON, as a table: the planner takes any number of them for the same, so that one plan does."""
    columns = [column(part, Text) for part in ("kind", "low", "high", "needle")]
    given = cast(cast(bindparam(name, type_=Text), Text), JSONB)
    table = func.jsonb_to_recordset(given).table_valued(*columns, column(extra, kind))
    return table.render_derived(name, with_types=True)


def _given(ranges: Iterable[Range], **extra: Sequence[Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {"kind": one.kind, "low": one.low, "high": one.high, "needle": one.needle} for one in ranges
    ]
    for name, values in extra.items():
        for row, value in zip(rows, values, strict=True):
            row[name] = value
    return rows


def _json(rows: list[dict[str, Any]]) -> str:
    return orjson.dumps(rows, default=str).decode()


def _within(keys: Any, ranges: Any) -> ColumnElement[bool]:
    return and_(
        keys.c.kind == ranges.c.kind,
        keys.c.value >= ranges.c.low,
        keys.c.value < ranges.c.high,
        func.strpos(keys.c.value, ranges.c.needle) > 0,
    )


def _roles(owner: Any, name: str, *unless: Callable[[Any, Any], ColumnElement[bool]]) -> Any:
    """The roles of those named ranges that one contact has a key in.

    Its keys are read once, by the index of contacts: a few rows, whatever the ranges are.
    """
    keys = contact_keys.alias(f"{name}_keys")
    ranges = _ranges(name, "role", Text)
    own = (
        select(keys.c.kind, keys.c.value)
        .where(keys.c.organization_id == _ORG, keys.c.contact_id == owner)
        .offset(0)
        .correlate_except(keys)
        .subquery(f"{name}_own")
    )
    conditions = [_within(own, ranges), *(make(own, ranges) for make in unless)]
    found = select(ranges.c.role).distinct().select_from(own.join(ranges, true())).where(*conditions)
    found = found.correlate_except(own, ranges)
    nothing = cast(array([], type_=Text), ARRAY(Text))
    asked: Any = bindparam(f"{name}_asked", type_=Boolean)
    roles = case((asked, func.array(found.scalar_subquery())), else_=nothing)
    return select(roles.label("roles")).offset(0).lateral(f"{name}_roles")


def _step_query(listed: Any, limit: int, *, parted: bool) -> Any:
    """The SELECT of one step; `listed` makes the SELECT of a contact that the list's own filters let through.

    The lateral parts are fenced: rows come in the order of the index and each is looked at by itself, so that it ends
    when the page is full. Ranges that are `parted` come one after the other: a later one is read only where the earlier
    did not fill the page. Others (pairs that begin alike, with different needles) overlap and are merged.
    """
    key = contact_keys.alias("key")
    here = _ranges("driver", "start", Uuid)
    contact = listed(key.c.contact_id)

    def smaller(own: Any, ranges: Any) -> ColumnElement[bool]:
        return or_(ranges.c.role != _SAME, tuple_(own.c.kind, own.c.value) < tuple_(key.c.kind, key.c.value))

    checked = _roles(contact.c.id, "checks", smaller)  # asked only of contacts that the filters let through
    texts: Any = ARRAY(Text)
    found = (
        select(key.c.kind.label("found_kind"), key.c.value.label("found_value"), *contact.c)
        .select_from(key.join(contact, true()).join(checked, true()))
        .where(
            key.c.organization_id == _ORG,
            key.c.kind == here.c.kind,
            tuple_(key.c.value, key.c.contact_id) > tuple_(here.c.low, here.c.start),
            key.c.value < here.c.high,
            func.strpos(key.c.value, here.c.needle) > 0,
            checked.c.roles.bool_op("@>")(bindparam("needed", type_=texts)),
            ~checked.c.roles.bool_op("@>")(bindparam("shown", type_=texts)),
            ~checked.c.roles.bool_op("@>")(cast(array([_SAME], type_=Text), texts)),
        )
        .order_by(key.c.value, key.c.contact_id)
        .limit(literal_column(str(limit)))
        .lateral("found")
    )
    rows = select(*(one for one in found.c if one.name != "organization_id")).select_from(here.join(found, true()))
    if not parted:
        rows = rows.order_by(found.c.found_kind, found.c.found_value, found.c.id)
    return rows.limit(literal_column(str(limit)))


def _step_values(step: Step, driver: list[Range], starts: list[UUID]) -> dict[str, Any]:
    """Values of a step. What a contact must have besides (`needed`), and what says that it was shown before."""
    checks = _given(step.same, role=[_SAME] * len(step.same))
    needed = [f"other{number}" for number in range(len(step.others))]
    shown = ["before", *(f"earlier{number}" for number in range(len(step.others_before)))]
    for role, ranges in (
        *zip(needed, step.others, strict=True),
        *zip(shown, (step.before, *step.others_before), strict=True),
    ):
        checks += _given(ranges, role=[role] * len(ranges))
    one_key = len(step.same) == 1 and step.same[0].low + " " == step.same[0].high
    return {
        "driver": _json(_given(driver, start=starts)),
        "checks": _json(checks),
        "checks_asked": not one_key or bool(needed) or bool(step.before),
        "needed": needed,
        "shown": shown,
    }


def _listed(rest: ListQuery) -> Callable[[Any], Any]:
    """A contact by its id, if the list's filters let it through."""
    source, conditions = Builder(CONTACTS, rest, ()).filtered()

    def contact(owner: Any) -> Any:
        own = select(*contacts.c).select_from(source).where(*conditions, contacts.c.id == owner)
        return own.offset(0).correlate_except(source, contacts).lateral("contact")

    return contact


def _all_query(name: str = "") -> Any:
    """Ids of the contacts of one way of finding them, without order."""
    key = contact_keys.alias("key")
    here = _ranges(f"{name}driver", "start", Uuid)
    checked = _roles(key.c.contact_id, f"{name}checks")
    found = (
        select(key.c.contact_id)
        .select_from(key.join(checked, true()))
        .where(
            key.c.organization_id == _ORG,
            _within(key, here),
            checked.c.roles.bool_op("@>")(bindparam(f"{name}needed", type_=ARRAY(Text))),
        )
        .offset(0)
        .correlate_except(key, checked)
        .lateral("found")
    )
    return select(found.c.contact_id).select_from(here.join(found, true()))


def _all_values(way: Way, name: str = "") -> dict[str, Any]:
    needed = [f"other{number}" for number in range(len(way.others))]
    checks: list[dict[str, Any]] = []
    for role, ranges in zip(needed, way.others, strict=True):
        checks += _given(ranges, role=[role] * len(ranges))
    return {
        f"{name}driver": _json(_given(way.driver)),
        f"{name}checks": _json(checks),
        f"{name}checks_asked": bool(needed),
        f"{name}needed": needed,
    }


_compiled: dict[tuple[Any, ...], Statement] = {}


def _compile(key: tuple[Any, ...], make: Callable[[], Any]) -> Statement:
    found = _compiled.get(key)
    if found is None:
        if len(_compiled) > 1000:
            _compiled.clear()
        found = _compiled[key] = prepare(make())
    return found


@dataclass(frozen=True, slots=True)
class Few:
    """The contacts a search finds, as a condition of a list, where they are few."""

    ids: list[UUID]

    @property
    def shape(self) -> str:
        """The SQL depends on nothing else."""
        return "few"

    def condition(self, row_id: Any, name: str) -> ColumnElement[bool]:
        """Whether a contact is found."""
        found: ColumnElement[bool] = row_id == func.any(bindparam(name, type_=ARRAY(Uuid)))
        return found

    def values(self, name: str) -> dict[str, Any]:
        """Values of its parameters."""
        return {name: self.ids}


@dataclass(frozen=True, slots=True)
class Many:
    """The contacts a search finds, as a condition of a list: those of all its levels."""

    ways: tuple[Way, ...]

    @property
    def shape(self) -> int:
        """The SQL depends on nothing else."""
        return len(self.ways)

    def condition(self, row_id: Any, name: str) -> ColumnElement[bool]:
        """Whether a contact is found."""
        ways = [_all_query(f"{name}_{number}_") for number in range(len(self.ways))]
        inner: Any = union(*ways) if len(ways) > 1 else ways[0]
        found: ColumnElement[bool] = row_id.in_(inner)
        return found

    def values(self, name: str) -> dict[str, Any]:
        """Values of its parameters."""
        found: dict[str, Any] = {}
        for number, way in enumerate(self.ways):
            found |= _all_values(way, f"{name}_{number}_")
        return found


async def _with_typos(session: ReadSession, search: Search) -> Search:
    """The search with what its words may have been meant for."""
    asked = {form for word in search.words for form in (word, *forms(word))}
    found, guesses = await words_near(session, asked, {form for word in search.words for form in mended(word)})
    near: dict[str, tuple[str, ...]] = {}
    for word in search.words:
        meant = [form for known in found.get(word, ()) for form in forms(known)]
        meant += [known for form in forms(word) for known in found.get(form, ())]
        meant += [form for form in mended(word) if form in guesses]
        near[word] = tuple(dict.fromkeys(form for form in meant if form not in readings(word)))[:_MOST_MEANT]
    return search.with_typos(near)


def _ids_query(many: Many) -> Any:
    ways = [_all_query(f"all_{number}_").limit(_FEW + 1) for number in range(len(many.ways))]
    every = union_all(*(select(way.subquery()) for way in ways)).subquery()
    return select(every.c.contact_id).limit(_FEW + 1)


def _filter_of(query: ListQuery) -> tuple[ListQuery, Filter] | None:
    """The filter by words and the query without it."""
    words = [item for item in query.filters if item.field.kind == "words"]
    if not words:
        return None
    return replace(query, filters=tuple(item for item in query.filters if item.field.kind != "words")), words[0]


async def resolve(session: ReadSession, query: ListQuery) -> ListQuery:
    """The query with its search looked up, so that any list of contacts can be read by it (`kit.listing`)."""
    parted = _filter_of(query)
    if parted is None:
        return query
    _, item = parted
    search = await _with_typos(session, item.value)
    many = Many(tuple(search.ways()))
    rows = await session.fetch(_compile(("ids", many.shape), lambda: _ids_query(many)), **many.values("all"))
    few = Few(list({row[0] for row in rows}))
    found = replace(item, value=few if len(rows) <= _FEW else many)
    return replace(query, filters=tuple(found if one is item else one for one in query.filters))


async def read_contacts(session: ReadSession, query: ListQuery, to_item: Callable[[Row], dict[str, Any]]) -> Reply:
    """A page of contacts; where a search gives no `sort`, by relevance."""
    if query.sort is not CONTACTS.relevance:
        return await read_page(session, CONTACTS, await resolve(session, query), to_item)
    parted = _filter_of(query)
    assert parted is not None
    rest, item = parted
    rows = await _ranked(session, item.value, rest)
    cursor = None
    if len(rows) > query.limit:
        level, last = rows[query.limit - 1]
        cursor = make_cursor(query, f"{level} {last['found_kind']} {last['found_value']}", last["id"])
    total = None
    if query.include_total:
        total = await count(session, CONTACTS, await resolve(session, query))
    return page_of(query, [to_item(row) for _, row in rows[: query.limit]], cursor, total)


def _position(query: ListQuery) -> tuple[int, str, str, UUID]:
    """Level, kind, value and contact that the page comes after."""
    if query.after is None:
        return 0, "", "", _NOBODY
    text, row_id = query.after
    level, _, rest = (text or "").partition(" ")
    kind, _, value = rest.partition(" ")
    if level not in {str(one) for one in LEVELS} or not kind or not value:
        raise Invalid(
            "The list cannot be read as asked; see errors.",
            errors=[FieldError("?cursor", "cursor_invalid", "This is not a cursor of this API; start without one.")],
        )
    return int(level), kind, value, row_id


async def _ranked(session: ReadSession, search: Search, rest: ListQuery) -> list[tuple[int, Row]]:
    """One page of found contacts and one more, each with its level."""
    wanted = rest.limit + 1
    begin, kind, value, row_id = _position(rest)
    found: list[tuple[int, Row]] = []
    looked_up = search.is_strong
    if looked_up:
        search = await _with_typos(session, search)
    for level in search.levels():
        if level < begin or len(found) >= wanted:
            continue
        if level >= TYPOS and not looked_up:
            search, looked_up = await _with_typos(session, search), True
        step = search.step(level)
        after = (kind, value, row_id) if level == begin and rest.after is not None else None
        rows = await _take(session, step, rest, after, wanted - len(found))
        found += [(level, row) for row in rows]
    return found


async def _take(
    session: ReadSession, step: Step, rest: ListQuery, after: tuple[str, str, UUID] | None, most: int
) -> list[Row]:
    """Rows of one step after a position, in order."""
    driver, starts = _beyond(step.driver, after)
    if not driver:
        return []
    parted = not any(one.kind == other.kind and other.low < one.high for one, other in pairwise(driver))
    key = (shape(CONTACTS, replace(rest, after=None), "search"), rest.limit, parted)
    statement = _compile(key, lambda: _step_query(_listed(rest), rest.limit + 1, parted=parted))
    rows = await session.fetch(statement, **_step_values(step, driver, starts), **values_of(rest))
    return rows[:most]


def _beyond(ranges: list[Range], after: tuple[str, str, UUID] | None) -> tuple[list[Range], list[UUID]]:
    """Ranges from a position on, and the contact each begins after."""
    if after is None:
        return ranges, [_NOBODY] * len(ranges)
    kind, value, row_id = after
    left, starts = [], []
    for one in ranges:
        if (one.kind, one.high) <= (kind, value):
            continue
        behind = one.kind == kind and one.low <= value
        left.append(replace(one, low=value) if behind else one)
        starts.append(row_id if behind else _NOBODY)
    return left, starts
