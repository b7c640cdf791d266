"""Cells as people write them, in the form our fields take: countries, languages, dates, phone numbers, yes and no."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Any

import phonenumbers
from babel import Locale
from babel.core import get_global

from crm_api.kit.names import fold

_LOCALES = ("en", "uk", "ru", "ka", "ar", "fr", "es", "de", "pl", "it", "pt", "tr", "ro", "cs", "nl", "he", "hy", "az")
_MORE_COUNTRIES = {"usa": "US", "u.s.a.": "US", "u.s.": "US", "uk": "GB", "england": "GB", "scotland": "GB",
                   "great britain": "GB", "сша": "US", "англія": "GB", "россия": "RU", "рф": "RU"}  # fmt: skip
_YES = frozenset({"true", "yes", "y", "1", "x", "так", "да", "კი", "نعم", "oui", "sí", "si", "ja", "tak", "on"})
_NO = frozenset({"false", "no", "n", "0", "", "ні", "нет", "არა", "لا", "non", "nein", "nie", "off"})
_PERSON = frozenset({"person", "individual", "human", "особа", "фізична особа", "физическое лицо", "физлицо", "человек",
                     "людина", "ფიზიკური პირი", "فرد"})  # fmt: skip
_ORGANIZATION = frozenset({
    "organization", "organisation", "company", "org", "business", "foundation", "організація", "компанія",
    "юридична особа", "организация", "компания", "юридическое лицо", "юрлицо", "фонд", "ორგანიზაცია", "კომპანია",
    "منظمة", "شركة",
})  # fmt: skip


@lru_cache(maxsize=1)
def _countries() -> Mapping[str, str]:
    found: dict[str, str] = {}
    aliases: Any = get_global("territory_aliases")
    for code, whole in aliases.items():
        if len(code) == 3 and code.isalpha() and len(whole) == 1:
            found[code.lower()] = whole[0]
    for name in _LOCALES:
        for code, shown in Locale(name).territories.items():
            if len(code) == 2 and code.isalpha():
                found.setdefault(fold(shown), code)
    return found | _MORE_COUNTRIES


@lru_cache(maxsize=1)
def _codes() -> frozenset[str]:
    territories: Any = Locale("en").territories
    return frozenset(code for code in territories if len(code) == 2 and code.isalpha())


@lru_cache(maxsize=4096)
def country(text: str) -> str:
    """The ISO 3166 code of a country's code or name in any of many languages; `ValueError` where it is none."""
    if text.upper() in _codes() and text.upper() != "UK":
        return text.upper()
    found = _countries().get(fold(text))
    if found is None:
        raise ValueError("is not a country; use its two-letter code, such as UA")
    return found


@lru_cache(maxsize=1)
def _languages() -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name in _LOCALES:
        for code, shown in Locale(name).languages.items():
            if len(code) <= 3:
                found.setdefault(fold(shown), code)
    return found


@lru_cache(maxsize=1024)
def language(text: str) -> str:
    """The language tag of a tag or a language's name; `ValueError` where it is none."""
    plain = text.strip().replace("_", "-")
    named = _languages().get(fold(text))
    if named is not None:
        return named
    first, dash, rest = plain.partition("-")
    if first.isascii() and first.isalpha() and 2 <= len(first) <= 3:
        return first.lower() + dash + rest
    raise ValueError("is not a language; use its code, such as uk")


def yes_or_no(text: str) -> bool:
    """What a cell with yes, no, 1, так … says; `ValueError` where it says neither."""
    plain = fold(text)
    if plain in _YES:
        return True
    if plain in _NO:
        return False
    raise ValueError("must be yes or no")


def kind(text: str) -> str:
    """``person`` or ``organization``; `ValueError` where it is neither."""
    plain = fold(text)
    if plain in _PERSON:
        return "person"
    if plain in _ORGANIZATION:
        return "organization"
    raise ValueError("must be person or organization")


_ISO = re.compile(r"[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?|--[0-9]{2}-[0-9]{2}")
_ISO_TIME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ][0-9:.]+Z?")
_PARTS = re.compile(r"([0-9]{1,2})([./-])([0-9]{1,2})\2([0-9]{4})")
_YEAR_FIRST = re.compile(r"([0-9]{4})[./]([0-9]{1,2})[./]([0-9]{1,2})")


def partial_date(text: str, order: str | None) -> str:
    """A date in ISO form, parts unknown left out. `order` (``dmy``, ``mdy``) says how 3/4/1980 is meant; dots mean day
    first wherever they are used. `ValueError` where it cannot be told."""
    if _ISO.fullmatch(text):
        return text
    if match := _ISO_TIME.fullmatch(text):
        return match[1]
    if match := _YEAR_FIRST.fullmatch(text):
        return f"{match[1]}-{int(match[2]):02d}-{int(match[3]):02d}"
    match = _PARTS.fullmatch(text)
    if match is None:
        raise ValueError("must be a date such as 1980-05-17, 1980-05, 1980 or --05-17")
    first, separator, second, year = int(match[1]), match[2], int(match[3]), match[4]
    chosen = "dmy" if separator == "." else order
    if chosen is None:
        if first == second:
            chosen = "dmy"
        elif first > 12 or second > 12:
            chosen = "dmy" if first > 12 else "mdy"
        else:
            raise ValueError("can be read in two ways; say options.date_order (dmy or mdy)")
    day, month = (first, second) if chosen == "dmy" else (second, first)
    return f"{year}-{month:02d}-{day:02d}"


def whole_date(text: str, order: str | None) -> date:
    """A date with all its parts; `ValueError` where one is missing."""
    try:
        return date.fromisoformat(partial_date(text, order))
    except ValueError:
        raise ValueError("must be a whole date such as 2024-05-17") from None


def date_order(cells: list[str]) -> str | None:
    """The order of day and month in a column, where some of its cells leave no doubt and none disagrees."""
    found = set()
    for cell in cells:
        if (match := _PARTS.fullmatch(cell)) and match[2] != ".":
            first, second = int(match[1]), int(match[3])
            if max(first, second) > 12:
                found.add("dmy" if first > 12 else "mdy")
    return found.pop() if len(found) == 1 else None


def international(text: str, region: str | None) -> str:
    """A phone number with its country code, where the cell or the `region` (a country's code) lets it be told.

    The result is for `clean_phone` to judge. `ValueError` where no country is known.
    """
    text = unicode_digits(text)
    if text.startswith("+"):
        return text
    if text.startswith("00"):
        return "+" + text[2:]
    if region is not None:
        try:
            parsed = phonenumbers.parse(text, region)
        except phonenumbers.NumberParseException:
            raise ValueError("is not a phone number") from None
        if phonenumbers.is_valid_number(parsed):
            return str(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))
    digits = "".join(letter for letter in text if letter.isdecimal())
    if len(digits) >= 10:  # spreadsheets take the plus away
        try:
            if phonenumbers.is_valid_number(phonenumbers.parse("+" + digits)):
                return "+" + digits
        except phonenumbers.NumberParseException:
            pass
    raise ValueError("has no country code; write it as +380501234567 or say options.default_country")


def unicode_digits(text: str) -> str:
    """The text with digits of other scripts as ASCII ones."""
    return text if text.isascii() else "".join(str(int(c)) if c.isdecimal() else c for c in text).replace("＋", "+")
