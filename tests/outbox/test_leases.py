"""Workers that die, sleep or are stopped, and organizations that share a worker."""

from __future__ import annotations

import asyncio
from collections import Counter

from sqlalchemy import text

from crm_api.kit import clock
from crm_api.kit.db import Tenant, WriteSession, prepare
from crm_api.outbox import rows
from crm_api.outbox.facts import GiveUp, Job
from crm_api.outbox.runner import Runner
from tests.outbox.conftest import MakeDesk
from tests.outbox.desk import Desk, Ping, effect, no_transaction_is_open

_SLEEP = prepare(text("SELECT pg_sleep(:seconds)"))


async def test_a_dead_workers_rows_are_taken_over_when_the_lease_ends(desk: Desk) -> None:
    desk.subscribe()
    await desk.emit(*(Ping() for _ in range(3)))
    await claimed_by_a_worker_that_dies(desk)
    assert await desk.runner().drain(desk.tenant.id) == 0, "the lease holds"
    await desk.run()
    found = await desk.jobs()
    assert {(row["state"], row["attempts"]) for row in found} == {("done", 2)}
    assert await desk.effects() == 3


async def claimed_by_a_worker_that_dies(desk: Desk) -> None:
    """Claim everything due, as a worker that is killed before it starts anything."""
    async with desk.database.write(desk.tenant) as session:
        assert await rows.claim(session, wanted=100, lease=30, alone=False)


async def test_a_worker_that_lost_its_lease_cannot_commit(desk: Desk) -> None:
    """The row is taken over in the middle of the first worker's run; only the second one's effect stands."""
    seen: list[int] = []

    async def outside(runner: Runner, tenant: Tenant, job: Job) -> None:
        seen.append(job.attempts)
        if job.attempts == 1:
            await desk.make_due()
            await desk.runner().drain(desk.tenant.id)
        async with runner.write(tenant) as session:
            await effect(session, job)
            await runner.finish(session, job)

    desk.subscribe(None, outside=outside)
    await desk.emit()
    await desk.runner().drain(desk.tenant.id)
    assert (seen, await desk.states(), await desk.effects()) == ([1, 2], ["done"], 1)


async def test_a_worker_that_lost_its_lease_cannot_commit_while_the_next_is_at_it(desk: Desk) -> None:
    """The row is running, but under another's token: that alone must stop the first worker."""
    order: list[str] = []
    second_runs, first_is_done = asyncio.Event(), asyncio.Event()

    async def outside(runner: Runner, tenant: Tenant, job: Job) -> None:
        if job.attempts == 1:
            await desk.make_due()
            working.append(asyncio.create_task(desk.runner().drain(desk.tenant.id)))
            await second_runs.wait()
        else:
            second_runs.set()
            await first_is_done.wait()
        async with runner.write(tenant) as session:
            await runner.finish(session, job)
            await effect(session, job)
        order.append(f"attempt {job.attempts} is committed")

    working: list[asyncio.Task[int]] = []
    desk.subscribe(None, outside=outside)
    await desk.emit()
    await desk.runner().drain(desk.tenant.id)
    assert (order, await desk.states()) == ([], ["running"])
    first_is_done.set()
    await working[0]
    assert (order, await desk.states(), await desk.effects()) == (["attempt 2 is committed"], ["done"], 1)


async def test_a_worker_that_lost_its_lease_cannot_bury_either(desk: Desk) -> None:
    buried: list[int] = []

    async def outside(runner: Runner, tenant: Tenant, job: Job) -> None:
        if job.attempts == 1:
            await desk.make_due()
            await desk.runner().drain(desk.tenant.id)
            raise GiveUp("It is over.")
        async with runner.write(tenant) as session:
            await runner.finish(session, job)

    async def on_dead(session: WriteSession, job: Job) -> None:
        buried.append(job.attempts)

    desk.subscribe(None, outside=outside, on_dead=on_dead)
    await desk.emit()
    await desk.runner().drain(desk.tenant.id)
    assert (await desk.states(), buried) == (["done"], [])


async def test_the_lease_of_long_work_is_renewed_while_its_worker_lives(desk: Desk) -> None:
    runs: list[str] = []

    async def outside(runner: Runner, tenant: Tenant, job: Job) -> None:
        runs.append("long")
        await asyncio.sleep(1.0)
        async with runner.write(tenant) as session:
            await runner.finish(session, job)

    desk.subscribe(None, outside=outside)
    await desk.emit()
    first, second = desk.runner(lease_seconds=0.3), desk.runner(lease_seconds=0.3)
    working = asyncio.create_task(first.drain(desk.tenant.id))
    while not working.done():
        await second.drain(desk.tenant.id)
        await asyncio.sleep(0.05)
    assert (runs, await desk.states()) == (["long"], ["done"])
    assert (await desk.job())["attempts"] == 1


async def test_a_worker_does_not_take_over_from_itself(desk: Desk) -> None:
    """Its machine was so busy that a lease ran out before it was renewed, and nobody else was there: it goes on."""
    runs: list[int] = []

    async def outside(runner: Runner, tenant: Tenant, job: Job) -> None:
        runs.append(job.attempts)
        await desk.make_due()
        runner.nudge(tenant.id)
        await asyncio.sleep(0.2)
        async with runner.write(tenant) as session:
            await runner.finish(session, job)

    desk.subscribe(None, outside=outside)
    await desk.emit()
    await desk.runner().drain(desk.tenant.id)
    assert (runs, await desk.states()) == ([1], ["done"])


