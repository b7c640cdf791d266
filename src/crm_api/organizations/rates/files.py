"""Reading a central bank's file of rates. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import date

from pydantic import ValidationError

from crm_api.kit.problems import FieldError, Invalid
from crm_api.organizations.rates.schemas import ExchangeRateCreate

COLUMNS = ("date", "source_currency", "target_currency", "rate")
MOST_LINES = 20_000
_MOST_ERRORS = 50


def read_rates(content: bytes, origin: str | None) -> list[ExchangeRateCreate]:
    """The rates of a CSV file: commas or semicolons, UTF-8, a header with `COLUMNS`. `Invalid` where it is none, or
    where any line is wrong; the errors name the lines, never what stands in them."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Invalid.at("/file", "invalid_encoding", "Save the file as UTF-8.") from None
    head = text.partition("\n")[0]
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=";" if head.count(";") > head.count(",") else ",")
    try:
        names = [name.strip().lower() for name in next(lines, [])]
        if sorted(names) != sorted(COLUMNS):
            raise Invalid.at("/file", "unknown_columns", f"The first line must name the columns {', '.join(COLUMNS)}.")
        return _rates(names, lines, origin)
    except csv.Error:
        raise Invalid.at("/file", "not_csv", f"Line {lines.line_num} cannot be read as CSV.") from None


def _rates(names: list[str], lines: Iterable[list[str]], origin: str | None) -> list[ExchangeRateCreate]:
    rates: list[ExchangeRateCreate] = []
    errors: list[FieldError] = []
    for number, values in enumerate(lines, start=2):
        if not any(values):
            continue
        if len(rates) >= MOST_LINES:
            raise Invalid.at("/file", "too_many_lines", f"A file may have {MOST_LINES} lines; split it.")
        if (rate := _rate(dict(zip(names, values, strict=False)), origin)) is not None:
            rates.append(rate)
        elif len(errors) < _MOST_ERRORS:
            said = f"Line {number} must hold a date, two different ISO 4217 codes and a rate such as 41.2575."
            errors.append(FieldError("/file", "invalid_line", said))
    if errors:
        raise Invalid("The file has lines that cannot be taken, so none was; see errors.", errors=errors)
    if not rates:
        raise Invalid.at("/file", "file_empty", "The file has no rates.")
    return rates


def _rate(line: dict[str, str], origin: str | None) -> ExchangeRateCreate | None:
    values = {name: line.get(name, "").strip() for name in COLUMNS}
    try:
        return ExchangeRateCreate(
            source_currency=values["source_currency"].upper(),
            target_currency=values["target_currency"].upper(),
            rate=values["rate"].replace(",", "."),
            rate_date=date.fromisoformat(values["date"]),
            origin=origin,
        )
    except (ValidationError, ValueError):
        return None
