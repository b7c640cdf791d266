"""What can happen to consent."""

from __future__ import annotations

from uuid import UUID

from crm_api.contacts.facts import ContactsLoaded
from crm_api.outbox.facts import Fact


class ConsentRecorded(Fact):
    """A contact said something about being contacted."""

    contact_id: UUID
    consent_event_id: UUID
    status: str

    def in_bulk(self, what: str) -> Fact:
        """Contacts were loaded, with what hangs on them."""
        return ContactsLoaded(what=what)
