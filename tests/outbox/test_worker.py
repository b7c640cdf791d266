"""The worker's loops: every organization gets its turn, schedules too, and a database that is away is waited for."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from crm_api import worker as workers
from crm_api.kit import clock
from crm_api.kit.db import WriteSession
from crm_api.outbox import schedules
from crm_api.outbox.facts import Job, Registry, Schedule
from crm_api.worker import Worker
from tests.outbox.conftest import MakeDesk
from tests.outbox.desk import Desk, Ping, Ticked, effect
from tests.support.proxy import Proxy
from tests.support.settings import make_settings


class Ours(Worker):
    """A worker that leaves the organizations of other tests alone."""

    ours: frozenset[UUID] = frozenset()

    async def _due(self) -> dict[UUID, bool]:
        return {one: False for one in await super()._due() if one in self.ours}


@asynccontextmanager
async def working(registry: Registry, desks: list[Desk], mail: Path) -> AsyncIterator[Ours]:
    """A running worker without Redis, sweeping often."""
    settings = make_settings("", mail, sweep_seconds=0.05, job_concurrency=2)
    worker = Ours(settings, desks[0].database, registry)
    worker.ours = frozenset(desk.tenant.id for desk in desks)
    running = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        await asyncio.wait_for(running, 20)


async def until_done(desk: Desk, count: int, within: float = 20) -> None:
    deadline = clock.monotonic() + within
    while Counter(await desk.states())["done"] < count:
        assert clock.monotonic() < deadline, Counter(await desk.states())
        await asyncio.sleep(0.01)


@pytest.fixture
def one_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    """One organization at a time, for short turns: the hardest case."""
    monkeypatch.setattr(workers, "_LANES", 1)
    monkeypatch.setattr(workers, "_TURN_SECONDS", 0.1)


@pytest.mark.usefixtures("one_lane")
async def test_a_hundred_thousand_rows_of_one_starve_nobody(make_desk: MakeDesk, tmp_path: Path) -> None:
    """(A few hundred slow ones will do.) Others wait for a turn or two, not for the end of the queue."""
    desks = [await make_desk() for _ in range(4)]
    big, *small = desks
    registry = big.registry
    for desk in small:
        desk.registry = registry

    async def slow(session: WriteSession, job: Job) -> None:
        await asyncio.sleep(0.01)
        await effect(session, job)

    big.subscribe(slow)
    await big.emit(*(Ping() for _ in range(400)))
    async with working(registry, desks, tmp_path):
        await until_done(big, 10)
        for desk in small:
            await desk.emit(Ping(), Ping())
        await asyncio.gather(*(until_done(desk, 2) for desk in small))
        assert Counter(await big.states())["done"] < 350
        await until_done(big, 400)
    assert [await desk.effects() for desk in desks] == [400, 2, 2, 2]


@pytest.mark.usefixtures("one_lane")
async def test_schedules_of_a_busy_organization_are_started(desk: Desk, tmp_path: Path) -> None:
    async def slow(session: WriteSession, job: Job) -> None:
        await asyncio.sleep(0.01)

    desk.subscribe(slow)
    desk.registry.by_fact[Ticked] = [desk.registry.subscribers["tests.effect"]]
    desk.registry.schedule(Schedule("tests.minute", Ticked, every=timedelta(minutes=1)))
    await desk.emit(*(Ping() for _ in range(300)))
    async with working(desk.registry, [desk], tmp_path):
        await until_done(desk, 20)
        await desk.execute("DELETE FROM schedules WHERE organization_id = :organization_id")
        async with desk.database.write(desk.tenant) as session:
            await schedules.ensure(session, desk.registry)
        await desk.execute(
            "UPDATE schedules SET next_at = :now WHERE organization_id = :organization_id", now=clock.utc_now()
        )
        deadline = clock.monotonic() + 10
        while not await desk.sql("SELECT 1 FROM schedule_occurrences WHERE organization_id = :organization_id"):
            assert clock.monotonic() < deadline
            await asyncio.sleep(0.01)
        assert Counter(await desk.states())["done"] < 300


async def test_follow_ups_and_retries_need_no_bell(desk: Desk, tmp_path: Path) -> None:
    async def handle(session: WriteSession, job: Job) -> None:
        if job.attempts == 1:
            raise RuntimeError
        await effect(session, job)

    desk.subscribe(handle)
    await desk.emit(*(Ping() for _ in range(5)))
    async with working(desk.registry, [desk], tmp_path):
        await until_done(desk, 5)
    assert {row["attempts"] for row in await desk.jobs()} == {2}


async def test_a_worker_waits_for_a_database_that_is_away(desk: Desk, database_url: str, tmp_path: Path) -> None:
    proxy = await Proxy.before(database_url)
    url, port = proxy.instead_of(database_url), proxy.port
    await proxy.stop()
    opening = asyncio.create_task(workers._open(make_settings(url, tmp_path), desk.registry))
    await asyncio.sleep(0.3)
    assert not opening.done()
    await proxy.start(port)
    opened = await asyncio.wait_for(opening, 5)
    async with opened.connection() as connection:
        assert await connection.fetchval("SELECT 1") == 1
    await opened.close()
    await proxy.stop()


async def test_a_wrong_password_is_not_waited_for(desk: Desk, database_url: str, tmp_path: Path) -> None:
    import asyncpg

    wrong = database_url.replace("crm_app:", "crm_app:x")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncio.wait_for(workers._open(make_settings(wrong, tmp_path), desk.registry), 5)
