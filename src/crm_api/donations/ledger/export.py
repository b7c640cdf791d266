"""The journals as a file for accounting: two lines for each, debit and credit, read as they are sent."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.donations.ledger.chart import Chart, chart_of
from crm_api.kit.db import ReadSession, Row, prepare
from crm_api.kit.formulas import guard
from crm_api.kit.sums import in_main_units

COLUMNS = (
    "date", "journal_id", "kind", "account", "code", "name", "debit", "credit", "currency", "fund", "donation_id",
    "payout_id", "pledge_id", "relates_to",
)  # fmt: skip
_AT_ONCE = 5_000
_PAGE = prepare(
    text(
        """
        SELECT j.*, f.code AS fund FROM ledger_journals j
            LEFT JOIN funds f ON f.organization_id = j.organization_id AND f.id = j.fund_id
        WHERE j.organization_id = :organization_id
            AND (j.journal_date, j.id) > (CAST(:day AS date), CAST(:after AS uuid))
            AND j.journal_date <= CAST(:last AS date)
        ORDER BY j.journal_date, j.id LIMIT :most
        """
    )
)


async def export(session: ReadSession, first: date | None, last: date | None) -> AsyncIterator[bytes]:
    """The lines of the journals from one day to another, both included, as CSV in UTF-8."""
    chart = await chart_of(session)
    yield _csv([COLUMNS])
    position: tuple[date, UUID] = (first or date.min, UUID(int=0))
    while True:
        rows = await session.fetch(_PAGE, day=position[0], after=position[1], last=last or date.max, most=_AT_ONCE)
        if rows:
            yield _csv([line for row in rows for line in _lines(row, chart)])
        if len(rows) < _AT_ONCE:
            return
        position = rows[-1]["journal_date"], rows[-1]["id"]


def _lines(row: Row, chart: Chart) -> list[tuple[Any, ...]]:
    amount = in_main_units(row["amount"], row["currency"])
    late = row["movement_date"] if row["movement_date"] != row["journal_date"] else ""
    found = []
    for account, sides in ((row["debit"], (amount, "")), (row["credit"], ("", amount))):
        texts = (account, chart.code(account) or "", chart.name(account))
        found.append(
            (row["journal_date"], row["id"], row["kind"], *map(guard, texts), *sides, row["currency"],
             guard(row["fund"] or ""), row["gift_id"] or "", row["payout_id"] or "", row["pledge_id"] or "", late)
        )  # fmt: skip
    return found


def _csv(rows: list[tuple[Any, ...]]) -> bytes:
    text_ = io.StringIO()
    csv.writer(text_).writerows(rows)
    return text_.getvalue().encode()
