"""Lists: typed filters, one sort with an id tie-break, keyset pages behind opaque cursors."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import orjson
from sqlalchemy import ARRAY, Column, Select, and_, bindparam, func, literal_column, or_, select, union_all
from sqlalchemy.sql.elements import ColumnElement

from crm_api.kit.cursors import make_cursor as make_cursor
from crm_api.kit.cursors import read_cursor
from crm_api.kit.db import ReadSession, Row, Statement, prepare
from crm_api.kit.fields import CUSTOM, MOST_VALUES, Catalogue, Field
from crm_api.kit.fields import KeyRange as KeyRange
from crm_api.kit.problems import FieldError, Invalid
from crm_api.kit.queries import Filter as Filter
from crm_api.kit.queries import ListQuery as ListQuery
from crm_api.kit.queries import parse_expand
from crm_api.kit.reply import Reply, dumps
from crm_api.kit.survivors import names_contact, survivor

MAX_LIMIT = 200
DEFAULT_LIMIT = 50
_MAX_FILTERS = 20
_NOT_BOUND = frozenset({"cursor", "limit", "include_total", "fields", "expand"})
"""Parameters that a cursor does not depend on."""


def parse_list_query(catalogue: Catalogue, items: Iterable[tuple[str, str]], *, path: str) -> ListQuery:
    """Read query parameters strictly: an unknown name is an error, so that a misspelt filter never widens a list."""
    pairs = list(items)
    errors: list[FieldError] = []
    filters: list[Filter] = []
    plain: dict[str, str] = {}
    seen: set[str] = set()
    for name, text in pairs:
        if name in seen:
            errors.append(FieldError(f"?{name[:64]}", "repeated", "Send each parameter once."))
        seen.add(name)
        if name in {"limit", "cursor", "sort", "include_total", "fields"} or (name == "expand" and catalogue.expands):
            plain[name] = text
            continue
        try:
            filters.append(_filter(catalogue, name, text))
        except ValueError as error:
            errors.append(FieldError(f"?{_safe(name)}", "invalid_filter", f"This filter {error}."))
    if len(filters) > _MAX_FILTERS:
        errors.append(FieldError("", "too_many_filters", f"At most {_MAX_FILTERS} filters; use POST …/search."))
    limit = _limit(plain.get("limit"), errors)
    sort, descending = _sort(catalogue, plain.get("sort"), errors)
    if catalogue.relevance and "sort" not in plain and any(item.field.kind == "words" for item in filters):
        sort, descending = catalogue.relevance, False
    if plain.get("include_total", "false") not in {"true", "false"}:
        errors.append(FieldError("?include_total", "invalid", "include_total must be true or false."))
    expand = parse_expand(plain["expand"], catalogue.expands, errors) if "expand" in plain else ()
    signature = _signature(catalogue, pairs)
    after = None
    if "cursor" in plain and not errors:
        after = read_cursor(plain["cursor"], signature, sort, errors)
    if errors:
        raise Invalid("The list cannot be read as asked; see errors.", errors=errors)
    return ListQuery(
        filters=tuple(filters),
        sort=sort,
        descending=descending,
        limit=limit,
        after=after,
        include_total=plain.get("include_total") == "true",
        signature=signature,
        parameters=tuple((name, text) for name, text in pairs if name != "cursor"),
        path=path,
        expand=expand,
    )


def _safe(name: str) -> str:
    return name[:64].encode("ascii", "replace").decode()


def _filter(catalogue: Catalogue, parameter: str, text: str) -> Filter:
    name, bracket, rest = parameter.partition("[")
    operator: Any = "eq"
    if bracket:
        operator = rest.removesuffix("]")
        if not rest.endswith("]"):
            raise ValueError("has no closing bracket")
    if catalogue.custom is not None and name.startswith(CUSTOM):
        return _own(catalogue.custom, name.removeprefix(CUSTOM), operator, text)
    found = catalogue.by_name.get(name)
    if found is None or not found.operators:
        raise ValueError(f"is not known; known are {', '.join(f.name for f in catalogue.fields if f.operators)}")
    if operator not in found.operators:
        raise ValueError(f"takes {', '.join(found.operators)}")
    if operator == "in":
        parts = text.split(",")
        if len(parts) > MOST_VALUES:
            raise ValueError(f"takes at most {MOST_VALUES} values")
        if "" in parts:
            raise ValueError("takes values separated by commas, none of them empty")
        return Filter(found, operator, [found.parse(part) for part in parts])
    return Filter(found, operator, found.parse(text))


def _own(found: Field, key: str, operator: Any, text: str) -> Filter:
    """A filter by an organization's own field, as it was sent: (key, text)."""
    if operator not in found.operators:
        raise ValueError(f"takes {', '.join(found.operators)}")
    if not (key.isascii() and key.replace("_", "a").isalnum() and len(key) <= 63):
        raise ValueError("names no custom field")
    parts = text.split(",") if operator == "in" else [text]
    if "" in parts and operator == "in":
        raise ValueError("takes values separated by commas, none of them empty")
    for part in parts:
        found.parse(part)
    return Filter(found, operator, (key, text))


