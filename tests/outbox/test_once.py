"""Recording facts, running each row once in effect, waiting and being woken, on real Postgres."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import Any

from sqlalchemy import text

from crm_api.audit.service import record
from crm_api.kit import clock
from crm_api.kit.db import WriteSession, prepare
from crm_api.kit.problems import Conflict
from crm_api.outbox import service
from crm_api.outbox.facts import Job, Wait
from tests.outbox.desk import Desk, Ping, effect
from tests.support.world import World

_SLEEP = prepare(text("SELECT pg_sleep(:seconds)"))


async def test_a_fact_becomes_one_row_per_interested_subscriber(desk: Desk) -> None:
    desk.subscribe(name="tests.all")
    desk.subscribe(name="tests.even", wants=lambda fact: fact.number % 2 == 0)
    await desk.emit(Ping(number=1), Ping(number=2))
    found = await desk.jobs()
    assert [(row["subscriber"], row["payload"]["number"]) for row in found] == [
        ("tests.all", 1),
        ("tests.all", 2),
        ("tests.even", 2),
    ]
    assert {row["state"] for row in found} == {"due"}
    assert len({row["fact_id"] for row in found}) == 2


async def test_a_transaction_that_fails_leaves_no_row_and_rings_no_bell(desk: Desk) -> None:
    desk.subscribe()
    rung: list[Any] = []
    service.set_doorbell(rung.append)
    try:
        with contextlib.suppress(Conflict):
            async with desk.database.write(desk.tenant) as session:
                service.emit(session, Ping(), registry=desk.registry)
                await session.flush()
                raise Conflict("no")
        assert (await desk.jobs(), rung) == ([], [])
        await desk.emit()
        assert rung == [desk.tenant.id]
    finally:
        service.set_doorbell(None)


async def test_a_part_that_fails_takes_its_facts_with_it(desk: Desk) -> None:
    desk.subscribe()
    async with desk.database.write(desk.tenant) as session:
        service.emit(session, Ping(number=1), registry=desk.registry)
        with contextlib.suppress(Conflict):
            async with session.savepoint():
                service.emit(session, Ping(number=2), registry=desk.registry)
                raise Conflict("no")
    assert [row["payload"]["number"] for row in await desk.jobs()] == [1]


async def test_many_workers_run_every_row_once(desk: Desk) -> None:
    desk.subscribe()
    await desk.emit(*(Ping(number=n) for n in range(120)))
    workers = [desk.runner(batch=7) for _ in range(4)]
    ran = await asyncio.gather(*(worker.drain(desk.tenant.id) for worker in workers))
    assert sum(ran) == 120
    assert sum(1 for count in ran if count) > 1
    assert Counter(await desk.states()) == {"done": 120}
    assert await desk.effects() == 120


async def test_what_a_failed_run_wrote_is_undone(desk: Desk) -> None:
    async def handle(session: WriteSession, job: Job) -> None:
        await effect(session, job)
        await session.flush()
        if job.attempts == 1:
            raise RuntimeError

    desk.subscribe(handle)
    await desk.emit()
    await desk.run(2)
    assert (await desk.states(), await desk.effects()) == (["done"], 1)
    assert (await desk.job())["last_error"] is None


async def test_follow_ups_are_run_in_the_same_drain(desk: Desk) -> None:
    async def handle(session: WriteSession, job: Job) -> None:
        await effect(session, job)
        if job.payload["number"] < 5:
            service.emit(session, Ping(number=job.payload["number"] + 1), registry=desk.registry)

    desk.subscribe(handle)
    await desk.emit()
    assert await desk.runner().drain(desk.tenant.id) == 6
    assert await desk.effects() == 6


async def test_a_waiting_row_is_woken_and_then_finishes(desk: Desk) -> None:
    async def handle(session: WriteSession, job: Job) -> None:
        if not arrived:
            raise Wait("payment:1", 3600)
        await effect(session, job)

    arrived: list[bool] = []
    desk.subscribe(handle)
    await desk.emit()
    runner = await desk.run()
    row = await desk.job()
    assert (row["state"], row["wait_key"], row["attempts"]) == ("waiting", "payment:1", 0)
    assert await runner.drain(desk.tenant.id) == 0
    arrived.append(True)
    async with desk.database.write(desk.tenant) as session:
        assert await service.wake(session, ["payment:2"]) == 0
        assert await service.wake(session, ["payment:2", "payment:1"]) == 1
    assert await runner.drain(desk.tenant.id) == 1
    row = await desk.job()
    assert (row["state"], row["wait_key"], await desk.effects()) == ("done", None, 1)


async def test_a_wait_that_nobody_ends_runs_out(desk: Desk) -> None:
    seen: list[bool] = []

    async def handle(session: WriteSession, job: Job) -> None:
        seen.append(job.expired_wait)
        if not job.expired_wait:
            raise Wait("never", 60)

    desk.subscribe(handle)
    await desk.emit()
    await desk.run(2)
    assert (seen, await desk.states()) == ([False, True], ["done"])


async def test_no_wake_up_is_lost_between_looking_and_waiting(desk: Desk) -> None:
    """One side looks and goes to sleep, the other brings and wakes; both under the key's lock, at the same moment."""
    lock = prepare(text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"))
    there = prepare(
        text("SELECT 1 FROM audit_events WHERE organization_id = :organization_id AND action = :key LIMIT 1")
    )

    async def handle(session: WriteSession, job: Job) -> None:
        key = f"came:{job.payload['number']}"
        await session.fetch(lock, key=key)
        if not await session.fetch(there, key=key):
            raise Wait(key, 3600)
        await effect(session, job)

    async def bring(number: int) -> None:
        await asyncio.sleep(0.002 * (number % 5))
        key = f"came:{number}"
        async with desk.database.write(desk.tenant) as session:
            await session.fetch(lock, key=key)
            record(session, key, "test", key)
            await session.flush()
            await service.wake(session, [key])

    desk.subscribe(handle)
    runner = desk.runner(concurrency=6)
    for start in range(0, 60, 6):
        numbers = range(start, start + 6)
        await desk.emit(*(Ping(number=n) for n in numbers))
        await asyncio.gather(runner.drain(desk.tenant.id), *(bring(n) for n in numbers))
    await runner.drain(desk.tenant.id)
    assert Counter(await desk.states()) == {"done": 60}
    assert await desk.effects() == 60


async def test_a_dead_job_is_seen_and_retried_by_api(world: World) -> None:
    donor = await world.contact()
    await world.donation(donor["id"])
    async with world.database.write(world.tenant) as session:
        await session.execute(
            prepare(
                text(
                    "UPDATE jobs SET state = 'dead', attempts = 12, last_error = 'It broke.', finished_at = :now "
                    "WHERE organization_id = :organization_id AND subscriber = 'communications.write_letter'"
                )
            ),
            now=clock.utc_now(),
        )
    await world.drain()
    assert world.letters() == []
    (dead,) = await world.jobs(state="dead")
    assert (dead["last_error"], dead["attempts"], dead["due_at"]) == ("It broke.", 12, None)
    retried = await world.post(f"/v1/jobs/{dead['id']}/retry", expect=200)
    assert (retried["state"], retried["attempts"], retried["finished_at"]) == ("due", 0, None)
    await world.drain()
    assert world.letter_kinds() == ["welcome"]
    refused = await world.post(f"/v1/jobs/{dead['id']}/retry", expect=409)
    assert refused["code"] == "job_not_idle"
