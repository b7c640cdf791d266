"""Rules between the members of a body, in JSON Schema's words, for ``json_schema_extra``.

A model's validators decide and explain; these say the same in the document, so that clients and their tools know before
they send. Null and left out mean the same to all of them. Whoever changes a validator changes its rule:
`tests/api/test_schemathesis.py` sends what either of them alone would take.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]
NULL: Schema = {"type": "null"}


def given(*names: str) -> Schema:
    """All of these are there, and not null."""
    return {"required": [*names], "properties": {name: {"not": NULL} for name in names}}


def absent(*names: str) -> Schema:
    """None of these is there, but for null."""
    return {"properties": dict.fromkeys(names, NULL)}


def not_both(one: str, other: str) -> Schema:
    """At most one of the two."""
    return {"not": given(one, other)}


def one_at_least(*names: str) -> Schema:
    """At least one of these."""
    return {"not": absent(*names)}


def exactly_one(one: str, other: str) -> Schema:
    """One of the two, and only one."""
    return {"if": given(one), "then": absent(other), "else": given(other)}


def together(one: str, other: str) -> Schema:
    """Both, or neither."""
    return {"if": given(one), "then": given(other), "else": absent(other)}


def needs(one: str, other: str) -> Schema:
    """The first only with the second."""
    return {"if": given(one), "then": given(other)}


def where(name: str, values: list[str], then: Schema, otherwise: Schema | None = None) -> Schema:
    """What holds where a member has one of these values, and elsewhere."""
    rule: Schema = {"if": {"required": [name], "properties": {name: {"enum": values}}}, "then": then}
    return rule if otherwise is None else {**rule, "else": otherwise}


def all_of(*rules: Schema) -> Schema:
    """Every one of the rules."""
    return {"allOf": [*rules]}


def years(first: int, last: int) -> str:
    """A pattern of the years from `first`, a multiple of ten, to `last`, the first of a century."""
    centuries = range(-(-first // 100), last // 100)
    parts = [f"({'|'.join(str(one) for one in centuries)})[0-9]{{2}}"]
    if first % 100:
        parts.insert(0, f"{first // 100}[{first // 10 % 10}-9][0-9]")
    return f"({'|'.join([*parts, str(last)])})"


MONTH_AND_DAY = "((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|[12][0-9]))"
"""A day of a year, ``MM-DD``."""
