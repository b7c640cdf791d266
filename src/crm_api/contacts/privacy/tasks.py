"""Erasures and exports, done by the worker: each step stands in its own transaction, so an interrupted one goes on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from crm_api.contacts.privacy import archive, service
from crm_api.contacts.privacy.facts import ErasureRequested, SubjectExportRequested
from crm_api.kit import clock
from crm_api.kit.db import Actor, Tenant, WriteSession
from crm_api.kit.limits import Limit
from crm_api.outbox.facts import HousekeepingDue, Job, Registry, Subscriber

_ORPHAN_AGE = timedelta(days=1)
_ERASED = 700  # permille: the database is done, files are left


async def erase(runner: Any, tenant: Tenant, job: Job) -> None:
    """Erase a person: the database in one transaction, then the files it named, then say so."""
    request_id = UUID(job.payload["request_id"])
    async with runner.write(tenant) as session:
        request = await service.begin(session, request_id)
        if request is None:
            await runner.finish(session, job)
            return
    files: list[str] = request["files"]
    if request["permille"] < _ERASED:
        async with runner.write(tenant) as session:
            files = await service.erase_now(session, request)
            await service.mark(session, request_id, "running", permille=_ERASED, files=files)
    for name in files:
        await runner.files.delete(name)
    async with runner.write(tenant) as session:
        await runner.finish(session, job)
        await service.mark(session, request_id, "succeeded", permille=1000)


async def export(runner: Any, tenant: Tenant, job: Job) -> None:
    """Make a person's archive and store it."""
    request_id = UUID(job.payload["request_id"])
    async with runner.write(tenant) as session:
        request = await service.begin(session, request_id)
        if request is None:
            await runner.finish(session, job)
            return
    actor = Actor(request["requested_by_kind"], request["requested_by"], limit=Limit.stored(request["made_under"]))
    reading = runner.database.read(tenant, actor)
    stored = await archive.make(reading, runner.files, request["contact_id"])
    try:
        async with runner.write(tenant) as session:
            await runner.finish(session, job)
            kept = await service.keep_archive(session, request_id, name=stored.name, size=stored.size)
    except BaseException:
        await runner.files.delete(stored.name)
        raise
    if not kept:
        await runner.files.delete(stored.name)


async def gave_up(session: WriteSession, job: Job) -> None:
    """Say that a request could not be carried out; the job can be retried."""
    request = await service.begin(session, UUID(job.payload["request_id"]))
    if request is not None:
        reason = "It could not be finished; see the job's last_error, then retry the job."
        await service.mark(
            session, request["id"], "failed", permille=request["permille"], files=request["files"], reason=reason
        )


async def expire(runner: Any, tenant: Tenant, job: Job) -> None:
    """Remove archives whose days are over, and those that a worker which died has left behind."""
    reading = runner.database.read(tenant)
    found = await service.expired(reading)
    for row in found:
        await runner.files.delete(row["file_name"])
    before = clock.utc_now() - _ORPHAN_AGE
    async for batch in runner.files.listing(tenant.id, archive.AREA):
        for name in await service.unnamed(reading, [one.name for one in batch if one.modified < before]):
            await runner.files.delete(name)
    async with runner.write(tenant) as session:
        await runner.finish(session, job)
        if found:
            await service.forget_archives(session, [row["id"] for row in found])


async def sweep_words(runner: Any, tenant: Tenant, job: Job) -> None:
    """After an erasure, take words out of the vocabulary that nobody's name holds any more."""
    after: str | None = ""
    while after is not None:
        async with runner.write(tenant) as session:
            after = await service.forget_unused_words(session, after)
    async with runner.write(tenant) as session:
        await runner.finish(session, job)


def register(registry: Registry) -> None:
    """Subscribe to facts."""
    long = timedelta(minutes=10)
    registry.subscribe(Subscriber("privacy.erase", (ErasureRequested,), outside=erase, on_dead=gave_up, timeout=long))
    registry.subscribe(
        Subscriber("privacy.export", (SubjectExportRequested,), outside=export, on_dead=gave_up, timeout=long)
    )
    registry.subscribe(Subscriber("privacy.expire", (HousekeepingDue,), outside=expire))
    registry.subscribe(Subscriber("privacy.sweep_words", (HousekeepingDue,), outside=sweep_words, timeout=long))
