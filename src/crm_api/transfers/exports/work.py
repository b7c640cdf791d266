"""The worker's side of an export: rows a few thousand at a time into a file, the file into the store."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from crm_api.kit.db import Actor, Row, Tenant, WriteSession
from crm_api.kit.limits import Limit
from crm_api.kit.listing import ListQuery, count, read_rows
from crm_api.kit.problems import Problem
from crm_api.kit.updates import update_row
from crm_api.outbox.facts import GiveUp, Job
from crm_api.outbox.service import emit
from crm_api.transfers.exports import service
from crm_api.transfers.exports.facts import ExportDue
from crm_api.transfers.exports.models import KEPT_DAYS, exports
from crm_api.transfers.exports.resources import RESOURCES, Column
from crm_api.transfers.exports.writers import MEDIA_TYPES, WRITERS, Writer
from crm_api.transfers.places import WAIT, Places

if TYPE_CHECKING:
    from crm_api.worker import WorkerRunner

AT_ONCE = 2_000
AREA = "exports"
_LARGEST = 20_000_000_000
_TELL_EVERY = 10
PLACES = Places(1)
"""Exports that one worker process writes at a time, beside its imports."""


async def work(runner: WorkerRunner, tenant: Tenant, job: Job) -> None:
    """Write an export. Begun anew when a worker dies: nobody has seen anything of it before it is whole."""
    export_id = UUID(job.payload["export_id"])
    if not PLACES.free_for(tenant.id):
        async with runner.write(tenant) as session:
            await runner.finish(session, job)
            emit(session, ExportDue(export_id=export_id), delay=WAIT)
        return
    with PLACES.taken(export_id, tenant.id):
        await _work(runner, tenant, job, export_id)


async def _work(runner: WorkerRunner, tenant: Tenant, job: Job, export_id: UUID) -> None:
    row = await runner.database.read(tenant).fetch_row(service.GET, id=export_id)
    if row is None or row["state"] not in {"queued", "running"}:
        async with runner.write(tenant) as session:
            await runner.finish(session, job)
        return
    with tempfile.TemporaryDirectory(prefix="crm-export-") as folder:
        path = Path(folder) / f"{row['resource']}.{row['format']}"
        try:
            rows = await _write(runner, tenant, row, path)
        except Problem as problem:
            if problem.status >= 500:
                raise
            raise GiveUp(f"{problem.code}: {problem.detail}") from None
        name = runner.files.new_name(tenant.id, AREA)
        stored = await runner.files.write(
            name, _pieces(path), max_bytes=_LARGEST, media_type=MEDIA_TYPES[row["format"]], filename=path.name
        )
    async with runner.write(tenant) as session:
        await runner.finish(session, job)
        changes: dict[str, Any] = {
            "state": "succeeded",
            "progress": 1000,
            "rows": rows,
            "file_key": name,
            "file_size": stored.size,
            "finished_at": session.now,
            "purge_at": session.now + timedelta(days=KEPT_DAYS),
        }
        await update_row(session, exports, row["id"], changes, expected=None)


async def _write(runner: WorkerRunner, tenant: Tenant, row: Row, path: Path) -> int:
    """Every row that the list shows to whoever asked, by their rights when they asked."""
    resource = RESOURCES[row["resource"]]
    limit = Limit.stored(row["made_under"])
    actor = Actor(row["actor_kind"], row["actor_id"], scopes=frozenset(row["scopes"]), limit=limit)
    session = runner.database.read(tenant, actor)
    known = {column.name: column for column in await resource.columns(session)}
    chosen = [known[name] for name in row["columns"]] if row["columns"] is not None else list(known.values())
    query = await resource.query(session, row["filter"])
    total = max(await count(session, resource.catalogue, query), 1)
    writer = await asyncio.to_thread(WRITERS[row["format"]], path, [column.name for column in chosen])
    written, turns = 0, 0
    after: ListQuery | None = query
    try:
        while after is not None:
            found, after = await read_rows(session, resource.catalogue, after, most=AT_ONCE)
            records = await resource.shown(session, query, found)
            await asyncio.to_thread(_add, writer, chosen, records, row["format"] == "jsonl")
            written += len(found)
            if turns % _TELL_EVERY == 0:
                await _tell(runner, tenant, row, min(999, written * 1000 // total), written)
            turns += 1
    finally:
        await asyncio.to_thread(writer.close)
    return written


def _add(writer: Writer, columns: Sequence[Column], records: Sequence[dict[str, Any]], as_they_are: bool) -> None:
    """Write records. JSON Lines hold what the API shows; in the others a cell holds one plain value. In a thread."""
    writer.add(
        [
            [record[one.name] if as_they_are and one.name in record else one.of(record) for one in columns]
            for record in records
        ]
    )


async def _tell(runner: WorkerRunner, tenant: Tenant, row: Row, progress: int, written: int) -> None:
    """How far it is."""
    async with runner.write(tenant) as session:
        changes = {"state": "running", "progress": progress, "rows": written}
        await update_row(session, exports, row["id"], changes, expected=None)


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while piece := await asyncio.to_thread(file.read, 1 << 20):
            yield piece


async def gave_up(session: WriteSession, job: Job) -> None:
    """The job is dead: the export has failed."""
    row = await session.fetch_row(service.GET, id=UUID(job.payload["export_id"]))
    if row is not None and row["state"] in {"queued", "running"}:
        reason = "The file could not be written; see GET /v1/jobs for the reason. Ask for the export anew."
        changes = {"state": "failed", "reason": reason, "finished_at": session.now}
        await update_row(session, exports, row["id"], changes, expected=None)
