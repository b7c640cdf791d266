"""What can happen to deals."""

from __future__ import annotations

from uuid import UUID

from crm_api.contacts.facts import ContactsLoaded
from crm_api.outbox.facts import Fact


class DealMoved(Fact):
    """A deal entered a stage; `from_stage_id` is null when it is a new deal."""

    deal_id: UUID
    from_stage_id: UUID | None
    to_stage_id: UUID

    def in_bulk(self, what: str) -> Fact:
        """Contacts were loaded, with what hangs on them."""
        return ContactsLoaded(what=what)
