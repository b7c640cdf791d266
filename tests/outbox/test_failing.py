"""What fails, hangs or is given up: tried again with growing pauses, then dead with a reason anybody can read."""

from __future__ import annotations

import asyncio
import statistics
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from crm_api.kit import clock
from crm_api.kit.db import Tenant, WriteSession, prepare
from crm_api.kit.problems import Conflict
from crm_api.outbox.facts import GiveUp, Job
from crm_api.outbox.failures import LeaseLost, backoff, describe, pause
from crm_api.outbox.runner import Runner
from tests.outbox.desk import Desk, Ping, effect, no_transaction_is_open

_SLEEP = prepare(text("SELECT pg_sleep(:seconds)"))


async def test_a_failure_is_tried_again_later_and_given_up_with_its_reason(desk: Desk) -> None:
    told: list[tuple[int, str]] = []

    async def handle(session: WriteSession, job: Job) -> None:
        await effect(session, job)
        raise Conflict("The teapot is short and stout.")

    async def on_dead(session: WriteSession, job: Job) -> None:
        told.append((job.attempts, job.subscriber))
        await effect(session, job)

    desk.subscribe(handle, max_attempts=3, on_dead=on_dead)
    await desk.emit()
    runner = desk.runner()
    for attempt in (1, 2):
        await runner.drain(desk.tenant.id)
        row = await desk.job()
        assert (row["state"], row["attempts"], row["finished_at"]) == ("due", attempt, None)
        assert row["last_error"] == "conflict: The teapot is short and stout."
        low = 100 * 2 ** (attempt - 1) / 2
        assert low - 5 < (row["due_at"] - clock.utc_now()).total_seconds() <= 2 * low
        assert await runner.drain(desk.tenant.id) == 0, "it waits"
        await desk.make_due()
    await runner.drain(desk.tenant.id)
    row = await desk.job()
    assert (row["state"], row["attempts"]) == ("dead", 3)
    assert row["finished_at"] is not None
    assert (told, await desk.effects()) == ([(3, "tests.effect")], 1)
    assert await desk.run() is not None
    assert await desk.states() == ["dead"]


def test_backoff_doubles_with_jitter_up_to_a_cap() -> None:
    for attempt in range(1, 30):
        full = min(2.0 ** (attempt - 1), 21_600)
        drawn = [backoff(attempt) for _ in range(200)]
        assert full / 2 <= min(drawn) <= max(drawn) <= full
        assert statistics.stdev(drawn) > full / 20, "failures must not march in step"
    assert max(backoff(3, base=0.01) for _ in range(100)) <= 0.04
    assert 1 <= pause(1) <= 3


async def test_giving_up_ends_it_at_once(desk: Desk) -> None:
    async def handle(session: WriteSession, job: Job) -> None:
        raise GiveUp("Set up a mail server, then retry the job.")

    desk.subscribe(handle)
    await desk.emit()
    await desk.run()
    row = await desk.job()
    assert (row["state"], row["attempts"]) == ("dead", 1)
    assert row["last_error"] == "Set up a mail server, then retry the job."


async def test_a_row_of_another_version_is_kept_with_a_reason(desk: Desk) -> None:
    desk.subscribe(name="tests.future")
    await desk.emit()
    desk.registry.subscribers.clear()
    await desk.run()
    row = await desk.job()
    assert row["state"] == "dead"
    assert row["last_error"] == "This version has no subscriber tests.future; deploy one that has, then retry the job."


@pytest.mark.parametrize("error", [SystemExit(3), MemoryError(), RecursionError(), KeyError("donor@example.org")])
async def test_whatever_a_handler_raises_the_worker_lives_and_says_no_data(desk: Desk, error: BaseException) -> None:
    async def handle(session: WriteSession, job: Job) -> None:
        if job.payload["poison"]:
            raise error
        await effect(session, job)

    desk.subscribe(handle, max_attempts=1)
    await desk.emit(Ping(poison=True), *(Ping() for _ in range(5)))
    await desk.run()
    assert Counter(await desk.states()) == {"dead": 1, "done": 5}
    (said,) = [row["last_error"] for row in await desk.jobs() if row["state"] == "dead"]
    assert said.startswith(f"{type(error).__name__} at test_failing.py:")
    assert "@" not in said


