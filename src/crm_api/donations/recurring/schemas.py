"""What clients get of recurring plans."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from crm_api.kit.schemas import Money, Output, Versioned


class PlanRead(Versioned):
    """A donor's standing promise to give."""

    contact_id: UUID | None
    status: str
    amount: Money | None
    frequency_unit: str | None
    frequency_interval: int | None
    campaign_id: UUID | None
    connection_id: UUID | None
    provider: str | None
    provider_plan_id: str | None
    started_at: datetime | None
    next_date: date | None
    ended_at: datetime | None


class PlanPage(Output):
    """A page of recurring plans."""

    data: list[PlanRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None