def _limit(text: str | None, errors: list[FieldError]) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if text.isascii() and text.isdecimal() and len(text) <= 3 and 1 <= int(text) <= MAX_LIMIT:
        return int(text)
    errors.append(FieldError("?limit", "out_of_range", f"limit must be a number from 1 to {MAX_LIMIT}."))
    return DEFAULT_LIMIT


def _sort(catalogue: Catalogue, text: str | None, errors: list[FieldError]) -> tuple[Field, bool]:
    wanted = text if text is not None else catalogue.default_sort
    found = catalogue.by_name.get(wanted.removeprefix("-"))
    if found is None or not found.sortable:
        errors.append(FieldError("?sort", "unknown_sort", f"sort must be one of {', '.join(catalogue.sorts)}."))
        found = catalogue.by_name[catalogue.default_sort.removeprefix("-")]
    return found, wanted.startswith("-")


def _signature(catalogue: Catalogue, pairs: list[tuple[str, str]]) -> str:
    bound = sorted((name, text) for name, text in pairs if name not in _NOT_BOUND)
    text = orjson.dumps([catalogue.resource, [[n, t.encode("utf-8", "replace").decode()] for n, t in bound]])
    return hashlib.blake2b(text, digest_size=6).hexdigest()


def _condition(query_filter: Filter, column: Any, name: str) -> ColumnElement[bool]:
    bound: Any = bindparam(name, type_=column.type)
    operator = query_filter.operator
    if operator == "in":
        found: ColumnElement[bool] = column == func.any(bindparam(name, type_=ARRAY(column.type)))
        return found
    if operator == "eq" and names_contact(column):
        bound = survivor(name)
    comparisons: dict[str, Callable[[], ColumnElement[bool]]] = {
        "eq": lambda: column == bound,
        "ne": lambda: column.is_distinct_from(bound),
        "gt": lambda: column > bound,
        "gte": lambda: column >= bound,
        "lt": lambda: column < bound,
        "lte": lambda: column <= bound,
    }
    return comparisons[operator]()


