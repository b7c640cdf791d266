"""What happens after the answer: how soon a follow-up is picked up, a webhook becomes a letter, and how many jobs a
second a worker runs."""

from __future__ import annotations

import asyncio
import email
import email.policy
import random
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from benchmarks import cpu
from benchmarks.cases import Target, donation, new_event, webhook
from benchmarks.dataset import contact_id
from benchmarks.load import percentile
from benchmarks.plan import Plan
from benchmarks.processing import Processing, beside, mark
from benchmarks.servers import Process
from benchmarks.stage import Stage

_PAUSE_SECONDS = 0.12
_PATIENCE_SECONDS = 60.0
_PICK_UPS = """
    SELECT extract(epoch FROM min(finished_at) - min(created_at)) * 1000 AS ms FROM jobs
    WHERE organization_id = $1 AND created_at >= $2 AND fact = 'GiftRecorded' AND state = 'done' GROUP BY fact_id
"""
_OPEN = "SELECT count(*) FROM jobs WHERE organization_id = $1 AND state IN ('due', 'running')"
_FORGET = "DELETE FROM jobs WHERE organization_id = $1"
_DONE = "SELECT count(*) FROM jobs WHERE organization_id = $1 AND finished_at >= $2"


@dataclass(frozen=True, slots=True)
class Spread:
    """A distribution of times, in milliseconds."""

    count: int
    p50: float
    p90: float
    p99: float
    worst: float


@dataclass(frozen=True, slots=True)
class FollowUps:
    """What came out."""

    pick_up: Spread
    letter: Spread
    jobs: int
    jobs_per_second: float
    worker_ms_per_job: float
    postgres_ms_per_job: float
    payments: Processing


def _spread(values: list[float]) -> Spread:
    return Spread(len(values), *(percentile(values, part) for part in (0.5, 0.9, 0.99, 1.0)))


