"""Housekeeping of the outbox and of stored answers, and of the audit, which stands below and cannot hear of facts."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import text

from crm_api.audit import sealing
from crm_api.kit import clock
from crm_api.kit.db import WriteSession, prepare
from crm_api.outbox import schedules
from crm_api.outbox.facts import REGISTRY, AuditSealDue, HousekeepingDue, Job, Registry, Schedule, Subscriber
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


async def seal_audit(session: WriteSession, job: Job) -> None:
    """Seal what the audit has settled since the last time, a few thousand events per run."""
    if await sealing.seal_next(session) == sealing.AT_ONCE:
        emit(session, AuditSealDue(occurrence=clock.utc_now()))


def register(registry: Registry) -> None:
    """Subscribe to facts."""
    registry.subscribe(Subscriber("audit.seal", (AuditSealDue,), handle=seal_audit))
    # An alarm, since sealing finds out what there is to be done: no row is kept of each hour.
    registry.schedule(Schedule("audit.sealing", AuditSealDue, every=timedelta(hours=1), alarm=True))
    registry.subscribe(Subscriber("outbox.prune", (HousekeepingDue,), handle=prune))
    registry.schedule(Schedule("outbox.housekeeping", HousekeepingDue, every=timedelta(days=1), at_hour=4))