class Builder:
    """Builds the SELECT of one shape of list; the shape, not the values, decides the SQL, so it is compiled once."""

    def __init__(self, catalogue: Catalogue, query: ListQuery, columns: tuple[Any, ...]) -> None:
        self.catalogue = catalogue
        self.query = query
        self.table = catalogue.table
        self.order_id: Any = self.table.c.id
        self.conditions: list[Any] = [self.table.c.organization_id == bindparam("organization_id")]
        if catalogue.hidden is not None:
            self.conditions.append(catalogue.hidden.is_(None))
        self.source: Any = self.table
        self.columns = columns

    def _key(self, query_filter: Filter, number: int) -> None:
        keys = self.catalogue.key_table
        assert keys is not None
        kind: Any = literal_column(f"'{query_filter.field.key_kind}'")
        if query_filter.operator != "in":
            self._joined(number, kind, bindparam(f"f{number}", type_=keys.c.value.type))
            return
        inner = select(keys.c[self.catalogue.key_owner]).where(
            keys.c.organization_id == bindparam("organization_id"),
            keys.c.kind == kind,
            _condition(query_filter, keys.c.value, f"f{number}"),
        )
        self.conditions.append(self.table.c.id.in_(inner))

    def _joined(self, number: int, kind: Any, value: Any) -> None:
        """Rows with just this key. Key rows are ordered by owner: pages come straight from their index."""
        keys = self.catalogue.key_table
        assert keys is not None
        alias = keys.alias(f"k{number}")
        owner = alias.c[self.catalogue.key_owner]
        self.source = self.source.join(
            alias, and_(alias.c.organization_id == self.table.c.organization_id, owner == self.table.c.id)
        )
        self.conditions += [
            alias.c.organization_id == bindparam("organization_id"),
            alias.c.kind == kind,
            alias.c.value == value,
        ]
        if self.order_id is self.table.c.id:
            self.order_id = owner

    def _own(self, query_filter: Filter, number: int) -> None:
        """Key rows whose kind is a value of the query: what the SQL is does not depend on the organization's fields."""
        keys = self.catalogue.key_table
        assert keys is not None
        kind: Any = bindparam(f"f{number}_kind", type_=keys.c.kind.type)
        if query_filter.operator == "eq":
            self._joined(number, kind, bindparam(f"f{number}", type_=keys.c.value.type))
            return
        conditions = [keys.c.organization_id == bindparam("organization_id"), keys.c.kind == kind]
        if query_filter.operator == "in":
            conditions.append(keys.c.value == func.any(bindparam(f"f{number}", type_=ARRAY(keys.c.value.type))))
        else:
            low: Any = bindparam(f"f{number}_low", type_=keys.c.value.type)
            high: Any = bindparam(f"f{number}_high", type_=keys.c.value.type)
            conditions.append(keys.c.value > low if query_filter.operator == "gt" else keys.c.value >= low)
            conditions.append(keys.c.value < high if query_filter.operator == "lt" else keys.c.value <= high)
        inner = select(keys.c[self.catalogue.key_owner]).where(*conditions)
        self.conditions.append(self.table.c.id.in_(inner))

    def filtered(self) -> tuple[Any, list[Any]]:
        """What to read from and on which conditions: all of a list but its order."""
        for number, item in enumerate(self.query.filters):
            if item.field.kind == "words":
                self.conditions.append(item.value.condition(self.table.c.id, f"f{number}"))
            elif item.field.kind == "key":
                self._key(item, number)
            elif item.field.kind == "custom":
                self._own(item, number)
            elif item.field.sources:
                self._found(item, number)
            else:
                self.conditions.append(_condition(item, item.field.column, f"f{number}"))
        return self.source, self.conditions

    def _found(self, query_filter: Filter, number: int) -> None:
        """Rows that any of the field's sources names: an index scan for each, then all of them together."""
        sides = []
        for place, (owner, value, *ended) in enumerate(query_filter.field.sources):
            rows = owner.table.alias(f"s{number}_{place}")
            same = [rows.c.organization_id == bindparam("organization_id")]
            same.append(_condition(query_filter, rows.c[value.name], f"f{number}"))
            same += [rows.c[column.name].is_(None) for column in ended]
            sides.append(select(rows.c[owner.name]).where(*same))
        self.conditions.append(self.table.c.id.in_(union_all(*sides)))

    def page(self) -> Select[Any]:
        """One page and one row more."""
        self.filtered()
        sort: Any = self.order_id if self.query.sort.name == "id" else self.query.sort.column
        descending = self.query.descending
        if self.query.after is not None:
            self.conditions.append(self._beyond(sort))
        order = [sort.desc() if descending else sort.asc()]
        if sort is not self.order_id:
            order.append(self.order_id.desc() if descending else self.order_id.asc())
        return (
            select(*self.columns)
            .select_from(self.source)
            .where(*self.conditions)
            .order_by(*order)
            .limit(bindparam("row_limit"))
        )

    def _beyond(self, sort: Column[Any]) -> Any:
        row_id: Any = bindparam("after_id", type_=self.table.c.id.type)
        beyond_id = self.order_id < row_id if self.query.descending else self.order_id > row_id
        if sort is self.order_id:
            return beyond_id
        value: Any = bindparam("after_value", type_=sort.type)
        beyond = sort < value if self.query.descending else sort > value
        bound = sort <= value if self.query.descending else sort >= value
        return and_(bound, or_(beyond, beyond_id))

    def total(self) -> Select[Any]:
        """How many rows match."""
        self.filtered()
        return select(func.count().label("total")).select_from(self.source).where(*self.conditions)


