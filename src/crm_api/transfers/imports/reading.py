"""Reading somebody's table: its encoding, separator and header are found out, its rows come one at a time.

Nothing of a file is held in memory but the row at hand. What cannot be read at all is `Unreadable`, in words that say
what to do; what is wrong with one row is that row's own error.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from crm_api.transfers.imports.encodings import find_encoding

DELIMITERS = (",", ";", "\t", "|")
MOST_COLUMNS = 500
MOST_HEADER = 200
_HEAD = 256_000
_LONGEST_CELL = 131_072
_LONGEST_ROW = 2_000_000
"""Characters. A row is held in memory as a whole, however its sender wrote it."""
_SAMPLE_ROWS = 60
_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"


class Unreadable(Exception):
    """The file cannot be imported; `code` is stable, the text says why and what to do."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Shape:
    """How a text file is to be read."""

    encoding: str
    delimiter: str
    skip_lines: int = 0
    """Lines before the header: Excel's ``sep=;``."""


def is_workbook(path: Path) -> bool:
    """Whether the file is an XLSX workbook; `Unreadable` when it is a kind of file we cannot read at all."""
    with path.open("rb") as file:
        head = file.read(8)
    if head.startswith(_OLE):
        raise Unreadable("format_unknown", "This is an old Excel file (.xls). Save it as .xlsx or CSV, and send that.")
    return head.startswith(_ZIP)


def find_shape(path: Path, *, encoding: str | None = None, delimiter: str | None = None) -> Shape:
    """Encoding and separator of a text file; what is given is not guessed."""
    if not path.stat().st_size:
        raise Unreadable("file_empty", "The file is empty. Send a table with a row of headers and rows below it.")
    if encoding is not None:
        try:
            encoding = codecs.lookup(encoding).name
        except LookupError:
            raise Unreadable("encoding_unknown", "There is no such encoding; known are utf-8, cp1251 …") from None
    chosen = encoding or find_encoding(path)
    if chosen is None:
        raise Unreadable("not_text", "This is not a table: neither text nor an .xlsx workbook. Save it as CSV.")
    with path.open("rb") as file:
        head = file.read(_HEAD)
    text = codecs.getincrementaldecoder(chosen)(errors="replace").decode(head).removeprefix("\ufeff")
    if not text.strip():
        raise Unreadable("file_empty", "The file holds nothing but spaces. Send a table with headers and rows.")
    first = re.split(r"\r\n|\r|\n", text, maxsplit=1)[0]
    said = re.fullmatch(r'"?sep=(.)"?[,;\t]*', first.strip(" \ufeff"), re.IGNORECASE)
    if said:
        return Shape(chosen, delimiter or said[1], 1)
    return Shape(chosen, delimiter or _find_delimiter(text))


def _find_delimiter(text: str) -> str:
    """The separator by which most rows of the beginning have the same, largest number of cells."""
    best, found = (0.0, 0), ","
    for candidate in DELIMITERS:
        rows = _beginning(text, candidate)
        widths = [len(row) for row in rows if any(row)]
        if not widths or widths[0] < 2:
            continue
        alike = sum(width == widths[0] for width in widths) / len(widths)
        if (rating := (round(alike, 1), widths[0])) > best:
            best, found = rating, candidate
    return found


def _beginning(text: str, delimiter: str) -> list[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows: list[list[str]] = []
    try:
        for row in reader:
            rows.append(row)
            if len(rows) > _SAMPLE_ROWS:
                break
    except csv.Error:
        return rows
    return rows[:-1] if len(rows) > 2 and len(text) >= _HEAD // 4 else rows  # the last one may be cut off


class Table:
    """A text file as headers and rows. Rows are numbered from 1 after the header, blank ones included."""

    def __init__(self, path: Path, shape: Shape) -> None:
        self.path = path
        self.shape = shape
        self.size = max(path.stat().st_size, 1)
        self.read_bytes = 0
        """How far reading has come; for progress."""
        self.notices: list[str] = []
        self._row_size = 0
        """Characters of the row being read, all its lines."""
        self.headers = self._headers()

    def _lines(self) -> Iterator[str]:
        # newline="": every kind of line end, old Mac's too, but not U+2028 and its like, which belong into cells.
        with (
            self.path.open("rb") as file,
            io.TextIOWrapper(file, encoding=self.shape.encoding, errors="replace", newline="") as text,
        ):
            first = True
            while line := text.readline(_LONGEST_ROW + 1):
                self._row_size += len(line)
                if self._row_size > _LONGEST_ROW:
                    raise Unreadable(
                        "row_too_long",
                        f"A row is longer than {_LONGEST_ROW:,} characters: is this a table, a row to a line? Say "
                        "options.delimiter where it was not found out.",
                    )
                self.read_bytes = file.tell()
                if first:
                    line, first = line.removeprefix("\ufeff"), False
                yield line

    def _records(self) -> Iterator[list[str]]:
        self._row_size = 0
        reader = csv.reader(self._lines(), delimiter=self.shape.delimiter)
        try:
            for number, row in enumerate(reader):
                self._row_size = 0
                if number >= self.shape.skip_lines:
                    yield row
        except csv.Error:
            raise Unreadable(
                "cell_too_long",
                f"A cell that begins before line {reader.line_num} is longer than {_LONGEST_CELL:,} characters: "
                "most likely a quotation mark was opened and never closed. Correct that line.",
            ) from None

    def _headers(self) -> list[str]:
        first = next((row for row in self._records() if any(cell.strip() for cell in row)), None)
        if first is None:
            raise Unreadable(
                "file_empty", "The file has no rows. Send a table with a row of headers and rows below it."
            )
        while first and not first[-1].strip():
            first.pop()
        if len(first) > MOST_COLUMNS:
            raise Unreadable("too_many_columns", f"The file has more than {MOST_COLUMNS} columns. Leave some out.")
        seen: dict[str, int] = {}
        headers = []
        for number, cell in enumerate(first, start=1):
            name = " ".join(cell.replace("\x00", "").split())[:MOST_HEADER] or f"Column {number}"
            count = seen[name] = seen.get(name, 0) + 1
            if count > 1:
                self.notices.append(f"Column {number} has the header of an earlier one; it is called [{count}] here.")
                name = f"{name} [{count}]"
            headers.append(name)
        return headers

    def rows(self, after: int = 0) -> Iterator[tuple[int, list[str]]]:
        """The rows after a number, each with its own."""
        records = self._records()
        for row in records:
            if any(cell.strip() for cell in row):
                break
        for number, row in enumerate(records, start=1):
            if number > after:
                yield number, row