async def test_a_run_is_stopped_when_its_lease_was_lost(desk: Desk) -> None:
    """The worker was away for longer than its lease; when it is back it notices, and does not go on."""
    finished: list[int] = []

    async def outside(runner: Runner, tenant: Tenant, job: Job) -> None:
        await asyncio.sleep(5 if job.attempts == 1 else 0)
        finished.append(job.attempts)
        async with runner.write(tenant) as session:
            await runner.finish(session, job)

    desk.subscribe(None, outside=outside)
    await desk.emit()
    first = desk.runner(lease_seconds=0.6)
    working = asyncio.create_task(first.drain(desk.tenant.id))
    await asyncio.sleep(0.1)
    await desk.run()
    began = clock.monotonic()
    await working
    assert clock.monotonic() - began < 2
    assert (finished, await desk.states()) == ([2], ["done"])


async def test_stopping_returns_what_is_held_without_spending_an_attempt(desk: Desk) -> None:
    started: list[int] = []
    cancelled: list[int] = []

    async def handle(session: WriteSession, job: Job) -> None:
        started.append(job.payload["number"])
        await effect(session, job)
        try:
            await asyncio.sleep(0.2 if job.payload["number"] == 0 else 60)
        except asyncio.CancelledError:
            cancelled.append(job.payload["number"])
            raise

    desk.subscribe(handle)
    await desk.emit(*(Ping(number=n) for n in range(10)))
    runner = desk.runner(concurrency=2)
    working = asyncio.create_task(runner.drain(desk.tenant.id))
    while len(started) < 2:
        await asyncio.sleep(0.01)
    await runner.stop(0.5)
    await asyncio.wait_for(working, 2)
    found = await desk.jobs()
    assert (started, cancelled) == ([0, 1], [1])
    assert [(row["state"], row["attempts"]) for row in found] == [("done", 1)] + [("due", 0)] * 9
    assert await desk.effects() == 1
    await no_transaction_is_open(desk.database)


async def test_suspects_run_alone_and_last(desk: Desk) -> None:
    """Rows whose workers died more than once run one at a time, after all others, the most suspect one last."""
    order: list[tuple[int, int]] = []
    running = 0

    async def handle(session: WriteSession, job: Job) -> None:
        nonlocal running
        running += 1
        order.append((job.payload["number"], running))
        await asyncio.sleep(0.01)
        running -= 1

    desk.subscribe(handle)
    await desk.emit(*(Ping(number=n) for n in range(8)))
    await desk.execute(
        "UPDATE jobs SET state = 'running', lease = gen_random_uuid(), "
        "attempts = 8 - CAST(payload ->> 'number' AS int) "
        "WHERE organization_id = :organization_id AND CAST(payload ->> 'number' AS int) < 4"
    )
    await desk.run()
    assert sorted(number for number, _ in order[:4]) == [4, 5, 6, 7]
    assert order[4:] == [(3, 1), (2, 1), (1, 1), (0, 1)]
    assert Counter(await desk.states()) == {"done": 8}


async def test_a_row_its_workers_always_die_of_is_given_up(desk: Desk) -> None:
    desk.subscribe(max_attempts=5)
    await desk.emit()
    for _ in range(5):
        await desk.make_due()
        await claimed_by_a_worker_that_dies_alone(desk)
    await desk.run()
    row = await desk.job()
    assert row["state"] == "dead"
    assert row["last_error"].startswith("The worker died or hung each time it ran this job")


async def claimed_by_a_worker_that_dies_alone(desk: Desk) -> None:
    async with desk.database.write(desk.tenant) as session:
        assert len(await rows.claim(session, wanted=100, lease=30, alone=True)) == 1


async def test_a_long_queue_does_not_hold_up_another_organization(make_desk: MakeDesk) -> None:
    big, small = await make_desk(), await make_desk()
    done: list[str] = []

    async def handle(session: WriteSession, job: Job) -> None:
        await asyncio.sleep(0.005)
        done.append("small" if session.organization_id == small.tenant.id else "big")

    big.subscribe(handle)
    small.registry = big.registry
    await big.emit(*(Ping() for _ in range(200)))
    runner = big.runner(concurrency=2)
    working = asyncio.create_task(runner.drain(big.tenant.id))
    while len(done) < 10:
        await asyncio.sleep(0.005)
    await small.emit(*(Ping() for _ in range(3)))
    before = len(done)
    await runner.drain(small.tenant.id)
    assert len(done) - before < 30, "the three rows took turns with the two hundred"
    await working
    assert Counter(done) == {"big": 200, "small": 3}


async def test_a_turn_ends_in_time_with_nothing_left_in_hand(desk: Desk) -> None:
    async def handle(session: WriteSession, job: Job) -> None:
        await asyncio.sleep(0.01)

    desk.subscribe(handle)
    await desk.emit(*(Ping() for _ in range(150)))
    runner = desk.runner(concurrency=2, batch=8)
    ran, more = await runner.turn(desk.tenant.id, 0.2)
    assert more
    assert 0 < ran < 150
    states = Counter(await desk.states())
    assert states == {"done": ran, "due": 150 - ran}
    while more:
        _, more = await runner.turn(desk.tenant.id, 0.2)
    assert Counter(await desk.states()) == {"done": 150}


async def test_suspects_get_their_chance_under_constant_load(desk: Desk) -> None:
    desk.subscribe()
    await desk.emit(*(Ping() for _ in range(100)))
    await desk.emit(Ping(poison=True))
    await desk.execute(
        "UPDATE jobs SET state = 'running', attempts = 5, lease = gen_random_uuid(), "
        "due_at = due_at - interval '1 hour' WHERE organization_id = :organization_id AND payload ->> 'poison' = 'true'"
    )
    _, more = await desk.runner(batch=4).turn(desk.tenant.id, 0.01)
    assert more
    (suspect,) = [row for row in await desk.jobs() if row["payload"]["poison"]]
    assert suspect["state"] == "done"
