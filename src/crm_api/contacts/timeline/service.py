"""Reading a contact's timeline."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select, true

from crm_api.contacts.models import contacts
from crm_api.kit import timeline
from crm_api.kit.db import ReadSession, Row, Statement, prepare
from crm_api.kit.listing import ListQuery
from crm_api.kit.problems import Forbidden, Moved, NotFound
from crm_api.kit.schemas import money_or_none
from crm_api.kit.timeline import SOURCES, Shape, TimelineSource

_OWN = ("title", "status", "direction", "channel")
_MOST_SHAPES = 500
_compiled: dict[tuple[Shape, str], Statement] = {}


def to_entry(row: Row) -> dict[str, Any]:
    """An entry as the API shows it."""
    facts = dict(row["facts"])
    entry = {name: row[name] for name in ("id", "kind", "at", "resource", "resource_id")}
    entry |= {name: facts.pop(name, None) for name in _OWN}
    entry["amount"] = money_or_none(facts.pop("amount", None), facts.pop("currency", None))
    entry["details"] = facts
    return entry


def _asked(query: ListQuery) -> set[str] | None:
    """The kinds and parts of kinds that are asked for; all, where it is nothing."""
    asked: set[str] | None = None
    for item in query.filters:
        if item.field.name == "kind":
            groups = item.value if item.operator == "in" else [item.value]
            named = {kind for group in groups for kind in group}
            asked = named if asked is None else asked & named
    return asked


def _wanted(session: ReadSession, asked: set[str] | None) -> tuple[list[TimelineSource], list[str]]:
    """The kinds that are read, and those left out because the caller may not read them; a 403 where one of these was
    asked for."""
    found, omitted = [], []
    for kind, source in SOURCES.by_kind.items():
        if asked is not None and asked.isdisjoint({kind, *source.parts}):
            continue
        if source.scope in session.actor.scopes:
            found.append(source)
        elif asked is not None:
            raise Forbidden(
                f"The kind {kind} needs the scope {source.scope}. Use a key that has it, or leave this kind out.",
                code="missing_scope",
                scope=source.scope,
            )
        else:
            omitted.append(kind)
    return found, sorted(omitted)


def _statement(sources: list[TimelineSource], shape: Shape, what: str) -> Statement:
    found = _compiled.get((shape, what))
    if found is None:
        if len(_compiled) > _MOST_SHAPES:
            _compiled.clear()
        built = _page(sources, shape) if what == "page" else timeline.total(sources, shape)
        found = _compiled[shape, what] = prepare(built)
    return found


def _page(sources: list[TimelineSource], shape: Shape) -> Any:
    """The contact, with a page of its entries beside it: one trip says whether there is such a contact, too."""
    every = timeline.entries(sources, shape).subquery("every")
    order = [every.c.at.desc(), every.c.id.desc()] if shape.descending else [every.c.at, every.c.id]
    page = select(every).order_by(*order).limit(bindparam("row_limit")).lateral("page")
    outer = [page.c.at.desc(), page.c.id.desc()] if shape.descending else [page.c.at, page.c.id]
    return (
        select(contacts.c.merged_into, *page.c)
        .select_from(contacts.outerjoin(page, true()))
        .where(contacts.c.organization_id == bindparam("organization_id"), contacts.c.id == bindparam("contact_id"))
        .order_by(*outer)
    )


async def read_timeline(session: ReadSession, contact_id: UUID, query: ListQuery) -> dict[str, Any]:
    """One page and what follows it: data, has_more, omitted, total where asked for; ``last`` is the last row. 404
    without such a contact, `Moved` where it was merged."""
    asked = _asked(query)
    sources, omitted = _wanted(session, asked)
    nothing = not sources  # filters that exclude each other: whether there is such a contact is asked all the same
    sources = sources or list(SOURCES.by_kind.values())[:1]
    moments = [item for item in query.filters if item.field.name == "at"]
    shape = Shape(
        kinds=tuple(source.kind for source in sources),
        sensitive="contacts:read_sensitive" in session.actor.scopes,
        descending=query.descending,
        after=query.after is not None,
        moments=tuple(item.operator for item in moments),
        parts=tuple(
            (source.kind, part)
            for source in sources
            if asked is not None and source.kind not in asked
            for part in source.parts
            if part in asked
        ),
    )
    values: dict[str, Any] = {f"at_{number}": item.value for number, item in enumerate(moments)}
    values["contact_id"] = contact_id
    after = {} if query.after is None else {"after_at": query.after[0], "after_id": query.after[1]}
    rows = await session.fetch(
        _statement(sources, shape, "page"), row_limit=0 if nothing else query.limit + 1, **values, **after
    )
    if not rows:
        raise NotFound("There is no such contact.")
    if rows[0]["merged_into"] is not None:
        raise Moved(contact_id, rows[0]["merged_into"])
    rows = [row for row in rows if row["id"] is not None]
    page: dict[str, Any] = {
        "rows": rows[: query.limit],
        "has_more": len(rows) > query.limit,
        "omitted": omitted,
    }
    if query.include_total:
        page["total"] = 0 if nothing else await session.fetch_val(_statement(sources, shape, "total"), **values)
    return page
