"""What can happen to interactions."""

from __future__ import annotations

from uuid import UUID

from crm_api.outbox.facts import Fact


class InteractionsRecorded(Fact):
    """Many interactions were loaded at once, by an import or a relay; `reason` says what loaded them."""

    reason: str


class InteractionRecorded(Fact):
    """A call, meeting, e-mail, message, visit or note was recorded."""

    interaction_id: UUID
    kind: str
    direction: str
    contact_ids: tuple[UUID, ...] = ()

    def in_bulk(self, what: str) -> Fact:
        """One fact for the whole load."""
        return InteractionsRecorded(reason=what)


class InteractionChanged(Fact):
    """An interaction was changed; `fields` are the names of what changed."""

    interaction_id: UUID
    fields: tuple[str, ...] = ()


class InteractionRemoved(Fact):
    """An interaction was removed."""

    interaction_id: UUID


class MemberMentioned(Fact):
    """A note mentions a member: written once for each note and member, also when the note is edited later."""

    interaction_id: UUID
    member_id: UUID
