"""Many gifts from elsewhere at once: found, recorded, changed and taken back by a few statements for all of them.

The rules are those of `service`: balances follow from entries. What is missing here on purpose is a fact per gift:
whoever loads many records the one fact that stands for them all (`tell`), so summaries, books and segments are rebuilt
and nobody is thanked for a gift of ten years ago.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text

from crm_api.audit.service import record, record_many
from crm_api.donations.allocations import service as allocations
from crm_api.donations.credits.models import soft_credits
from crm_api.donations.gifts import repository
from crm_api.donations.gifts.balances import Entry
from crm_api.donations.gifts.facts import GiftsRestated
from crm_api.donations.gifts.models import gift_external_ids, gifts, payment_entries
from crm_api.donations.gifts.service import restated
from crm_api.kit.db import ReadSession, Row, RowLike, Statement, WriteSession, prepare
from crm_api.kit.ids import new_id
from crm_api.kit.money import exponent
from crm_api.kit.statements import column_type, plain
from crm_api.outbox.service import emit

_SAID = (
    "id", "contact_id", "amount", "currency", "status", "refunded", "fee", "charged_back", "counted", "failure_reason",
    "method", "is_anonymous", "received_at", "gift_date", "fund_id", "campaign_id", "appeal_id", "source_code",
    "channel", "note", "external_ids",
)  # fmt: skip
_COLUMNS = ", ".join(f"{name} {column_type(gifts, name)}" for name in _SAID)
# Half to even in whole numbers, by the newest rate known for the day; what would pass the API's largest amount is left
# without one, as `service` does it for one gift.
_INSERT = prepare(
    text(
        f"""
        INSERT INTO gifts (organization_id, {", ".join(_SAID)}, base_amount, base_counted, base_rate, base_rate_date,
            is_split, premium_value, version, created_at, updated_at)
        SELECT :organization_id, {", ".join(f"r.{name}" for name in _SAID)},
            CASE WHEN r.currency = :target THEN r.amount ELSE crm_half_even(r.amount * b.factor) END,
            CASE WHEN r.currency = :target THEN r.counted ELSE crm_half_even(r.counted * b.factor) END,
            b.rate, b.day, false, 0, 1, :now, :now
        FROM json_to_recordset(CAST(CAST(:rows AS text) AS json)) AS r({_COLUMNS})
        LEFT JOIN LATERAL (
            SELECT CAST(1 AS numeric) AS rate, r.gift_date AS day, CAST(1 AS numeric) AS factor
            WHERE r.currency = :target
            UNION ALL
            (SELECT x.rate, x.rate_date, x.rate * CAST(CAST(:scales AS jsonb) ->> r.currency AS numeric)
             FROM exchange_rates x
             WHERE x.organization_id = :organization_id AND x.source_currency = r.currency
                AND x.target_currency = :target AND x.rate_date <= r.gift_date AND r.currency <> :target
             ORDER BY x.rate_date DESC LIMIT 1)
        ) b ON r.amount * b.factor <= 9007199254740991
        """
    )
)
_NAMED = prepare(
    text(
        """
        SELECT 'external' AS kind, w.system AS system, w.id AS id, e.gift_id
        FROM unnest(CAST(:systems AS text[]), CAST(:ids AS text[])) AS w(system, id)
        JOIN gift_external_ids e ON e.organization_id = :organization_id
            AND e.system = w.system COLLATE "C" AND e.external_id = w.id COLLATE "C"
        UNION ALL
        SELECT 'payment', '', p.ref, p.gift_id
        FROM payment_connections c JOIN gift_payment_refs p ON p.organization_id = :organization_id
            AND p.connection_id = c.id AND p.ref = ANY(CAST(:refs AS text[]) COLLATE "C")
        WHERE c.organization_id = :organization_id
        """
    )
)
_READ = "SELECT * FROM gifts WHERE organization_id = :organization_id AND id = ANY(CAST(:ids AS uuid[]))"
_BY_ID = prepare(text(_READ))
_LOCK = prepare(text(f"{_READ} ORDER BY id FOR NO KEY UPDATE"))
_ENTRIES = prepare(
    text(
        "SELECT * FROM payment_entries WHERE organization_id = :organization_id "
        "AND gift_id = ANY(CAST(:ids AS uuid[])) ORDER BY gift_id, occurred_at, id"
    )
)
_PURPOSES = prepare(
    text(
        """
        SELECT 'fund' AS kind, id, code FROM funds
        WHERE organization_id = :organization_id AND (code = ANY(CAST(:funds AS text[]) COLLATE "C")
                OR CAST(id AS text) = ANY(CAST(:funds AS text[])))
        UNION ALL
        SELECT 'campaign', id, code FROM campaigns
        WHERE organization_id = :organization_id AND (code = ANY(CAST(:campaigns AS text[]) COLLATE "C")
                OR CAST(id AS text) = ANY(CAST(:campaigns AS text[])))
        """
    )
)
_DROP_IDS = prepare(
    text(
        "DELETE FROM gift_external_ids WHERE organization_id = :organization_id AND gift_id = ANY(CAST(:ids AS uuid[]))"
    )
)
_DROP_PAIRS = prepare(
    text(
        "DELETE FROM gift_external_ids e USING unnest(CAST(:systems AS text[]), CAST(:ids AS text[])) AS d(system, id) "
        'WHERE e.organization_id = :organization_id AND e.system = d.system COLLATE "C" '
        'AND e.external_id = d.id COLLATE "C"'
    )
)
_DROP_CREDITS = prepare(
    text("DELETE FROM soft_credits WHERE organization_id = :organization_id AND gift_id = ANY(CAST(:ids AS uuid[]))")
)
_TAKE_BACK = prepare(
    text(
        """
        UPDATE gifts SET status = 'canceled', refunded = 0, fee = 0, charged_back = 0, counted = 0,
            base_counted = CASE WHEN base_amount IS NULL THEN NULL ELSE 0 END, failure_reason = NULL,
            contact_id = NULL, superseded_by = id, external_ids = '[]', note = NULL, version = version + 1,
            updated_at = :now
        WHERE organization_id = :organization_id AND id = ANY(CAST(:ids AS uuid[]))
        """
    )
)


@dataclass(slots=True)
class NewGift:
    """A gift to be recorded: its columns, the entries that they follow from, and who is credited with it softly."""

    row: dict[str, Any]
    """Values of every column but those of the base amount, which are found with the row."""
    entries: Sequence[Mapping[str, Any]]
    """As `entry_rows` has them."""
    credits: Sequence[Mapping[str, Any]] = ()
    """`contact_id`, `type` and `amount` (minor units; None for the whole gift)."""


@dataclass(slots=True)
class GiftChange:
    """A gift that is there, as it was read and locked, with what is to be different."""

    before: RowLike
    entries: Sequence[Entry]
    """What was known of its payment before."""
    added: Sequence[Entry] = ()
    changes: Mapping[str, Any] | None = None
    external_ids: Sequence[tuple[str, str]] = ()
    """Ids to be added, which no gift has."""
    dropped_ids: Sequence[tuple[str, str]] = ()
    """Ids to be taken away, which the gift has."""


async def named(
    session: ReadSession, external_ids: Iterable[tuple[str, str]], payment_ids: Iterable[str]
) -> dict[tuple[str, str], UUID]:
    """Gifts by external ids, (system, id), and by ids of their payment at a provider, ("", id)."""
    pairs, refs = list(external_ids), list(payment_ids)
    if not pairs and not refs:
        return {}
    systems, ids = [system for system, _ in pairs], [own for _, own in pairs]
    whole = session if session.limit is None else session.whole()  # an id is taken, whoever sees the gift that has it
    rows = await whole.fetch(_NAMED, systems=systems, ids=ids, refs=refs)
    return {(row["system"], row["id"]): row["gift_id"] for row in rows}


async def read_many(session: WriteSession, ids: Collection[UUID], *, lock: bool) -> dict[UUID, Row]:
    """Gifts by id; `lock` keeps them to this transaction, in one order."""
    if not ids:
        return {}
    return {row["id"]: row for row in await session.fetch(_LOCK if lock else _BY_ID, ids=list(ids))}


async def entries_of(session: ReadSession, ids: Collection[UUID]) -> dict[UUID, list[Entry]]:
    """What is known of the payments of gifts."""
    found: dict[UUID, list[Entry]] = {one: [] for one in ids}
    if ids:
        for row in await session.fetch(_ENTRIES, ids=list(ids)):
            found[row["gift_id"]].append(repository.entry_of(row))
    return found


async def purposes(
    session: ReadSession, funds: Collection[str], campaigns: Collection[str]
) -> dict[tuple[str, str], UUID]:
    """Funds and campaigns by ("fund" or "campaign", code), and by ("fund" or "campaign", id)."""
    if not funds and not campaigns:
        return {}
    rows = await session.fetch(_PURPOSES, funds=list(funds), campaigns=list(campaigns))
    return {(row["kind"], name): row["id"] for row in rows for name in (str(row["id"]), row["code"])}


async def insert_many(session: WriteSession, new: Sequence[NewGift]) -> None:
    """Record gifts, each with the rate of its day; contacts that they name are there. Entries and ids come at the end
    of the transaction."""
    if not new:
        return
    target = session.tenant.currency
    scales = {one.row["currency"] for one in new} - {target}
    inserting = asyncio.ensure_future(
        session.execute(
            _INSERT,
            rows=orjson.dumps([one.row for one in new], default=plain).decode(),
            target=target,
            scales={code: str(Decimal(10) ** (exponent(target) - exponent(code))) for code in scales},
            now=session.now,
        )
    )
    try:
        await _noted(session, new)  # while Postgres works on the rows
    finally:
        await inserting
    await record_many(session, "donation.recorded", "donation", [one.row["id"] for one in new])


async def _noted(session: WriteSession, new: Sequence[NewGift]) -> None:
    entries: list[Mapping[str, Any]] = []
    ids: list[dict[str, Any]] = []
    for number, one in enumerate(new):
        if number % 500 == 0:
            await asyncio.sleep(0)  # or the rows would wait to be sent
        entries += one.entries
        for item in one.row["external_ids"]:
            ids.append({"system": item["system"], "external_id": item["id"], "gift_id": one.row["id"]})
        for credit in one.credits:
            session.later(soft_credits, **_credit(session, one.row["id"], credit))
    session.later_rows(payment_entries, entries)
    session.later_rows(gift_external_ids, ids)


def _credit(session: WriteSession, gift_id: UUID, said: Mapping[str, Any]) -> dict[str, Any]:
    now = session.now
    fixed = {"origin": "manual", "version": 1, "created_at": now, "updated_at": now}
    return {"id": new_id(), "gift_id": gift_id, **said, **fixed}


def entry_rows(gift_id: UUID, entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """The entries of a gift as rows. Pure."""
    return [{"gift_id": gift_id, **repository.entry_values(entry)} for entry in entries]


def _write_entries(session: WriteSession, gift_id: UUID, entries: Iterable[Entry]) -> None:
    session.later_rows(payment_entries, entry_rows(gift_id, entries))


def _write_ids(session: WriteSession, gift_id: UUID, ids: Iterable[tuple[str, str]]) -> None:
    for system, own in ids:
        session.later(gift_external_ids, system=system, external_id=own, gift_id=gift_id)


@lru_cache(maxsize=64)
def _update(columns: tuple[str, ...]) -> Statement:
    """The update of these columns from JSON rows."""
    kinds = ", ".join(f"{name} {column_type(gifts, name)}" for name in ("id", *columns))
    assigned = ", ".join(f"{name} = r.{name}" for name in columns)
    return prepare(
        text(
            f"UPDATE gifts SET {assigned}, version = gifts.version + 1, updated_at = :now "
            f"FROM jsonb_to_recordset(CAST(CAST(:rows AS text) AS jsonb)) AS r({kinds}) "
            "WHERE gifts.organization_id = :organization_id AND gifts.id = r.id"
        )
    )


async def after_of(session: WriteSession, change: GiftChange) -> dict[str, Any]:
    """Columns of a gift that a change makes different, those that follow from its entries included."""
    changes = dict(change.changes or {})
    if change.external_ids or change.dropped_ids:
        kept = [one for one in change.before["external_ids"] if (one["system"], one["id"]) not in change.dropped_ids]
        changes["external_ids"] = [*kept, *({"system": system, "id": own} for system, own in change.external_ids)]
    return await restated(session, change.before, [*change.entries, *change.added], changes)


async def update_many(session: WriteSession, changes: Sequence[GiftChange]) -> None:
    """Write changed gifts, which the caller has locked, with their new entries and ids; each once."""
    rows: list[dict[str, Any]] = []
    columns: set[str] = set()
    for one in changes:
        after = await after_of(session, one)
        columns |= after.keys()
        rows.append({**dict(one.before), **after})
        _write_entries(session, one.before["id"], one.added)
        _write_ids(session, one.before["id"], one.external_ids)
        record(session, "donation.updated", "donation", one.before["id"], fields=after)
    if dropped := [pair for one in changes for pair in one.dropped_ids]:
        await session.execute(_DROP_PAIRS, systems=[one for one, _ in dropped], ids=[own for _, own in dropped])
    if columns:
        chosen = tuple(sorted(columns))
        written = [{name: row[name] for name in ("id", *chosen)} for row in rows]
        await session.execute(_update(chosen), rows=orjson.dumps(written, default=plain).decode(), now=session.now)
    if split := [row["id"] for row in rows if row["is_split"]]:
        await allocations.restate(session, split)


async def take_back(session: WriteSession, ids: Sequence[UUID]) -> None:
    """Let gifts be as if they had never been recorded, as far as evidence may go.

    Payment entries are never removed, and neither is what they belong to: each gift gets an entry that it is
    superseded, by nothing but itself. It counts for nothing then, no list, report, receipt or segment sees it, it
    names nobody, and its ids are free for a better file; the books show it booked and taken back.
    """
    if not ids:
        return
    await session.execute(_DROP_IDS, ids=list(ids))
    await session.execute(_DROP_CREDITS, ids=list(ids))
    await session.execute(_TAKE_BACK, ids=list(ids), now=session.now)
    for gift_id in ids:
        _write_entries(session, gift_id, [Entry(kind="superseded", key="superseded:import", occurred_at=session.now)])
        record(session, "donation.taken_back", "donation", gift_id)


def tell(session: WriteSession, what: str) -> None:
    """Record the fact that stands for all gifts that were loaded as `what` (``import:<id>``)."""
    emit(session, GiftsRestated(reason=what))


def is_stored(row: RowLike) -> bool:
    """Whether a gift still counts as one: it was neither united with another nor taken back."""
    return row["superseded_by"] is None
