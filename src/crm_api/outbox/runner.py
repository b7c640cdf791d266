"""Running due work: claim with a lease, run once in effect, retry with backoff, quarantine with a reason.

A worker claims rows in a short transaction (``FOR UPDATE SKIP LOCKED``), which moves ``due_at`` to the lease's end and
sets a fresh fencing token. Leases are short and renewed while the worker lives. The handler's own transaction marks the
row done under that token first: a worker that lost its lease cannot commit. A killed worker's rows come due again by
themselves when their lease ends.

Organizations take turns, row by row, at the worker's few slots: a long queue of one does not hold up the others.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from crm_api.kit import clock
from crm_api.kit.db import SYSTEM, Away, Database, Tenant, WriteSession
from crm_api.kit.log import get_logger
from crm_api.kit.metrics import JOB_SECONDS, JOBS
from crm_api.outbox import rows
from crm_api.outbox.facts import GiveUp, Job, Registry, Wait
from crm_api.outbox.failures import LeaseLost, TookTooLong, backoff, describe, pause

log = get_logger("crm_api.outbox")
LoadTenant = Callable[[UUID], Awaitable[Tenant | None]]


@dataclass(slots=True, eq=False)
class _Lane:
    """What this worker has under way of one organization."""

    waiting: deque[_Held] = field(default_factory=deque)
    """Claimed, not started."""
    flying: int = 0
    again: bool = True
    """There may be rows that the last claim did not see."""
    ran: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def look_again(self) -> None:
        self.again = True
        self.changed.set()


@dataclass(slots=True, eq=False)
class _Held:
    """A row under our lease."""

    tenant: Tenant
    job: Job
    lane: _Lane
    until: float
    """When the lease ends, unless it is renewed: on the machine's clock that never goes back."""
    task: asyncio.Task[None] | None = None
    running: bool = False
    lost: bool = False


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
        self._free = concurrency
        self._lease = lease_seconds
        self._retry_base = retry_base_seconds
        self._lanes: dict[UUID, _Lane] = {}
        self._ring: deque[_Lane] = deque()
        self._held: dict[UUID, _Held] = {}
        self._keeper: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.stopping = False

    # What a worker calls

    async def drain(self, organization_id: UUID) -> int:
        """Run an organization's due rows until none is left; how many were run. A second call meanwhile only makes
        the first look again."""
        return (await self._work(organization_id, float("inf")))[0]

    async def turn(self, organization_id: UUID, seconds: float) -> tuple[int, bool]:
        """Run due rows for some time; how many were run, and whether there may be more."""
        return await self._work(organization_id, clock.monotonic() + seconds)

    def nudge(self, organization_id: UUID) -> bool:
        """If the organization is being worked on, look once more before leaving it; whether it is."""
        lane = self._lanes.get(organization_id)
        if lane is not None:
            lane.look_again()
        return lane is not None

    async def stop(self, seconds: float) -> None:
        """Start nothing more, let what runs finish for some time, and return the leases of the rest unspent."""
        self.stopping = True
        for lane in self._lanes.values():
            lane.changed.set()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        if self._keeper is not None:
            self._keeper.cancel()
        await self._give_back()

    # One organization

    async def _work(self, organization_id: UUID, deadline: float) -> tuple[int, bool]:
        if self.nudge(organization_id):
            return 0, False
        lane = self._lanes[organization_id] = _Lane()
        try:
            more = await self._serve(organization_id, lane, deadline)
        finally:
            del self._lanes[organization_id]
        return lane.ran, more

    async def _serve(self, organization_id: UUID, lane: _Lane, deadline: float) -> bool:
        """Claim and run until nothing is due (False) or the time is up (True)."""
        closing = False
        while not self.stopping:
            idle = not lane.waiting and not lane.flying
            if clock.monotonic() >= deadline:
                if idle and (closing or not await self._claim(organization_id, lane, 0, alone=True)):
                    return True
                closing = closing or idle
            elif idle or (lane.again and len(lane.waiting) <= self._batch // 4):
                lane.again = False
                wanted = self._batch - len(lane.waiting)
                claimed = await self._claim(organization_id, lane, wanted, alone=idle)
                lane.again = lane.again or claimed == wanted
                if idle and not claimed and not lane.again:
                    return False
                continue
            lane.changed.clear()
            await lane.changed.wait()
        return False

    async def _claim(self, organization_id: UUID, lane: _Lane, wanted: int, *, alone: bool) -> int:
        tenant = await self.load_tenant(organization_id)
        if tenant is None or self.stopping:
            return 0
        held_now = [held.job.id for held in self._held.values() if held.tenant.id == organization_id]
        before = clock.monotonic()
        # A claim that a crash undoes is a row that is due again, and nobody can finish it under the lost token.
        async with self.database.write(tenant, SYSTEM, durable=False) as session:
            found = await rows.claim(session, wanted=wanted, lease=self._lease, alone=alone, held=held_now)
        for job in found:
            held = self._held[job.id] = _Held(tenant, job, lane, before + self._lease)
            lane.waiting.append(held)
        if found:
            lane.ran += len(found)
            if lane not in self._ring:
                self._ring.append(lane)
            if self._keeper is None or self._keeper.done():
                self._keeper = asyncio.create_task(self._keep_leases())
            self._start()
        return len(found)

    # One row

    def _start(self) -> None:
        """Fill the free slots, an organization at a time."""
        while self._free and self._ring and not self.stopping:
            lane = self._ring.popleft()
            held = lane.waiting.popleft()
            if lane.waiting:
                self._ring.append(lane)
            self._free -= 1
            lane.flying += 1
            held.task = asyncio.create_task(self._fly(held))
            self._tasks.add(held.task)
            held.task.add_done_callback(self._tasks.discard)

    async def _fly(self, held: _Held) -> None:
        held.running = True
        job, lane = held.job, held.lane
        started = clock.monotonic()
        try:
            outcome = await self._outcome(held)
            self._held.pop(job.id, None)
            JOBS.labels(job.subscriber, outcome).inc()
            JOB_SECONDS.labels(job.subscriber).observe(clock.monotonic() - started)
        finally:
            self._free += 1
            lane.flying -= 1
            lane.changed.set()
            self._start()

    async def _outcome(self, held: _Held) -> str:
        try:
            if held.lost or clock.monotonic() > held.until:
                raise LeaseLost
            return await self._run(held.tenant, held.job)
        except asyncio.CancelledError:
            if held.lost:
                return "lease_lost"
            raise
        except LeaseLost:
            return "lease_lost"
        except (Exception, SystemExit) as error:
            return await self._failed(held.tenant, held.job, error)

    async def _run(self, tenant: Tenant, job: Job) -> str:
        subscriber = self.registry.subscribers.get(job.subscriber)
        if subscriber is None:
            raise GiveUp(f"This version has no subscriber {job.subscriber}; deploy one that has, then retry the job.")
        if job.attempts > subscriber.max_attempts:
            raise GiveUp("The worker died or hung each time it ran this job; see the worker's log, then retry the job.")
        seconds = subscriber.timeout.total_seconds()
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                if subscriber.outside is not None:
                    await subscriber.outside(self, tenant, job)
                    return "done"
                if subscriber.handle is None:
                    raise GiveUp("The subscriber has no handler.")
                async with self.write(tenant) as session:
                    await self.finish(session, job)
                    try:
                        await subscriber.handle(session, job)
                    except Wait as wait:
                        until = clock.utc_now() + timedelta(seconds=wait.seconds)
                        await rows.wait(session, job, key=wait.key, until=until)
                        return "waiting"
                return "done"
        except TimeoutError:
            if limit.expired():
                raise TookTooLong(seconds) from None
            raise

    @asynccontextmanager
    async def write(self, tenant: Tenant) -> AsyncIterator[WriteSession]:
        """A short transaction for the two ends of an outside call."""
        async with self.database.write(tenant, SYSTEM) as session:
            yield session

    async def finish(self, session: WriteSession, job: Job) -> None:
        """Mark the row done in this transaction; `LeaseLost` when it is not ours any more."""
        if not await rows.finish(session, job):
            raise LeaseLost

    async def _failed(self, tenant: Tenant, job: Job, error: BaseException) -> str:
        subscriber = self.registry.subscribers.get(job.subscriber)
        passing = isinstance(error, Away)
        dead = isinstance(error, GiveUp) or (not passing and job.attempts >= getattr(subscriber, "max_attempts", 1))
        said = describe(error)
        log.warning("job_failed", job_id=str(job.id), subscriber=job.subscriber, dead=dead, error=said)
        wait = pause(self._retry_base) if passing else backoff(min(job.attempts, 20), base=self._retry_base)
        try:
            if not dead:
                async with self.write(tenant) as session:
                    await rows.postpone(session, job, seconds=wait, error=said, spend=not passing)
                return "retry"
            await self._bury(tenant, job, said)
        except Exception as second:  # the lease brings the row back
            log.warning("job_failure_not_recorded", job_id=str(job.id), error=describe(second))
        return "dead"

    async def _bury(self, tenant: Tenant, job: Job, said: str) -> None:
        """Record a death, with what the subscriber wants to record then; but not if the row is another's by now."""
        subscriber = self.registry.subscribers.get(job.subscriber)
        try:
            async with self.write(tenant) as session:
                if await rows.bury(session, job, error=said) and subscriber and subscriber.on_dead:
                    async with asyncio.timeout(subscriber.timeout.total_seconds()):
                        await subscriber.on_dead(session, job)
        except Away:
            raise
        except Exception as second:
            async with self.write(tenant) as session:
                await rows.bury(session, job, error=f"{said} (and what was to follow failed: {describe(second)})")

    # Leases

    async def _keep_leases(self) -> None:
        """Renew the leases of what is held, as long as anything is; stop runs whose lease is lost."""
        while self._held:
            await asyncio.sleep(self._lease / 3)
            by_tenant: dict[UUID, list[_Held]] = {}
            for held in self._held.values():
                by_tenant.setdefault(held.tenant.id, []).append(held)
            for group in by_tenant.values():
                try:
                    await self._renew(group)
                except Exception as error:
                    log.warning("leases_not_renewed", error=describe(error))

    async def _renew(self, group: list[_Held]) -> None:
        before = clock.monotonic()
        async with self.write(group[0].tenant) as session:
            ours = await rows.renew(session, [held.job for held in group], lease=self._lease)
        for held in group:
            if held.job.id in ours:
                held.until = before + self._lease
            elif self._held.get(held.job.id) is held:
                held.lost = True
                if held.running and held.task is not None:
                    held.task.cancel()

    async def _give_back(self) -> None:
        by_tenant: dict[UUID, list[_Held]] = {}
        for held in self._held.values():
            by_tenant.setdefault(held.tenant.id, []).append(held)
        self._held.clear()
        for group in by_tenant.values():
            with contextlib.suppress(Away):  # then they come due when their leases end
                async with self.write(group[0].tenant) as session:
                    await rows.give_back(session, [held.job for held in group])
