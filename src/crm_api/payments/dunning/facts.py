"""What can happen on the way of a charge."""

from __future__ import annotations

from uuid import UUID

from crm_api.outbox.facts import Fact


class ChargeUncertain(Fact):
    """What became of a charge is not known: the provider must be asked before anything else."""

    period_id: UUID
    plan_id: UUID


class PeriodUnpaid(Fact):
    """Money that somebody was to send for a period has not come in its time."""

    period_id: UUID
    plan_id: UUID
