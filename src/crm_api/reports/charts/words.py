"""What charts say in five languages, and how each writes numbers, money and days."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from importlib.resources import files
from typing import Final

from crm_api.donations.receipts.rendering.words import METHOD_NAMES, RTL, language_of
from crm_api.kit.money import exponent

LANGUAGES: Final = ("en", "uk", "ka", "ru", "ar")
_SYMBOLS: Final = {"EUR": "€", "GBP": "£", "GEL": "₾", "UAH": "₴", "USD": "$"}
_MARKS: Final = dict.fromkeys(map(ord, "\u200e\u200f\u061c"))
_RIGHT_TO_LEFT, _ITS_OWN, _END = "\u2067", "\u2068", "\u2069"


@lru_cache(maxsize=1)
def texts() -> Mapping[str, Mapping[str, str]]:
    """Language → key → text, from the table beside this file."""
    content = files(__package__).joinpath("words.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(content.splitlines()))
    return {language: {row["key"]: row[language] for row in rows} for language in LANGUAGES}


@dataclass(frozen=True, slots=True)
class Words:
    """How one language says and writes what stands on a chart. Make it with `words_of`."""

    language: str
    rtl: bool

    def say(self, key: str, **values: str) -> str:
        """A text with its values filled in; each value keeps its own direction. A key without a text stands for
        itself, without what is before its first point: names that an organization has chosen."""
        text = texts()[self.language].get(key)
        if text is None:
            return self.directed(key.partition(".")[2] or key)
        values = {name: f"{_ITS_OWN}{value}{_END}" if self.rtl else value for name, value in values.items()}
        return self.directed(text.format(**values))

    def directed(self, text: str) -> str:
        """A text that reads from the right where the language does, whatever it begins with."""
        return f"{_RIGHT_TO_LEFT}{text}{_END}" if self.rtl and text else text

    def joined(self, *parts: str) -> str:
        """Texts one after the other on a line, each in its own direction."""
        own = [f"{_ITS_OWN}{part}{_END}" for part in parts] if self.rtl else parts
        return self.directed(" · ".join(own))

    def count(self, number: int) -> str:
        """A whole number with the language's separators."""
        from babel.numbers import format_decimal

        return str(format_decimal(number, locale=self.language)).translate(_MARKS)

    def percent(self, rate: str | Decimal) -> str:
        """A share such as ``0.6250`` in percent, to one place."""
        from babel.numbers import format_percent

        rounded = Decimal(rate).quantize(Decimal("0.001"))
        return str(format_percent(rounded, locale=self.language, decimal_quantization=False)).translate(_MARKS)

    def money(self, minor: int | str | Decimal, currency: str) -> str:
        """An amount in minor units, exactly; decimals only where there are any."""
        from babel import Locale
        from babel.numbers import format_decimal, parse_pattern

        major = Decimal(minor).scaleb(-exponent(currency))
        places = 0 if major == major.to_integral_value() else exponent(currency)
        if self.rtl:  # a code stands well in a line of either direction
            number = format_decimal(major, format=f"#,##0.{'0' * places}".rstrip("."), locale=self.language)
            return f"{number} {currency}".translate(_MARKS)
        locale = Locale.parse(self.language)
        pattern = parse_pattern(locale.currency_formats["standard"].pattern)
        pattern.frac_prec = (places, places)
        text = str(pattern.apply(major, locale, currency=currency, currency_digits=False)).translate(_MARKS)
        return text.replace(currency, _SYMBOLS.get(currency, currency))

    def day(self, day: date | str) -> str:
        """A date, written out."""
        from babel.dates import format_date

        day = date.fromisoformat(day) if isinstance(day, str) else day
        return str(format_date(day, format="medium", locale=self._dates)).translate(_MARKS)

    def month(self, month: str) -> str:
        """A month such as ``2026-03``, short."""
        from babel.dates import format_skeleton

        return str(format_skeleton("yMMM", date.fromisoformat(f"{month}-01"), locale=self._dates)).translate(_MARKS)

    def method(self, method: str) -> str:
        """A way of paying, as receipts call it."""
        return METHOD_NAMES[self.language].get(method, method)

    @property
    def _dates(self) -> str:
        return "en_GB" if self.language == "en" else self.language


def words_of(tag: str | None) -> Words:
    """The words of an organization's language; English for one that charts are not written in."""
    language = language_of(tag)
    return Words(language, language in RTL)