async def test_a_trouble_while_recording_a_death_does_not_hide_it(desk: Desk) -> None:
    async def handle(session: WriteSession, job: Job) -> None:
        raise GiveUp("It is over.")

    async def on_dead(session: WriteSession, job: Job) -> None:
        raise RuntimeError

    desk.subscribe(handle, on_dead=on_dead)
    await desk.emit()
    await desk.run()
    row = await desk.job()
    assert row["state"] == "dead"
    assert row["last_error"].startswith("It is over. (and what was to follow failed: RuntimeError")


async def test_trouble_of_the_database_is_tried_for_ever_and_costs_no_attempt(desk: Desk) -> None:
    """Fifteen times the connection is ended under the handler; the subscriber allows three attempts."""

    async def handle(session: WriteSession, job: Job) -> None:
        if len(ended) < 15:
            ended.append(job.attempts)
            await session.fetch(prepare(text("SELECT pg_terminate_backend(pg_backend_pid())")))
        await effect(session, job)

    ended: list[int] = []
    desk.subscribe(handle, max_attempts=3)
    await desk.emit()
    await desk.run(15)
    row = await desk.job()
    assert (row["state"], row["attempts"]) == ("due", 0)
    assert row["last_error"] == "unavailable: The database went away. Send the request again."
    await desk.run()
    assert (await desk.states(), await desk.effects(), set(ended)) == (["done"], 1, {1})


async def test_an_os_error_of_a_handler_is_its_own_and_counts(desk: Desk) -> None:
    async def handle(session: WriteSession, job: Job) -> None:
        Path("/nonexistent/file").read_text()

    desk.subscribe(handle, max_attempts=2)
    await desk.emit()
    await desk.run(2)
    row = await desk.job()
    assert row["state"] == "dead"
    assert row["last_error"].startswith("FileNotFoundError at pathlib.py")


def test_errors_are_described_without_data() -> None:
    assert describe(LeaseLost("x")) == "LeaseLost"
    assert describe(Conflict("Say this.", code="busy")) == "busy: Say this."
    assert describe(ValueError("secret@example.org")) == "ValueError"


@pytest.mark.parametrize("where", ["python", "postgres", "outside"])
async def test_a_hanging_run_is_stopped_counts_and_leaves_the_connection_clean(desk: Desk, where: str) -> None:
    async def handle(session: WriteSession, job: Job) -> None:
        await effect(session, job)
        await session.flush()
        await (session.fetch(_SLEEP, seconds=60.0) if where == "postgres" else asyncio.sleep(60))

    async def outside(runner: Runner, tenant: Tenant, job: Job) -> None:
        await asyncio.sleep(60)

    options: dict[str, Any] = {"outside": outside, "handle": None} if where == "outside" else {"handle": handle}
    desk.subscribe(**options, max_attempts=2, timeout=timedelta(seconds=0.2))
    desk.subscribe(name="tests.neighbour")
    await desk.emit()
    began = clock.monotonic()
    await desk.run(2)
    assert clock.monotonic() - began < 5
    by_name = {row["subscriber"]: row for row in await desk.jobs()}
    assert by_name["tests.neighbour"]["state"] == "done"
    assert by_name["tests.effect"]["state"] == "dead"
    assert by_name["tests.effect"]["last_error"] == "It did not finish within 0.2 seconds."
    assert await desk.effects() == 1
    await no_transaction_is_open(desk.database)


async def test_a_hanging_row_does_not_hold_up_its_neighbours(desk: Desk) -> None:
    hanging, go = asyncio.Event(), asyncio.Event()

    async def handle(session: WriteSession, job: Job) -> None:
        if job.payload["poison"]:
            hanging.set()
            await go.wait()
        await effect(session, job)

    desk.subscribe(handle)
    await desk.emit(Ping(poison=True))
    runner = desk.runner(batch=8, concurrency=2)
    draining = asyncio.create_task(runner.drain(desk.tenant.id))
    await hanging.wait()
    await desk.emit(*(Ping() for _ in range(60)))
    runner.nudge(desk.tenant.id)
    deadline = clock.monotonic() + 5
    while await desk.effects() < 60:
        assert clock.monotonic() < deadline
        await asyncio.sleep(0.02)
    go.set()
    assert await draining == 61
