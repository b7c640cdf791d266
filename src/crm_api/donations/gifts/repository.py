"""SQL of gifts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select, text

from crm_api.donations.gifts.balances import Entry
from crm_api.donations.gifts.models import gift_external_ids, gift_payment_refs, gifts, payment_entries
from crm_api.kit import clock
from crm_api.kit.db import ReadSession, Row, RowLike, WriteSession, prepare
from crm_api.kit.ids import new_id

_ORG: Any = bindparam("organization_id")
GET = prepare(select(gifts).where(gifts.c.organization_id == _ORG, gifts.c.id == bindparam("id")))
_LOCK = prepare(
    select(gifts).where(gifts.c.organization_id == _ORG, gifts.c.id == bindparam("id")).with_for_update(key_share=True)
)
_BY_REFS = prepare(
    text(
        "SELECT DISTINCT gift_id FROM gift_payment_refs WHERE organization_id = :organization_id "
        "AND connection_id = :connection_id AND ref = ANY(:refs)"
    )
)
_ENTRIES = prepare(
    select(payment_entries)
    .where(payment_entries.c.organization_id == _ORG, payment_entries.c.gift_id == bindparam("gift_id"))
    .order_by(payment_entries.c.occurred_at, payment_entries.c.id)
)
_LOCK_REFS = prepare(
    text(
        "SELECT pg_advisory_xact_lock(l.key) FROM (SELECT DISTINCT hashtextextended(:scope || r, 0) AS key "
        "FROM unnest(CAST(:refs AS text[])) r ORDER BY 1) l"
    )
)
_KIN = prepare(
    text(
        """
        SELECT g.id FROM gifts g
        WHERE g.organization_id = :organization_id AND g.connection_id = :connection_id
          AND g.provider_customer_id = :customer AND g.amount = :amount AND g.currency = :currency
          AND g.received_at BETWEEN :from_time AND :to_time
          AND NOT EXISTS (
            SELECT 1 FROM gift_payment_refs r WHERE r.organization_id = g.organization_id AND r.gift_id = g.id
              AND r.connection_id = g.connection_id AND r.ref LIKE ANY(CAST(:missing AS text[])))
          AND EXISTS (
            SELECT 1 FROM gift_payment_refs r WHERE r.organization_id = g.organization_id AND r.gift_id = g.id
              AND r.connection_id = g.connection_id AND r.ref LIKE :present)
        ORDER BY abs(extract(epoch FROM g.received_at - :at)), g.id LIMIT 1
        """
    )
)
_MOVE_REFS = prepare(
    text(
        "UPDATE gift_payment_refs SET gift_id = :target WHERE organization_id = :organization_id AND gift_id = :source"
    )
)
_REFS = prepare(
    text(
        "SELECT ref FROM gift_payment_refs WHERE organization_id = :organization_id AND gift_id = :gift_id ORDER BY ref"
    )
)
_ADD_REF = prepare(
    text(
        "INSERT INTO gift_payment_refs (organization_id, connection_id, ref, gift_id) "
        "SELECT :organization_id, :connection_id, r, :gift_id FROM unnest(CAST(:refs AS text[])) r "
        "ON CONFLICT DO NOTHING"
    )
)
_ADD_ENTRIES = prepare(
    text(
        """
        INSERT INTO payment_entries (organization_id, id, gift_id, entry_key, kind, occurred_at, amount, ref, status,
            reason, started_at, recorded_at)
        SELECT :organization_id, r.id, :gift_id, r.entry_key, r.kind, r.occurred_at, r.amount, r.ref, r.status,
            r.reason, r.started_at, r.recorded_at
        FROM jsonb_to_recordset(:entries) AS r(id uuid, entry_key text, kind text, occurred_at timestamptz,
            amount bigint, ref text, status text, reason text, started_at timestamptz, recorded_at timestamptz)
        ON CONFLICT (organization_id, gift_id, entry_key) DO NOTHING
        """
    )
)
_BY_EXTERNAL_ID = prepare(
    text(
        "SELECT gift_id FROM gift_external_ids WHERE organization_id = :organization_id "
        "AND system = :system AND external_id = :external_id"
    )
)

_LOCK_EXTERNAL_ID = prepare(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"))
_DROP_EXTERNAL_IDS = prepare(
    text(
        "DELETE FROM gift_external_ids WHERE organization_id = :organization_id AND gift_id = :gift_id "
        "AND NOT EXISTS (SELECT 1 FROM jsonb_to_recordset(:kept) AS k(system text, id text) "
        "WHERE k.system = gift_external_ids.system AND k.id = gift_external_ids.external_id) "
    )
)
_HELD_EXTERNAL_IDS = prepare(
    text("SELECT system, external_id FROM gift_external_ids WHERE organization_id = :organization_id AND gift_id = :id")
)


async def lock(session: WriteSession, gift_id: UUID) -> Row | None:
    """The gift, locked for this transaction."""
    return await session.fetch_row(_LOCK, id=gift_id)


async def lock_refs(session: WriteSession, connection_id: UUID, refs: Sequence[str]) -> None:
    """Serialize work on one payment: taken for every id that names it, in one order, so nothing deadlocks."""
    await session.fetch(_LOCK_REFS, scope=f"{session.organization_id}:{connection_id}:", refs=list(refs))


async def by_refs(session: ReadSession, connection_id: UUID, refs: Sequence[str]) -> list[UUID]:
    """Ids of gifts that any of the provider's ids names."""
    rows = await session.fetch(_BY_REFS, connection_id=connection_id, refs=list(refs))
    return [row["gift_id"] for row in rows]


