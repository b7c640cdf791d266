"""Nightly: files of imports and exports that have served, what imports did in detail, and files that no row names."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import text

from crm_api.kit import clock
from crm_api.kit.db import Tenant, prepare
from crm_api.outbox.facts import Job
from crm_api.transfers.imports import drafts

if TYPE_CHECKING:
    from crm_api.worker import WorkerRunner

_AT_ONCE = 5_000
_ORPHAN_AGE = timedelta(days=1)
_OLD = prepare(
    text(
        """
        SELECT 'imports' AS source, id, file_key, errors_key FROM imports
        WHERE organization_id = :organization_id AND purge_at <= :now AND file_key IS NOT NULL
            AND state NOT IN ('validating', 'running')
        UNION ALL
        SELECT 'exports', id, file_key, NULL FROM exports
        WHERE organization_id = :organization_id AND purge_at <= :now AND state <> 'expired'
        """
    )
)
_ROWS = prepare(
    text(
        """
        DELETE FROM import_rows WHERE organization_id = :organization_id AND id IN (
            SELECT id FROM import_rows WHERE organization_id = :organization_id AND import_id = :id
            LIMIT :most)
        """
    )
)
_FORGET_IMPORT = prepare(
    text(
        "UPDATE imports SET file_key = NULL, errors_key = NULL, samples = '[]', version = version + 1, "
        "updated_at = :now "
        "WHERE organization_id = :organization_id AND id = :id"
    )
)
_FORGET_EXPORT = prepare(
    text(
        "UPDATE exports SET file_key = NULL, state = 'expired', filter = '{}', version = version + 1, "
        "updated_at = :now "
        "WHERE organization_id = :organization_id AND id = :id"
    )
)
_NAMED = prepare(
    text(
        """
        SELECT file_key AS name FROM imports WHERE organization_id = :organization_id AND file_key IS NOT NULL
        UNION ALL SELECT errors_key FROM imports WHERE organization_id = :organization_id AND errors_key IS NOT NULL
        UNION ALL SELECT file_key FROM exports WHERE organization_id = :organization_id AND file_key IS NOT NULL
        """
    )
)


async def work(runner: WorkerRunner, tenant: Tenant, job: Job) -> None:
    """Remove what has served. Doing it twice does no harm."""
    session = runner.database.read(tenant)
    for row in await session.fetch(_OLD, now=session.now):
        for name in (row["file_key"], row["errors_key"]):
            if name is not None:
                await runner.files.delete(name)
        if row["source"] == "imports":
            more = True
            while more:
                async with runner.write(tenant) as removing:
                    more = await drafts.forget(removing, row["id"])
            while True:
                async with runner.write(tenant) as removing:
                    gone = await removing.execute(_ROWS, id=row["id"], most=_AT_ONCE)
                if gone < _AT_ONCE:
                    break
        async with runner.write(tenant) as forgetting:
            statement = _FORGET_IMPORT if row["source"] == "imports" else _FORGET_EXPORT
            await forgetting.execute(statement, id=row["id"], now=forgetting.now)
    await _orphans(runner, tenant)
    async with runner.write(tenant) as ending:
        await runner.finish(ending, job)


async def _orphans(runner: WorkerRunner, tenant: Tenant) -> None:
    """Delete files that no row names: of requests that broke off, and of work that was begun anew."""
    before = clock.utc_now() - _ORPHAN_AGE
    for area in ("imports", "exports"):
        async for batch in runner.files.listing(tenant.id, area):
            named = {row["name"] for row in await runner.database.read(tenant).fetch(_NAMED)}
            for one in batch:
                if one.name not in named and one.modified < before:
                    await runner.files.delete(one.name)
