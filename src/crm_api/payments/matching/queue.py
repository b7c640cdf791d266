"""The queue itself: which payments wait, kept in step with the gifts they are."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text

from crm_api.donations.gifts import evidence
from crm_api.kit.db import WriteSession, prepare
from crm_api.kit.ids import new_id
from crm_api.outbox.service import emit
from crm_api.payments.matching.facts import PaymentWaits

_LONGEST = 1_000
_COLUMNS = (
    "organization_id, id, kind, state, reason, gift_id, connection_id, provider, amount, currency, hint, received_at, "
    "created_at, updated_at"
)
# Money that has arrived from nobody. Who gave anonymously on purpose is not looked for.
_WANTED = (
    "g.contact_id IS NULL AND g.superseded_by IS NULL AND NOT g.is_anonymous "
    "AND g.status NOT IN ('pending', 'failed', 'canceled')"
)
_NOTE_HINT = prepare(
    text(
        f"""
        INSERT INTO unmatched_payments ({_COLUMNS})
        SELECT :organization_id, :id, 'donation',
            CASE WHEN g.contact_id IS NULL THEN 'waiting' ELSE 'matched' END, 'hint_only', g.id, g.connection_id,
            g.provider, g.amount, g.currency, :hint, g.received_at, :now, :now
        FROM gifts g LEFT JOIN contacts c ON c.organization_id = :organization_id AND c.id = g.contact_id
        WHERE g.organization_id = :organization_id AND g.id = :gift_id AND c.erased_at IS NULL
        ON CONFLICT (organization_id, gift_id) DO UPDATE SET hint = excluded.hint, reason = 'hint_only',
            updated_at = excluded.updated_at, version = unmatched_payments.version + 1
        WHERE unmatched_payments.hint IS DISTINCT FROM excluded.hint
        RETURNING id
        """
    )
)
_FOLLOW = prepare(
    text(
        f"""
        INSERT INTO unmatched_payments ({_COLUMNS})
        SELECT :organization_id, :id, 'donation', 'waiting', 'payer_unknown', g.id, g.connection_id, g.provider,
            g.amount, g.currency, NULL, g.received_at, :now, :now
        FROM gifts g WHERE g.organization_id = :organization_id AND g.id = :gift_id AND {_WANTED}
        ON CONFLICT (organization_id, gift_id) DO UPDATE SET state = 'waiting', rule_id = NULL,
            updated_at = excluded.updated_at, version = unmatched_payments.version + 1
        WHERE unmatched_payments.state = 'matched'
        RETURNING id
        """
    )
)
_FOLLOW_ALL = prepare(
    text(
        f"""
        INSERT INTO unmatched_payments ({_COLUMNS})
        SELECT :organization_id, gen_random_uuid(), 'donation', 'waiting', 'payer_unknown', g.id, g.connection_id,
            g.provider, g.amount, g.currency, NULL, g.received_at, :now, :now
        FROM gifts g WHERE g.organization_id = :organization_id AND {_WANTED}
        ON CONFLICT (organization_id, gift_id) DO NOTHING
        """
    )
)
_SETTLED = """
    UPDATE unmatched_payments u SET state = 'matched', updated_at = :now, version = u.version + 1
    FROM gifts g WHERE u.organization_id = :organization_id AND u.state = 'waiting' AND u.gift_id = g.id
        AND g.organization_id = :organization_id AND g.contact_id IS NOT NULL
"""
_GONE = """
    DELETE FROM unmatched_payments u USING gifts g WHERE u.organization_id = :organization_id
        AND u.gift_id = g.id AND g.organization_id = :organization_id AND g.superseded_by IS NOT NULL
"""
_ONE = " AND g.id = :gift_id"
_SETTLED_ONE, _GONE_ONE = prepare(text(_SETTLED + _ONE)), prepare(text(_GONE + _ONE))
_SETTLED_ALL, _GONE_ALL = prepare(text(_SETTLED)), prepare(text(_GONE))
_NOTE_EVENT = prepare(
    text(
        """
        INSERT INTO unmatched_payments (organization_id, id, kind, state, reason, event_id, connection_id, provider,
            received_at, created_at, updated_at)
        SELECT :organization_id, :id, 'event', 'waiting', 'payment_unknown', e.id, e.connection_id, e.provider,
            e.received_at, :now, :now
        FROM provider_events e WHERE e.organization_id = :organization_id AND e.id = :event_id
        ON CONFLICT (organization_id, event_id) DO NOTHING
        """
    )
)
_FORGET_EVENTS = prepare(
    text(
        "DELETE FROM unmatched_payments WHERE organization_id = :organization_id "
        "AND event_id = ANY(CAST(:ids AS uuid[]))"
    )
)


async def note_hint(session: WriteSession, gift_id: UUID, hint: str) -> None:
    """Keep the free text that a payment came with. It may say who paid, or what for."""
    said = " ".join(hint.replace("\x00", " ").split())[:_LONGEST]
    if said and await session.fetch_val(_NOTE_HINT, id=new_id(), gift_id=gift_id, hint=said, now=session.now):
        emit(session, PaymentWaits(gift_id=gift_id))


async def follow(session: WriteSession, gift_id: UUID) -> None:
    """Bring the queue in step with one gift. Whoever works on a row of the queue holds its gift first."""
    await evidence.lock_gift(session, gift_id)
    await session.execute(_GONE_ONE, gift_id=gift_id)
    await session.execute(_SETTLED_ONE, gift_id=gift_id, now=session.now)
    if await session.fetch_val(_FOLLOW, id=new_id(), gift_id=gift_id, now=session.now):
        emit(session, PaymentWaits(gift_id=gift_id))


async def follow_all(session: WriteSession) -> None:
    """The same for every gift at once, after many have changed."""
    await session.execute(_GONE_ALL)
    await session.execute(_SETTLED_ALL, now=session.now)
    await session.execute(_FOLLOW_ALL, now=session.now)


async def note_event(session: WriteSession, event_id: UUID) -> None:
    """An event was given up: the payment that it names has not arrived."""
    await session.execute(_NOTE_EVENT, id=new_id(), event_id=event_id, now=session.now)


async def forget_events(session: WriteSession, event_ids: Sequence[UUID]) -> None:
    """Events are looked at again."""
    if event_ids:
        await session.execute(_FORGET_EVENTS, ids=list(event_ids))
