"""Letters from templates, and the money and dates in them, written the way the reader's language does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from crm_api.communications.templates.catalogue import Template, pick_language
from crm_api.communications.templates.context import VARIABLES, clean_context, single_line
from crm_api.communications.templates.problems import Finding, TemplateInvalid
from crm_api.communications.templates.sandbox import shared_sandbox
from crm_api.kit.money import Money, exponent

_TEXT_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_CODE_BESIDE_DIGIT = re.compile(r"(?<=[A-Za-z])(?=\d)")
_SYMBOLS = {"EUR": "€", "GBP": "£", "GEL": "₾", "UAH": "₴"}
"""Where people use the sign but the locale's data has only the code."""
_DIRECTION_MARKS = re.compile(r"[\u200e\u200f\u061c]")


@dataclass(frozen=True, slots=True)
class RenderedLetter:
    """A letter ready to be sent. ``html`` is empty if the template has none."""

    subject: str = field(repr=False)
    text: str = field(repr=False)
    html: str = field(repr=False)
    language: str


def format_money(money: Money, language: str) -> str:
    """An amount as people write it: ``€1,250`` in English, ``1 250,50 ₴`` in Ukrainian. Whole amounts have no decimals.

    Decimals follow ISO 4217 as `kit.money` does, not Babel's tables, which round some currencies to whole units.
    """
    from babel import Locale
    from babel.numbers import parse_pattern

    language = pick_language(language, "en")
    locale = Locale.parse(language)
    pattern = parse_pattern(locale.currency_formats["standard"].pattern)
    major: Decimal = money.major()
    decimals = 0 if major == major.to_integral_value() else exponent(money.currency)
    pattern.frac_prec = (decimals, decimals)
    text = str(pattern.apply(major, locale, currency=money.currency, currency_digits=False))
    text = _DIRECTION_MARKS.sub("", text)  # the letter isolates the whole amount instead
    if language in ("uk", "ka", "ru"):
        text = text.replace(money.currency, _SYMBOLS.get(money.currency, money.currency))
    return _CODE_BESIDE_DIGIT.sub("\u00a0", text)


def format_date(day: date, language: str) -> str:
    """A date written out: ``13 May 2025`` (day before month in English too: these charities write to the world)."""
    from babel.dates import format_date as babel_date

    language = pick_language(language, "en")
    return str(babel_date(day, format="long", locale="en_GB" if language == "en" else language))


async def render_letter(template: Template, context: Mapping[str, object]) -> RenderedLetter:
    """The letter for one person; a variable that is missing is empty. See `context.VARIABLES`.

    Bundled templates are rendered here, all others in the sandbox. `TemplateInvalid` if it cannot be rendered or
    leaves no subject or no text.
    """
    return await _render(template, context, strict=False, known=None)


async def validate_template(template: Template) -> None:
    """`TemplateInvalid`, with every finding, unless the template can be used for a letter.

    Unknown variables and filters are looked for in the source, then the letter is rendered twice: with everything
    there and with only what is always there.
    """
    missing = tuple(
        Finding("part_missing", f"The {name} must not be empty.", None, name)
        for name in ("subject", "text")
        if not getattr(template, name).strip()
    )
    if missing:
        raise TemplateInvalid.of(missing)
    for context in (sample_context(template.language), sample_context(template.language, sparse=True)):
        await _render(template, context, strict=True, known=tuple(VARIABLES))


async def _render(
    template: Template, context: Mapping[str, object], *, strict: bool, known: tuple[str, ...] | None
) -> RenderedLetter:
    cleaned = clean_context(context, template.language)
    parts = template.parts()
    if template.bundled:
        from crm_api.communications.templates.engine import render_parts

        rendered = render_parts(parts, cleaned, strict=strict, known=known, bundled=True)
    else:
        rendered = await shared_sandbox().render(parts, cleaned, strict=strict, known=known)
    letter = RenderedLetter(
        subject=single_line(rendered.get("subject", "")),
        text=_tidy(rendered.get("text", "")),
        html=_TEXT_CONTROL.sub("", rendered.get("html", "").replace("\r\n", "\n")).strip(),
        language=template.language,
    )
    for name in ("subject", "text"):
        if not getattr(letter, name).strip():
            raise TemplateInvalid("part_empty", f"The {name} of the letter comes out empty.", None, name)
    return letter


def _tidy(text: str) -> str:
    """Text without control characters, trailing blanks or more than one empty line at a time."""
    lines = [line.rstrip(" \t") for line in _TEXT_CONTROL.sub("", text.replace("\r\n", "\n")).split("\n")]
    lines = [line + " " if line == "--" else line for line in lines]  # the mark of a signature ends in a blank
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n") + "\n"


def sample_context(language: str, *, sparse: bool = False) -> dict[str, object]:
    """A made-up letter's data for previews and validation; ``sparse`` leaves out what may be missing."""
    names = {"en": "Olena", "uk": "Олена", "ka": "ნინო", "ru": "Елена", "ar": "ليلى"}
    name = names.get(language, names["en"])
    context: dict[str, object] = {
        "organization": {"name": "Example Charity"},
        "donor": {},
        "gift": {
            "amount_text": format_money(Money(125050, "UAH"), language),
            "date_text": format_date(date(2025, 5, 13), language),
            "is_recurring": not sparse,
        },
        "language": language,
    }
    if sparse:
        return context
    context["organization"] = {
        "name": "Example Charity",
        "website": "https://charity.example",
        "reply_email": "hello@charity.example",
        "postal_address": "1 Example Street\nKyiv",
    }
    context["donor"] = {"greeting_name": name, "name": name}
    gift = context["gift"]
    assert isinstance(gift, dict)
    gift |= {
        "fund_name": "Water",
        "campaign_name": "Spring",
        "refunded_text": format_money(Money(50000, "UAH"), language),
        "provider_ref": "A1B2C3",
    }
    context["receipt"] = {
        "number": "2025-000042",
        "date_text": format_date(date(2025, 5, 14), language),
        "amount_text": format_money(Money(125050, "UAH"), language),
        "year": "2025",
    }
    context["card"] = {"expires_text": format_date(date(2025, 8, 31), language), "mask": "444403******1902"}
    context["plan"] = {"due_text": format_date(date(2025, 5, 12), language)}
    context["pledge"] = {
        "amount_text": format_money(Money(125050, "UAH"), language),
        "due_text": format_date(date(2025, 5, 11), language),
        "total_text": format_money(Money(500000, "UAH"), language),
        "description": "20 × 1.5 kg",
    }
    context["retry_url"] = "https://charity.example/give/again"
    return context
