"""Running due work: claim with a lease, run once in effect, retry with backoff, quarantine with a reason.

A worker claims rows in a short transaction (``FOR UPDATE SKIP LOCKED``), which moves ``due_at`` to the lease's end and
sets a fresh fencing token. The handler's own transaction marks the row done under that token first: a worker that lost
its lease cannot commit. A killed worker's rows come due again by themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text

from crm_api.kit import clock
from crm_api.kit.db import PASSING, SYSTEM, Database, Tenant, WriteSession, prepare
from crm_api.kit.log import get_logger
from crm_api.kit.metrics import JOB_SECONDS, JOBS
from crm_api.kit.problems import Problem, Unavailable
from crm_api.outbox.facts import GiveUp, Job, Registry, Subscriber, Wait

log = get_logger("crm_api.outbox")

_CLAIM = prepare(
    text(
        """
        WITH picked AS (
            SELECT id, state FROM jobs
            WHERE organization_id = :organization_id AND state IN ('due', 'running', 'waiting') AND due_at <= :now
            ORDER BY due_at LIMIT :batch FOR UPDATE SKIP LOCKED
        )
        UPDATE jobs j SET state = 'running', attempts = j.attempts + 1, lease = gen_random_uuid(), wait_key = NULL,
            due_at = :now + coalesce((CAST(:leases AS jsonb) ->> j.subscriber)::float8, :lease) * interval '1 second'
        FROM picked WHERE j.organization_id = :organization_id AND j.id = picked.id
        RETURNING j.id, j.subscriber, j.payload, j.attempts, j.lease, picked.state = 'waiting' AS expired
        """
    )
)
_OWN = "WHERE organization_id = :organization_id AND id = :id AND lease = :lease AND state = 'running'"
_DONE = prepare(text(f"UPDATE jobs SET state = 'done', finished_at = :now, last_error = NULL {_OWN}"))
_WAIT = prepare(
    text(
        "UPDATE jobs SET state = 'waiting', wait_key = :key, due_at = :until, attempts = 0, finished_at = NULL "
        "WHERE organization_id = :organization_id AND id = :id AND lease = :lease"
    )
)
_FAIL = prepare(
    text(f"UPDATE jobs SET state = :state, due_at = :due, last_error = :error, finished_at = :finished {_OWN}")
)
_RETURN = prepare(text(f"UPDATE jobs SET state = 'due', due_at = :now, attempts = greatest(attempts - 1, 0) {_OWN}"))

LoadTenant = Callable[[UUID], Awaitable[Tenant | None]]


class LeaseLost(Exception):
    """Another worker has taken the row over; this run must not commit."""


def backoff(attempts: int, *, base: float = 1.0, cap: float = 6 * 3600) -> float:
    """Seconds until the next try: doubling, capped, with half of it random so that failures do not march in step."""
    span = min(base * 2.0 ** (attempts - 1), cap)
    return span / 2 + random.uniform(0, span / 2)  # noqa: S311 (jitter, not a secret)


class Runner:
    """Runs the due work of organizations. One per worker process."""

    def __init__(
        self,
        database: Database,
        load_tenant: LoadTenant,
        registry: Registry,
        *,
        batch: int = 32,
        concurrency: int = 4,
        lease_seconds: float = 30.0,
        retry_base_seconds: float = 1.0,
    ) -> None:
        self.database = database
        self.load_tenant = load_tenant
        self.registry = registry
        self._batch = batch
        self._slots = asyncio.Semaphore(concurrency)
        self._lease = lease_seconds
        self._retry_base = retry_base_seconds
        self._leases = {s.name: self._lease_of(s) for s in registry.subscribers.values()}
        self._draining: dict[UUID, bool] = {}
        self._held: dict[UUID, tuple[Tenant, Job]] = {}
        self._running = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self.stopping = False

    def _lease_of(self, subscriber: Subscriber) -> float:
        return max(subscriber.lease.total_seconds(), self._lease) if subscriber.outside else self._lease

    async def drain(self, organization_id: UUID) -> int:
        """Run an organization's due rows until none is left; how many were run. A second call meanwhile only marks
        that there may be more."""
        if organization_id in self._draining:
            self._draining[organization_id] = True
            return 0
        self._draining[organization_id] = False
        count = 0
        try:
            while not self.stopping:
                self._draining[organization_id] = False
                claimed = await self._round(organization_id)
                count += claimed
                if not claimed and not self._draining[organization_id]:
                    return count
        finally:
            del self._draining[organization_id]
        return count

    async def _round(self, organization_id: UUID) -> int:
        tenant = await self.load_tenant(organization_id)
        if tenant is None:
            return 0
        jobs = await self._claim(tenant)
        await asyncio.gather(*(self._guarded(tenant, job) for job in jobs))
        return len(jobs)

    async def _claim(self, tenant: Tenant) -> list[Job]:
        async with self.database.write(tenant, SYSTEM) as session:
            rows = await session.fetch(
                _CLAIM, now=clock.utc_now(), batch=self._batch, leases=self._leases, lease=self._lease
            )
        jobs = [
            Job(row["id"], row["subscriber"], row["payload"], row["attempts"], row["lease"], row["expired"])
            for row in rows
        ]
        self._held.update({job.id: (tenant, job) for job in jobs})
        return jobs

    async def _guarded(self, tenant: Tenant, job: Job) -> None:
        async with self._slots:
            if self.stopping:
                return
            started = clock.monotonic()
            outcome = "done"
            self._running += 1
            self._quiet.clear()
            try:
                async with asyncio.timeout(self._leases.get(job.subscriber, self._lease)):
                    outcome = await self._run(tenant, job)
            except asyncio.CancelledError:
                raise
            except LeaseLost:
                outcome = "lease_lost"
            except Exception as error:
                outcome = await self._failed(tenant, job, error)
            finally:
                self._running -= 1
                if not self._running:
                    self._quiet.set()
            self._held.pop(job.id, None)
            JOBS.labels(job.subscriber, outcome).inc()
            JOB_SECONDS.labels(job.subscriber).observe(clock.monotonic() - started)

    async def _run(self, tenant: Tenant, job: Job) -> str:
        subscriber = self.registry.subscribers.get(job.subscriber)
        if subscriber is None:
            raise GiveUp(f"This version has no subscriber {job.subscriber}; deploy one that has, then retry the job.")
        if job.attempts > subscriber.max_attempts:
            raise GiveUp("The worker died or hung each time it ran this job; see the worker's log, then retry the job.")
        if subscriber.outside is not None:
            await subscriber.outside(self, tenant, job)
            return "done"
        if subscriber.handle is None:
            raise GiveUp("The subscriber has no handler.")
        async with self.database.write(tenant, SYSTEM) as session:
            await self.finish(session, job)
            try:
                await subscriber.handle(session, job)
            except Wait as wait:
                until = clock.utc_now() + timedelta(seconds=wait.seconds)
                await session.execute(_WAIT, id=job.id, lease=job.lease, key=wait.key, until=until)
                return "waiting"
        return "done"

    @asynccontextmanager
    async def write(self, tenant: Tenant) -> AsyncIterator[WriteSession]:
        """A short transaction for the two ends of an outside call."""
        async with self.database.write(tenant, SYSTEM) as session:
            yield session

    async def finish(self, session: WriteSession, job: Job) -> None:
        """Mark the row done in this transaction; `LeaseLost` when it is not ours any more."""
        if not await session.execute(_DONE, id=job.id, lease=job.lease, now=clock.utc_now()):
            raise LeaseLost

    async def _failed(self, tenant: Tenant, job: Job, error: Exception) -> str:
        subscriber = self.registry.subscribers.get(job.subscriber)
        passing = isinstance(error, (*PASSING, Unavailable))
        limit = subscriber.max_attempts if subscriber else 1
        dead = isinstance(error, GiveUp) or (not passing and job.attempts >= limit)
        now = clock.utc_now()
        due = now if dead else now + timedelta(seconds=backoff(min(job.attempts, 20), base=self._retry_base))
        log.warning("job_failed", job_id=str(job.id), subscriber=job.subscriber, dead=dead, error=describe(error))
        try:
            async with self.database.write(tenant, SYSTEM) as session:
                await session.execute(
                    _FAIL,
                    id=job.id,
                    lease=job.lease,
                    state="dead" if dead else "due",
                    due=due,
                    error=describe(error),
                    finished=now if dead else None,
                )
                if dead and subscriber and subscriber.on_dead:
                    await subscriber.on_dead(session, job)
        except Exception as second:  # the lease brings the row back
            log.warning("job_failure_not_recorded", job_id=str(job.id), error=describe(second))
        return "dead" if dead else "retry"

    async def idle(self, seconds: float) -> None:
        """Wait, but not longer, until what was started is finished."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._quiet.wait(), seconds)

    async def give_back(self) -> None:
        """Return unfinished leases on shutdown, without spending an attempt."""
        for tenant, job in list(self._held.values()):
            try:
                async with self.database.write(tenant, SYSTEM) as session:
                    await session.execute(_RETURN, id=job.id, lease=job.lease, now=clock.utc_now())
            except Exception as error:
                log.warning("lease_not_returned", job_id=str(job.id), error=describe(error))
        self._held.clear()


def describe(error: BaseException) -> str:
    """What went wrong, without data: our own sentences whole, anything else by type and place."""
    if isinstance(error, GiveUp):
        return str(error)
    if isinstance(error, Problem):
        return f"{error.code}: {error.detail}"
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else ""
    code = getattr(error, "sqlstate", None) or getattr(error, "code", None) or ""
    return f"{type(error).__name__}{f' {code}' if isinstance(code, str) and code else ''}{place}"


def until(moment: datetime) -> float:
    """Seconds from now to a moment, at least zero."""
    return max((moment - clock.utc_now()).total_seconds(), 0.0)
