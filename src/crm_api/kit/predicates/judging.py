"""Deciding a rule for one contact in memory, and saying why. The facts are loaded once for any number of rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import text

from crm_api.kit.db import ReadSession, Statement, prepare
from crm_api.kit.predicates.catalogue import CONTACT, Attribute, Source
from crm_api.kit.predicates.compiling import Moment, holds_for_nothing
from crm_api.kit.predicates.nodes import All, AnyOf, Node, Not, Operator, Related, Test, walk

Row = Mapping[str, Any]
Facts = Mapping[str, Sequence[Row]]
"""What is known of a contact, by source: rows of attributes. Money is (amount, currency)."""


def needed(nodes: Iterable[Node]) -> dict[str, tuple[Source, dict[str, Attribute]]]:
    """The sources and attributes that rules look at."""
    found: dict[str, tuple[Source, dict[str, Attribute]]] = {}
    for root in nodes:
        for node in walk(root):
            if isinstance(node, Test | Related):
                _, attributes = found.setdefault(node.source.name, (node.source, {}))
                if node.attribute is not None:
                    attributes[node.attribute.name] = node.attribute
    return found


async def load(session: ReadSession, contact: Source, nodes: Sequence[Node], ids: Sequence[UUID]) -> dict[UUID, Facts]:
    """The facts of contacts that the rules look at: one statement per source. Contacts that are gone are left out."""
    found: dict[UUID, dict[str, list[Row]]] = {}
    wanted = needed(nodes)
    own = wanted.pop(CONTACT, (contact, {}))[1]
    for row in await session.fetch(_statement(contact, tuple(own.values())), ids=list(ids)):
        found[row["owner"]] = {CONTACT: [_values(row, own.values(), session.tenant.currency)]}
    for name, (source, attributes) in wanted.items():
        for row in await session.fetch(_statement(source, tuple(attributes.values())), ids=list(found)):
            known = _values(row, attributes.values(), session.tenant.currency)
            found[row["owner"]].setdefault(name, []).append(known)
    return dict(found)


@lru_cache(maxsize=2_000)
def _statement(source: Source, attributes: tuple[Attribute, ...]) -> Statement:
    columns = [f"t.{source.owner} AS owner"]
    for place, one in enumerate(attributes):
        columns.append(f"{one.sql.format(t='t')} AS a{place}")
        if one.currency is not None:
            columns.append(f"{one.currency.format(t='t')} AS c{place}")
    where = f" AND {source.where.format(t='t')}" if source.where else ""
    return prepare(
        text(
            f"SELECT {', '.join(columns)} FROM {source.table} t WHERE t.organization_id = :organization_id "
            f"AND t.{source.owner} = ANY(CAST(:ids AS uuid[])){where}"
        )
    )


def _values(row: Any, attributes: Iterable[Attribute], base: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for place, one in enumerate(attributes):
        value = row[f"a{place}"]
        if one.kind == "money" and value is not None:
            value = (value, base if one.currency is None else row[f"c{place}"])
        found[one.name] = value
    return found


def judge(node: Node, facts: Facts, moment: Moment) -> bool:
    """Whether the rule holds."""
    if isinstance(node, All):
        return all(judge(child, facts, moment) for child in node.nodes)
    if isinstance(node, AnyOf):
        return any(judge(child, facts, moment) for child in node.nodes)
    if isinstance(node, Not):
        return not judge(node.node, facts, moment)
    return _related(node, facts, moment)[0] if isinstance(node, Related) else _test(node, facts, moment)[0]


def explain(node: Node, raw: Mapping[str, Any], facts: Facts, moment: Moment) -> dict[str, Any]:
    """The rule as it was written, with what each test found (``actual``) and each part's verdict."""
    if isinstance(node, All | AnyOf):
        name = "all" if isinstance(node, All) else "any"
        parts = [explain(child, item, facts, moment) for child, item in zip(node.nodes, raw[name], strict=True)]
        verdicts = [part["verdict"] for part in parts]
        return {name: parts, "verdict": all(verdicts) if name == "all" else any(verdicts)}
    if isinstance(node, Not):
        inner = explain(node.node, raw["not"], facts, moment)
        return {"not": inner, "verdict": not inner["verdict"]}
    verdict, actual = _related(node, facts, moment) if isinstance(node, Related) else _test(node, facts, moment)
    return {**raw, "actual": _shown(actual), "verdict": verdict}


def _test(node: Test, facts: Facts, moment: Moment) -> tuple[bool, Any]:
    rows = facts.get(node.source.name, ())
    if node.source.values:
        values = sorted({row[node.attribute.name] for row in rows})
        return _set(node.operator, values, node.value), values
    if not rows and node.source.name != CONTACT:
        return holds_for_nothing(node), node.attribute.default
    return _of_row(node, rows[0], moment)


