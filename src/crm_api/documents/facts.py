"""What happens to documents."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from crm_api.outbox.facts import Fact


class DocumentAdded(Fact):
    """A file was attached to a contact."""

    document_id: UUID
    contact_id: UUID


class DocumentDeleted(Fact):
    """A document was deleted; its file is to go too."""

    document_id: UUID
    contact_id: UUID
    file: str


class DocumentExpiring(Fact):
    """A document ends soon, and somebody should ask for a new one. Once for each date of expiry."""

    document_id: UUID
    contact_id: UUID
    owner_member_id: UUID | None
    expires_on: date


class RemindersDue(Fact):
    """Time to look which documents end soon."""

    occurrence: datetime


class SweepDue(Fact):
    """Time to remove files that no document names."""

    occurrence: datetime
