"""Searching by a rule: pages of contacts, and of gifts, that it holds for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from pydantic import ConfigDict, Field
from sqlalchemy import text

from crm_api.kit.cursors import mark, unmark
from crm_api.kit.db import ReadSession, Row, prepare
from crm_api.kit.predicates.catalogue import SOURCES
from crm_api.kit.predicates.compiling import Compiled, compile_rows, compile_rule
from crm_api.kit.predicates.parsing import parse_rows
from crm_api.kit.reply import Reply, dumps
from crm_api.kit.schemas import Input
from crm_api.segmentation.rules import contact_source, moment_of, read_rule
from crm_api.segmentation.schemas import Rule

_Sort = Annotated[str, Field(description="`-` before the name: the newest, or largest, first.")]


class Search(Input):
    """What every search takes."""

    where: Rule
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[str, Field(max_length=500)] | None = None
    include_total: bool = False


class ContactSearch(Search):
    """Contacts that a rule holds for."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"where": {"field": "language", "value": "uk"}, "sort": "-created_at"}]}
    )

    sort: Annotated[Literal["id", "-id", "created_at", "-created_at", "updated_at", "-updated_at"], _Sort] = "-id"


class DonationSearch(Search):
    """Gifts that a rule over their own fields holds for."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"where": {"field": "gift_date", "op": "within_last", "value": {"days": 30}}, "limit": 20}]
        }
    )

    sort: Annotated[Literal["id", "-id", "received_at", "-received_at", "created_at", "-created_at"], _Sort] = (
        "-received_at"
    )


@dataclass(frozen=True, slots=True)
class _List:
    table: str
    found: Compiled
    body: ContactSearch | DonationSearch

    @property
    def column(self) -> str:
        return self.body.sort.removeprefix("-")

    @property
    def bound(self) -> str:
        """What a cursor belongs to."""
        said = orjson.dumps([self.table, self.body.where, self.body.sort], option=orjson.OPT_SORT_KEYS)
        return hashlib.blake2b(said, digest_size=12).hexdigest()


async def search_contacts(session: ReadSession, body: ContactSearch, to_item: Callable[[Row], dict[str, Any]]) -> Reply:
    """A page of contacts."""
    node, sources = await read_rule(session, body.where, pointer="/where")
    found = compile_rule(node, contact_source(sources), await moment_of(session))
    return await _page(session, _List("contacts", found, body), to_item)


async def search_gifts(session: ReadSession, body: DonationSearch, to_item: Callable[[Row], dict[str, Any]]) -> Reply:
    """A page of gifts."""
    source = SOURCES.by_name["gifts"]
    scopes, currency = session.actor.scopes, session.tenant.currency
    node = parse_rows(body.where, source, SOURCES, scopes=scopes, currency=currency, pointer="/where")
    return await _page(session, _List("gifts", compile_rows(node, source, await moment_of(session)), body), to_item)


async def _page(session: ReadSession, asked: _List, to_item: Callable[[Row], dict[str, Any]]) -> Reply:
    body, column, bound = asked.body, asked.column, asked.bound
    down = body.sort.startswith("-")
    where = f"r.organization_id = :organization_id AND r.id IN ({asked.found.sql})"
    values: dict[str, Any] = dict(asked.found.parameters)
    order = f"r.{column} {'DESC' if down else 'ASC'}" + (
        "" if column == "id" else f", r.id {'DESC' if down else 'ASC'}"
    )
    after = ""
    if body.cursor is not None:
        value, last = unmark(body.cursor, bound)
        values["after_id"] = UUID(str(last))
        after = f" AND r.id {'<' if down else '>'} CAST(:after_id AS uuid)"
        if column != "id":
            values["after_value"] = datetime.fromisoformat(str(value))
            mine = f"(r.{column}, r.id) {'<' if down else '>'}"
            after = f" AND {mine} (CAST(:after_value AS timestamptz), CAST(:after_id AS uuid))"
    statement = prepare(text(f"SELECT r.* FROM {asked.table} r WHERE {where}{after} ORDER BY {order} LIMIT :most"))
    rows = await session.fetch(statement, most=body.limit + 1, **values)
    more = len(rows) > body.limit
    rows = rows[: body.limit]
    cursor = mark(bound, rows[-1][column], rows[-1]["id"]) if more else None
    page: dict[str, Any] = {"data": [to_item(row) for row in rows], "has_more": more, "next_cursor": cursor}
    if body.include_total:
        total = prepare(text(f"SELECT count(*) FROM {asked.table} r WHERE {where}"))
        page["total"] = await session.fetch_val(total, **asked.found.parameters)
    return Reply(dumps(page))
