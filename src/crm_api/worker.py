"""The worker process: arq rings, Postgres decides.

Three loops: the doorbell (an arq worker whose only job is "look now for these organizations"), the sweep that finds due
work and due schedules without any doorbell, and the runner they both call. Redis may be away, flushed or restarted.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

from sqlalchemy import text

from crm_api.guard import require_safe_role
from crm_api.kit import clock, http
from crm_api.kit.crypto import Vault
from crm_api.kit.db import SYSTEM, Database, Tenant, prepare
from crm_api.kit.log import get_logger
from crm_api.kit.metrics import SWEEPS, WORKER_UP
from crm_api.organizations.service import load_tenant
from crm_api.outbox import doorbell, schedules
from crm_api.outbox.facts import REGISTRY
from crm_api.outbox.runner import Runner, describe
from crm_api.registry import load_registry
from crm_api.settings import Settings

log = get_logger("crm_api.worker")
_DUE = prepare(text("SELECT organization_id FROM crm_due_organizations(:now, :schedule_count, :most)"))
_SWEEP_MOST = 500
_TENANT_SECONDS = 1.0


class Worker:
    """One worker process."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self.database = database
        load_registry()
        self.runner = WorkerRunner(
            database,
            self.tenant,
            REGISTRY,
            concurrency=settings.job_concurrency,
            lease_seconds=settings.job_lease_seconds,
            retry_base_seconds=settings.job_retry_base_seconds,
        )
        self.runner.settings = settings
        self.runner.vault = Vault([key.get_secret_value() for key in settings.secret_keys])
        self._tenants: dict[UUID, tuple[float, Tenant]] = {}
        self._checked_schedules = float("-inf")
        self._stop = asyncio.Event()

    async def tenant(self, organization_id: UUID) -> Tenant | None:
        """An organization as sessions carry it; live ones are remembered for a second."""
        cached = self._tenants.get(organization_id)
        if cached is not None and cached[0] > clock.monotonic():
            return cached[1]
        bare = Tenant(organization_id, "live", "USD", "UTC", "en")
        found = await load_tenant(self.database.read(bare))
        if found is not None and found.mode == "live":
            self._tenants[organization_id] = (clock.monotonic() + _TENANT_SECONDS, found)
        return found

    async def look(self, organization_id: UUID) -> int:
        """Start due schedules and run due rows of one organization; how many rows were run."""
        tenant = await self.tenant(organization_id)
        if tenant is None:
            return 0
        return await self.runner.drain(organization_id)

    async def sweep(self) -> int:
        """Find organizations with due work or schedules and run it; how many rows were run."""
        count = len(REGISTRY.schedules) if clock.monotonic() - self._checked_schedules > 3600 else 0
        async with self.database.connection() as connection:
            rows = await connection.fetch(
                _DUE.sql, *_DUE.arguments({"now": clock.utc_now(), "schedule_count": count, "most": _SWEEP_MOST})
            )
        if count:
            self._checked_schedules = clock.monotonic()
        ran = 0
        for row in rows:
            ran += await self._tend(row["organization_id"], ensure=bool(count))
        SWEEPS.labels("done").inc()
        WORKER_UP.set(clock.utc_now().timestamp())
        return ran

    async def _tend(self, organization_id: UUID, *, ensure: bool) -> int:
        tenant = await self.tenant(organization_id)
        if tenant is None:
            return 0
        async with self.database.write(tenant, SYSTEM) as session:
            if ensure:
                await schedules.ensure(session, REGISTRY)
            await schedules.run_due(session, REGISTRY)
        return await self.runner.drain(organization_id)

    async def drain_all(self) -> int:
        """Sweep until nothing is due; for tests and `crm-api demo`."""
        total = 0
        while ran := await self.sweep():
            total += ran
        return total

    async def _sweeping(self) -> None:
        while not self._stop.is_set():
            try:
                await self.sweep()
            except Exception as error:
                SWEEPS.labels("failed").inc()
                log.warning("sweep_failed", error=describe(error))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), self.settings.sweep_seconds)

    async def _listening(self) -> None:
        """Keep an arq worker running; it ends when Redis goes away, and is started again."""
        while not self._stop.is_set() and self.settings.redis_url:
            arq_worker = None
            try:
                arq_worker = self._arq_worker()
                await arq_worker.async_run()
            except asyncio.CancelledError:
                break
            except Exception as error:
                log.warning("doorbell_deaf", error=type(error).__name__)
            finally:
                if arq_worker is not None:
                    with contextlib.suppress(Exception):
                        await arq_worker.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), 1.0)

    def _arq_worker(self) -> Any:
        from arq.worker import Worker as ArqWorker
        from arq.worker import func

        async def look(_: Any, *arguments: Any, **__: Any) -> None:
            organizations: list[str] = arguments[0]
            for one in organizations:
                try:
                    await self.look(UUID(one))
                except Exception as error:  # the sweep will find the rows
                    log.warning("look_failed", error=describe(error))

        return ArqWorker(
            functions=[func(cast("Any", look), name=doorbell.JOB, keep_result=0, max_tries=1, timeout=300)],
            queue_name=doorbell.QUEUE,
            redis_settings=doorbell.redis_settings(self.settings.redis_url, retries=3),
            poll_delay=self.settings.doorbell_poll_seconds,
            keep_result=0,
            max_jobs=10,
            handle_signals=False,
            health_check_interval=3600,
            job_serializer=doorbell.serialize,
            job_deserializer=doorbell.deserialize,
        )

    def stop(self) -> None:
        """Ask the loops to end."""
        self.runner.stopping = True
        self._stop.set()

    async def run(self, *, ready: Callable[[], None] | None = None) -> None:
        """Work until stopped; then finish or give back what is held."""
        from crm_api.outbox import service

        service.set_doorbell(None)  # a worker looks for what it has emitted itself
        tasks = [asyncio.create_task(self._sweeping()), asyncio.create_task(self._listening())]
        if ready is not None:
            ready()
        await self._stop.wait()
        await self.runner.idle(10)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.runner.give_back()


class WorkerRunner(Runner):
    """The runner with what handlers of outside work need."""

    settings: Settings
    vault: Vault


async def run_worker(settings: Settings, *, ready: Callable[[], None] | None = None) -> None:
    """A worker process from start to clean end (SIGTERM, SIGINT)."""
    http.configure(settings.service_urls)
    database = await Database.open(settings.database_url, size=settings.job_concurrency + 4, name="crm-api worker")
    if settings.environment == "production":
        await require_safe_role(database)
    worker = Worker(settings, database)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.stop)
    try:
        await worker.run(ready=ready)
    finally:
        await database.close()
