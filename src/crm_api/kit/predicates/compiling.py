"""One SELECT of a rule: the ids of the contacts it holds for.

Every part becomes a join of its own (``IN``, ``NOT EXISTS``, ``UNION ALL``) at the top of a WHERE, where the planner
can choose; nothing is asked once per contact. Conditions of the contact's own row stay conditions of the scan.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from crm_api.kit.predicates.catalogue import CONTACT, Attribute, Source
from crm_api.kit.predicates.nodes import (
    All,
    AnyOf,
    Node,
    Not,
    Operator,
    Related,
    Relative,
    Span,
    Test,
    resolve,
    shift,
)

_SYMBOL: dict[Operator, str] = {"eq": "=", "ne": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "boolean"), (int, "bigint"), (Decimal, "numeric"), (str, "text"), (UUID, "uuid"), (datetime, "timestamptz"),
    (date, "date"),
)  # fmt: skip
_BIRTHDAY = "substring({} from '^(?:-|[0-9]{{4}})-([0-9]{{2}}-[0-9]{{2}})$')"
_EMPTY_SUM = 0


@dataclass(frozen=True, slots=True)
class Moment:
    """When a rule is asked, and where."""

    today: date
    zone: str
    fiscal_start: int = 1

    def day(self, value: Any) -> Any:
        """A moving day as of today; anything else as it is."""
        return resolve(value, self.today, self.fiscal_start) if isinstance(value, Relative) else value

    def within(self, span: Span, *, ahead: bool) -> tuple[date, date]:
        """The days of a length of time up to (or from) today, both included."""
        other = shift(self.today, span, ahead=ahead)
        return (self.today, other) if ahead else (other, self.today)

    def birthdays(self, span: Span) -> list[str]:
        """Months and days that come within a length of time. Who was born on 29 February celebrates on the 28th where
        the year has no 29th."""
        last = min(shift(self.today, span, ahead=True), self.today + timedelta(days=365))
        days = [self.today + timedelta(days=k) for k in range((last - self.today).days + 1)]
        found = {f"{day:%m-%d}" for day in days}
        if any(f"{day:%m-%d}" == "02-28" and f"{day + timedelta(days=1):%m-%d}" != "02-29" for day in days):
            found.add("02-29")
        return sorted(found)


@dataclass(slots=True)
class Compiled:
    """A SELECT of one column, ``id``, with named parameters beside ``organization_id``."""

    sql: str
    parameters: dict[str, Any] = field(default_factory=dict)


def compile_rule(node: Node, contact: Source, moment: Moment, *, only: str = "") -> Compiled:
    """The ids of contacts that a rule holds for. `only`: the name of a parameter with the ids to look among."""
    compiler = _Compiler(contact, moment, only)
    return Compiled(compiler.members(node), compiler.parameters)


def compile_rows(node: Node, source: Source, moment: Moment) -> Compiled:
    """The ids of a source's rows that a rule over them holds for. The source's table must have ids."""
    compiler = _Compiler(source, moment, "")
    condition = compiler.of_row(node)
    where = f" AND {source.where.format(t='t')}" if source.where else ""
    return Compiled(
        f"SELECT t.id FROM {source.table} t WHERE t.organization_id = :organization_id{where} AND {condition}",
        compiler.parameters,
    )


def holds_for_nothing(node: Test | Related) -> bool:
    """Whether a contact without any row of the source passes."""
    if isinstance(node, Related):
        if node.aggregate not in {"count", "sum"}:
            return False
        value = node.value[0] if isinstance(node.value, tuple) else node.value
        return _compare(node.operator, _EMPTY_SUM, value)
    if node.source.values:
        return node.operator in {"ne", "not_in"} or (node.operator == "is_null" and bool(node.value))
    default = node.attribute.default
    if node.operator == "is_null":
        return bool((default is None) == node.value)
    if default is None:
        return node.operator in {"ne", "not_in"}
    value = node.value
    if node.attribute.kind == "money":
        value = tuple(one[0] for one in value) if node.operator == "between" else value[0]
    return _compare(node.operator, default, value)


def _compare(operator: Operator, left: Any, right: Any) -> bool:
    tests: dict[Operator, Callable[[], bool]] = {
        "eq": lambda: left == right, "ne": lambda: left != right, "gt": lambda: left > right,
        "gte": lambda: left >= right, "lt": lambda: left < right, "lte": lambda: left <= right,
        "in": lambda: left in right, "not_in": lambda: left not in right,
        "between": lambda: right[0] <= left <= right[1],
    }  # fmt: skip
    return operator in tests and bool(tests[operator]())


class _Compiler:
    def __init__(self, contact: Source, moment: Moment, only: str) -> None:
        self._contact, self._moment = contact, moment
        self._only = f"CAST(:{only} AS uuid[])" if only else ""
        self.parameters: dict[str, Any] = {}

    # Sets of contacts

    def members(self, node: Node) -> str:
        base = ["c.organization_id = :organization_id"]
        if self._contact.where:
            base.append(self._contact.where.format(t="c"))
        if self._only:
            base.append(f"c.id = ANY({self._only})")
        return f"SELECT c.id FROM {self._contact.table} c WHERE {' AND '.join([*base, *self._joined(node)])}"

    def _joined(self, node: Node) -> list[str]:
        """Conditions over a contact ``c`` that are to hold together."""
        if self._local(node):
            return [self._row(node, "c")]
        if isinstance(node, All):
            return [condition for child in node.nodes for condition in self._joined(child)]
        if isinstance(node, AnyOf):
            return [f"c.id IN ({' UNION ALL '.join(self._ids(child) for child in node.nodes)})"]
        if isinstance(node, Not):
            if isinstance(node.node, Not):
                return self._joined(node.node.node)
            return [f"NOT EXISTS (SELECT 1 FROM ({self._ids(node.node)}) x (id) WHERE x.id = c.id)"]
        if holds_for_nothing(node):
            return [f"NOT EXISTS (SELECT 1 FROM ({self._rows(node, opposite=True)}) x (id) WHERE x.id = c.id)"]
        return [f"c.id IN ({self._rows(node)})"]

    def _ids(self, node: Node) -> str:
        if isinstance(node, AnyOf) and not self._local(node):
            return " UNION ALL ".join(self._ids(child) for child in node.nodes)
        plain = isinstance(node, Related) or (isinstance(node, Test) and node.source.name != CONTACT)
        if plain and isinstance(node, Test | Related) and not holds_for_nothing(node):
            return self._rows(node)
        return self.members(node)

    def _local(self, node: Node) -> bool:
        if isinstance(node, All | AnyOf):
            return all(self._local(child) for child in node.nodes)
        if isinstance(node, Not):
            return self._local(node.node)
        return isinstance(node, Test) and node.source.name == CONTACT

    def _rows(self, node: Test | Related, *, opposite: bool = False) -> str:
        """Owners of rows for which a test holds, or does not."""
        source = node.source
        where = ["t.organization_id = :organization_id", f"t.{source.owner} IS NOT NULL"]
        if source.where:
            where.append(source.where.format(t="t"))
        if self._only:
            where.append(f"t.{source.owner} = ANY({self._only})")
        head = f"SELECT t.{source.owner} FROM {source.table} t WHERE "
        if isinstance(node, Related):
            return self._grouped(node, head, where, opposite=opposite)
        if source.values:
            if node.operator != "is_null":
                wanted = node.value if isinstance(node.value, tuple) else (node.value,)
                where.append(f"{self._sql(node.attribute, 't')} = ANY({self._bind(list(wanted))})")
            return head + " AND ".join(where)
        condition = self._condition(node, "t")
        where.append(f"({condition}) IS NOT TRUE" if opposite else condition)
        return head + " AND ".join(where)

    def _grouped(self, node: Related, head: str, where: list[str], *, opposite: bool) -> str:
        if node.where is not None:
            where.append(self._row(node.where, "t"))
        operator, value = node.operator, node.value
        if node.aggregate == "count" and not opposite and (operator, value) in {("gte", 1), ("gt", 0), ("ne", 0)}:
            return head + " AND ".join(where)
        if node.attribute is None:
            having = f"count(*) {_SYMBOL[operator]} {self._bind(value)}"
        else:
            having = self._figure(node, node.attribute, where)
        if opposite:
            having = f"NOT ({having})"
        return f"{head}{' AND '.join(where)} GROUP BY t.{node.source.owner} HAVING {having}"

    def _figure(self, node: Related, attribute: Attribute, where: list[str]) -> str:
        column, operator, value = self._sql(attribute, "t"), node.operator, node.value
        if attribute.kind == "money":
            value, currency = value
            if attribute.currency is not None:
                where.append(f"{attribute.currency.format(t='t')} = {self._bind(currency)}")
        if node.aggregate in {"min", "max"}:
            return self._compared(attribute, f"{node.aggregate}({column})", operator, value)
        bound = f"CAST({self._bind(value)} AS numeric)"
        if node.aggregate == "average":  # multiplied out: a quotient would be rounded
            return f"sum(CAST({column} AS numeric)) {_SYMBOL[operator]} {bound} * count({column})"
        return f"coalesce(sum(CAST({column} AS numeric)), 0) {_SYMBOL[operator]} {bound}"

    # Conditions of a row

    def of_row(self, node: Node) -> str:
        """A condition over one row ``t``."""
        return self._row(node, "t")

    def _row(self, node: Node, alias: str) -> str:
        if isinstance(node, All | AnyOf):
            word = " AND " if isinstance(node, All) else " OR "
            return f"({word.join(self._row(child, alias) for child in node.nodes)})"
        if isinstance(node, Not):
            return f"(({self._row(node.node, alias)}) IS NOT TRUE)"
        assert isinstance(node, Test)
        return f"({self._condition(node, alias)})"

    def _condition(self, node: Test, alias: str) -> str:
        attribute, operator, value = node.attribute, node.operator, node.value
        column = self._sql(attribute, alias)
        if operator == "is_null":
            empty = f"{column} IS NULL"
            if attribute.kind == "set":
                empty = f"coalesce({column}, CAST('[]' AS jsonb)) = CAST('[]' AS jsonb)"
            elif attribute.kind == "birthday":
                empty = f"{_BIRTHDAY.format(column)} IS NULL"
            return empty if value else f"NOT ({empty})"
        if attribute.kind == "set":
            wanted = list(value) if isinstance(value, tuple) else [value]
            found = f"jsonb_exists_any({column}, {self._bind(wanted)})"
            return f"NOT coalesce({found}, false)" if operator in {"ne", "not_in"} else found
        if attribute.kind == "birthday":
            days = [value] if operator == "eq" else self._moment.birthdays(value)
            return f"{_BIRTHDAY.format(column)} = ANY({self._bind(days)})"
        if attribute.kind == "money":
            return self._money(attribute, column, operator, value, alias)
        return self._compared(attribute, column, operator, value)

    def _money(self, attribute: Attribute, column: str, operator: Operator, value: Any, alias: str) -> str:
        amounts = tuple(one[0] for one in value) if operator == "between" else value[0]
        plain: Operator = "eq" if operator == "ne" else operator
        condition = self._compared(attribute, column, plain, amounts)
        if attribute.currency is not None:
            currency = value[0][1] if operator == "between" else value[1]
            condition = f"{attribute.currency.format(t=alias)} = {self._bind(currency)} AND {condition}"
        return f"NOT coalesce({condition}, false)" if operator == "ne" else condition

    def _compared(self, attribute: Attribute, column: str, operator: Operator, value: Any) -> str:
        if attribute.kind == "instant" and not isinstance(value, datetime) and not _instants(value):
            column = f"CAST({column} AT TIME ZONE {self._bind(self._moment.zone)} AS date)"
        if operator in {"within_last", "within_next"}:
            first, last = self._moment.within(value, ahead=operator == "within_next")
            return f"{column} BETWEEN {self._bind(first)} AND {self._bind(last)}"
        if operator == "between":
            low, high = (self._bind(self._moment.day(one)) for one in value)
            return f"{column} BETWEEN {low} AND {high}"
        if operator in {"in", "not_in"}:
            found = f"{column} = ANY({self._bind(list(value))})"
            return f"NOT coalesce({found}, false)" if operator == "not_in" else found
        bound = self._bind(self._moment.day(value))
        if operator == "ne":
            return f"{column} IS DISTINCT FROM {bound}"
        if operator == "starts_with":
            return f"starts_with({column}, {bound})"
        return f"{column} {_SYMBOL[operator]} {bound}"

    def _sql(self, attribute: Attribute, alias: str) -> str:
        return attribute.sql.format(t=alias)

    def _bind(self, value: Any) -> str:
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        one = value[0] if isinstance(value, list) else value
        known = next(sql for kind, sql in _TYPES if isinstance(one, kind))
        return f"CAST(:{name} AS {known}{'[]' if isinstance(value, list) else ''})"


def _instants(value: Any) -> bool:
    """Whether both ends of a range are instants; a range with a day in it is one of days."""
    return isinstance(value, tuple) and all(isinstance(one, datetime) for one in value)
