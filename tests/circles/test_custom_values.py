"""Values of custom fields by themselves: what is accepted, how they are ordered as text, who sees them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_api.contacts.custom_fields.values import (
    LARGEST_NUMBER,
    READ_SENSITIVE,
    Definition,
    check_value,
    check_values,
    custom_keys,
    from_text,
    key_values,
    sortable_money,
    sortable_number,
    split,
    to_text,
    visible,
)
from crm_api.kit.ids import new_id
from crm_api.kit.problems import Forbidden, Invalid

NUMBERS = st.one_of(
    st.integers(-LARGEST_NUMBER, LARGEST_NUMBER),
    st.floats(-LARGEST_NUMBER, LARGEST_NUMBER, allow_nan=False),
)
AMOUNTS = st.integers(-LARGEST_NUMBER, LARGEST_NUMBER)
CHOICES = ({"code": "s", "label": "Small"}, {"code": "m", "label": "Medium", "labels": {"uk": "Середній"}},
           {"code": "xl", "label": "Huge", "retired": True})  # fmt: skip


def field(kind: str, key: str = "field", **more: Any) -> Definition:
    return Definition(new_id(), key, kind, label=key, **{"filterable": True, **more})


def known(*definitions: Definition) -> dict[str, Definition]:
    return {one.key: one for one in definitions}


# Order


@given(NUMBERS, NUMBERS)
def test_numbers_stand_in_their_order_byte_by_byte(one: float, other: float) -> None:
    a, b = sortable_number(one).encode(), sortable_number(other).encode()
    assert (a < b, a == b) == (float(one) < float(other), float(one) == float(other))


@given(st.integers(-LARGEST_NUMBER, LARGEST_NUMBER - 1))
def test_whole_numbers_next_to_each_other_are_told_apart(number: int) -> None:
    assert sortable_number(number) < sortable_number(number + 1)


@given(AMOUNTS, AMOUNTS)
def test_amounts_stand_in_their_order_within_a_currency(one: int, other: int) -> None:
    a, b = sortable_money(one, "UAH"), sortable_money(other, "UAH")
    assert (a < b, a == b) == (one < other, one == other)
    assert sortable_money(one, "UAH") < sortable_money(other, "USD")


@given(st.dates(), st.dates())
def test_dates_stand_in_their_order(one: Any, other: Any) -> None:
    (a,) = key_values(field("date"), one.isoformat())
    (b,) = key_values(field("date"), other.isoformat())
    assert (a < b) == (one < other)


@given(NUMBERS)
def test_a_number_written_out_is_the_number(number: float) -> None:
    """What a filter says finds what was stored."""
    definition = field("number")
    stored = check_value(definition, number)
    text = repr(stored)
    if "e" not in text and len(text.partition(".")[2]) <= 15:
        assert key_values(definition, from_text(definition, text)) == key_values(definition, stored)


@given(st.text(min_size=1, max_size=400).filter(str.strip))
def test_texts_are_compared_without_case_and_fit_an_index(text: str) -> None:
    (key,) = key_values(field("text"), text)
    assert len(key.encode()) < 1000
    assert key_values(field("text"), f" {text} ") == [key]


def test_long_texts_that_begin_alike_are_told_apart() -> None:
    definition = field("text")
    assert key_values(definition, "a" * 300) != key_values(definition, "a" * 301)
    assert key_values(definition, "A" * 300) == key_values(definition, "a" * 300)


# What is accepted

GOOD: list[tuple[str, Any, Any]] = [
    ("text", "Київ", "Київ"),
    ("number", 12, 12),
    ("number", 2.0, 2),
    ("number", -3.5, -3.5),
    ("date", "2026-02-28", "2026-02-28"),
    ("boolean", False, False),
    ("choice", "s", "s"),
    ("multi_choice", ["s", "m", "s"], ["s", "m"]),
    ("money", {"amount": 5, "currency": "UAH"}, {"amount": 5, "currency": "UAH"}),
    ("reference", "01938D6E-5A00-7000-8000-000000000001", "01938d6e-5a00-7000-8000-000000000001"),
]
BAD: list[tuple[str, Any]] = [
    ("text", 5), ("text", ""), ("text", "  "), ("text", "x" * 10_001), ("text", ["x"]),
    ("number", "12"), ("number", True), ("number", 2**53), ("number", float("inf")), ("number", float("nan")),
    ("date", "2026-02-30"), ("date", "2026-2-3"), ("date", 20260203), ("date", "2026-02-03T00:00:00Z"),
    ("boolean", 1), ("boolean", "true"), ("choice", "xl"), ("choice", "S"), ("choice", ["s"]),
    ("multi_choice", "s"), ("multi_choice", ["nope"]), ("multi_choice", [1]), ("multi_choice", [["s"]]),
    ("money", 5), ("money", {"amount": 5}), ("money", {"amount": 5.5, "currency": "UAH"}),
    ("money", {"amount": 5, "currency": "uah"}), ("money", {"amount": True, "currency": "UAH"}),
    ("money", {"amount": 5, "currency": "UAH", "more": 1}), ("money", {"amount": 2**53, "currency": "UAH"}),
    ("reference", "42"), ("reference", 42), ("reference", "{01938d6e-5a00-7000-8000-00000000001}"),
]  # fmt: skip


def _of(kind: str) -> Definition:
    return field(kind, choices=CHOICES if "choice" in kind else ())


@pytest.mark.parametrize(("kind", "value", "stored"), GOOD)
def test_values_that_fit(kind: str, value: Any, stored: Any) -> None:
    assert check_values(known(_of(kind)), {"field": value}) == {"field": stored}


@pytest.mark.parametrize(("kind", "value"), BAD)
def test_values_that_do_not_fit(kind: str, value: Any) -> None:
    with pytest.raises(Invalid) as caught:
        check_values(known(_of(kind)), {"field": value})
    (error,) = caught.value.errors
    assert (error.pointer, error.code) == ("/custom/field", "invalid_custom_value")
    assert key_values(_of(kind), value) == [] or "choice" in kind


def test_what_nobody_has_defined_is_refused_with_the_way_out() -> None:
    with pytest.raises(Invalid) as caught:
        check_values(known(field("text", "old", status="archived")), {"a/b": 1, "old": "x"})
    unknown, archived = caught.value.errors
    assert (unknown.pointer, unknown.code) == ("/custom/a~1b", "unknown_custom_field")
    assert "POST /v1/custom-fields" in unknown.detail
    assert (archived.code, "Restore" in archived.detail) == ("archived_custom_field", True)


def test_a_retired_choice_stays_where_it_is_and_is_not_chosen_anew() -> None:
    one, many = field("choice", "one", choices=CHOICES), field("multi_choice", "many", choices=CHOICES)
    before = {"one": "xl", "many": ["xl", "s"]}
    stored = check_values(known(one, many), {"one": "xl", "many": ["m", "xl"]}, before=before)
    assert stored == {"one": "xl", "many": ["m", "xl"]}
    with pytest.raises(Invalid):
        check_values(known(one), {"one": "xl"}, before={"one": "s"})
    with pytest.raises(Invalid):
        check_values(known(many), {"many": ["xl"]}, before={"many": ["s"]})


def test_required_fields_are_there_and_stay() -> None:
    definitions = known(field("text", "why", required=True), field("text", "gone", required=True, status="archived"))
    assert check_values(definitions, {}) == {}
    with pytest.raises(Invalid) as caught:
        check_values(definitions, {}, complete=True)
    assert [error.pointer for error in caught.value.errors] == ["/custom/why"]
    with pytest.raises(Invalid):
        check_values(definitions, {"why": None}, before={"why": "because"})


def test_objects_are_merged_and_lists_replaced() -> None:
    definitions = known(field("money", "grant"))
    before = {"grant": {"amount": 5, "currency": "UAH"}}
    assert check_values(definitions, {"grant": {"amount": 6}}, before=before) == {
        "grant": {"amount": 6, "currency": "UAH"}
    }
    with pytest.raises(Invalid):
        check_values(definitions, {"grant": {"amount": 6}})


# Who sees what


def test_sensitive_values_need_the_scope_to_be_set_and_to_be_seen() -> None:
    definitions = known(field("text", "open"), field("text", "need", sensitivity="beneficiary_sensitive"))
    may, may_not = frozenset({READ_SENSITIVE}), frozenset({"contacts:write"})
    for value in ("x", None):
        with pytest.raises(Forbidden) as caught:
            check_values(definitions, {"need": value}, scopes=may_not)
        assert caught.value.extra == {"scope": READ_SENSITIVE}
    checked = check_values(definitions, {"open": "o", "need": "n"}, scopes=may)
    plain, guarded = split(definitions, checked, ({"kept": 1}, {}))
    assert (plain, guarded) == ({"kept": 1, "open": "o"}, {"need": "n"})
    assert split(definitions, {"need": None}, (plain, guarded)) == ({"kept": 1, "open": "o"}, {})
    assert split(definitions, {"need": "new"}, ({"need": "old"}, {})) == ({}, {"need": "new"})
    assert visible(definitions, plain | guarded, may) == {"open": "o", "need": "n"}
    assert visible(definitions, plain | guarded, may_not) == {"open": "o"}
    hidden = known(field("text", "open", status="archived"))
    assert visible(hidden, {"open": "o"}, may) == {}


def test_key_rows_are_of_active_filterable_fields() -> None:
    definitions = known(
        field("multi_choice", "sizes", choices=CHOICES),
        field("boolean", "tall"),
        field("text", "note", filterable=False),
        field("text", "old", status="archived"),
        field("number", "age"),
    )
    values = {"sizes": ["s", "xl"], "tall": True, "note": "x", "old": "y", "age": "not a number", "stray": 1}
    expected = [("custom:sizes", "s"), ("custom:sizes", "xl"), ("custom:tall", "true")]
    assert custom_keys(definitions, values) == expected
    assert custom_keys(definitions.values(), values) == expected


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [("number", " 12 ", 12), ("number", "-0.5", -0.5), ("boolean", "TRUE", True), ("date", "2026-02-28", "2026-02-28"),
     ("money", "UAH:12550", {"amount": 12550, "currency": "UAH"}), ("multi_choice", "s, m", ["s", "m"])],
)  # fmt: skip
def test_text_of_imports_and_filters(kind: str, text: str, value: Any) -> None:
    assert from_text(_of(kind), text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [("number", "1e5"), ("number", "twelve"), ("number", ""), ("boolean", "yes"), ("date", "28.02.2026"),
     ("money", "125.50 UAH"), ("money", "UAH:1.5"), ("multi_choice", "s,none"), ("reference", "42")],
)  # fmt: skip
def test_text_that_is_no_value(kind: str, text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        from_text(_of(kind), text)


def test_values_as_letters_and_exports_show_them() -> None:
    assert to_text(_of("multi_choice"), ["m", "xl"], "uk") == "Середній, Huge"
    assert to_text(_of("money"), {"amount": 12550, "currency": "UAH"}) == "125.50 UAH"
    assert to_text(_of("boolean"), False) == "false"
    assert to_text(_of("text"), None) == ""
