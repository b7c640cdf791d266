"""What can happen to recurring plans."""

from __future__ import annotations

from uuid import UUID

from crm_api.donations.gifts.facts import GiftsRestated
from crm_api.outbox.facts import Fact


class PlanChanged(Fact):
    """A recurring plan began, changed its state or its amount."""

    plan_id: UUID
    contact_id: UUID | None
    previous_status: str | None
    status: str

    def in_bulk(self, what: str) -> Fact:
        """Gifts were restated: whose plan is live decides what a donor is."""
        return GiftsRestated(reason=what)
