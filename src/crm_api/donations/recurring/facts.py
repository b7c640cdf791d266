"""What can happen to recurring plans."""

from __future__ import annotations

from datetime import date, datetime
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


class RecurringAlarm(Fact):
    """Something of our own schedules may be due."""

    occurrence: datetime


class PeriodDue(Fact):
    """A period of a plan whose card we charge has been claimed, or its next attempt has come."""

    period_id: UUID
    plan_id: UUID


class PlanChargeFailed(Fact):
    """An attempt to charge a plan's card failed. `failures` counts those of its period; `letter`: the policy wants the
    donor told."""

    plan_id: UUID
    period_id: UUID
    contact_id: UUID | None
    gift_id: UUID | None
    decline_class: str
    failures: int
    retry_on: date | None
    letter: bool


class PlanPaymentMissed(Fact):
    """The money of a standing order, or one that a donor sends by hand, has not come in its time."""

    plan_id: UUID
    period_id: UUID
    contact_id: UUID | None
    due_on: date


class PlanGivenUp(Fact):
    """By the policy no more is tried: the plan is paused or canceled, until staff or the donor see to it."""

    plan_id: UUID
    contact_id: UUID | None
    action: str
    decline_class: str


class CardExpiring(Fact):
    """The card of a plan is good until `expires_on` only. Given once for each such day."""

    plan_id: UUID
    contact_id: UUID | None
    expires_on: date
