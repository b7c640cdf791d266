"""Verbs of payments under way: asked about with growing pauses until they are over, given up when their page closes.

A webhook that is lost, or a provider that has none for what expires, leaves a gift pending for ever; so each is asked
about where the provider can be asked. A checkout that nobody paid is canceled when its page closes, whether its
provider can be asked or not.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text

from crm_api.donations.gifts import evidence
from crm_api.donations.gifts.balances import Entry
from crm_api.donations.gifts.service import settle
from crm_api.kit.db import ReadSession, Row, WriteSession, prepare
from crm_api.outbox import schedules
from crm_api.outbox.service import emit
from crm_api.payments.polling.facts import OpenPaymentsDue, PaymentAskDue

ALARM = "payments.open_payments"
AT_ONCE = 500
LONGEST = timedelta(days=14)
"""A bank debit may take days; after these nobody asks any more and the gift stays as it is."""
_PAUSES = (2, 5, 15, 60, 180, 360, 720, 1440)
"""Minutes between one question and the next; the last one again and again."""
_GRACE = timedelta(minutes=5)
"""Between a page's closing and the last question: who pressed the button in its last second has paid."""
_WATCH = prepare(
    text(
        """
        INSERT INTO payment_polls (organization_id, gift_id, connection_id, asked, next_at, ends_at)
        SELECT :organization_id, g.id, g.connection_id, 0, :next_at, :ends_at FROM gifts g
        WHERE g.organization_id = :organization_id AND g.id = :gift_id AND g.status = 'pending'
            AND g.connection_id IS NOT NULL AND g.superseded_by IS NULL
        ON CONFLICT (organization_id, gift_id) DO NOTHING
        """
    )
)
_TAKE = prepare(
    text(
        """
        UPDATE payment_polls p SET asked = p.asked + 1, next_at = least(
            CAST(:now AS timestamptz) + interval '1 minute'
                * (CAST(:pauses AS integer[]))[least(p.asked + 2, cardinality(CAST(:pauses AS integer[])))],
            CASE WHEN p.ends_at + CAST(:grace AS interval) > CAST(:now AS timestamptz)
                THEN p.ends_at + CAST(:grace AS interval) END)
        FROM (SELECT gift_id FROM payment_polls WHERE organization_id = :organization_id
            AND next_at <= CAST(:now AS timestamptz) ORDER BY next_at, gift_id LIMIT :most FOR UPDATE SKIP LOCKED) due
        WHERE p.organization_id = :organization_id AND p.gift_id = due.gift_id RETURNING p.gift_id
        """
    )
)
_NEXT = prepare(text("SELECT min(next_at) FROM payment_polls WHERE organization_id = :organization_id"))
_DROP = prepare(text("DELETE FROM payment_polls WHERE organization_id = :organization_id AND gift_id = :gift_id"))
_OF = prepare(
    text(
        """
        SELECT p.gift_id, p.connection_id, p.ends_at, g.status, g.provider, g.superseded_by, g.provider_payment_id,
            c.id AS checkout_id
        FROM payment_polls p
        JOIN gifts g ON g.organization_id = :organization_id AND g.id = p.gift_id
        LEFT JOIN checkouts c ON c.organization_id = :organization_id AND c.gift_id = p.gift_id AND c.state = 'open'
        WHERE p.organization_id = :organization_id AND p.gift_id = :gift_id
        """
    )
)
_CLOSE = prepare(
    text(
        "UPDATE checkouts SET state = 'closed', address_mark = NULL, email_mark = NULL, updated_at = :now, "
        "version = version + 1 WHERE organization_id = :organization_id AND gift_id = :gift_id AND state = 'open'"
    )
)


async def watch(
    session: WriteSession, gift_id: UUID, connection_id: UUID | None = None, *, ends_at: datetime | None = None
) -> None:
    """Ask about a gift until it is over, where it is pending at a provider. `ends_at`: when its page closes."""
    first = session.now + timedelta(minutes=_PAUSES[0])
    if await session.execute(_WATCH, gift_id=gift_id, next_at=first, ends_at=ends_at or session.now + LONGEST):
        await schedules.bring_forward(session, ALARM, first)


async def ring(session: WriteSession) -> None:
    """Have every payment asked about whose time has come, and set the alarm for the next."""
    due = await session.fetch(_TAKE, now=session.now, pauses=list(_PAUSES), grace=_GRACE, most=AT_ONCE)
    for row in due:
        emit(session, PaymentAskDue(gift_id=row["gift_id"]))
    if len(due) == AT_ONCE:
        emit(session, OpenPaymentsDue(occurrence=session.now))
        return
    following = await session.fetch_val(_NEXT)
    if following is not None:
        await schedules.bring_forward(session, ALARM, following)


async def open_payment(session: ReadSession, gift_id: UUID) -> Row | None:
    """A payment that is watched, with its gift and its checkout; nothing where it no longer is."""
    return await session.fetch_row(_OF, gift_id=gift_id)


async def look(session: WriteSession, gift_id: UUID) -> None:
    """See how a watched payment stands now: what is over is watched no more, and a page that has closed without a
    payment ends its gift. Who was about to give and did not is forgotten."""
    row = await open_payment(session, gift_id)
    if row is None:
        return
    if row["status"] == "pending" and row["superseded_by"] is None:
        if session.now < row["ends_at"] + _GRACE:
            return
        if row["checkout_id"] is not None:
            await _abandon(session, gift_id, row["ends_at"])
    elif row["status"] == "failed" and row["checkout_id"] is not None and session.now < row["ends_at"] + _GRACE:
        return  # the page is open still: another card may do
    await session.execute(_CLOSE, gift_id=gift_id, now=session.now)
    await session.execute(_DROP, gift_id=gift_id)


async def _abandon(session: WriteSession, gift_id: UUID, ends_at: datetime) -> None:
    gift = await evidence.lock_gift(session, gift_id)
    entry = Entry(kind="canceled", key=f"canceled:checkout:{gift_id}", occurred_at=ends_at, reason="checkout_expired")
    await evidence.add_evidence(session, gift_id, [entry])
    await settle(session, gift, {"payer": None} if gift["contact_id"] is None else None)
