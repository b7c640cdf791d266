"""The sandbox language: what it refuses, what it escapes, what it limits."""

from __future__ import annotations

import sys
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_api.communications.templates import engine
from crm_api.communications.templates.problems import TemplateInvalid
from tests.support.effort import examples

CONTEXT: dict[str, object] = {"donor": {"name": "<b>Olena</b>"}, "gift": {"amount_text": "5 ₴"}, "items": [1, 2]}


def refused(source: str, *, strict: bool = False) -> TemplateInvalid:
    with pytest.raises(TemplateInvalid) as caught:
        engine.render(source, CONTEXT, html=True, strict=strict)
    return caught.value


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("{% for i in (1..1000000000) %}x{% endfor %}", "template_loops"),
        ("{% for i in (1..60) %}{% for j in (1..60) %}x{% endfor %}{% endfor %}", "template_loops"),
        ("{% for i in (1..1500) %}{% endfor %}" * 2, "template_loops"),
        ("{% assign x = '0123456789' %}" + "{% assign x = x | append: x %}" * 40, "template_memory"),
        (
            "{% capture x %}{% for i in (1..1999) %}" + "y" * 900 + "{% endfor %}{% endcapture %}",
            "template_output_too_long",
        ),
        ("{% for i in (1..1999) %}" + "y" * 900 + "{% endfor %}", "template_output_too_long"),
        ("{% if a %}" * 50 + "{% endif %}" * 50, "template_too_deep"),
        ("{{ a" + "[a" * 5000 + "]" * 5000 + " }}", "template_too_deep"),
        ("{% if " + "a and " * 9000 + "a %}{% endif %}", "template_too_deep"),
        ("x" * (engine.MAX_SOURCE + 1), "template_too_long"),
        ("nul \x00", "template_characters"),
        ("{% include 'letter' %}", "template_syntax"),
        ("{% include '/etc/passwd' %}", "template_syntax"),
        ("{% render '../../../etc/passwd' %}", "template_syntax"),
        ("{% layout 'x' %}", "template_syntax"),
        ("{% tablerow i in items %}{% endtablerow %}", "template_syntax"),
        ("{{ donor.name | safe }}", "filter_unknown"),
        ("{{ 'now' | date: '%Y' }}", "filter_unknown"),
        ("{{ 9 | times: 9 }}", "filter_unknown"),
        ("{{ 'a' | replace }}", "filter_failed"),
        ("{{", "template_syntax"),
        ("{% if donor %}", "template_syntax"),
        ("{% endfor %}", "template_syntax"),
    ],
)
def test_hostile_and_broken_templates_are_refused(source: str, code: str) -> None:
    assert refused(source).code == code


@pytest.mark.parametrize(
    "path",
    ["donor.__class__", "donor.name.__class__", "donor['__class__']", "donor.items", "donor.keys", "items.__len__",
     "now", "today", "donor.name[0]", "self", "context", "environment"],
)  # fmt: skip
def test_no_attribute_no_method_no_clock_is_reachable(path: str) -> None:
    assert engine.render(f"[{{{{ {path} }}}}]", CONTEXT, html=False) == "[]"


def test_an_error_names_the_line() -> None:
    assert refused("one\ntwo\n{{ 'a' | nothing }}").line == 3
    assert refused("one\n{{ donor.nmae }}", strict=True).line == 2


def test_missing_is_empty_at_send_time_and_an_error_in_validation() -> None:
    source = "{{ donor.nickname }}"
    assert engine.render(source, CONTEXT, html=True) == ""
    error = refused(source, strict=True)
    assert (error.code, "donor.nickname" in error.detail) == ("variable_unknown", True)


def test_strict_allows_to_ask_and_to_give_a_default() -> None:
    source = "{% if donor.nickname %}x{% endif %}{{ donor.nickname | default: 'friend' }}"
    assert engine.render(source, CONTEXT, html=True, strict=True) == "friend"


def test_inspection_finds_every_unknown_name_also_in_branches_not_taken() -> None:
    source = (
        "{% if gift.nope %}\n{{ donor.nmae }}{% endif %}\n{% assign mine = 1 %}{{ mine }}"
        "{% for item in items %}{{ item }}{{ forloop.index }}{% endfor %}{% if false %}{{ 'x' | nofilter }}{% endif %}"
    )
    found = engine.inspect(source, ["donor.name", "gift.amount_text", "items"], html=True, part="html")
    assert [(one.code, one.line, one.part) for one in found] == [
        ("variable_unknown", 1, "html"),
        ("variable_unknown", 2, "html"),
        ("filter_unknown", 3, "html"),
    ]


class _Rich:
    name = "secret"


class _Text(str):
    def __html__(self) -> str:
        return "<script>"


@pytest.mark.parametrize(
    "value",
    [_Rich(), _Text("x"), b"x", 1.5, {"a": _Rich()}, [_Rich()], {1: "x"}, (1, 2), {1}, object, len, sys, 2**70,
     [[[[[[[[1]]]]]]]], ["x"] * 5000, "x" * 300_000],
)  # fmt: skip
def test_only_plain_data_gets_in(value: object) -> None:
    with pytest.raises(TypeError):
        engine.render("{{ value }}", {"value": value}, html=True)


HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=y>{{ donor }}{% include 'x' %}"


@pytest.mark.parametrize(
    "expression",
    ["donor.name", "donor.name | upcase", "donor.name | append: '<i>'", "'<i>' | append: donor.name",
     "donor.name | prepend: '<i>'", "donor.name | replace: 'x', '<i>'", "'-i-' | replace: 'i', donor.name",
     "donor.name | default: 'x'", "donor.name | split: ' ' | join: '<br>'", "donor.name | split: '' | first",
     "donor.name | strip_newlines", "donor.name | newline_to_br", "donor.name | escape_once", "donor.name | escape",
     "donor.name | truncate: 900", "donor.name | squish", "donor", "donor.name | url_encode"],
)  # fmt: skip
def test_no_filter_turns_a_value_into_markup(expression: str) -> None:
    out = engine.render(f"{{{{ {expression} }}}}", {"donor": {"name": HOSTILE}}, html=True).lower()
    for allowed in ("<i>", "<br>", "<br />"):
        out = out.replace(allowed, "")
    assert "<" not in out
    assert '"' not in out


@given(st.text(max_size=200))
@settings(max_examples=examples(200), deadline=None)
def test_any_value_stays_text_in_html(name: str) -> None:
    name = name.encode("utf-8", "replace").decode()
    source = '<a title="{{ donor.name }}">{% capture x %}{{ donor.name }}{% endcapture %}{{ x }}</a>'
    out = engine.render(source, {"donor": {"name": name}}, html=True)
    assert out.count("<") == 2
    assert out.count('"') == 2


@given(st.text(alphabet="{}%| abif.:'\"\\[]()-#<>=\n", max_size=120))
@settings(max_examples=examples(300), deadline=None)
def test_any_source_renders_or_is_refused(source: str) -> None:
    with suppress(TemplateInvalid):
        engine.render(source, CONTEXT, html=True)
        engine.inspect(source, ["donor.name"], html=True)
