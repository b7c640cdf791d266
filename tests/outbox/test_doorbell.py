"""The doorbell with a real Valkey: heard at once, rung once, harmless when it is away, and never a pickle."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
import redis as redis_sync
import redis.asyncio as redis

from crm_api.kit import clock
from crm_api.outbox import service
from crm_api.outbox.doorbell import QUEUE, Doorbell
from crm_api.worker import Worker
from tests.outbox.desk import Desk, Ping
from tests.support.proxy import Proxy
from tests.support.services import Services
from tests.support.settings import make_settings

NO_SWEEP = 3600.0


@pytest.fixture
async def valkey_url(services: Services, worker_id: str) -> AsyncIterator[str]:
    """A database of Valkey that no other test process listens to."""
    number = 1 + (int(worker_id.removeprefix("gw")) if worker_id.startswith("gw") else 0) % 15
    url = services.redis_url.rpartition("/")[0] + f"/{number}"
    client = connect(url)
    await client.flushdb()
    yield url
    await client.flushdb()
    await client.aclose()


def connect(url: str) -> redis.Redis:
    client: redis.Redis = redis.from_url(url)  # type: ignore[no-untyped-call]
    return client


@asynccontextmanager
async def working(desk: Desk, redis_url: str, mail: Path, sweep_seconds: float = NO_SWEEP) -> AsyncIterator[Worker]:
    """A worker of the desk's registry, listening. Its first sweep is over: only the bell can wake it now."""
    settings = make_settings("", mail, redis_url=redis_url, sweep_seconds=sweep_seconds)
    worker = Worker(settings, desk.database, desk.registry)
    swept = asyncio.Event()
    due = worker._due

    async def noted() -> dict[UUID, bool]:
        found = await due()
        swept.set()
        return {one: ensure for one, ensure in found.items() if one == desk.tenant.id}

    worker._due = noted  # type: ignore[method-assign]
    running = asyncio.create_task(worker.run())
    try:
        await asyncio.wait_for(swept.wait(), 5)
        service.set_doorbell(None)
        yield worker
    finally:
        worker.stop()
        await asyncio.wait_for(running, 20)


@asynccontextmanager
async def ringing(url: str) -> AsyncIterator[Doorbell]:
    """A doorbell as the API has one."""
    bell = Doorbell(url)
    bell.install()
    try:
        yield bell
    finally:
        await bell.close()


async def done(desk: Desk, count: int, within: float) -> float:
    """Wait until so many effects are there; how long it took."""
    began = clock.monotonic()
    while await desk.effects() < count:
        assert clock.monotonic() - began < within, await desk.states()
        await asyncio.sleep(0.005)
    return clock.monotonic() - began


async def test_a_ring_is_heard_at_once_without_any_sweep(desk: Desk, valkey_url: str, tmp_path: Path) -> None:
    desk.subscribe()
    async with working(desk, valkey_url, tmp_path), ringing(valkey_url):
        await asyncio.sleep(0.3)  # the arq worker connects
        waits = []
        for number in range(1, 11):
            await desk.emit()
            waits.append(await done(desk, number, within=5))
    print(f"picked up and done after {sorted(waits)[5] * 1000:.0f} ms (median), at most {max(waits) * 1000:.0f} ms")


async def test_no_ring_is_lost_however_they_come(desk: Desk, valkey_url: str, tmp_path: Path) -> None:
    """Rings that come while the one before is being answered must not get lost: nothing sweeps here."""
    desk.subscribe()
    async with working(desk, valkey_url, tmp_path), ringing(valkey_url):
        for number in range(80):
            await desk.emit(Ping(number=number))
            await asyncio.sleep(0.0015 * (number % 13))
        await done(desk, 80, within=5)


async def test_a_ring_is_answered_only_when_the_next_one_can_be_rung(
    desk: Desk, valkey_url: str, tmp_path: Path
) -> None:
    """Were the worker to look while its ring still lies in Valkey, a ring of that moment would be dropped for good."""
    desk.subscribe()
    silent: list[bool] = []
    ordinary = redis_sync.Redis.from_url(valkey_url)
    async with working(desk, valkey_url, tmp_path) as worker, ringing(valkey_url):
        begin = worker.begin

        def watched(organization_id: UUID) -> None:
            silent.append(not ordinary.exists(f"arq:job:look:{organization_id}"))
            begin(organization_id)

        worker.begin = watched  # type: ignore[method-assign]
        for number in range(1, 6):
            await desk.emit()
            await done(desk, number, within=5)
    ordinary.close()
    assert silent  # a ring that comes while the worker still looks is no other look
    assert all(silent)


