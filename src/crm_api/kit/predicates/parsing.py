"""Reading a rule strictly: every mistake is told with its JSON pointer and what would be right."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from difflib import get_close_matches
from typing import Any, get_args

from crm_api.kit.predicates.catalogue import Attribute, Kind, Source, Sources
from crm_api.kit.predicates.nodes import Aggregate, All, AnyOf, Node, Not, Operator, Related, Test
from crm_api.kit.predicates.values import (
    Wrong,
    birthday_of,
    boolean_of,
    day_of,
    decimal_of,
    each,
    integer_of,
    moment_of,
    money_of,
    span_of,
    text_of,
    uuid_of,
)
from crm_api.kit.problems import FieldError, Invalid

DEEPEST = 8
MOST_NODES = 100
MOST_RELATED = 20
MOST_VALUES = 500
_ORDER: tuple[Operator, ...] = ("gt", "gte", "lt", "lte", "between")
OPERATORS: dict[Kind, tuple[Operator, ...]] = {
    "text": ("eq", "ne", "in", "not_in", "starts_with", "is_null"),
    "choice": ("eq", "ne", "in", "not_in", "is_null"),
    "boolean": ("eq", "ne", "is_null"),
    "integer": ("eq", "ne", *_ORDER, "is_null"),
    "decimal": ("eq", "ne", *_ORDER, "is_null"),
    "money": ("eq", "ne", *_ORDER, "is_null"),
    "date": ("eq", "ne", *_ORDER, "within_last", "within_next", "is_null"),
    "instant": (*_ORDER, "within_last", "within_next", "is_null"),
    "uuid": ("eq", "ne", "in", "not_in", "is_null"),
    "birthday": ("eq", "within_next", "is_null"),
    "set": ("eq", "ne", "in", "not_in", "is_null"),
}
"""What each kind of field can be compared by."""
AGGREGATES: dict[Kind, tuple[Aggregate, ...]] = {
    "integer": ("sum", "average", "min", "max"),
    "decimal": ("sum", "average", "min", "max"),
    "money": ("sum", "average", "min", "max"),
    "date": ("min", "max"),
    "instant": ("min", "max"),
}
_COMPARING: tuple[Operator, ...] = ("eq", "ne", "gt", "gte", "lt", "lte")


class Reader:
    """Reads one rule; collects what is wrong with it."""

    def __init__(self, sources: Sources, *, scopes: Collection[str], currency: str, sensitive: bool = False) -> None:
        self._fields, self._related = sources.fields(), sources.related()
        self._scopes, self._currency, self._sensitive = scopes, currency, sensitive
        self._nodes = self._relations = 0
        self.errors: list[FieldError] = []

    def node(self, raw: Any, pointer: str, depth: int = 1, inside: Source | None = None) -> Node | None:
        """A node, or ``None`` where something is wrong with it. `inside`: the source whose rows are being chosen."""
        self._nodes += 1
        if depth > DEEPEST:
            return self._no(pointer, "too_deep", f"Rules are nested at most {DEEPEST} levels deep.")
        if self._nodes > MOST_NODES:
            return self._no(pointer, "too_long", f"A rule has at most {MOST_NODES} parts.")
        if not isinstance(raw, dict):
            return self._no(pointer, "not_a_rule", "A rule is an object with all, any, not, field or related.")
        shapes = [name for name in ("all", "any", "not", "related", "field") if name in raw]
        if not shapes:
            return self._no(pointer, "not_a_rule", "A rule is an object with all, any, not, field or related.")
        shape = shapes[0]
        if shape in {"all", "any"}:
            return self._group(raw, shape, pointer, depth, inside)
        if shape == "not":
            self._only(raw, {"not"}, pointer)
            child = self.node(raw["not"], f"{pointer}/not", depth + 1, inside)
            return Not(child) if child is not None else None
        if shape == "related":
            return self._relation(raw, pointer, depth, inside)
        return self._test(raw, pointer, inside)

    def _no(self, pointer: str, code: str, detail: str) -> Node | None:
        """Note what is wrong; ``None``, for the caller to return."""
        if len(self.errors) < 20:
            self.errors.append(FieldError(pointer, code, detail))
        return None

    def _only(self, raw: Mapping[str, Any], known: Collection[str], pointer: str) -> None:
        for name in raw:
            if name not in known:
                self._no(
                    f"{pointer}/{_escaped(str(name))}", "unknown_member", f"Known here: {', '.join(sorted(known))}."
                )

    def _group(self, raw: Any, shape: str, pointer: str, depth: int, inside: Source | None) -> Node | None:
        self._only(raw, {shape}, pointer)
        items = raw[shape]
        if not isinstance(items, list) or not items:
            return self._no(f"{pointer}/{shape}", "not_a_list", f"{shape} takes a list of at least one rule.")
        if len(items) > MOST_NODES:
            return self._no(f"{pointer}/{shape}", "too_long", f"A rule has at most {MOST_NODES} parts.")
        found = [self.node(item, f"{pointer}/{shape}/{k}", depth + 1, inside) for k, item in enumerate(items)]
        nodes = tuple(one for one in found if one is not None)
        return All(nodes) if shape == "all" else AnyOf(nodes)

    def _test(self, raw: Any, pointer: str, inside: Source | None) -> Node | None:
        self._only(raw, {"field", "op", "value"}, pointer)
        name = raw["field"]
        known: Mapping[str, tuple[Source, Attribute]] = self._fields
        if inside is not None:
            known = {one.name: (inside, one) for one in inside.attributes}
        found = known.get(name) if isinstance(name, str) else None
        if found is None:
            return self._no(f"{pointer}/field", "unknown_field", _unknown(name, known))
        source, attribute = found
        if not self._may(source, attribute, f"{pointer}/field"):
            return None
        kind: Kind = "set" if source.values else attribute.kind
        operator = raw.get("op", "eq")
        if operator not in OPERATORS[kind]:
            return self._no(f"{pointer}/op", "unknown_operator", f"{name} takes {', '.join(OPERATORS[kind])}.")
        if "value" not in raw:
            return self._no(f"{pointer}/value", "missing", "Say what to compare with.")
        try:
            value = self._compared(attribute, operator, raw["value"])
        except Wrong as wrong:
            return self._no(f"{pointer}/value{wrong.below}", wrong.code, str(wrong))
        return Test(source, attribute, operator, value, name)

    def _may(self, source: Source, attribute: Attribute | None, pointer: str) -> bool:
        if source.scope not in self._scopes:
            self._no(pointer, "scope_missing", f"Asking about this needs the scope {source.scope}.")
            return False
        if (
            attribute is not None
            and attribute.sensitivity in {"beneficiary_sensitive", "secret"}
            and not self._sensitive
        ):
            self._no(pointer, "sensitive", "Sensitive fields cannot be asked about here: the answer would tell them.")
            return False
        return True

    def _relation(self, raw: Any, pointer: str, depth: int, inside: Source | None) -> Node | None:
        self._only(raw, {"related", "where", "aggregate", "field", "op", "value"}, pointer)
        self._relations += 1
        if inside is not None:
            return self._no(pointer, "nested", "Within where, only fields of those rows can be asked about.")
        if self._relations > MOST_RELATED:
            return self._no(pointer, "too_costly", f"A rule looks into related rows at most {MOST_RELATED} times.")
        name = raw["related"]
        source = self._related.get(name) if isinstance(name, str) else None
        if source is None:
            return self._no(f"{pointer}/related", "unknown_relation", _unknown(name, self._related))
        if not self._may(source, None, f"{pointer}/related"):
            return None
        before = len(self.errors)
        where = None
        if raw.get("where") is not None:
            where = self.node(raw["where"], f"{pointer}/where", depth + 1, source)
        aggregate, attribute = self._figure(raw, source, pointer)
        operator = raw.get("op", "gte" if aggregate == "count" else None)
        allowed = (
            _COMPARING if attribute is None or attribute.kind not in {"date", "instant"} else OPERATORS["instant"][:-1]
        )
        if operator not in allowed:
            self._no(f"{pointer}/op", "unknown_operator", f"Takes {', '.join(allowed)}.")
        raw_value = raw.get("value", 1 if aggregate == "count" and "op" not in raw else None)
        value: Any = None
        try:
            if attribute is None:
                value = integer_of(raw_value)
            elif len(self.errors) == before:
                value = self._compared(attribute, operator, raw_value)
        except Wrong as wrong:
            self._no(f"{pointer}/value{wrong.below}", wrong.code, str(wrong))
        if len(self.errors) > before or aggregate is None:
            return None
        return Related(source, where, aggregate, attribute, operator, value)

    def _figure(self, raw: Any, source: Source, pointer: str) -> tuple[Aggregate | None, Attribute | None]:
        aggregate = raw.get("aggregate", "count")
        if aggregate not in get_args(Aggregate):
            self._no(f"{pointer}/aggregate", "unknown_aggregate", f"Takes {', '.join(get_args(Aggregate))}.")
            return None, None
        if aggregate == "count":
            if raw.get("field") is not None:
                self._no(f"{pointer}/field", "not_with_count", "count counts rows and takes no field.")
            return "count", None
        fit = [one.name for one in source.attributes if aggregate in AGGREGATES.get(one.kind, ())]
        attribute = source.by_name.get(raw.get("field")) if raw.get("field") in fit else None
        if attribute is None:
            self._no(
                f"{pointer}/field", "unknown_field", f"{aggregate} takes one of {', '.join(fit) or 'no field here'}."
            )
            return None, None
        return (aggregate, attribute) if self._may(source, attribute, f"{pointer}/field") else (None, None)

    def _compared(self, attribute: Attribute, operator: Operator, raw: Any) -> Any:
        if operator == "is_null":
            if not isinstance(raw, bool):
                raise Wrong("not_a_boolean", "is_null takes true or false.")
            return raw
        if operator in {"within_last", "within_next"}:
            return span_of(raw)
        one = self._one(attribute)
        if operator in {"in", "not_in"}:
            if not isinstance(raw, list) or not 1 <= len(raw) <= MOST_VALUES:
                raise Wrong("not_a_list", f"{operator} takes a list of 1 to {MOST_VALUES} values.")
            return tuple(each(one, item, k) for k, item in enumerate(raw))
        if operator == "between":
            if not isinstance(raw, list) or len(raw) != 2:
                raise Wrong("not_a_pair", "between takes a list of two values, both included.")
            ends = tuple(each(one, item, k) for k, item in enumerate(raw))
            if len({isinstance(end, datetime) for end in ends}) > 1:
                raise Wrong("mixed_ends", "Take two days or two instants.")
            return ends
        return one(raw)

    def _one(self, attribute: Attribute) -> Callable[[Any], Any]:
        kind = attribute.kind
        if kind == "money":
            return lambda raw: money_of(raw, self._currency if attribute.currency is None else None)
        simple: dict[Kind, Callable[[Any], Any]] = {
            "integer": integer_of, "decimal": decimal_of, "boolean": boolean_of, "uuid": uuid_of, "date": day_of,
            "instant": moment_of, "birthday": birthday_of,
        }  # fmt: skip
        return simple.get(kind) or (lambda raw: text_of(raw, attribute))


def parse(
    raw: Any, sources: Sources, *, scopes: Collection[str], currency: str, pointer: str = "", sensitive: bool = False
) -> Node:
    """The rule as a tree. Raises `Invalid` with everything that is wrong, each at its JSON pointer.

    `scopes` are the caller's; `currency` the organization's; `sensitive`: the answer is only for eyes that may see
    beneficiary-sensitive fields.
    """
    reader = Reader(sources, scopes=scopes, currency=currency, sensitive=sensitive)
    node = reader.node(raw, pointer)
    if reader.errors or node is None:
        raise Invalid("The rule cannot be read; see errors.", errors=reader.errors)
    return node


def parse_rows(
    raw: Any, source: Source, sources: Sources, *, scopes: Collection[str], currency: str, pointer: str = ""
) -> Node:
    """A rule over the rows of one source, such as gifts: only its own fields can be asked about."""
    reader = Reader(sources, scopes=scopes, currency=currency)
    node = reader.node(raw, pointer, inside=source)
    if reader.errors or node is None:
        raise Invalid("The rule cannot be read; see errors.", errors=reader.errors)
    return node


def _escaped(name: str) -> str:
    safe = name[:64].encode("ascii", "replace").decode()
    return safe.replace("~", "~0").replace("/", "~1")


def _unknown(name: Any, known: Collection[str]) -> str:
    near = get_close_matches(name, list(known), n=1) if isinstance(name, str) and len(name) <= 100 else []
    hint = f"Did you mean {near[0]}? " if near else ""
    return f"{hint}GET /v1/segments/fields lists what can be asked about."
