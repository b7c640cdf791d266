"""What can happen to pledges."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from crm_api.outbox.facts import Fact


class PledgeChanged(Fact):
    """A pledge was made, paid, written off, canceled or became overdue."""

    pledge_id: UUID
    contact_id: UUID
    previous_status: str | None
    status: str


class PledgeOverdue(Fact):
    """An installment is overdue, and it is time to remind somebody: at most once a day. `first`: for the first time."""

    pledge_id: UUID
    installment_id: UUID
    contact_id: UUID
    due_on: date
    reminded_on: date
    first: bool


class PledgeAlarm(Fact):
    """Some pledge may be overdue."""

    occurrence: datetime