async def test_rings_of_one_moment_and_rings_nobody_hears_are_one(valkey_url: str) -> None:
    client = connect(valkey_url)
    organizations = [uuid4() for _ in range(3)]
    async with ringing(valkey_url) as bell:
        for _ in range(5):
            for _ in range(100):
                for one in organizations:
                    bell.ring(one)
            await asyncio.sleep(0.05)
        assert await client.zcard(QUEUE) == 3
    await client.aclose()


async def test_what_lies_in_redis_is_json_and_says_nothing_but_whose_bell_it_is(valkey_url: str) -> None:
    client = connect(valkey_url)
    organization = uuid4()
    async with ringing(valkey_url) as bell:
        bell.ring(organization)
        await asyncio.sleep(0.1)
    keys = [key async for key in client.scan_iter("*")]
    assert sorted(keys) == [f"arq:job:look:{organization}".encode(), QUEUE.encode()]
    raw: Any = await client.get(keys[keys.index(f"arq:job:look:{organization}".encode())])
    assert raw.startswith(b"{")
    assert orjson.loads(raw)["f"] == "look"
    assert orjson.loads(raw)["a"] == []
    await client.aclose()


async def test_a_pickle_in_redis_is_not_run(desk: Desk, valkey_url: str, tmp_path: Path) -> None:
    desk.subscribe()
    client, trap = connect(valkey_url), tmp_path / "trap"
    poison = f"cposix\nsystem\n(S'touch {trap}'\ntR.".encode()
    async with working(desk, valkey_url, tmp_path), ringing(valkey_url):
        for name in (f"look:{uuid4()}", "look:nonsense", "other"):
            await client.set(f"arq:job:{name}", poison)
            await client.zadd(QUEUE, {name: 1})
        await asyncio.sleep(0.5)
        await desk.emit()
        await done(desk, 1, within=5)
    assert not trap.exists()
    await client.aclose()


async def test_without_valkey_the_sweep_does_the_work(desk: Desk, tmp_path: Path) -> None:
    desk.subscribe()
    nowhere = "redis://127.0.0.1:1/0"
    async with working(desk, nowhere, tmp_path, sweep_seconds=0.1), ringing(nowhere):
        began = clock.monotonic()
        for _ in range(20):
            await desk.emit()
        assert clock.monotonic() - began < 2, "a ring that is not heard costs nothing"
        await done(desk, 20, within=5)


async def test_a_flushed_valkey_loses_bells_but_no_work(desk: Desk, valkey_url: str, tmp_path: Path) -> None:
    desk.subscribe()
    client = connect(valkey_url)
    async with ringing(valkey_url) as bell:
        await desk.emit(*(Ping() for _ in range(5)))
        await asyncio.sleep(0.1)
        await client.flushdb()
        async with working(desk, valkey_url, tmp_path):  # its first sweep finds what no bell told
            await done(desk, 5, within=5)
            bell.install()
            await asyncio.sleep(0.3)
            await client.flushdb()
            await desk.emit()
            await done(desk, 6, within=5)
    await client.aclose()


async def test_both_sides_find_back_to_a_valkey_that_was_away(desk: Desk, valkey_url: str, tmp_path: Path) -> None:
    desk.subscribe()
    proxy = await Proxy.before(valkey_url)
    url = proxy.instead_of(valkey_url)
    try:
        async with working(desk, url, tmp_path), ringing(url):
            await asyncio.sleep(0.3)
            await desk.emit()
            await done(desk, 1, within=5)
            port = proxy.port
            await proxy.stop()
            await desk.emit()
            await asyncio.sleep(0.2)
            assert await desk.effects() == 1, "nobody hears it, and nothing sweeps"
            await proxy.start(port)
            for _ in range(100):
                await asyncio.sleep(0.1)
                async with desk.database.write(desk.tenant) as session:
                    service.ring(session)  # as any later write does
                if await desk.effects() == 2:
                    break
            assert await desk.effects() == 2
    finally:
        with contextlib.suppress(Exception):
            await proxy.stop()


async def test_a_valkey_that_says_nothing_holds_nobody_up(desk: Desk, valkey_url: str) -> None:
    desk.subscribe()
    proxy = await Proxy.before(valkey_url)
    proxy.mode = "stall"
    async with ringing(proxy.instead_of(valkey_url)) as bell:
        began = clock.monotonic()
        await desk.emit()
        bell.ring(uuid4())
        assert clock.monotonic() - began < 0.5
        await asyncio.wait_for(asyncio.shield(bell._task or asyncio.sleep(0)), 5)  # it gives up by itself
    assert await desk.states() == ["due"]
    await proxy.stop()
