"""What clients get of letters."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from crm_api.kit.schemas import Output


class MessageRead(Output):
    """A letter to a contact and what became of it.

    `unknown` means that the mail server was handed the letter and never confirmed it: a person decides whether to send
    it again, the machine does not. `legal_basis` and `consent_event_id` say by what right it was written: none for a
    letter that was suppressed.
    """

    id: UUID
    kind: str
    channel: str
    purpose: str
    legal_basis: str | None
    consent_event_id: UUID | None
    contact_id: UUID
    donation_id: UUID | None
    language: str
    subject: str | None
    state: str
    reason: str | None
    created_at: datetime
    sent_at: datetime | None


class MessagePage(Output):
    """A page of letters."""

    data: list[MessageRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None
