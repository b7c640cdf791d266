"""Files of rows, written as the rows come: CSV, XLSX, JSON Lines. Used in a thread; memory stays flat."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import orjson

from crm_api.kit.clock import UTC
from crm_api.transfers.exports.resources import as_text
from crm_api.transfers.formulas import guard

MEDIA_TYPES = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "jsonl": "application/jsonl",
}
_SHEET_ROWS = 1_000_000
_LONGEST_CELL = 32_767
_TOO_LONG = "(too long for a cell: export as jsonl or csv)"


class Writer(Protocol):
    """Takes rows, then is closed."""

    def add(self, rows: Sequence[Sequence[Any]]) -> None:
        """Write rows of values."""
        ...

    def close(self) -> None:
        """Finish the file."""
        ...


def cell(value: Any) -> str | int | float | bool | Decimal | None:
    """A value as a spreadsheet has it."""
    if value is None or isinstance(value, str | int | float | bool | Decimal):
        return value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | dict):
        return as_text(value) if value else None
    return str(value)


class CsvWriter:
    """UTF-8 with a mark, so that spreadsheets know it; no cell is taken for a formula."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self._file = path.open("w", encoding="utf-8-sig", newline="")
        self._writer = csv.writer(self._file)
        self._writer.writerow([guard(name) for name in names])

    def add(self, rows: Sequence[Sequence[Any]]) -> None:
        """Write rows of values."""
        self._writer.writerows([self._text(value) for value in row] for row in rows)

    @staticmethod
    def _text(value: Any) -> Any:
        plain = cell(value)
        if isinstance(plain, bool):
            return "true" if plain else "false"
        return guard(plain) if isinstance(plain, str) else plain

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


class XlsxWriter:
    """Text is written as text, so that nothing is a formula; a new sheet begins after a million rows."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        import xlsxwriter  # a tenth of a second, for the exports that are workbooks

        options = {"constant_memory": True, "tmpdir": str(path.parent)}
        self._book = xlsxwriter.Workbook(str(path), options)
        self._names = names
        self._row = 0
        self._sheet: Any = None
        self._begin()

    def _begin(self) -> None:
        self._sheet = self._book.add_worksheet()
        for number, name in enumerate(self._names):
            self._sheet.write_string(0, number, name)
        self._row = 1

    def add(self, rows: Sequence[Sequence[Any]]) -> None:
        """Write rows of values."""
        for row in rows:
            if self._row > _SHEET_ROWS:
                self._begin()
            for number, value in enumerate(row):
                self._put(number, cell(value))
            self._row += 1

    def _put(self, column: int, value: Any) -> None:
        if value is None or value == "":
            return
        if isinstance(value, bool):
            self._sheet.write_boolean(self._row, column, value)
        elif isinstance(value, str):
            self._sheet.write_string(self._row, column, value if len(value) <= _LONGEST_CELL else _TOO_LONG)
        elif isinstance(value, int) and abs(value) > 10**15:  # a spreadsheet would round it
            self._sheet.write_string(self._row, column, str(value))
        else:
            self._sheet.write_number(self._row, column, value)

    def close(self) -> None:
        """Finish the file."""
        self._book.close()


class JsonlWriter:
    """One JSON object a line, every value as the API shows it."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self._file = path.open("wb")
        self._names = names

    def add(self, rows: Sequence[Sequence[Any]]) -> None:
        """Write rows of values."""
        option = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE
        self._file.writelines(
            orjson.dumps(dict(zip(self._names, row, strict=True)), option=option, default=str) for row in rows
        )

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


WRITERS: dict[str, Callable[[Path, Sequence[str]], Writer]] = {
    "csv": CsvWriter, "xlsx": XlsxWriter, "jsonl": JsonlWriter,
}  # fmt: skip
