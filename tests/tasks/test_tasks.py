"""Tasks over the API, and the alarm: each reminder and each due date is noticed once, at its time, in any order of
events and with a clock that moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from crm_api.kit.ids import new_id
from crm_api.outbox.facts import REGISTRY, Job, Subscriber
from crm_api.tasks import service
from crm_api.tasks.facts import TaskAlarm, TaskDue, TaskReminder
from tests.conftest import MakeWorld
from tests.support.world import World

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def z(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


@pytest.fixture
async def heard() -> AsyncIterator[list[tuple[str, str]]]:
    """What was told of tasks, as (fact, task id)."""
    async with listening() as told:
        yield told


@asynccontextmanager
async def listening() -> AsyncIterator[list[tuple[str, str]]]:
    told: list[tuple[str, str]] = []
    subscribers = []
    for fact in (TaskReminder, TaskDue):

        async def listen(session: Any, job: Job, name: str = fact.__name__) -> None:
            told.append((name, job.payload["task_id"]))

        subscribers.append(Subscriber(f"tests.{new_id()}", (fact,), handle=listen))
        REGISTRY.subscribe(subscribers[-1])
    try:
        yield told
    finally:
        for subscriber in subscribers:
            del REGISTRY.subscribers[subscriber.name]
            REGISTRY.by_fact[subscriber.facts[0]].remove(subscriber)


async def task(world: World, title: str = "Call", **members: Any) -> Any:
    return await world.post("/v1/tasks", {"title": title, **members})


async def at(world: World, moment: datetime) -> None:
    """Time passes, the worker works."""
    await world.set_clock(moment)
    await world.drain()


async def titles(world: World, **query: Any) -> list[str]:
    return [row["title"] for row in (await world.get("/v1/tasks", params=query))["data"]]


async def test_a_task_from_plan_to_done(world: World) -> None:
    await world.set_clock(NOON)
    contact = (await world.contact())["id"]
    nadia = (await world.post("/v1/members", {"email": "nadia@fund.example", "role": "fundraiser"}))["id"]
    made = await task(world, "Надіслати звіт", contact_id=contact, assignee_id=nadia, due_on="2026-03-12")
    path = f"/v1/tasks/{made['id']}"
    assert (made["status"], made["priority"], made["due_at"], made["completed_at"]) == ("open", "normal", None, None)
    assert await world.get(path) == made

    await at(world, NOON + timedelta(days=1))
    done = await world.patch(path, {"status": "done"}, headers={"If-Match": '"1"'})
    assert (done["completed_at"], done["completed_by_kind"]) == (z(NOON + timedelta(days=1)), "api_key")
    assert (await world.patch(path, {"status": "done"}))["version"] == 2, "done already"
    open_again = await world.patch(path, {"status": "open", "priority": "urgent"})
    assert (open_again["completed_at"], open_again["completed_by_id"]) == (None, None)
    assert (await world.patch(path, {"status": "canceled"}))["completed_at"] is None
    moved = await world.patch(path, {"due_at": "2026-03-15T09:00:00Z"})
    assert (moved["due_on"], moved["due_at"]) == (None, "2026-03-15T09:00:00Z")
    back = await world.patch(path, {"due_on": "2026-03-16"})
    assert (back["due_on"], back["due_at"]) == ("2026-03-16", None)
    await world.patch(path, {"due_on": "2026-03-16", "due_at": "2026-03-15T09:00:00Z"}, expect=422)
    await world.patch(path, {"title": None}, expect=422)
    await world.patch(path, {"contact_id": str(new_id())}, expect=404)


async def test_what_is_to_be_done_now(world: World) -> None:
    await world.set_clock(NOON)
    contact = (await world.contact())["id"]
    nadia = (await world.post("/v1/members", {"email": "nadia@fund.example", "role": "fundraiser"}))["id"]
    await task(world, "someday")
    await task(world, "today", due_on="2026-03-10", assignee_id=nadia)
    await task(world, "yesterday", due_on="2026-03-09", contact_id=contact, assignee_id=nadia)
    await task(world, "this morning", due_at=z(NOON - timedelta(hours=3)), priority="urgent")
    await task(world, "right now", due_at=z(NOON))
    done = await task(world, "done late", due_on="2026-03-01")
    await world.patch(f"/v1/tasks/{done['id']}", {"status": "done"})

    assert await titles(world, sort="due", status="open") == [
        "yesterday", "this morning", "right now", "today", "someday"
    ]  # fmt: skip
    assert await titles(world, sort="due", overdue="true") == ["yesterday", "this morning", "right now"]
    assert await titles(world, sort="-due", overdue="true", assignee_id=nadia) == ["yesterday"]
    assert await titles(world, contact_id=contact) == ["yesterday"]
    assert await titles(world, priority="urgent", status="open") == ["this morning"]
    day = {"due[gte]": "2026-03-10T00:00:00Z", "due[lt]": "2026-03-11T00:00:00Z"}
    assert await titles(world, sort="due", **day) == ["yesterday", "this morning", "right now"]
    page = await world.get("/v1/tasks", params={"sort": "due", "overdue": "true", "limit": 1, "include_total": "true"})
    assert page["total"] == 3
    rest = {"sort": "due", "overdue": "true", "limit": 2, "cursor": page["next_cursor"]}
    assert await titles(world, **rest) == ["this morning", "right now"]
    await world.get("/v1/tasks", params={"overdue": "false"}, expect=422)


async def test_each_reminder_is_given_once_at_its_time(world: World, heard: list[tuple[str, str]]) -> None:
    await world.set_clock(NOON)
    first = await task(world, remind_at=z(NOON + timedelta(minutes=17)))
    second = await task(world, remind_at=z(NOON + timedelta(hours=2)), due_at=z(NOON + timedelta(hours=3)))
    never = await task(world, remind_at=z(NOON + timedelta(hours=1)))
    await world.patch(f"/v1/tasks/{never['id']}", {"status": "done"})
    await at(world, NOON + timedelta(minutes=16, seconds=59))
    assert heard == []
    await at(world, NOON + timedelta(minutes=17))
    assert heard == [("TaskReminder", first["id"])]
    for minutes in (18, 60, 119):
        await at(world, NOON + timedelta(minutes=minutes))
    assert len(heard) == 1
    await at(world, NOON + timedelta(hours=2))
    assert heard[1:] == [("TaskReminder", second["id"])]
    await at(world, NOON + timedelta(hours=9))
    await at(world, NOON + timedelta(days=9))
    assert heard[2:] == [("TaskDue", second["id"])]

    reminded = await world.get(f"/v1/tasks/{second['id']}")
    assert (reminded["reminded"], reminded["reminded_at"]) == (True, z(NOON + timedelta(hours=2)))
    assert reminded["version"] == 3, "an ETag from before is stale"
    page = await world.get("/v1/tasks", params={"reminded": "true"})
    assert {row["id"] for row in page["data"]} == {first["id"], second["id"]}
    assert [row["id"] for row in (await world.get("/v1/tasks", params={"reminded": "false"}))["data"]] == [never["id"]]


async def test_another_moment_is_another_reminder(world: World, heard: list[tuple[str, str]]) -> None:
    await world.set_clock(NOON)
    made = await task(world, remind_at=z(NOON + timedelta(hours=1)), due_at=z(NOON + timedelta(hours=1)))
    path = f"/v1/tasks/{made['id']}"
    await world.patch(path, {"remind_at": z(NOON + timedelta(hours=4))})
    await at(world, NOON + timedelta(hours=2))
    assert heard == [("TaskDue", made["id"])], "the reminder has moved on"
    await at(world, NOON + timedelta(hours=4))
    assert heard[1:] == [("TaskReminder", made["id"])]
    await world.patch(path, {"title": "Other words", "remind_at": z(NOON + timedelta(hours=4))})
    await at(world, NOON + timedelta(hours=5))
    assert len(heard) == 2, "the same moment again is no other reminder"
    moved = await world.patch(path, {"remind_at": z(NOON + timedelta(hours=1)), "due_on": "2026-03-10"})
    assert (moved["reminded"], moved["reminded_at"]) == (False, None)
    await world.drain()
    assert heard[2:] == [("TaskReminder", made["id"])], "a moment that is over is noticed at once"
    await at(world, NOON + timedelta(hours=12))
    assert heard[3:] == [("TaskDue", made["id"])], "its day is over"
    await world.patch(path, {"remind_at": None})
    await at(world, NOON + timedelta(days=5))
    assert len(heard) == 4


async def test_a_clock_that_moves_back(world: World, heard: list[tuple[str, str]]) -> None:
    """What was given stays given; what was not is given when its time comes, also at a moment that has been before."""
    moment = NOON + timedelta(hours=1)
    await world.set_clock(NOON)
    early = await task(world, "early", remind_at=z(moment))
    late = await task(world, "late", remind_at=z(NOON + timedelta(days=1)))
    await at(world, moment)
    await at(world, NOON - timedelta(minutes=30))
    again = await task(world, "again", remind_at=z(moment))
    await at(world, NOON + timedelta(minutes=59))
    assert heard == [("TaskReminder", early["id"])]
    await at(world, moment)
    assert heard[1:] == [("TaskReminder", again["id"])]
    await at(world, NOON + timedelta(hours=20))
    await at(world, NOON + timedelta(hours=19))
    await at(world, NOON + timedelta(days=1))
    assert heard[2:] == [("TaskReminder", late["id"])]
    await world.set_clock(None)  # far beyond all of it
    await world.drain()
    assert len(heard) == 3


async def test_due_days_end_where_the_organization_is(make_world: MakeWorld, heard: list[tuple[str, str]]) -> None:
    world = await make_world(timezone="Europe/Kyiv")
    midnight = datetime(2026, 3, 29, tzinfo=ZoneInfo("Europe/Kyiv"))  # a day of 23 hours follows
    await world.set_clock(NOON)
    made = await task(world, due_on="2026-03-28")
    spring = await task(world, due_on="2026-03-29")
    await at(world, midnight - timedelta(seconds=1))
    assert heard == []
    await at(world, midnight)
    assert heard == [("TaskDue", made["id"])]
    await at(world, midnight.astimezone(UTC) + timedelta(hours=23) - timedelta(seconds=1))
    assert len(heard) == 1
    await world.patch("/v1/organization", {"timezone": "America/New_York"})
    await world.drain()
    end = datetime(2026, 3, 30, tzinfo=ZoneInfo("America/New_York"))
    await at(world, end - timedelta(seconds=1))
    assert len(heard) == 1
    await at(world, end)
    assert heard[1:] == [("TaskDue", spring["id"])]


async def test_many_workers_and_many_runs_tell_once(world: World, heard: list[tuple[str, str]]) -> None:
    await world.set_clock(NOON)
    made = [await task(world, f"{n}", remind_at=z(NOON + timedelta(minutes=n % 3))) for n in range(12)]
    await world.set_clock(NOON + timedelta(minutes=5))

    async def run() -> None:
        async with world.database.write(replace(world.tenant, test_clock=NOON + timedelta(minutes=5))) as session:
            await service.ring(session)

    await asyncio.gather(*(run() for _ in range(4)), world.drain())
    await world.drain()
    assert sorted(heard) == sorted(("TaskReminder", row["id"]) for row in made)


async def test_more_than_one_run_takes(
    world: World, heard: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "AT_ONCE", 4)
    await world.set_clock(NOON)
    for n in range(10):
        await task(world, f"{n}", remind_at=z(NOON + timedelta(minutes=1)), due_at=z(NOON + timedelta(minutes=2)))
    await at(world, NOON + timedelta(minutes=3))
    assert len(heard) == len(set(heard)) == 20


async def test_an_alarm_without_reason_does_nothing(world: World, heard: list[tuple[str, str]]) -> None:
    await world.set_clock(NOON)
    await task(world)
    await at(world, NOON + timedelta(days=3))
    assert heard == []
    alarms = [job for job in await world.jobs() if job["fact"] == TaskAlarm.__name__]
    assert len(alarms) == 1, "once a day at most where nothing waits; a jump over days is one"
