"""Work that is cancelled at any moment leaves the pool whole: every connection back, no transaction open, no answer
given to the wrong question."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy import text

from crm_api.audit.service import record
from crm_api.bootstrap import NewOrganization, make_organization
from crm_api.kit import clock
from crm_api.kit.db import Away, Database, prepare

SIZE = 4
_OURS = "FROM pg_stat_activity WHERE application_name = 'cancelled'"
_ASK = prepare(text("SELECT CAST(:mine AS int) AS mine, pg_sleep(:seconds)"))
_COUNT = prepare(text("SELECT count(*) FROM audit_events WHERE organization_id = :organization_id AND action = 'kept'"))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A small pool with a short patience."""
    opened = await Database.open(database_url, size=SIZE, wait_seconds=2.0, name="cancelled")
    yield opened
    await opened.close()


@pytest.fixture
async def made(database: Database) -> NewOrganization:
    """An organization."""
    return await make_organization(database, name="Cancelled", mode="test")


async def backends(watcher: asyncpg.Connection) -> Counter[str]:
    """The pool's connections as Postgres sees them, by state."""
    rows = await watcher.fetch(f"SELECT state {_OURS}")
    return Counter(row["state"] for row in rows)


async def whole(database: Database, watcher: asyncpg.Connection, made: NewOrganization) -> None:
    """Everything is back: as many statements at once as the pool has connections, each with its own answer."""
    deadline = clock.monotonic() + 5
    while (states := await backends(watcher)).keys() - {"idle"} or states.total() > SIZE:
        assert clock.monotonic() < deadline, states
        await asyncio.sleep(0.02)
    began = clock.monotonic()
    session = database.read(made.tenant)
    rows = await asyncio.gather(*(session.fetch(_ASK, mine=n, seconds=0.2) for n in range(SIZE)))
    assert [row[0]["mine"] for row in rows] == list(range(SIZE))
    assert clock.monotonic() - began < 1.0, "all of them can be used at the same time"
    assert (await backends(watcher)).total() <= SIZE


@pytest.mark.parametrize("killing", [False, True])
async def test_the_pool_is_whole_after_a_thousand_cancellations(
    database: Database, made: NewOrganization, database_url: str, seed: int, killing: bool
) -> None:
    chance, kept, mixed_up, seen = random.Random(seed), 0, [], Counter[str]()
    watcher = await asyncpg.connect(database_url)

    async def read(number: int) -> None:
        row = await database.read(made.tenant).fetch_row(_ASK, mine=number, seconds=chance.choice((0.0, 0.003, 0.02)))
        if row is None or row["mine"] != number:
            mixed_up.append(number)

    async def write(number: int) -> None:
        nonlocal kept
        async with database.write(made.tenant) as session:
            row = await session.fetch_row(_ASK, mine=number, seconds=chance.choice((0.0, 0.003, 0.02)))
            record(session, "kept", "test", number)
            await session.flush()
            if row is None or row["mine"] != number:
                mixed_up.append(number)
        kept += 1  # the commit was answered

    async def one(number: int) -> None:
        task = asyncio.create_task((read if number % 3 else write)(number))
        await asyncio.sleep(chance.choice((0, 0.0005, 0.002, 0.005, 0.05)))
        for _ in range(chance.choice((0, 1, 1, 2))):  # some are cancelled twice, some not at all
            task.cancel()
            await asyncio.sleep(0)
        try:
            await task
        except (asyncio.CancelledError, Away) as error:
            seen[type(error).__name__] += 1

    async def kill() -> None:
        while True:
            await asyncio.sleep(0.05)
            await watcher.execute(f"SELECT pg_terminate_backend(pid) {_OURS}")

    killer = asyncio.create_task(kill()) if killing else None
    for start in range(0, 1000, 25):
        await asyncio.gather(*(one(number) for number in range(start, start + 25)))
    if killer is not None:
        killer.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await killer
    print(f"seed {seed}: {dict(seen)}, {kept} writes kept")
    assert not mixed_up
    assert seen["CancelledError"] > 100
    with contextlib.suppress(Away):  # a connection ended while it lay in the pool is noticed by its next user
        await database.read(made.tenant).fetch_row(_COUNT)
    for _ in range(SIZE):
        with contextlib.suppress(Away):
            await asyncio.gather(*(database.read(made.tenant).fetch_row(_COUNT) for _ in range(SIZE)))
    await whole(database, watcher, made)
    row = await database.read(made.tenant).fetch_row(_COUNT)
    assert row is not None
    assert row[0] >= kept, "every acknowledged write is there"
    await watcher.close()
