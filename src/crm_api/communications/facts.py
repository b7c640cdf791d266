"""What can happen to letters."""

from __future__ import annotations

from uuid import UUID

from crm_api.outbox.facts import Fact


class LetterQueued(Fact):
    """A letter is to be sent."""

    message_id: UUID
    receipt_id: UUID | None = None
    """The receipt that goes with it."""
