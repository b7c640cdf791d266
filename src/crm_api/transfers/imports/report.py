"""The file of failed rows: every cell as it came, with what is wrong, to be corrected and sent again."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Sequence

from crm_api.kit.db import ReadSession, Row
from crm_api.transfers.formulas import guard
from crm_api.transfers.imports import journal

_AT_ONCE = 2_000
ROW, ERRORS = "Import row", "Import errors"


def written(rows: Sequence[Sequence[str]]) -> bytes:
    """Rows as CSV that no spreadsheet takes for formulas."""
    target = io.StringIO(newline="")
    csv.writer(target).writerows([guard(cell) for cell in row] for row in rows)
    return target.getvalue().encode()


def _said(errors: Sequence[dict[str, str]]) -> str:
    return " | ".join(f"{one['column']}: {one['detail']}" if one["column"] else one["detail"] for one in errors)


async def failed_csv(session: ReadSession, row: Row) -> AsyncIterator[bytes]:
    """The file, a part at a time: the columns as they came, then the row's number and what is wrong in which column."""
    headers: list[str] = row["detected"]["headers"]
    yield b"\xef\xbb\xbf" + written([[*headers, ROW, ERRORS]])
    after = 0
    while rows := await journal.failed_rows(session, row, after, _AT_ONCE):
        after = journal.number_of(rows[-1]["id"])
        lines = []
        for one in rows:
            cells = [*(one["cells"] or ()), *[""] * len(headers)]
            extra = cells[len(headers) :]
            kept = cells[: len(headers)]
            lines.append([*kept, str(journal.number_of(one["id"])), _said(one["errors"] or ()), *filter(None, extra)])
        yield await asyncio.to_thread(written, lines)
