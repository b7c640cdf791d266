"""Housekeeping of the outbox and of stored answers."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import text

from crm_api.kit import clock
from crm_api.kit.db import WriteSession, prepare
from crm_api.outbox import schedules
from crm_api.outbox.facts import REGISTRY, HousekeepingDue, Job, Registry, Schedule, Subscriber
from crm_api.outbox.service import emit

KEEP_DONE = timedelta(days=7)
_AT_ONCE = 5_000
_PRUNE_JOBS = prepare(
    text(
        "DELETE FROM jobs WHERE organization_id = :organization_id AND id IN (SELECT id FROM jobs "
        "WHERE organization_id = :organization_id AND state = 'done' AND finished_at < :before LIMIT :most)"
    )
)
_PRUNE_OCCURRENCES = prepare(
    text("DELETE FROM schedule_occurrences WHERE organization_id = :organization_id AND recorded_at < :before")
)


async def prune(session: WriteSession, job: Job) -> None:
    """Remove finished rows that nobody will ask for any more, a few thousand per run, and add schedules that a newer
    version has brought."""
    now = clock.utc_now()
    if await session.execute(_PRUNE_JOBS, before=now - KEEP_DONE, most=_AT_ONCE) == _AT_ONCE:
        emit(session, HousekeepingDue(occurrence=now))
    await session.execute(_PRUNE_OCCURRENCES, before=now - timedelta(days=400))
    await schedules.ensure(session, REGISTRY)


def register(registry: Registry) -> None:
    """Subscribe to facts."""
    registry.subscribe(Subscriber("outbox.prune", (HousekeepingDue,), handle=prune))
    registry.schedule(Schedule("outbox.housekeeping", HousekeepingDue, every=timedelta(days=1), at_hour=4))