_compiled: dict[tuple[Any, ...], Statement] = {}


def shape(catalogue: Catalogue, query: ListQuery, kind: str) -> tuple[Any, ...]:
    """What the SQL of a list depends on."""
    filters = tuple((f.field.name, f.operator, f.value.shape if f.field.kind == "words" else ()) for f in query.filters)
    return (catalogue.resource, kind, filters, query.sort.name, query.descending, query.after is None)


def _statement(catalogue: Catalogue, query: ListQuery, columns: tuple[Any, ...], kind: str) -> Statement:
    wanted = shape(catalogue, query, kind)
    found = _compiled.get(wanted)
    if found is None:
        if len(_compiled) > 2000:
            _compiled.clear()
        builder = Builder(catalogue, query, columns)
        found = _compiled[wanted] = prepare(builder.page() if kind == "page" else builder.total())
    return found


def values_of(query: ListQuery) -> dict[str, Any]:
    """Values of the parameters of a query's filters."""
    values: dict[str, Any] = {}
    for number, item in enumerate(query.filters):
        if item.field.kind == "words":
            values |= item.value.values(f"f{number}")
        elif item.field.kind == "custom":
            values[f"f{number}_kind"] = item.value.kind
            if item.operator == "eq":
                (values[f"f{number}"],) = item.value.values
            elif item.operator == "in":
                values[f"f{number}"] = list(item.value.values)
            else:
                values[f"f{number}_low"], values[f"f{number}_high"] = item.value.values
        else:
            values[f"f{number}"] = item.value
    return values


async def read_page(
    session: ReadSession,
    catalogue: Catalogue,
    query: ListQuery,
    to_item: Callable[[Row], dict[str, Any]],
    *,
    columns: tuple[Any, ...] | None = None,
    expand: Callable[[Sequence[Row], list[dict[str, Any]], tuple[str, ...]], Awaitable[None]] | None = None,
) -> Reply:
    """One page of a list as an answer; `expand` puts what was asked for beside its items."""
    chosen = columns if columns is not None else tuple(catalogue.table.c)
    values = values_of(query)
    if query.after is not None:
        values["after_value"], values["after_id"] = query.after
    rows = await session.fetch(_statement(catalogue, query, chosen, "page"), row_limit=query.limit + 1, **values)
    has_more = len(rows) > query.limit
    rows = rows[: query.limit]
    cursor = None
    if has_more:
        last = rows[-1]
        sort_column = query.sort.column
        assert sort_column is not None
        cursor = make_cursor(query, last[sort_column.name], last["id"])
    total = await count(session, catalogue, query) if query.include_total else None
    items = [to_item(row) for row in rows]
    if query.expand and expand is not None:
        await expand(rows, items, query.expand)
    return page_of(query, items, cursor, total)


async def read_rows(
    session: ReadSession, catalogue: Catalogue, query: ListQuery, *, most: int
) -> tuple[list[Row], ListQuery | None]:
    """The next rows of a list as they are stored, and the query for those after them: for going through all of it."""
    value, row_id = query.after or (None, None)
    values = {**values_of(query), "after_value": value, "after_id": row_id}
    statement = _statement(catalogue, query, tuple(catalogue.table.c), "page")
    rows = await session.fetch(statement, row_limit=most, **values)
    if len(rows) < most:
        return rows, None
    assert query.sort.column is not None
    return rows, replace(query, after=(rows[-1][query.sort.column.name], rows[-1]["id"]))


async def count(session: ReadSession, catalogue: Catalogue, query: ListQuery) -> int:
    """How many rows the query finds."""
    return int(await session.fetch_val(_statement(catalogue, query, (), "total"), **values_of(query)))


def page_of(query: ListQuery, items: list[dict[str, Any]], cursor: str | None, total: int | None) -> Reply:
    """A page as an answer; `cursor` where there are more, `total` where it was asked for."""
    page: dict[str, Any] = {"data": items, "has_more": cursor is not None, "next_cursor": cursor}
    if query.include_total:
        page["total"] = total
    response = Reply(dumps(page))
    if cursor is not None:
        target = f"{query.path}?{urlencode([*query.parameters, ('cursor', cursor)])}"
        response.headers["link"] = f'<{target}>; rel="next"'
    return response