def _of_row(node: Test, row: Row, moment: Moment) -> tuple[bool, Any]:
    actual = row[node.attribute.name]
    if node.attribute.kind == "set":
        return _set(node.operator, actual or [], node.value), actual
    if node.attribute.kind == "birthday":
        day = actual[-5:] if actual and (actual.startswith("--") or len(actual) == 10) else None
        if node.operator == "is_null":
            return (day is None) == node.value, actual
        return day in ([node.value] if node.operator == "eq" else moment.birthdays(node.value)), actual
    return _compared(node.attribute, node.operator, actual, node.value, moment), actual


def _set(operator: Operator, values: Sequence[str], wanted: Any) -> bool:
    if operator == "is_null":
        return bool((not values) == wanted)
    common = not set(values).isdisjoint(wanted if isinstance(wanted, tuple) else (wanted,))
    return common if operator in {"eq", "in"} else not common


def _row(node: Node, row: Row, moment: Moment) -> bool:
    if isinstance(node, All):
        return all(_row(child, row, moment) for child in node.nodes)
    if isinstance(node, AnyOf):
        return any(_row(child, row, moment) for child in node.nodes)
    if isinstance(node, Not):
        return not _row(node.node, row, moment)
    assert isinstance(node, Test)
    return _of_row(node, row, moment)[0]


def _related(node: Related, facts: Facts, moment: Moment) -> tuple[bool, Any]:
    rows = facts.get(node.source.name, ())
    if node.where is not None:
        rows = [row for row in rows if _row(node.where, row, moment)]
    if node.attribute is None:
        return _compared(None, node.operator, len(rows), node.value, moment), len(rows)
    values = [row[node.attribute.name] for row in rows if row[node.attribute.name] is not None]
    value, currency = node.value, None
    if node.attribute.kind == "money":
        value, currency = value
        values = [amount for amount, held in values if held == currency]
    actual: Any
    if node.aggregate == "sum":
        actual = sum(values)
        verdict = _compared(None, node.operator, actual, value, moment)
    elif not values:
        return False, None
    elif node.aggregate == "average":
        actual = Decimal(sum(values)) / len(values)
        verdict = _compared(None, node.operator, sum(values), value * len(values), moment)
    else:
        actual = min(values) if node.aggregate == "min" else max(values)
        kind = None if node.attribute.kind == "money" else node.attribute
        verdict = _compared(kind, node.operator, actual, value, moment)
    return verdict, (actual, currency) if currency is not None else actual


def _compared(attribute: Attribute | None, operator: Operator, actual: Any, value: Any, moment: Moment) -> bool:
    if operator == "is_null":
        return bool((actual is None) == value)
    if actual is None:
        return operator in {"ne", "not_in"}
    if operator in {"within_last", "within_next"}:
        value = moment.within(value, ahead=operator == "within_next")
        operator = "between"
    elif isinstance(value, tuple) and not (attribute is not None and attribute.kind == "money"):
        value = tuple(moment.day(one) for one in value)
    else:
        value = moment.day(value)
    if attribute is not None and attribute.kind == "money":
        return _money(operator, actual, value)
    if isinstance(actual, datetime) and not _exact(value):
        actual = actual.astimezone(ZoneInfo(moment.zone)).date()
    return _plain(operator, actual, value)


def _exact(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(isinstance(one, datetime) for one in value)
    return isinstance(value, datetime)


def _money(operator: Operator, actual: tuple[int, str], value: Any) -> bool:
    amount, currency = actual
    if operator == "between":
        return bool(currency == value[0][1] and value[0][0] <= amount <= value[1][0])
    same = currency == value[1]
    if operator == "ne":
        return not (same and amount == value[0])
    return same and _plain(operator, amount, value[0])


def _plain(operator: Operator, actual: Any, value: Any) -> bool:
    if operator == "starts_with":
        return bool(actual.startswith(value))
    if operator in {"in", "not_in"}:
        return (actual in value) == (operator == "in")
    if operator == "between":
        return bool(value[0] <= actual <= value[1])
    if operator in {"eq", "ne"}:
        return bool((actual == value) == (operator == "eq"))
    return bool({"gt": actual > value, "gte": actual >= value, "lt": actual < value, "lte": actual <= value}[operator])


def _shown(value: Any) -> Any:
    """A found value as JSON has it."""
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], str):
        amount = value[0]
        whole = amount if not isinstance(amount, Decimal) or amount == amount.to_integral_value() else None
        return {"amount": str(round(amount, 4)) if whole is None else int(whole), "currency": value[1]}
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date | UUID):
        return str(value)
    if isinstance(value, Decimal):
        return format(round(value, 4).normalize(), "f")
    return list(value) if isinstance(value, list | tuple) else value
