"""XLSX workbooks: one sheet becomes a CSV file, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from crm_api.transfers.imports.reading import Unreadable

_SECONDS = 1200.0
_WORDS = {
    "too_large": "The workbook is too large to be read. Save the sheet as CSV, and send that.",
    "no_sheet": "The workbook has no sheet with cells.",
    "no_such_sheet": "The workbook has no sheet of that name; see sheets for those it has.",
    "broken": "The workbook is damaged or not a workbook. Open it, save it anew as .xlsx or CSV, and send that.",
}


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet that was written as CSV, and the names of all there are."""

    name: str
    sheets: tuple[str, ...]


async def to_csv(workbook: Path, target: Path, sheet: str | None) -> Sheet:
    """Write a sheet as UTF-8 CSV, the first one unless `sheet` names another; `Unreadable` when it cannot be."""
    more = [] if sheet is None else [sheet]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "crm_api.transfers.imports.workbook_child",
        str(workbook),
        str(target),
        *more,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={"PYTHONPATH": str(Path(__file__).parents[3]), "PYTHONSAFEPATH": "1"},
    )
    try:
        async with asyncio.timeout(_SECONDS):
            said, _ = await process.communicate()
    except TimeoutError:
        raise Unreadable("too_large", _WORDS["too_large"]) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    try:
        answer = json.loads(said)
    except ValueError:  # it was ended by the kernel: no memory or time left
        answer = {"error": "too_large"}
    if error := answer.get("error"):
        raise Unreadable(f"workbook_{error}", _WORDS[error])
    return Sheet(answer["sheet"], tuple(answer["sheets"]))
