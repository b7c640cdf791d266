"""The bundled letters: every language and kind, with and without what may be missing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import date
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_api.communications.templates import engine
from crm_api.communications.templates.catalogue import (
    LANGUAGES,
    LETTER_KINDS,
    RTL,
    Template,
    default_template,
    pick_language,
)
from crm_api.communications.templates.context import VARIABLES, clean_context, single_line
from crm_api.communications.templates.problems import TemplateInvalid
from crm_api.communications.templates.render import (
    format_date,
    format_money,
    render_letter,
    sample_context,
    validate_template,
)
from crm_api.kit.money import Money
from tests.support.effort import examples

ALL = [(kind, language) for kind in LETTER_KINDS for language in LANGUAGES]
SCRIPT = {"en": r"[a-z]", "uk": r"[а-яіїєґ]", "ka": r"[ა-ჰ]", "ru": r"[а-яё]", "ar": r"[ء-ي]"}
OPTIONAL = [path for path in VARIABLES if path not in {"organization.name", "gift.amount_text", "language"}]


def without(context: dict[str, Any], path: str) -> dict[str, Any]:
    """A copy of the context with one variable gone."""
    group, _, name = path.rpartition(".")
    if not group:
        return {key: value for key, value in context.items() if key != name}
    return {**context, group: {key: value for key, value in context[group].items() if key != name}}


class _Checker(HTMLParser):
    """Counts open tags and keeps what can be seen."""

    VOID = frozenset({"meta", "br", "img", "hr", "link"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"href", "src", "background"}]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def checked(html: str) -> _Checker:
    checker = _Checker()
    checker.feed(html)
    assert checker.open == []
    return checker


@pytest.mark.parametrize(("kind", "language"), ALL)
async def test_every_letter_is_valid_and_complete(kind: str, language: str) -> None:
    template = default_template(kind, language)
    await validate_template(template)
    letter = await render_letter(template, sample_context(language))
    assert letter.language == language
    assert "\n" not in letter.subject
    for part in (letter.subject, letter.text, letter.html):
        assert re.search(SCRIPT[language], part)
        assert "{{" not in part
        assert "{%" not in part
        assert "[[" not in part
        assert "==" not in part
    reference = {
        "receipt": "2025-000042",
        "card_expiring": "444403******1902",
        "plan_payment_missed": format_date(date(2025, 5, 12), language),
        "plan_given_up": format_money(Money(125050, "UAH"), language),
        "pledge_overdue": format_date(date(2025, 5, 11), language),
    }.get(kind, "A1B2C3")
    for shown in (reference, "Example Charity", "hello@charity.example", "https://charity.example", "1 Example Street"):
        assert shown in letter.text
        assert shown in letter.html
    assert not re.search(r"^(\||->)|\n\n\n", letter.text, re.MULTILINE)
    checker = checked(letter.html)
    assert checker.tags.isdisjoint({"img", "script", "link", "iframe"})
    assert len(letter.html) < 20_000  # Gmail cuts at about 102 kB


@pytest.mark.parametrize(("kind", "language"), ALL)
async def test_every_optional_variable_may_be_missing(kind: str, language: str) -> None:
    template = default_template(kind, language)
    full = sample_context(language)
    for path in OPTIONAL:
        letter = await render_letter(template, without(full, path))
        checked(letter.html)
        assert "None" not in letter.text + letter.html
        assert not re.search(r"[^\S\n][,،!.]|: *$\n(?!\n)|,,|\(\)", letter.text.replace("-- ", ""), re.MULTILINE), path
    sparse = await render_letter(template, sample_context(language, sparse=True))
    checked(sparse.html)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_greeting_works_with_and_without_a_name(language: str) -> None:
    template = default_template("thank_you", language)
    named = await render_letter(template, sample_context(language))
    nameless = await render_letter(template, sample_context(language, sparse=True))
    name = sample_context(language)["donor"]["name"]  # type: ignore[index]
    assert name in named.text
    assert name in named.html
    first = nameless.text.splitlines()[0]
    assert re.fullmatch(r"[\w’ ]+[!,،]", first.replace("\u064b", "")), first


def test_ukrainian_never_puts_a_name_where_it_needs_another_case() -> None:
    for kind in LETTER_KINDS:
        template = default_template(kind, "uk")
        assert "greeting_name" not in template.text + template.html
        for line in template.text.splitlines():
            if "donor.name" in line:
                assert "Ім’я: {{ donor.name }}" in line


@pytest.mark.parametrize("kind", LETTER_KINDS)
async def test_arabic_runs_from_right_to_left_and_isolates_what_does_not(kind: str) -> None:
    letter = await render_letter(default_template(kind, "ar"), sample_context("ar"))
    assert '<html lang="ar" dir="rtl">' in letter.html
    assert re.search(r'<table role="presentation" class="page" lang="ar" dir="rtl"', letter.html)
    assert "text-align:right" in letter.html
    assert "text-align:left" not in letter.html
    assert 'align="left"' not in letter.html
    amount = format_money(Money(125050, "UAH"), "ar")
    assert f"<bdi>{amount}</bdi>" in letter.html
    assert f"\u2068{amount}\u2069" in letter.text
    assert letter.text.count("\u2068") == letter.text.count("\u2069") > 3
    for address in ("hello@charity.example", "https://charity.example"):
        assert not re.search(f"\u2068{re.escape(address)}|{re.escape(address)}\u2069", letter.text)


@pytest.mark.parametrize("language", sorted(set(LANGUAGES) - RTL))
async def test_other_languages_run_from_left_to_right(language: str) -> None:
    letter = await render_letter(default_template("welcome", language), sample_context(language))
    assert f'<html lang="{language}" dir="ltr">' in letter.html
    assert "text-align:left" in letter.html


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_failed_payment_offers_the_way_back(language: str) -> None:
    template = default_template("payment_failed", language)
    context = sample_context(language)
    letter = await render_letter(template, context)
    assert context["retry_url"] in checked(letter.html).links
    assert f"\n{context['retry_url']}\n" in letter.text
    other = await render_letter(template, without(context, "retry_url"))
    assert "give/again" not in other.text + other.html
    assert other.text != letter.text
    assert len(checked(other.html).links) == len(checked(letter.html).links) - 1


HOSTILE_NAMES = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ organization.name }}{% include 'x' %}",
    "Olena\r\nBcc: everyone@evil.example",
    "a\x00b\x1b[31m",
    "\u202eevil",
    "&lt;b&gt;",
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
async def test_a_hostile_name_stays_a_name(name: str) -> None:
    context = sample_context("en")
    context["donor"] = {"greeting_name": name, "name": name}
    letter = await render_letter(default_template("welcome", "en"), context)
    checker = checked(letter.html)
    assert checker.tags.isdisjoint({"script", "img"})
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202e]", letter.text + letter.html + letter.subject)
    assert not re.search(r"^Bcc", letter.text, re.MULTILINE)


@pytest.mark.parametrize(
    "name", ["Win now http://evil.example", "visit www.evil.example", "me@evil.example", "evil.example/x", "x" * 500]
)
async def test_an_advertisement_in_the_name_field_is_not_delivered(name: str) -> None:
    context = sample_context("en")
    context["donor"] = {"greeting_name": name, "name": name}
    letter = await render_letter(default_template("thank_you", "en"), context)
    assert "evil" not in letter.text + letter.html
    assert letter.text.startswith("Dear friend,")


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "data:text/html,x", "https://x.example/\"onclick='", "ftp://x.example", "//x.example"],
)
async def test_only_web_addresses_become_links(url: str) -> None:
    context = sample_context("en")
    context["retry_url"] = url
    context["organization"] = {"name": "X", "website": url}
    letter = await render_letter(default_template("payment_failed", "en"), context)
    assert checked(letter.html).links == []


def test_context_is_made_fit_for_a_letter() -> None:
    cleaned = clean_context(
        {"organization": {"name": " A ", "website": "charity.example", "postal_address": "1 Street\r\nKyiv\n"},
         "donor": {"name": "", "greeting_name": "Анна-Марія"}},
        "uk",
    )  # fmt: skip
    organization, donor = cleaned["organization"], cleaned["donor"]
    assert isinstance(organization, dict)
    assert isinstance(donor, dict)
    assert organization["name"] == "A"
    assert organization["website"] == "https://charity.example"
    assert organization["postal_address"] == "1 Street, Kyiv"
    assert donor == {"name": None, "greeting_name": "Анна-Марія"}
    assert cleaned["language"] == "uk"
    assert cleaned["retry_url"] is None


async def test_a_subject_cannot_hold_another_header() -> None:
    template = Template("a\r\nBcc: x@evil.example\x00\u2028b", "text", "", "en", bundled=True)
    with pytest.raises(TemplateInvalid):
        await render_letter(template, {})
    template = Template("a\r\nBcc: x@evil.example\u2028{{ donor.name }}", "text", "", "en", bundled=True)
    letter = await render_letter(template, {"donor": {"name": "x\r\nTo: y"}})
    assert letter.subject == "a Bcc: x@evil.example x To: y"


@given(st.text(max_size=400))
@settings(max_examples=examples(200), deadline=None)
def test_single_line_is_one_short_line(text: str) -> None:
    line = single_line(text)
    assert len(line) <= 300
    assert line.isprintable() or not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", line)
    assert len(line.splitlines()) <= 1


async def test_a_letter_that_comes_out_empty_is_refused() -> None:
    with pytest.raises(TemplateInvalid) as caught:
        await render_letter(Template("{{ donor.name }}", "x", "", "en", bundled=True), {})
    assert (caught.value.code, caught.value.line) == ("part_empty", None)
    with pytest.raises(TemplateInvalid):
        await validate_template(Template("x", " ", ""))


@pytest.mark.parametrize(
    ("wanted", "organization", "picked"),
    [
        ("uk", "en", "uk"),
        ("uk-UA", "en", "uk"),
        ("UK_ua", "en", "uk"),
        ("ar-Arab-EG", "en", "ar"),
        ("zh-Hant", "ka-GE", "ka"),
        (None, "ru", "ru"),
        ("", "xx", "en"),
        ("u", "", "en"),
        ("english", "uk", "uk"),
        ("-", "-", "en"),
    ],
)
def test_the_language_is_looked_up(wanted: str | None, organization: str, picked: str) -> None:
    assert pick_language(wanted, organization) == picked


def test_unknown_kinds_and_languages() -> None:
    with pytest.raises(KeyError):
        default_template("nothing", "en")
    with pytest.raises(KeyError):
        default_template("../../secrets", "en")
    assert default_template("welcome", "de").language == "en"
    assert default_template("welcome", "uk-UA") == default_template("welcome", "uk")


@pytest.mark.parametrize(
    ("money", "language", "text"),
    [
        (Money(125050, "UAH"), "uk", "1 250,50 ₴"),
        (Money(125000, "UAH"), "uk", "1 250 ₴"),
        (Money(125050, "UAH"), "en", "UAH 1,250.50"),
        (Money(125000, "EUR"), "en", "€1,250"),
        (Money(5000, "GEL"), "ka", "50 ₾"),
        (Money(500, "JPY"), "en", "¥500"),
        (Money(12345, "KWD"), "en", "KWD 12.345"),
        (Money(5050, "LBP"), "en", "LBP 50.50"),
        (Money(99, "EUR"), "ru", "0,99 €"),
        (Money(125050, "UAH"), "ar", "1,250.50 UAH"),
    ],
)
def test_money_is_written_as_people_do(money: Money, language: str, text: str) -> None:
    assert format_money(money, language).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "13 May 2025"),
        ("uk", "13 травня 2025 р."),
        ("ru", "13 мая 2025 г."),
        ("ka", "13 მაისი, 2025"),
        ("ar", "13 مايو 2025"),
        ("en-US", "13 May 2025"),
    ],
)
def test_dates_are_written_out(language: str, text: str) -> None:
    assert re.sub(r"\s", " ", format_date(date(2025, 5, 13), language)) == text


def test_the_api_does_not_carry_the_heavy_libraries() -> None:
    code = (
        "import sys\n"
        "from crm_api.communications.templates import catalogue, render, sandbox\n"
        "from crm_api.communications.channels import factory\n"
        "catalogue.default_template('welcome', 'uk')\n"
        "print(sorted({'liquid', 'babel', 'aiosmtplib', 'idna'} & set(sys.modules)))"
    )
    path = os.pathsep.join(sys.path)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": path})
    assert done.stdout.strip() == "[]", done.stderr


def test_every_variable_of_the_bundled_letters_is_documented() -> None:
    for kind, language in ALL:
        for name, source in default_template(kind, language).parts().items():
            assert engine.inspect(source, VARIABLES, html=name == "html") == ()
