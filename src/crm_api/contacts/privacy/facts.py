"""What can happen to requests of people about their data."""

from __future__ import annotations

from uuid import UUID

from crm_api.outbox.facts import Fact


class ErasureRequested(Fact):
    """Somebody is to be erased."""

    request_id: UUID


class SubjectExportRequested(Fact):
    """Somebody is to get all that is kept of them."""

    request_id: UUID


class ContactErased(Fact):
    """A person was erased: whoever keeps something of theirs outside the database removes it now."""

    contact_ids: tuple[UUID, ...]
