"""Lists: typed filters, one sort with an id tie-break, keyset pages behind opaque cursors."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import orjson
from sqlalchemy import ARRAY, Column, Select, and_, bindparam, func, literal_column, or_, select
from sqlalchemy.sql.elements import ColumnElement

from crm_api.kit.db import ReadSession, Row, Statement, prepare
from crm_api.kit.fields import MOST_VALUES, Catalogue, Field, Operator
from crm_api.kit.problems import FieldError, Invalid
from crm_api.kit.reply import Reply, dumps

MAX_LIMIT = 200
DEFAULT_LIMIT = 50
_MAX_FILTERS = 20
_CURSOR_KEY = b"crm-api cursor v1"  # guards against accidents, not attackers: a cursor grants nothing


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
        if name in {"limit", "cursor", "sort", "include_total", "fields"}:
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
    if plain.get("include_total", "false") not in {"true", "false"}:
        errors.append(FieldError("?include_total", "invalid", "include_total must be true or false."))
    signature = _signature(catalogue, pairs)
    after = None
    if "cursor" in plain and not errors:
        after = _read_cursor(plain["cursor"], signature, sort, errors)
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
    bound = sorted((name, text) for name, text in pairs if name not in {"cursor", "limit", "include_total", "fields"})
    text = orjson.dumps([catalogue.resource, [[n, t.encode("utf-8", "replace").decode()] for n, t in bound]])
    return hashlib.blake2b(text, digest_size=6).hexdigest()


def _seal(payload: bytes) -> str:
    mac = hmac.digest(_CURSOR_KEY, payload, "sha256")[:6]
    return base64.urlsafe_b64encode(mac + payload).decode().rstrip("=")


def make_cursor(query: ListQuery, sort_value: Any, row_id: UUID) -> str:
    """The cursor that continues after a row."""
    return _seal(dumps([query.signature, sort_value, row_id]))


def _read_cursor(text: str, signature: str, sort: Field, errors: list[FieldError]) -> tuple[Any, UUID] | None:
    try:
        raw = base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4))
        mac, payload = raw[:6], raw[6:]
        if not hmac.compare_digest(mac, hmac.digest(_CURSOR_KEY, payload, "sha256")[:6]):
            raise ValueError
        bound, value, row_id = orjson.loads(payload)
        if bound != signature:
            errors.append(
                FieldError("?cursor", "cursor_mismatch", "This cursor belongs to another filter or sort; start anew.")
            )
            return None
        return _cursor_value(sort, value), UUID(str(row_id))
    except (ValueError, TypeError, UnicodeError):
        errors.append(FieldError("?cursor", "cursor_invalid", "This is not a cursor of this API; start without one."))
        return None


def _cursor_value(sort: Field, value: Any) -> Any:
    """The sort value a cursor carries, of its field's type: the seal keeps out accidents, not a forger."""
    if value is None:
        return None
    if sort.kind == "integer":
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) > sort.largest:
            raise ValueError
        return value
    if not isinstance(value, str):
        raise ValueError
    if sort.kind != "text":
        return sort.parse(value)
    if "\x00" in value:
        raise ValueError
    return value


def _condition(query_filter: Filter, column: Any, name: str) -> ColumnElement[bool]:
    bound: Any = bindparam(name, type_=column.type)
    operator = query_filter.operator
    if operator == "in":
        found: ColumnElement[bool] = column == func.any(bindparam(name, type_=ARRAY(column.type)))
        return found
    comparisons: dict[str, Callable[[], ColumnElement[bool]]] = {
        "eq": lambda: column == bound,
        "ne": lambda: column.is_distinct_from(bound),
        "gt": lambda: column > bound,
        "gte": lambda: column >= bound,
        "lt": lambda: column < bound,
        "lte": lambda: column <= bound,
    }
    return comparisons[operator]()


class _Builder:
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
        alias = keys.alias(f"k{number}")
        owner = alias.c[self.catalogue.key_owner]
        same = and_(
            alias.c.organization_id == bindparam("organization_id"),
            alias.c.kind == literal_column(f"'{query_filter.field.key_kind}'"),
            _condition(query_filter, alias.c.value, f"f{number}"),
        )
        if query_filter.operator == "in":
            inner = select(owner).where(same)
            self.conditions.append(self.table.c.id.in_(inner))
            return
        self.source = self.source.join(
            alias, and_(alias.c.organization_id == self.table.c.organization_id, owner == self.table.c.id)
        )
        self.conditions.append(same)
        if self.order_id is self.table.c.id:
            self.order_id = owner  # key rows are ordered by owner: pages come straight from their index

    def _words(self, query_filter: Filter, number: int) -> None:
        """Every word must begin some key row; a range on bytewise-collated text uses the index, LIKE would not."""
        keys = self.catalogue.key_table
        assert keys is not None
        for position, (kind, _, _) in enumerate(query_filter.value):
            low: Any = bindparam(f"f{number}_{position}_low", type_=keys.c.value.type)
            high: Any = bindparam(f"f{number}_{position}_high", type_=keys.c.value.type)
            inner = select(keys.c[self.catalogue.key_owner]).where(
                keys.c.organization_id == bindparam("organization_id"),
                keys.c.kind == literal_column(f"'{kind}'"),
                keys.c.value >= low,
                keys.c.value < high,
            )
            self.conditions.append(self.table.c.id.in_(inner))

    def _filtered(self) -> None:
        for number, item in enumerate(self.query.filters):
            if item.field.kind == "words":
                self._words(item, number)
            elif item.field.kind == "key":
                self._key(item, number)
            else:
                self.conditions.append(_condition(item, item.field.column, f"f{number}"))

    def page(self) -> Select[Any]:
        """One page and one row more."""
        self._filtered()
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
        self._filtered()
        return select(func.count().label("total")).select_from(self.source).where(*self.conditions)


_compiled: dict[tuple[Any, ...], Statement] = {}


def _shape(catalogue: Catalogue, query: ListQuery, kind: str) -> tuple[Any, ...]:
    filters = tuple(
        (f.field.name, f.operator, tuple(kind for kind, _, _ in f.value) if f.field.kind == "words" else ())
        for f in query.filters
    )
    return (catalogue.resource, kind, filters, query.sort.name, query.descending, query.after is None)


def _statement(catalogue: Catalogue, query: ListQuery, columns: tuple[Any, ...], kind: str) -> Statement:
    shape = _shape(catalogue, query, kind)
    found = _compiled.get(shape)
    if found is None:
        if len(_compiled) > 2000:
            _compiled.clear()
        builder = _Builder(catalogue, query, columns)
        found = _compiled[shape] = prepare(builder.page() if kind == "page" else builder.total())
    return found


def _values(query: ListQuery) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for number, item in enumerate(query.filters):
        if item.field.kind == "words":
            for position, (_, low, high) in enumerate(item.value):
                values[f"f{number}_{position}_low"], values[f"f{number}_{position}_high"] = low, high
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
) -> Reply:
    """One page of a list as an answer."""
    chosen = columns if columns is not None else tuple(catalogue.table.c)
    values = _values(query)
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
    page: dict[str, Any] = {"data": [to_item(row) for row in rows], "has_more": has_more, "next_cursor": cursor}
    if query.include_total:
        page["total"] = await session.fetch_val(_statement(catalogue, query, chosen, "total"), **values)
    response = Reply(dumps(page))
    if cursor is not None:
        target = f"{query.path}?{urlencode([*query.parameters, ('cursor', cursor)])}"
        response.headers["link"] = f'<{target}>; rel="next"'
    return response
