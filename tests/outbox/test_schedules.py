"""Schedules: when the next time is, in every zone and over every clock change; each occurrence once, none forgotten."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crm_api.kit import clock
from crm_api.kit.db import Tenant
from crm_api.kit.problems import Conflict
from crm_api.outbox import schedules
from crm_api.outbox.facts import Schedule
from crm_api.outbox.schedules import missed, next_occurrence
from crm_api.outbox.tasks import prune
from tests.outbox.desk import Desk, Ticked
from tests.support.effort import examples
from tests.support.world import World

ZONES = (
    "UTC",
    "Europe/Kyiv",
    "America/New_York",
    "Asia/Tbilisi",
    "Pacific/Apia",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
)
moments = st.integers(1_072_915_200, 2_082_758_400).map(clock.from_unix)
days = st.builds(
    lambda count, hour: Schedule("tests.daily", Ticked, every=timedelta(days=count), at_hour=hour),
    st.sampled_from((1, 1, 1, 2, 7)),
    st.integers(0, 23),
)


def daily(hour: int, **options: Any) -> Schedule:
    return Schedule("tests.daily", Ticked, every=timedelta(days=1), at_hour=hour, **options)


def every(**length: float) -> Schedule:
    return Schedule("tests.often", Ticked, every=timedelta(**length))


@settings(max_examples=examples(300), deadline=None)
@given(days, moments, st.sampled_from(ZONES))
@example(daily(3), datetime(2026, 3, 29, 0, 59, tzinfo=UTC), "Europe/Kyiv")
@example(daily(3), datetime(2026, 10, 25, 0, 0, tzinfo=UTC), "Europe/Kyiv")
@example(daily(2), datetime(2026, 3, 8, 6, 59, tzinfo=UTC), "America/New_York")
@example(daily(1), datetime(2026, 11, 1, 5, 0, tzinfo=UTC), "America/New_York")
@example(daily(9), datetime(2011, 12, 30, 9, 0, tzinfo=UTC), "Pacific/Apia")
def test_the_next_time_of_day_is_the_local_one(schedule: Schedule, after: datetime, zone: str) -> None:
    moment = next_occurrence(schedule, after, zone)
    assert after < moment <= after + schedule.every + timedelta(days=2)
    local = moment.astimezone(ZoneInfo(zone))
    skipped = local.replace(tzinfo=None) != local.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    assert not skipped
    wanted = datetime(local.year, local.month, local.day, schedule.at_hour, tzinfo=ZoneInfo(zone))
    exists = wanted.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) == wanted.replace(tzinfo=None)
    if exists and moment != wanted.astimezone(UTC):
        before = wanted - timedelta(days=1)  # an hour of the day before that a change of the clock moved over midnight
        assert before.astimezone(UTC) == moment
    assert next_occurrence(schedule, moment - timedelta(microseconds=1), zone) == moment, "the same from just before"
    if (moment - after).total_seconds() > 1:
        halfway = after + (moment - after) / 2
        assert next_occurrence(schedule, halfway, zone) == moment, "none in between"


@settings(max_examples=examples(60), deadline=None)
@given(st.integers(0, 23), st.sampled_from(ZONES[:4]), st.integers(2004, 2035))
@example(3, "Europe/Kyiv", 2028)
def test_a_year_has_each_day_once(hour: int, zone: str, year: int) -> None:
    """Also the days on which the clock is changed, and the 29th of February."""
    moment = datetime(year - 1, 12, 31, 12, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    seen: list[date] = []
    while (moment := next_occurrence(daily(hour), moment, zone)).astimezone(ZoneInfo(zone)).year <= year:
        seen.append(moment.astimezone(ZoneInfo(zone)).date())
    expected = [date.fromordinal(n) for n in range(date(year, 1, 1).toordinal(), date(year + 1, 1, 1).toordinal())]
    assert [day for day in seen if day.year == year] == expected


@pytest.mark.parametrize(
    ("zone", "hour", "after", "expected"),
    [
        # Kyiv: 03:00 does not exist on the last Sunday of March; its moment is 04:00 summer time.
        ("Europe/Kyiv", 3, "2026-03-28T12:00Z", "2026-03-29T01:00Z"),
        ("Europe/Kyiv", 3, "2026-03-29T01:00Z", "2026-03-30T00:00Z"),
        # In October 03:00 comes twice: the first counts, the second is no new one.
        ("Europe/Kyiv", 3, "2026-10-24T12:00Z", "2026-10-25T00:00Z"),
        ("Europe/Kyiv", 3, "2026-10-25T00:30Z", "2026-10-26T01:00Z"),
        ("America/New_York", 2, "2026-03-07T12:00Z", "2026-03-08T07:00Z"),
        ("America/New_York", 1, "2026-10-31T12:00Z", "2026-11-01T05:00Z"),
        ("America/New_York", 1, "2026-11-01T05:00Z", "2026-11-02T06:00Z"),
        ("Asia/Tbilisi", 3, "2026-03-28T12:00Z", "2026-03-28T23:00Z"),
        ("Asia/Tbilisi", 3, "2028-02-28T23:00Z", "2028-02-29T23:00Z"),
    ],
)
def test_clock_changes(zone: str, hour: int, after: str, expected: str) -> None:
    assert next_occurrence(daily(hour), datetime.fromisoformat(after), zone) == datetime.fromisoformat(expected)


@settings(max_examples=examples(200), deadline=None)
@given(st.sampled_from((1, 60, 300, 900, 3600, 21_600)), moments)
def test_short_schedules_divide_time(seconds: int, after: datetime) -> None:
    moment = next_occurrence(every(seconds=seconds), after, "Europe/Kyiv")
    assert after < moment <= after + timedelta(seconds=seconds)
    assert moment.timestamp() % seconds == 0


@settings(max_examples=examples(150), deadline=None)
@given(days, moments, st.integers(0, 60 * 24 * 40), st.integers(1, 4), st.sampled_from(ZONES))
def test_missed_ones_are_the_newest_of_all(
    schedule: Schedule, start: datetime, minutes: int, keep: int, zone: str
) -> None:
    since = next_occurrence(schedule, start, zone)
    now = since + timedelta(minutes=minutes)
    chosen = Schedule(schedule.name, Ticked, every=schedule.every, at_hour=schedule.at_hour, catch_up=keep)
    expected, moment = [], since
    while moment <= now:
        expected.append(moment)
        moment = next_occurrence(chosen, moment, zone)
    assert missed(chosen, since, now, zone) == (expected[-keep:], moment)


def test_a_year_of_missed_minutes_is_no_work() -> None:
    began = clock.monotonic()
    found, following = missed(
        Schedule("tests.minute", Ticked, every=timedelta(minutes=1), catch_up=2),
        datetime(2025, 1, 1, tzinfo=UTC),
        datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC),
        "UTC",
    )
    assert clock.monotonic() - began < 0.1
    assert found == [datetime(2025, 12, 31, 23, 59, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)]
    assert following == datetime(2026, 1, 1, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize("wrong", [{"every": timedelta(hours=36)}, {"every": timedelta(0)}, {"catch_up": 0}])
def test_what_could_not_be_kept_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"schedule tests\.x"):
        Schedule("tests.x", Ticked, **{"every": timedelta(days=1), **wrong})  # type: ignore[arg-type]


# Occurrences on real Postgres


def minutely(desk: Desk, catch_up: int = 1) -> None:
    """A schedule with a subscriber that leaves effects."""
    desk.subscribe()
    effect = desk.registry.subscribers["tests.effect"]
    desk.registry.by_fact[Ticked] = [effect]
    desk.registry.schedule(Schedule("tests.minute", Ticked, every=timedelta(minutes=1), catch_up=catch_up))


async def plan(desk: Desk, next_at: datetime) -> None:
    """Forget the organization's other schedules; this one's next time is then."""
    await desk.execute("DELETE FROM schedules WHERE organization_id = :organization_id")
    async with desk.database.write(desk.tenant) as session:
        await schedules.ensure(session, desk.registry)
    await desk.execute("UPDATE schedules SET next_at = :at WHERE organization_id = :organization_id", at=next_at)


async def tick(desk: Desk, tenant: Tenant | None = None) -> int:
    """One worker looks at the organization's schedules."""
    async with desk.database.write(tenant or desk.tenant) as session:
        return await schedules.run_due(session, desk.registry)


