"""The worker process: arq rings, Postgres decides.

Two loops, the doorbell (an arq worker whose only job is "look now for this organization") and the sweep that finds due
work and due schedules without any doorbell, start the runner's turns. Redis may be away, flushed or restarted.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import random
import signal
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import asyncpg
from sqlalchemy import text

from crm_api.documents.storage import FileStore
from crm_api.guard import require_safe_role
from crm_api.kit import clock, http
from crm_api.kit.crypto import Vault
from crm_api.kit.db import SYSTEM, Database, Tenant, prepare
from crm_api.kit.log import get_logger
from crm_api.kit.metrics import SWEEPS, WORKER_UP
from crm_api.organizations.service import load_tenant
from crm_api.outbox import doorbell, schedules, service
from crm_api.outbox.facts import Registry
from crm_api.outbox.failures import describe
from crm_api.outbox.runner import Runner
from crm_api.registry import load_registry
from crm_api.settings import Settings

log = get_logger("crm_api.worker")
_DUE = prepare(text("SELECT organization_id FROM crm_due_organizations(:now, :schedule_count, :most)"))
_SWEEP_MOST = 10_000
_TENANT_SECONDS = 1.0
_TURN_SECONDS = 2.0
_LANES = 16
"""How many organizations one process works on at a time; with more due they take turns of `_TURN_SECONDS`."""
_GRACE_SECONDS = 10.0
_STUCK_LEASES = 4
"""After so many leases without a breath the event loop is taken for dead, and the process ends itself."""


class WorkerRunner(Runner):
    """The runner with what handlers of outside work need."""

    settings: Settings
    vault: Vault
    files: FileStore


class Worker:
    """One worker process."""

    def __init__(self, settings: Settings, database: Database, registry: Registry | None = None) -> None:
        self.settings = settings
        self.database = database
        self.registry = registry or load_registry()
        self.runner = WorkerRunner(
            database,
            self.tenant,
            self.registry,
            concurrency=settings.job_concurrency,
            lease_seconds=settings.job_lease_seconds,
            retry_base_seconds=settings.job_retry_base_seconds,
        )
        self.runner.settings = settings
        self.runner.vault = Vault([key.get_secret_value() for key in settings.secret_keys])
        self.runner.files = FileStore(settings, self.runner.vault)
        self._tenants: dict[UUID, tuple[float, Tenant]] = {}
        self._lanes = asyncio.Semaphore(_LANES)
        self._turns: dict[UUID, asyncio.Task[None]] = {}
        self._errands: dict[UUID, bool] = {}
        """Organizations whose schedules are to be looked at in their next turn."""
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
            if len(self._tenants) > _SWEEP_MOST:
                self._tenants.clear()
            self._tenants[organization_id] = (clock.monotonic() + _TENANT_SECONDS, found)
        return found

    # Looking

    def begin(self, organization_id: UUID) -> None:
        """Look at an organization soon; returns at once."""
        if self._stop.is_set():
            return
        if organization_id in self._turns:
            self.runner.nudge(organization_id)
            return
        self._turns[organization_id] = asyncio.create_task(self._take_turns(organization_id))

    async def _take_turns(self, organization_id: UUID) -> None:
        try:
            more = True
            while more and not self._stop.is_set():
                async with self._lanes:  # first come, first served: who had a turn goes to the end of the queue
                    if (errand := self._errands.pop(organization_id, None)) is not None:
                        await self._tend_schedules(organization_id, ensure=errand)
                    _, more = await self.runner.turn(organization_id, _TURN_SECONDS)
        except Exception as error:  # the sweep will find the rows
            log.warning("look_failed", error=describe(error))
        finally:
            del self._turns[organization_id]

    async def _tend_schedules(self, organization_id: UUID, *, ensure: bool = False) -> None:
        """Start due schedules; `ensure`: first give the organization those it lacks."""
        tenant = await self.tenant(organization_id)
        if tenant is None:
            return
        async with self.database.write(tenant, SYSTEM) as session:
            if ensure:
                await schedules.ensure(session, self.registry)
            await schedules.run_due(session, self.registry)

    async def _due(self) -> dict[UUID, bool]:
        """Organizations with due work or schedules, in no order, so that workers begin at different ends. Once an hour
        also those that may lack a schedule (True)."""
        count = len(self.registry.schedules) if clock.monotonic() - self._checked_schedules > 3600 else 0
        async with self.database.connection() as connection:
            rows = await connection.fetch(
                _DUE.sql, *_DUE.arguments({"now": clock.utc_now(), "schedule_count": count, "most": _SWEEP_MOST})
            )
        if count:
            self._checked_schedules = clock.monotonic()
        found = [row["organization_id"] for row in rows]
        random.shuffle(found)
        return dict.fromkeys(found, bool(count))

    # For tests and `crm-api demo`: the same work, to its end

    async def sweep(self) -> int:
        """Find organizations with due work or schedules and run it all; how many rows were run."""
        due = await self._due()
        return sum(await asyncio.gather(*(self._tend(one, ensure=ensure) for one, ensure in due.items())))

    async def _tend(self, organization_id: UUID, *, ensure: bool) -> int:
        async with self._lanes:
            await self._tend_schedules(organization_id, ensure=ensure)
            return await self.runner.drain(organization_id)

    async def drain_all(self) -> int:
        """Sweep until nothing is due."""
        total = 0
        while ran := await self.sweep():
            total += ran
        return total

    # The loops

    async def _sweeping(self) -> None:
        while not self._stop.is_set():
            try:
                for organization_id, ensure in (await self._due()).items():
                    self._errands[organization_id] = ensure or self._errands.get(organization_id, False)
                    self.begin(organization_id)
                SWEEPS.labels("done").inc()
                WORKER_UP.set(clock.utc_now().timestamp())
            except Exception as error:
                SWEEPS.labels("failed").inc()
                log.warning("sweep_failed", error=describe(error))
            await self._pause(self.settings.sweep_seconds)

    async def _listening(self) -> None:
        """Keep an arq worker running; it ends when Redis goes away, and is started again."""
        while not self._stop.is_set() and self.settings.redis_url:
            arq_worker = self._arq_worker()
            try:
                await arq_worker.async_run()
            except asyncio.CancelledError:
                break
            except Exception as error:
                log.warning("doorbell_deaf", error=type(error).__name__)
            finally:
                await _close(arq_worker)
            await self._pause(1.0)

    def _arq_worker(self) -> Any:
        from arq.worker import Worker as ArqWorker
        from arq.worker import func

        async def look(context: dict[str, Any], *_: Any, **__: Any) -> None:
            """Nothing yet: a ring that comes while this one is being answered would be dropped."""

        async def answered(context: dict[str, Any]) -> None:
            with contextlib.suppress(ValueError):
                self.begin(doorbell.organization_of(context["job_id"]))

        return ArqWorker(
            functions=[func(cast("Any", look), name=doorbell.JOB, keep_result=0, max_tries=10, timeout=2)],
            after_job_end=cast("Any", answered),
            queue_name=doorbell.QUEUE,
            redis_settings=doorbell.redis_settings(self.settings.redis_url, retries=3),
            poll_delay=self.settings.doorbell_poll_seconds,
            keep_result=0,
            max_jobs=10,
            job_timeout=2,
            handle_signals=False,
            health_check_interval=3600,
            job_serializer=doorbell.serialize,
            job_deserializer=doorbell.deserialize,
        )

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)

    def stop(self) -> None:
        """Ask the loops to end."""
        self._stop.set()

    async def run(self, *, ready: Callable[[], None] | None = None) -> None:
        """Work until stopped; then finish or give back what is held."""
        service.set_doorbell(self.begin)  # a worker looks itself for what it has emitted
        loops = [asyncio.create_task(self._sweeping()), asyncio.create_task(self._listening())]
        try:
            if ready is not None:
                ready()
            await self._stop.wait()
        finally:
            self._stop.set()
            service.set_doorbell(None)
            await self.runner.stop(_GRACE_SECONDS)
            for task in (*loops, *self._turns.values()):
                task.cancel()
            await asyncio.gather(*loops, *self._turns.values(), return_exceptions=True)


async def _close(arq_worker: Any) -> None:
    """What arq's own `close` is for. That one cancels its caller too, while a ring is being answered."""
    tasks = list(arq_worker.tasks.values())
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    with contextlib.suppress(Exception):
        async with asyncio.timeout(1):
            if arq_worker._pool is not None:
                await arq_worker._pool.aclose(close_connection_pool=True)


