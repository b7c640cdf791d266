"""What can happen to relationships."""

from __future__ import annotations

from uuid import UUID

from crm_api.outbox.facts import Fact


class RelationshipChanged(Fact):
    """A relationship was added, changed or removed (`change`: ``added``, ``changed``, ``removed``)."""

    relationship_id: UUID
    from_contact_id: UUID
    to_contact_id: UUID
    change: str
