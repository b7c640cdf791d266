"""What pledges do about time. What gifts mean for them is looked at together with regular gifts (payments/dunning)."""

from __future__ import annotations

from datetime import timedelta

from crm_api.donations.pledges import reminders
from crm_api.donations.pledges.facts import PledgeAlarm, PledgeOverdue
from crm_api.kit.db import WriteSession
from crm_api.outbox.facts import Job, Registry, Schedule, Subscriber


async def ring(session: WriteSession, job: Job) -> None:
    """See to what is overdue."""
    await reminders.ring(session)


async def ask(session: WriteSession, job: Job) -> None:
    """Give staff a task."""
    await reminders.ask(session, PledgeOverdue(**job.payload))


def register(registry: Registry) -> None:
    """Subscribe to facts."""
    registry.subscribe(Subscriber("pledges.ring", (PledgeAlarm,), handle=ring))
    registry.subscribe(Subscriber("pledges.ask", (PledgeOverdue,), handle=ask, wants=lambda fact: fact.first))
    registry.schedule(Schedule(reminders.ALARM, PledgeAlarm, every=timedelta(days=1), at_hour=0, alarm=True))
