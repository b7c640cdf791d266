"""Posting: what should stand in the books of a gift, less what stands there, as new journals.

It may be done at any time and any number of times: where the books are right, nothing is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from crm_api.donations.gifts.balances import Entry
from crm_api.donations.ledger import repository
from crm_api.donations.ledger.movements import Books, Key, Line, missing, movements
from crm_api.kit import clock
from crm_api.kit.db import Row, RowLike, WriteSession
from crm_api.kit.ids import new_id

AT_ONCE = 5_000
"""Gifts in one transaction of a pass over many."""
_BY_REPLAY = 500
FIRST = UUID(int=0)


async def post_gifts(session: WriteSession, ids: Sequence[UUID]) -> int:
    """Bring the books of these gifts up to date; how many journals that took."""
    if not ids:
        return 0
    await repository.claim(session, ids)
    return await _replay(session, ids)


async def post_next(session: WriteSession, after: UUID = FIRST, *, most: int = AT_ONCE) -> tuple[int, UUID | None]:
    """Bring the next gifts that are behind up to date, in the order of ids: how many gifts, and the last of them where
    there may be more."""
    await repository.plan_anew(session)
    ids = await repository.claim_next(session, after, most)
    if not ids:
        return 0, None
    _, others = await repository.post_plain(session, ids, session.tenant.timezone)
    for at in range(0, len(others), _BY_REPLAY):
        await _replay(session, others[at : at + _BY_REPLAY])
    return len(ids), ids[-1] if len(ids) == most else None


async def _replay(session: WriteSession, ids: Sequence[UUID]) -> int:
    """Post claimed gifts by a replay of their entries."""
    lines: list[dict[str, Any]] = []
    for row in await repository.standing(session, ids):
        for number, line in enumerate(missing_of(row, session.tenant.timezone), start=1):
            journal = journal_of(line, row["closed_through"], row["currency"], revision=row["revision"], number=number)
            lines.append({**journal, "gift_id": row["id"]})
    await repository.post_lines(session, lines)
    return len(lines)


def missing_of(row: Row, zone: str) -> list[Line]:
    """What the books of a gift lack, by its row of `repository.standing`."""
    posted: dict[Key, int] = {
        (kind, date.fromisoformat(day), low, high, None if fund is None else UUID(fund)): int(amount)
        for kind, day, low, high, fund, amount in row["posted"] or ()
    }
    split = tuple((UUID(fund), part) for fund, part in row["split"] or ()) or ((row["fund_id"], row["amount"]),)
    books = Books(row["method"], row["connection_id"], split)
    entries = [entry_of(entry) for entry in row["entries"] or ()]
    wanted = movements(entries, books, partial(clock.local_date, zone_name=zone))
    return missing(wanted, posted)


def entry_of(told: RowLike) -> Entry:
    """An entry as the statement that gathers them has it."""
    started = told["started_at"]
    return Entry(
        kind=told["kind"],
        key=told["key"],
        occurred_at=datetime.fromisoformat(told["occurred_at"]),
        amount=told["amount"],
        ref=told["ref"],
        status=told["status"],
        reason=told["reason"],
        started_at=None if started is None else datetime.fromisoformat(started),
    )


def journal_of(line: Line, closed_through: date | None, currency: str, *, revision: int, number: int) -> dict[str, Any]:
    """A line as a row of the books: in a closed period nothing is posted, so it stands on the first open day."""
    day = line.day if closed_through is None else max(line.day, closed_through + timedelta(days=1))
    return {
        "id": new_id(),
        "kind": line.kind,
        "gift_id": None,
        "payout_id": None,
        "pledge_id": None,
        "revision": revision,
        "line": number,
        "journal_date": day,
        "movement_date": line.day,
        "debit": line.debit,
        "credit": line.credit,
        "amount": line.amount,
        "currency": currency,
        "fund_id": line.fund_id,
    }
