"""Putting a letter on its way: where it goes and by what right is decided here, for every kind of letter."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text

from crm_api.communications.deliveries.permits import PURPOSES, address, right
from crm_api.communications.facts import LetterQueued
from crm_api.communications.templates.catalogue import pick_language
from crm_api.kit.db import RowLike, WriteSession, prepare
from crm_api.kit.ids import new_id
from crm_api.outbox.service import emit

# A letter that was canceled because it was not true any more may become true again: then it is the same one.
_INSERT = prepare(
    text(
        """
        INSERT INTO messages (organization_id, id, kind, channel, purpose, legal_basis, consent_event_id, contact_id,
            gift_id, receipt_id, recurring_plan_id, pledge_id, dedupe_key, language, recipient, state, reason,
            created_at, updated_at)
        VALUES (:organization_id, :id, :kind, 'email', :purpose, :legal_basis, :consent_event_id, :contact_id,
            :gift_id, :receipt_id, :plan_id, :pledge_id, :dedupe_key, :language, :recipient, :state, :reason,
            :now, :now)
        ON CONFLICT (organization_id, dedupe_key) DO UPDATE SET kind = excluded.kind, purpose = excluded.purpose,
            legal_basis = excluded.legal_basis, consent_event_id = excluded.consent_event_id,
            contact_id = excluded.contact_id, language = excluded.language, recipient = excluded.recipient,
            state = excluded.state, reason = excluded.reason, updated_at = excluded.updated_at
            WHERE messages.state = 'canceled'
        RETURNING id
        """
    )
)


async def queue(
    session: WriteSession,
    kind: str,
    contact: RowLike,
    key: str,
    *,
    language: str | None,
    unwanted: str | None = None,
    gift_id: UUID | None = None,
    receipt_id: UUID | None = None,
    plan_id: UUID | None = None,
    pledge_id: UUID | None = None,
) -> None:
    """Queue a letter, once for its key.

    `contact` is locked and holds its ``id`` and `permits.FACTS`. Where the contact may not be written to, or `unwanted`
    says why this letter is not sent now, it is kept as suppressed, with the reason.
    """
    recipient, reason, permit = address(contact, PURPOSES[kind], None, session.now)
    if recipient is not None and unwanted is not None:
        recipient, reason = None, unwanted
    message_id = await session.fetch_val(
        _INSERT,
        id=new_id(),
        kind=kind,
        purpose=PURPOSES[kind],
        **right(permit),
        contact_id=contact["id"],
        gift_id=gift_id,
        receipt_id=receipt_id,
        plan_id=plan_id,
        pledge_id=pledge_id,
        dedupe_key=key,
        language=pick_language(language, session.tenant.language),
        recipient=recipient,
        state="suppressed" if recipient is None else "queued",
        reason=reason,
        now=session.now,
    )
    if message_id is not None and recipient is not None:
        emit(session, LetterQueued(message_id=message_id, receipt_id=receipt_id))
