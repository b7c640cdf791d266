"""Taking gifts of an import back.

Those that it recorded are canceled by an entry and leave every list, if nobody has touched them since and no receipt,
pledge, match or letter names them; contacts that it made for them go where nothing else names them. Those that it
changed get back what they had: plain columns as they were, money by entries that undo the import's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.contacts import bulk
from crm_api.donations.gifts import loading
from crm_api.donations.gifts.balances import Entry
from crm_api.kit.db import Row, WriteSession, prepare
from crm_api.transfers.imports.contact_undo import naming
from crm_api.transfers.imports.gift_money import Money, Unreachable, steps
from crm_api.transfers.imports.kinds import Journal

_GIFT_FOLLOWS = frozenset({
    "gift_allocations", "gift_external_ids", "gifts", "ledger_gifts", "ledger_journals", "payment_entries",
    "soft_credits", "unmatched_payments",
})  # fmt: skip
"""Tables that follow from the gift itself: their rows say nothing of somebody's interest in it."""
_CONTACT_FOLLOWS = frozenset({
    "contact_external_ids", "contact_keys", "contact_teams", "donor_predictions", "donor_status_changes",
    "donor_summaries", "duplicates", "segment_changes", "segment_memberships",
})  # fmt: skip
_TOUCHED = prepare(
    text(
        """
        SELECT DISTINCT a.resource_id FROM audit_events a
        WHERE a.organization_id = :organization_id AND a.resource = 'donation'
            AND a.resource_id = ANY(CAST(:names AS text[]) COLLATE "C") AND a.action <> 'donation.recorded'
        """
    )
)
_VERSIONS = prepare(
    text(
        "SELECT id, version FROM contacts WHERE organization_id = :organization_id "
        "AND id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR UPDATE"
    )
)
MONEY = ("status", "amount", "received_at", "refunded", "fee")
"""Columns of the journal that entries restore."""


async def undo(session: WriteSession, import_id: UUID, rows: Sequence[Journal]) -> dict[int, str]:
    """Take rows back: number → ``removed``, ``restored`` or ``kept``."""
    found = await loading.read_many(session, {row.record_id for row in rows}, lock=True)
    made = {row.record_id for row in rows if row.outcome == "created"} & found.keys()
    kept = await _kept(session, made)
    outcomes: dict[int, str] = {}
    gone: list[UUID] = []
    for row in rows:
        gift = found.get(row.record_id)
        if row.outcome == "created":
            if row.record_id in kept or gift is None:
                outcomes[row.number] = "kept"
            else:
                outcomes[row.number] = "removed"
                if loading.is_stored(gift):
                    gone.append(row.record_id)
    changed = [row for row in rows if row.outcome == "updated"]
    outcomes |= await _restore(session, import_id, changed, found)
    contacts = {
        UUID(change[1])
        for row in rows
        for what, change in row.changes.items()
        if what in {"contact_created", "credited_created"} and outcomes.get(row.number) == "removed"
    }
    async with session.beyond_limit():  # a gift that names nobody any more is nobody's to see
        await loading.take_back(session, gone)
        if contacts:
            await session.flush()
            await _remove_contacts(session, contacts)
    return outcomes


async def _kept(session: WriteSession, made: set[UUID]) -> set[UUID]:
    """Gifts that somebody has touched, or that a record names which is not of their own."""
    if not made:
        return set()
    async with session.beyond_limit():  # who is named by a record that the caller does not see is named too
        named = {row["id"] for row in await session.fetch(naming("gifts", _GIFT_FOLLOWS), ids=list(made))}
        touched = await session.fetch(_TOUCHED, names=[str(one) for one in made])
    return named | {UUID(row["resource_id"]) for row in touched}


async def _remove_contacts(session: WriteSession, ids: set[UUID]) -> None:
    """Remove contacts that the import made, where nobody has changed them since and nothing names them."""
    versions = {row["id"]: row["version"] for row in await session.fetch(_VERSIONS, ids=list(ids))}
    named = {row["id"] for row in await session.fetch(naming("contacts", _CONTACT_FOLLOWS), ids=list(ids))}
    await bulk.delete_many(session, [one for one in ids if versions.get(one) == 1 and one not in named])


async def _restore(
    session: WriteSession, import_id: UUID, rows: Sequence[Journal], found: Mapping[UUID, Row]
) -> dict[int, str]:
    """Give gifts back what rows have changed of them."""
    entries = await loading.entries_of(session, {row.record_id for row in rows} & found.keys())
    outcomes: dict[int, str] = {}
    changes: list[loading.GiftChange] = []
    for row in rows:
        gift = found.get(row.record_id)
        if gift is None or not loading.is_stored(gift):
            outcomes[row.number] = "kept"
            continue
        back, whole = _columns_back(gift, row.changes)
        added, money_back = _money_back(session, gift, entries[row.record_id], row, import_id)
        if any(entry.kind == "adjustment" and entry.started_at is not None for entry in added):
            back |= {"base_rate": None, "base_rate_date": None}
        dropped = _ids_added(gift, row.changes)
        if back or added or dropped:
            changes.append(loading.GiftChange(gift, entries[row.record_id], added, back, dropped_ids=dropped))
            outcomes[row.number] = "restored" if whole and money_back else "kept"
        else:
            outcomes[row.number] = "kept"
    await loading.update_many(session, changes)
    return outcomes


def _columns_back(gift: Row, changes: Mapping[str, Sequence[Any]]) -> tuple[dict[str, Any], bool]:
    """Plain columns as they were, where nobody has changed them again; and whether that is all of them."""
    back: dict[str, Any] = {}
    whole = True
    for name, (before, after) in changes.items():
        if name in MONEY or name.endswith("_created") or name == "external_ids":
            continue
        if gift[name] == typed(name, after):
            back[name] = typed(name, before)
        else:
            whole = False
    return back, whole


def _ids_added(gift: Row, changes: Mapping[str, Sequence[Any]]) -> list[tuple[str, str]]:
    """External ids that the row gave the gift, and that it still has."""
    before, after = changes.get("external_ids", ((), ()))
    return [(one["system"], one["id"]) for one in after if one not in before and one in gift["external_ids"]]


def _money_back(
    session: WriteSession, gift: Row, entries: Sequence[Entry], row: Journal, import_id: UUID
) -> tuple[list[Entry], bool]:
    """Entries that lead back to the money that was; none, and False, where no way does."""
    told = {name: row.changes[name] for name in MONEY if name in row.changes}
    if not told:
        return [], True
    if any(gift[name] != typed(name, after) for name, (_, after) in told.items()):
        return [], False
    was = {name: typed(name, told[name][0]) if name in told else gift[name] for name in MONEY}
    wanted = Money(was["status"], was["amount"], was["received_at"], was["refunded"], None, was["fee"])
    try:
        added = steps(entries, wanted, tag=f"{import_id}:{row.number}:undo", now=session.now)
    except Unreachable:
        return [], False
    return added, True


def typed(name: str, value: Any) -> Any:
    """A value of the journal as the column holds it."""
    if not isinstance(value, str):
        return value
    if name.endswith("_id"):
        return UUID(value)
    if name == "received_at":
        return datetime.fromisoformat(value)
    if name in {"gift_date", "base_rate_date"}:
        return date.fromisoformat(value)
    return Decimal(value) if name == "base_rate" else value
