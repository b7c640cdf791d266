"""What follows by itself: files of deleted documents go, reminders come, and what no document names is swept."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from crm_api.documents import service
from crm_api.documents.facts import DocumentDeleted, RemindersDue, SweepDue
from crm_api.kit.db import Tenant, WriteSession
from crm_api.kit.log import get_logger
from crm_api.outbox.facts import Job, Registry, Schedule, Subscriber

log = get_logger("crm_api.documents")


async def drop_file(runner: Any, tenant: Tenant, job: Job) -> None:
    """Delete the file of a deleted document. Doing it twice does no harm."""
    await runner.files.delete(job.payload["file"])
    async with runner.write(tenant) as session:
        await runner.finish(session, job)


async def sweep(runner: Any, tenant: Tenant, job: Job) -> None:
    """Remove files that no document names."""
    removed = await service.sweep(runner.database, tenant, runner.files)
    if removed:
        log.info("orphaned_files_removed", count=removed)
    async with runner.write(tenant) as session:
        await runner.finish(session, job)


async def remind(session: WriteSession, job: Job) -> None:
    """Find documents that end soon."""
    await service.remind(session)


def register(registry: Registry) -> None:
    """Subscribe to facts."""
    registry.subscribe(Subscriber("documents.drop_file", (DocumentDeleted,), outside=drop_file))
    registry.subscribe(Subscriber("documents.remind", (RemindersDue,), handle=remind))
    registry.subscribe(Subscriber("documents.sweep", (SweepDue,), outside=sweep, timeout=timedelta(minutes=30)))
    registry.schedule(Schedule("documents.reminders", RemindersDue, every=timedelta(days=1), at_hour=6))
    registry.schedule(Schedule("documents.nightly_sweep", SweepDue, every=timedelta(days=1), at_hour=2))
