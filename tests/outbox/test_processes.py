"""Workers as processes: killed by their work, stopped for longer than their lease, stuck, asked to end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crm_api.kit import clock
from tests.outbox.desk import Desk, Ping
from tests.outbox.worker_process import registry
from tests.support.children import Forked

pytestmark = pytest.mark.fault


class Process:
    """A worker process with misbehaving handlers."""

    def __init__(self, url: str, folder: Path, lease: float, desk: Desk) -> None:
        self.folder = folder
        self.log = folder / "log"
        told = (url, str(folder), str(lease), str(desk.tenant.id))
        self.process = Forked("tests.outbox.worker_process", *told, environment=os.environ, log=self.log)

    def told(self, words: str) -> bool:
        """Whether it has told this."""
        return (self.folder / f"{words}-{self.process.pid}").exists()

    async def tells(self, words: str, within: float = 20) -> None:
        """Wait until it does."""
        deadline = clock.monotonic() + within
        while not self.told(words):
            assert clock.monotonic() < deadline, self.log.read_text()[-3000:]
            await asyncio.sleep(0.01)

    async def ended(self, within: float = 20) -> int:
        """Wait for its end; the exit status."""
        deadline = clock.monotonic() + within
        while (status := self.process.poll()) is None:
            assert clock.monotonic() < deadline, self.log.read_text()[-3000:]
            await asyncio.sleep(0.01)
        return status

    async def end(self) -> int:
        """Ask it to end; the exit status."""
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        return await self.ended()


@pytest.fixture
def misbehaving(desk: Desk) -> Desk:
    """A desk that records what the processes handle."""
    desk.registry = registry()
    return desk


Spawn = Callable[..., Process]


@pytest.fixture
def spawn(misbehaving: Desk, database_url: str, tmp_path: Path) -> Iterator[Spawn]:
    """Starts processes; whatever a failed test leaves is killed."""
    made: list[Process] = []

    def start(lease: float = 1.0) -> Process:
        made.append(Process(database_url, tmp_path, lease, misbehaving))
        return made[-1]

    yield start
    for one in made:
        one.process.kill()
        one.process.wait()


async def until(desk: Desk, expected: dict[str, int], within: float = 30) -> None:
    """Wait until the rows are in these states."""
    deadline = clock.monotonic() + within
    while (states := Counter(await desk.states())) != expected:
        assert clock.monotonic() < deadline, states
        await asyncio.sleep(0.05)


async def test_a_poison_job_is_quarantined_and_its_neighbours_get_done(misbehaving: Desk, spawn: Spawn) -> None:
    """It ends its process each time. It gets its three attempts; nobody else suffers more than a delay."""
    desk = misbehaving
    await desk.emit(Ping(number=1), *(Ping(number=0) for _ in range(60)))
    processes = [spawn(lease=0.5)]
    deadline = clock.monotonic() + 40
    while Counter(await desk.states()) != {"done": 60, "dead": 1}:
        assert clock.monotonic() < deadline, Counter(await desk.states())
        if processes[-1].process.poll() is not None:
            processes.append(spawn(lease=0.5))
        await asyncio.sleep(0.02)
    await processes[-1].end()
    assert sum(process.told("died") for process in processes) == 3
    (dead,) = [row for row in await desk.jobs() if row["state"] == "dead"]
    assert dead["payload"]["number"] == 1
    assert dead["last_error"].startswith("The worker died or hung each time it ran this job")
    assert await desk.effects() == 60


async def test_a_worker_that_slept_through_its_lease_changes_nothing(misbehaving: Desk, spawn: Spawn) -> None:
    """SIGSTOP in the middle of an outside call and of a transaction; another worker takes over and finishes both;
    SIGCONT: the stale runs cannot commit."""
    desk = misbehaving
    stale = spawn()
    await stale.tells("ready")
    await desk.emit(Ping(number=2), Ping(number=3))
    await stale.tells("outside")
    await stale.tells("inside")
    stale.process.send_signal(signal.SIGSTOP)
    fresh = spawn()
    await until(desk, {"done": 2})
    rows = [dict(row) for row in await desk.jobs()]
    assert ([row["attempts"] for row in rows], await desk.effects()) == ([2, 2], 2)
    stale.process.send_signal(signal.SIGCONT)
    await asyncio.sleep(1.2)
    assert ([dict(row) for row in await desk.jobs()], await desk.effects()) == (rows, 2)
    assert await fresh.end() == 0
    assert await stale.end() in {0, 1}  # 1: it noticed that it had stood still, and ended itself


async def test_a_worker_whose_event_loop_is_stuck_ends_itself(misbehaving: Desk, spawn: Spawn) -> None:
    """A handler that never yields: after some leases the process ends, with the place in its log."""
    desk = misbehaving
    await desk.emit(Ping(number=4))
    stuck = spawn(lease=0.5)
    await stuck.tells("stuck")
    assert await stuck.ended(within=10) == 1
    assert "worker_process.py" in stuck.log.read_text()
    assert await desk.effects() == 0


async def test_sigterm_returns_what_was_not_finished(misbehaving: Desk, spawn: Spawn) -> None:
    """What runs is finished, the rest is given back unspent, and the process ends cleanly and soon."""
    desk = misbehaving
    await desk.emit(*(Ping(number=2) for _ in range(12)))
    worker = spawn(lease=30)
    await worker.tells("outside")
    began = clock.monotonic()
    assert await worker.end() == 0
    assert clock.monotonic() - began < 8
    rows = await desk.jobs()
    assert Counter((row["state"], row["attempts"]) for row in rows) == {("done", 1): 4, ("due", 0): 8}
    assert await desk.effects() == 4
