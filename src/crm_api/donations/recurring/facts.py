"""What can happen to recurring plans."""

from __future__ import annotations

from uuid import UUID

from crm_api.outbox.facts import Fact


class PlanChanged(Fact):
    """A recurring plan began, changed its state or its amount."""

    plan_id: UUID
    contact_id: UUID | None
    previous_status: str | None
    status: str
