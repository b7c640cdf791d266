"""What can happen to gifts."""

from __future__ import annotations

from uuid import UUID

from crm_api.outbox.facts import Fact


class GiftsRestated(Fact):
    """Many gifts or plans changed at once (an exchange rate, a bulk load): rebuild, do not step."""

    reason: str


class GiftRecorded(Fact):
    """A gift was recorded, in whatever state its payment is."""

    gift_id: UUID
    contact_id: UUID | None
    status: str

    def in_bulk(self, what: str) -> Fact:
        """Gifts were restated."""
        return GiftsRestated(reason=what)


class GiftChanged(Fact):
    """A gift's derived state, donor or amounts changed."""

    gift_id: UUID
    contact_id: UUID | None
    previous_contact_id: UUID | None
    previous_status: str
    status: str
    refunded_more: bool

    def in_bulk(self, what: str) -> Fact:
        """Gifts were restated."""
        return GiftsRestated(reason=what)