def _send(port: int, request: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        answer = connection.recv(65536)
    if not answer.startswith(b"HTTP/1.1 20"):
        raise SystemExit(f"an event was not taken: {answer[:300]!r}")


class Observer:
    """Watches the worker through the database and the mailbox."""

    def __init__(self, stage: Stage, plan: Plan, server: Process, step: Callable[[], None]) -> None:
        self.stage, self.plan, self.server, self.step = stage, plan, server, step
        self.target = Target("crm", server.port, stage.facts.api_key, stage.facts.connection_id)

    async def _connect(self) -> asyncpg.Connection:
        connection = await asyncpg.connect(self.stage.service_url)
        await connection.execute(f"SET crm.organization_id = '{self.stage.organization_id}'")
        return connection

    async def _settled(self, connection: asyncpg.Connection) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS * 5
        while await connection.fetchval(_OPEN, self.stage.organization_id):
            if time.monotonic() > deadline:
                raise SystemExit("the worker does not finish its work; see worker.log")
            await asyncio.sleep(0.05)

    async def forget(self) -> None:
        """Drop the follow-ups of the requests measured before: minutes of work that are not measured here."""
        connection = await self._connect()
        await connection.execute(_FORGET, self.stage.organization_id)
        await connection.close()

    async def pick_up(self) -> Spread:
        """Donations, one at a time, to a worker that has nothing else to do: from recording the follow-up to the start
        of its handler. The answer's own commit and the claim's are in it."""
        connection = await self._connect()
        await self._settled(connection)
        began = await connection.fetchval("SELECT now()")
        draw = random.Random(self.plan.seed)
        for _ in range(self.plan.probes):
            request = donation(self.target, draw, contact_id(draw.randint(1, self.plan.contacts)))
            await asyncio.to_thread(_send, self.server.port, request)
            await asyncio.sleep(_PAUSE_SECONDS)
            self.step()
        await self._settled(connection)
        rows = await connection.fetch(_PICK_UPS, self.stage.organization_id, began)
        await connection.close()
        return _spread([float(row["ms"]) for row in rows])

    async def letters(self) -> Spread:
        """Webhooks of new donors, one at a time: from sending the delivery to the letter's file being written."""
        sent: dict[str, float] = {}
        mark = random.Random(time.time_ns()).randrange(10**9)
        for number in range(self.plan.probes):
            donor = f"letter{mark}x{number}@example.org"
            request = webhook(self.target, new_event(f"letter/{mark}/{number}", donor=donor))
            sent[donor] = time.time()
            await asyncio.to_thread(_send, self.server.port, request)
            await asyncio.sleep(_PAUSE_SECONDS)
            self.step()
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            written = _written(self.stage.mail)
            if sent.keys() <= written.keys():
                return _spread([(written[donor] - at) * 1000 for donor, at in sent.items()])
            if time.monotonic() > deadline:
                raise SystemExit(f"{len(sent.keys() - written.keys())} letters were not written; see worker.log")
            await asyncio.sleep(0.2)

    async def payments(self, worker: Process) -> Processing:
        """Webhooks of new donors that have been stored, to the end of everything that follows from them."""
        seed, stage, count = random.Random(time.time_ns()).randrange(10**9), self.stage, self.plan.payments
        for number in range(count):
            event = new_event(f"way/{seed}/{number}", donor=f"way{seed}x{number}@example.org")
            await asyncio.to_thread(_send, self.server.port, webhook(self.target, event))
            self.step()
        since = await mark(stage.superuser_url)
        *_, seconds = await self._drained(worker)
        worker.stop()
        return await beside(stage.superuser_url, stage.service_url, stage.organization_id, since, count, seconds)

    async def backlog(self, worker: Process) -> tuple[int, float, float, float]:
        """A worker started on a backlog: how many jobs, how many a second, and their processor time."""
        count, used, seconds = await self._drained(worker)
        return count, count / seconds, used[0] * 1000 / max(count, 1), used[1] * 1000 / max(count, 1)

    async def _drained(self, worker: Process) -> tuple[int, list[float], float]:
        """A worker started on what there is to do: jobs, seconds of processor time (worker, Postgres), and seconds."""
        connection = await self._connect()
        waiting = await connection.fetchval(_OPEN, self.stage.organization_id)
        postgres = self.stage.embedded.postgres_pid
        assert postgres is not None
        worker.start()
        while await connection.fetchval(_OPEN, self.stage.organization_id) == waiting:
            await asyncio.sleep(0.005)
        began, moment = time.perf_counter(), await connection.fetchval("SELECT clock_timestamp()")
        before = [cpu.seconds(pid) for pid in (worker.pid, postgres)]
        await self._settled(connection)
        seconds = time.perf_counter() - began
        used = [cpu.seconds(pid) - was for was, pid in zip(before, (worker.pid, postgres), strict=True)]
        count = await connection.fetchval(_DONE, self.stage.organization_id, moment)
        await connection.close()
        return count, used, seconds


def _written(mail: Path) -> dict[str, float]:
    found: dict[str, float] = {}
    for path in mail.glob("*.eml"):
        letter = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        found[str(letter["To"])] = path.stat().st_mtime_ns / 1e9
    return found


async def fill(observer: Observer, count: int) -> None:
    """Record donations while no worker runs."""
    draw = random.Random(observer.plan.seed + 1)
    for _ in range(count):
        request = donation(observer.target, draw, contact_id(draw.randint(1, observer.plan.contacts)))
        await asyncio.to_thread(_send, observer.server.port, request)
        observer.step()


async def measure(stage: Stage, plan: Plan, server: Process, worker: Process, step: Callable[[], None]) -> FollowUps:
    """All of them, the backlog of donations last of the two: its worker is the idle one afterwards."""
    observer = Observer(stage, plan, server, step)
    await observer.forget()
    payments = await observer.payments(worker)
    await fill(observer, plan.backlog)
    jobs, rate, worker_ms, postgres_ms = await observer.backlog(worker)
    await asyncio.sleep(1.0)
    return FollowUps(await observer.pick_up(), await observer.letters(), jobs, rate, worker_ms, postgres_ms, payments)
