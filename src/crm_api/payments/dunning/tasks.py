"""What regular gifts do about time and facts: claim, charge, ask, miss, match."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from crm_api.donations.gifts.facts import GiftChanged, GiftRecorded
from crm_api.donations.recurring.facts import PeriodDue, RecurringAlarm
from crm_api.donations.recurring.own import ALARM
from crm_api.donations.recurring.schedule import DUE_HOUR
from crm_api.kit.db import WriteSession
from crm_api.outbox.facts import Job, Registry, Schedule, Subscriber
from crm_api.payments.dunning import charging, service
from crm_api.payments.dunning.facts import ChargeUncertain, PeriodUnpaid


async def ring(session: WriteSession, job: Job) -> None:
    """See to what is due."""
    await service.ring(session)


async def miss(session: WriteSession, job: Job) -> None:
    """Note that money has not come."""
    await service.miss(session, UUID(job.payload["plan_id"]), UUID(job.payload["period_id"]))


async def follow_gift(session: WriteSession, job: Job) -> None:
    """Follow a gift into the plans and pledges it is for."""
    await service.follow_gift(session, UUID(job.payload["gift_id"]))


_NO_MONEY = {"pending", "failed", "canceled"}


def _may_pay(fact: GiftRecorded | GiftChanged) -> bool:
    return isinstance(fact, GiftChanged) or fact.status not in _NO_MONEY


def register(registry: Registry) -> None:
    """Subscribe to facts."""
    registry.subscribe(Subscriber("dunning.ring", (RecurringAlarm,), handle=ring, timeout=timedelta(seconds=60)))
    registry.subscribe(
        Subscriber("dunning.charge_period", (PeriodDue,), outside=charging.charge_period, timeout=timedelta(seconds=90))
    )
    registry.subscribe(
        Subscriber(
            "dunning.look_at_charge", (ChargeUncertain,), outside=charging.look_at_charge, timeout=timedelta(seconds=90)
        )
    )
    registry.subscribe(Subscriber("dunning.miss", (PeriodUnpaid,), handle=miss))
    registry.subscribe(
        Subscriber("dunning.follow_gift", (GiftRecorded, GiftChanged), handle=follow_gift, wants=_may_pay)
    )
    registry.schedule(Schedule(ALARM, RecurringAlarm, every=timedelta(days=1), at_hour=DUE_HOUR, alarm=True))
