"""Verbs of the evidence behind a gift, for whoever brings it: the ids that name its payment, and its entries.

A payment is known by several ids of its provider, and what is learnt of it comes in any order. Whoever looks for the
gift of a payment locks its ids first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from crm_api.donations.gifts import repository
from crm_api.donations.gifts.balances import Entry
from crm_api.kit.db import ReadSession, Row, WriteSession
from crm_api.kit.problems import NotFound


async def lock_ids(session: WriteSession, connection_id: UUID, refs: Sequence[str]) -> None:
    """Let one transaction at a time work on the payment that any of these ids names."""
    await repository.lock_refs(session, connection_id, refs)


async def gifts_named(session: ReadSession, connection_id: UUID, refs: Sequence[str]) -> list[UUID]:
    """The gifts that any of the ids names."""
    return await repository.by_refs(session, connection_id, refs)


async def gift_like(
    session: ReadSession,
    *,
    connection_id: UUID,
    customer: str,
    amount: int,
    currency: str,
    at: datetime,
    within: timedelta,
    without: Sequence[str],
    having: str,
) -> UUID | None:
    """A gift of the same customer, amount and time that has ids of one prefix and none of some others."""
    return await repository.find_kin(
        session,
        connection_id=connection_id,
        customer=customer,
        amount=amount,
        currency=currency,
        at=at,
        within=within,
        missing=[_pattern(prefix) for prefix in without],
        present=_pattern(having),
    )


def _pattern(prefix: str) -> str:
    return prefix.replace("_", "\\_") + "%"


async def lock_gift(session: WriteSession, gift_id: UUID) -> Row:
    """A gift, locked for this transaction."""
    row = await repository.lock(session, gift_id)
    if row is None:
        raise NotFound("There is no such donation.")
    return row


async def ids_of(session: ReadSession, gift_id: UUID) -> list[str]:
    """Every id that names the gift's payment."""
    return await repository.refs_of(session, gift_id)


async def entries_of(session: ReadSession, gift_id: UUID) -> list[Entry]:
    """What is known of the gift's payment, oldest first."""
    return [repository.entry_of(row) for row in await repository.entry_rows(session, gift_id)]


async def add_evidence(
    session: WriteSession,
    gift_id: UUID,
    entries: Iterable[Entry],
    *,
    connection_id: UUID | None = None,
    refs: Sequence[str] = (),
) -> None:
    """Add entries, and ids of that connection; what is known already changes nothing. Settle the gift afterwards."""
    if connection_id is not None and refs:
        await repository.add_refs(session, connection_id, gift_id, refs)
    await repository.add_entries(session, gift_id, entries)


async def move_ids(session: WriteSession, source: UUID, target: UUID) -> None:
    """Let every id of one gift name another one from now on."""
    await repository.move_refs(session, source, target)