async def occurrences(desk: Desk) -> list[datetime]:
    """What has been started so far."""
    rows = await desk.sql(
        "SELECT occurrence FROM schedule_occurrences WHERE organization_id = :organization_id ORDER BY occurrence"
    )
    return [row[0] for row in rows]


async def test_workers_that_tick_at_once_start_an_occurrence_once(desk: Desk) -> None:
    minutely(desk)
    now = clock.utc_now().replace(second=0, microsecond=0)
    await plan(desk, now)
    assert sum(await asyncio.gather(*(tick(desk) for _ in range(6)))) == 1
    assert (await occurrences(desk), len(await desk.jobs())) == ([now], 1)
    await desk.execute("UPDATE schedules SET next_at = :at WHERE organization_id = :organization_id", at=now)
    assert await tick(desk) == 0, "planned again by mistake, it still does not run again"
    assert len(await desk.jobs()) == 1


async def test_what_was_missed_is_caught_up(desk: Desk) -> None:
    minutely(desk, catch_up=3)
    now = clock.utc_now().replace(second=0, microsecond=0)
    await plan(desk, now - timedelta(days=2))
    assert await tick(desk) == 3
    assert await occurrences(desk) == [now - timedelta(minutes=ago) for ago in (2, 1, 0)]
    assert await tick(desk) == 0
    (row,) = await desk.sql("SELECT next_at FROM schedules WHERE organization_id = :organization_id")
    assert row["next_at"] > clock.utc_now()


