"""The process that turns one sheet of an XLSX workbook into CSV. Runs as ``python -m``; started by `workbook`.

A workbook is somebody else's zip of XML: it is read in a process of its own with limited memory and time, so that
neither a bomb nor the library's appetite reaches the worker. It prints one JSON object.
"""

from __future__ import annotations

import csv
import json
import sys
import warnings
import zipfile
from contextlib import suppress
from datetime import date, datetime, time
from typing import Any

_MEMORY = 1_500_000_000
_SECONDS = 900
_LARGEST = 4_000_000_000
"""What the parts of a workbook may be in all, unpacked, in bytes."""
_LARGEST_SHEET = 2_000_000_000
"""What a sheet may be as CSV, in characters: one long text that a million cells share makes much of little."""


def _limit() -> None:
    try:
        import resource
    except ImportError:  # Windows has none; the parent's clock still ends a hang
        return
    for limit, value in ((resource.RLIMIT_AS, _MEMORY), (resource.RLIMIT_CPU, _SECONDS), (resource.RLIMIT_CORE, 0)):
        with suppress(ValueError, OSError):
            resource.setrlimit(limit, (value, value))


def cell_text(value: Any) -> str:
    """What a cell shows, without the program's own formats: dates as 2026-11-22, whole numbers without a point."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(sep=" ")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return str(value).replace("\x00", "")


def convert(path: str, target: str, sheet: str | None) -> dict[str, Any]:
    """Write a sheet (the first one, or the one named) as UTF-8 CSV; what there was."""
    import openpyxl

    with zipfile.ZipFile(path) as archive:
        if sum(item.file_size for item in archive.infolist()) > _LARGEST:
            return {"error": "too_large"}
    with open(path, "rb") as opened:  # by name it would go by the ending
        return _written(openpyxl.load_workbook(opened, read_only=True, data_only=True, keep_links=False), target, sheet)


def _written(book: Any, target: str, sheet: str | None) -> dict[str, Any]:
    try:
        names = [one.title for one in book.worksheets]
        if not names:
            return {"error": "no_sheet", "sheets": []}
        if sheet is not None and sheet not in names:
            return {"error": "no_such_sheet", "sheets": names}
        chosen = book[sheet] if sheet is not None else book.worksheets[0]
        chosen.reset_dimensions()  # some programs write a wrong size into the sheet
        with open(target, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            size = 0
            for row in chosen.iter_rows(values_only=True):
                cells = [cell_text(value) for value in row]
                while cells and not cells[-1]:
                    cells.pop()
                size += sum(map(len, cells)) + len(cells) + 2
                if size > _LARGEST_SHEET:
                    return {"error": "too_large"}
                writer.writerow(cells)
        return {"sheets": names, "sheet": chosen.title}
    finally:
        book.close()


def main() -> None:
    """The command line: workbook, target, and the sheet's name if there is one."""
    _limit()
    warnings.simplefilter("ignore")
    try:
        answer = convert(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None)
    except MemoryError:
        answer = {"error": "too_large"}
    except Exception:  # whatever a broken workbook makes the library raise
        answer = {"error": "broken"}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
