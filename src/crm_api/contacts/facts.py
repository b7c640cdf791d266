"""What can happen to contacts."""

from __future__ import annotations

from uuid import UUID

from crm_api.outbox.facts import Fact


class ContactCreated(Fact):
    """A contact was added."""

    contact_id: UUID


class ContactUpdated(Fact):
    """A contact was changed; `fields` are the names of what changed."""

    contact_id: UUID
    fields: tuple[str, ...] = ()
