"""Lending connections: nobody gets a broken one, nobody waits for ever, nothing is lost when a user is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from crm_api.kit.db import Away, Database
from crm_api.kit.pool import Pool


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """At most two connections, half a second of patience."""
    made = Pool(database_url, size=2, wait_seconds=0.5, options={})
    yield made
    await made.close(1)


async def test_the_last_one_used_is_lent_first(pool: Pool) -> None:
    first, second = await pool.acquire(), await pool.acquire()
    pool.release(first)
    pool.release(second)
    assert await pool.acquire() is second
    pool.release(second)


async def test_who_waits_longest_is_served_first(pool: Pool) -> None:
    held = [await pool.acquire(), await pool.acquire()]
    order: list[int] = []

    async def use(number: int) -> None:
        connection = await pool.acquire()
        order.append(number)
        await asyncio.sleep(0)
        pool.release(connection)

    tasks = [asyncio.create_task(use(number)) for number in range(5)]
    await asyncio.sleep(0.01)
    for connection in held:
        pool.release(connection)
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4]


async def test_waiting_ends(pool: Pool) -> None:
    held = [await pool.acquire(), await pool.acquire()]
    with pytest.raises(Away, match="busy"):
        await pool.acquire()
    for connection in held:
        pool.release(connection)
    pool.release(await pool.acquire())


async def test_a_cancelled_wait_takes_nothing_with_it(pool: Pool) -> None:
    held = [await pool.acquire(), await pool.acquire()]
    waiting = [asyncio.create_task(pool.acquire()) for _ in range(3)]
    await asyncio.sleep(0.01)
    waiting[0].cancel()
    pool.release(held[0])  # goes to the second
    waiting[1].cancel()  # at the moment it is served
    pool.release(held[1])
    await asyncio.gather(*waiting[:2], return_exceptions=True)
    pool.release(await waiting[2])
    pool.release(await pool.acquire())
    assert pool._count <= 2
    assert not pool._lent


async def test_a_dead_connection_is_replaced(pool: Pool, owner: asyncpg.Connection) -> None:
    connection = await pool.acquire()
    pid = connection.get_server_pid()
    pool.release(connection)
    connection.terminate()
    fresh = await pool.acquire()
    assert fresh.get_server_pid() != pid
    assert await fresh.fetchval("SELECT 1") == 1
    pool.release(fresh)


async def test_a_transaction_left_open_never_reaches_the_next_user(pool: Pool) -> None:
    connection = await pool.acquire()
    await connection.execute("BEGIN; SET LOCAL crm.organization_id = 'x'")
    pool.release(connection)
    again = await pool.acquire()
    assert not again.is_in_transaction()
    assert not await again.fetchval("SELECT current_setting('crm.organization_id', true)")
    pool.release(again)


async def test_room_is_given_on_when_a_connection_is_lost(pool: Pool) -> None:
    held = [await pool.acquire(), await pool.acquire()]
    waiting = asyncio.create_task(pool.acquire())
    await asyncio.sleep(0.01)
    held[0].terminate()
    pool.release(held[0])
    pool.release(await waiting)
    pool.release(held[1])


async def test_a_server_that_is_not_there() -> None:
    pool = Pool("postgresql://nobody@127.0.0.1:1/nothing", size=1, wait_seconds=0.5, options={})
    for _ in range(3):
        with pytest.raises(Away, match="cannot be reached"):
            await pool.acquire()
    assert pool._count == 0


async def test_a_stopped_pool_lends_nothing(database_url: str) -> None:
    database = await Database.open(database_url, size=1)
    await database.close()
    with pytest.raises(Away):
        async with database.connection():
            pass


async def test_an_error_of_the_user_leaves_the_connection_whole(database_url: str) -> None:
    database = await Database.open(database_url, size=1)
    for _ in range(3):
        with pytest.raises(KeyError):
            async with database.connection() as connection:
                await connection.execute("BEGIN")
                raise KeyError("of the user")
        with pytest.raises(asyncpg.UndefinedTableError):
            async with database.connection() as connection:
                await connection.fetch("SELECT * FROM no_such_table")
    async with database.connection() as connection:
        assert not connection.is_in_transaction()
    await database.close()


async def test_a_cancelled_statement_does_not_reach_the_next_user(database_url: str) -> None:
    database = await Database.open(database_url, size=1)

    async def slow() -> None:
        async with database.connection() as connection:
            await connection.fetch("SELECT pg_sleep(10)")

    for _ in range(3):
        task = asyncio.create_task(slow())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with database.connection() as connection:
            assert await connection.fetchval("SELECT 1") == 1
    await database.close()