async def _breathe(lease_seconds: float) -> None:
    """End the process, with every thread's place in the log, when its event loop stands still: a handler that never
    yields would hold its slot for good, unseen. Other workers take over when the leases end."""
    seconds = _STUCK_LEASES * lease_seconds
    while True:
        faulthandler.dump_traceback_later(seconds, exit=True, file=2)
        await asyncio.sleep(seconds / 8)


async def _open(settings: Settings, registry: Registry) -> Database:
    """Connect, waiting for a database that is only away for the moment.

    A worker that stands still (a stopped process, a lost host) in a transaction holds its row's lock, so Postgres ends
    the transaction when no handler can still be at work in it.
    """
    longest = max((s.timeout for s in registry.subscribers.values() if s.handle), default=timedelta(seconds=30))
    delay = 0.25
    while True:
        try:
            return await Database.open(
                settings.database_url,
                size=settings.job_concurrency + 4,
                statement_cache=settings.database_statement_cache,
                idle_seconds=1.5 * longest.total_seconds(),
                name="crm-api worker",
            )
        except (OSError, asyncpg.CannotConnectNowError, asyncpg.PostgresConnectionError) as error:
            log.warning("database_away", error=type(error).__name__)
            await asyncio.sleep(delay)
            delay = min(delay * 2, 5.0)


async def run_worker(
    settings: Settings,
    *,
    registry: Registry | None = None,
    kind: type[Worker] = Worker,
    ready: Callable[[], None] | None = None,
) -> None:
    """A worker process from start to clean end (SIGTERM, SIGINT)."""
    http.configure(settings.service_urls, paypal_ca_file=settings.paypal_ca_file)
    known = registry or load_registry()
    gc.collect()
    gc.freeze()  # modules and models stay for good: no collection need look through them
    database = await _open(settings, known)
    worker = kind(settings, database, known)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.stop)
    breathing = asyncio.create_task(_breathe(settings.job_lease_seconds))
    try:
        if settings.environment == "production":
            await require_safe_role(database)
        await worker.run(ready=ready)
    finally:
        breathing.cancel()
        faulthandler.cancel_dump_traceback_later()
        await database.close()
