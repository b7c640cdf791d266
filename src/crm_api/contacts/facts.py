"""What can happen to contacts."""

from __future__ import annotations

from uuid import UUID

from crm_api.outbox.facts import Fact


class ContactsLoaded(Fact):
    """Many contacts were added, changed or taken back at once; `what` says by what (``import:<id>``, ``batch:<id>``).
    It stands for all of them: no fact of a single contact is recorded beside it."""

    what: str


class ContactCreated(Fact):
    """A contact was added."""

    contact_id: UUID

    def in_bulk(self, what: str) -> Fact:
        """Contacts were loaded."""
        return ContactsLoaded(what=what)


class ContactUpdated(Fact):
    """A contact was changed; `fields` are the names of what changed."""

    contact_id: UUID
    fields: tuple[str, ...] = ()

    def in_bulk(self, what: str) -> Fact:
        """Contacts were loaded."""
        return ContactsLoaded(what=what)