async def test_a_rolled_back_tick_is_not_lost(desk: Desk) -> None:
    minutely(desk)
    await plan(desk, clock.utc_now().replace(second=0, microsecond=0))
    with contextlib.suppress(Conflict):
        async with desk.database.write(desk.tenant) as session:
            assert await schedules.run_due(session, desk.registry) == 1
            raise Conflict("The worker dies here.")
    assert await occurrences(desk) == []
    assert await tick(desk) == 1


async def test_a_schedule_of_another_version_is_left_alone(desk: Desk) -> None:
    minutely(desk)
    await plan(desk, clock.utc_now() - timedelta(seconds=1))
    desk.registry.schedules.clear()
    assert await tick(desk) == 0
    (row,) = await desk.sql("SELECT next_at FROM schedules WHERE organization_id = :organization_id")
    assert timedelta(hours=23) < row["next_at"] - clock.utc_now() < timedelta(hours=25)


async def test_housekeeping_removes_the_old_and_adds_new_schedules(desk: Desk) -> None:
    desk.subscribe()
    await desk.emit()
    await desk.run()
    old = clock.utc_now() - timedelta(days=8)
    await desk.execute("UPDATE jobs SET finished_at = :old WHERE organization_id = :organization_id", old=old)
    await desk.execute("DELETE FROM schedules WHERE organization_id = :organization_id")
    await desk.emit()
    async with desk.database.write(desk.tenant) as session:
        await prune(session, None)  # type: ignore[arg-type]
    assert Counter(await desk.states()) == {"due": 1}
    rows = await desk.sql("SELECT name FROM schedules WHERE organization_id = :organization_id")
    assert "outbox.housekeeping" in {row["name"] for row in rows}


async def test_a_test_clock_runs_schedules_forward_and_doubles_nothing_when_it_goes_back(world: World) -> None:
    async def rebuilds() -> list[str]:
        await world.drain()
        jobs = await world.jobs(subscriber="scoring.rebuild")
        assert {job["state"] for job in jobs} <= {"done"}
        return sorted(job["payload"]["occurrence"] for job in jobs if "occurrence" in job["payload"])

    start = datetime(2028, 2, 27, 12, tzinfo=UTC)
    await world.set_clock(start)
    first = await rebuilds()
    for day in range(1, 4):
        await world.set_clock(start + timedelta(days=day))
        await rebuilds()
    seen = await rebuilds()
    nights = [f"2028-02-2{n}T03:00:00Z" for n in (8, 9)] + ["2028-03-01T03:00:00Z"]
    assert [night for night in seen if night not in first] == nights
    await world.set_clock(start)
    assert await rebuilds() == seen
    await world.set_clock(start + timedelta(days=2))
    assert await rebuilds() == seen
    await world.set_clock(start + timedelta(days=4))
    assert await rebuilds() == [*seen, "2028-03-02T03:00:00Z"]