async def find_kin(
    session: ReadSession,
    *,
    connection_id: UUID,
    customer: str,
    amount: int,
    currency: str,
    at: Any,
    within: Any,
    missing: Sequence[str],
    present: str,
) -> UUID | None:
    """A gift that may be the same recurring payment seen from its other side: same customer, amount and hour, named by
    the other kind of id only."""
    found: UUID | None = await session.fetch_val(
        _KIN,
        connection_id=connection_id,
        customer=customer,
        amount=amount,
        currency=currency,
        at=at,
        from_time=at - within,
        to_time=at + within,
        missing=list(missing),
        present=present,
    )
    return found


async def refs_of(session: ReadSession, gift_id: UUID) -> list[str]:
    """Every provider id that names the gift."""
    return [row["ref"] for row in await session.fetch(_REFS, gift_id=gift_id)]


async def add_refs(session: WriteSession, connection_id: UUID, gift_id: UUID, refs: Sequence[str]) -> None:
    """Let more of the provider's ids name the gift."""
    await session.execute(_ADD_REF, connection_id=connection_id, gift_id=gift_id, refs=list(refs))


async def move_refs(session: WriteSession, source: UUID, target: UUID) -> None:
    """Let the ids of one gift name another."""
    await session.execute(_MOVE_REFS, source=source, target=target)


async def entry_rows(session: ReadSession, gift_id: UUID) -> list[Row]:
    """The gift's payment entries, oldest first."""
    return await session.fetch(_ENTRIES, gift_id=gift_id)


def entry_of(row: RowLike) -> Entry:
    """A stored entry as the pure functions take it."""
    return Entry(
        kind=row["kind"],
        key=row["entry_key"],
        occurred_at=row["occurred_at"],
        amount=row["amount"],
        ref=row["ref"],
        status=row["status"],
        reason=row["reason"],
        started_at=row["started_at"],
    )


def entry_values(entry: Entry) -> dict[str, Any]:
    """Column values of an entry, without the gift."""
    return {
        "id": new_id(),
        "entry_key": entry.key,
        "kind": entry.kind,
        "occurred_at": entry.occurred_at,
        "amount": entry.amount,
        "ref": entry.ref,
        "status": entry.status,
        "reason": entry.reason,
        "started_at": entry.started_at,
        "recorded_at": clock.utc_now(),
    }


async def add_entries(session: WriteSession, gift_id: UUID, entries: Iterable[Entry]) -> int:
    """Record evidence; what is known already changes nothing. How many entries were new."""
    rows = [entry_values(entry) for entry in entries]
    return await session.execute(_ADD_ENTRIES, gift_id=gift_id, entries=rows) if rows else 0


def add(session: WriteSession, gift: Mapping[str, Any], entries: Iterable[Entry], refs: Sequence[str] = ()) -> None:
    """Insert a gift with its entries and the ids that name it, at the end of the transaction."""
    session.later(gifts, **gift)
    for entry in entries:
        values = entry_values(entry)
        session.later(payment_entries, gift_id=gift["id"], **values)
    for ref in refs:
        session.later(gift_payment_refs, connection_id=gift["connection_id"], ref=ref, gift_id=gift["id"])
    for item in gift["external_ids"]:
        session.later(gift_external_ids, system=item["system"], external_id=item["id"], gift_id=gift["id"])


async def by_external_id(session: ReadSession, system: str, external_id: str) -> UUID | None:
    """The gift with an id in another system."""
    found: UUID | None = await session.fetch_val(_BY_EXTERNAL_ID, system=system, external_id=external_id)
    return found


async def lock_external_id(session: WriteSession, system: str, external_id: str) -> None:
    """Let one transaction at a time decide about the gift with this id in another system."""
    await session.fetch(_LOCK_EXTERNAL_ID, name=f"{session.organization_id}:gift:{system}:{external_id}")


async def replace_external_ids(session: WriteSession, gift_id: UUID, after: Sequence[Mapping[str, str]]) -> None:
    """Let just these ids in other systems name the gift; 409 at the end where one names another gift."""
    await session.execute(_DROP_EXTERNAL_IDS, gift_id=gift_id, kept=list(after))
    held = {(row["system"], row["external_id"]) for row in await session.fetch(_HELD_EXTERNAL_IDS, id=gift_id)}
    for item in after:
        if (item["system"], item["id"]) not in held:
            held.add((item["system"], item["id"]))
            session.later(gift_external_ids, system=item["system"], external_id=item["id"], gift_id=gift_id)
