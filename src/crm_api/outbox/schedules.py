"""Schedules: the next time of each is a row, and so is every occurrence that has been started."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta

from sqlalchemy import text

from crm_api.kit import clock
from crm_api.kit.db import Tenant, WriteSession, prepare
from crm_api.outbox.facts import Registry, Schedule
from crm_api.outbox.service import emit, ring

_DAY = timedelta(days=1)
_ENSURE = prepare(
    text(
        "INSERT INTO schedules (organization_id, name, next_at) VALUES (:organization_id, :name, :next_at) "
        "ON CONFLICT DO NOTHING"
    )
)
_DUE = prepare(
    text(
        "SELECT name, next_at FROM schedules WHERE organization_id = :organization_id AND next_at <= :now "
        "ORDER BY name FOR UPDATE SKIP LOCKED"
    )
)
_ADVANCE = prepare(
    text("UPDATE schedules SET next_at = :next_at WHERE organization_id = :organization_id AND name = :name")
)
_BRING_FORWARD = prepare(
    text(
        "INSERT INTO schedules (organization_id, name, next_at) VALUES (:organization_id, :name, :moment) "
        "ON CONFLICT (organization_id, name) DO UPDATE SET next_at = least(schedules.next_at, excluded.next_at)"
    )
)
_OCCUR = prepare(
    text(
        "INSERT INTO schedule_occurrences (organization_id, name, occurrence, recorded_at) "
        "VALUES (:organization_id, :name, :occurrence, :recorded_at) ON CONFLICT DO NOTHING"
    )
)


def next_occurrence(schedule: Schedule, after: datetime, zone_name: str) -> datetime:
    """The first occurrence strictly after a moment.

    Schedules of whole days stand at a local hour of the organization's zone, so they move with its summer time; an hour
    that a clock change leaves out happens at the moment the zone's rules map it to, one that it repeats happens the
    first time. Of several days they stand on those days whose number since the year 1 they divide. Shorter ones divide
    the time since 1970.
    """
    if schedule.every >= _DAY:
        zone = clock.zone(zone_name)
        local = after.astimezone(zone).replace(hour=schedule.at_hour, minute=0, second=0, microsecond=0, fold=0)
        while (moment := local.astimezone(clock.UTC)) <= after or local.toordinal() % schedule.every.days:
            local += _DAY
        return moment
    step = schedule.every.total_seconds()
    return clock.from_unix(int((after.timestamp() // step + 1) * step))


def missed(schedule: Schedule, since: datetime, now: datetime, zone_name: str) -> tuple[list[datetime], datetime]:
    """The newest `catch_up` of the occurrences from `since` (itself one) to now, and the first one after now."""
    found: deque[datetime] = deque(maxlen=schedule.catch_up)
    moment = since
    if (gap := now - schedule.every * (schedule.catch_up + 2)) > since:  # long away: only the newest matter
        moment = next_occurrence(schedule, gap, zone_name)
    while moment <= now:
        found.append(moment)
        moment = next_occurrence(schedule, moment, zone_name)
    return list(found), moment


async def ensure(session: WriteSession, registry: Registry) -> None:
    """Give the organization a row for every schedule it lacks."""
    for schedule in registry.schedules.values():
        first = next_occurrence(schedule, session.now, session.tenant.timezone)
        await session.execute(_ENSURE, name=schedule.name, next_at=first)


async def run_due(session: WriteSession, registry: Registry) -> int:
    """Start every occurrence whose time has come, in the organization's time; how many were started.

    Occurrences missed while no worker ran are caught up: the newest `catch_up` of each schedule.
    """
    started = 0
    for row in await session.fetch(_DUE, now=session.now):
        schedule = registry.schedules.get(row["name"])
        if schedule is None:  # a schedule of another version: leave it a day
            await session.execute(_ADVANCE, name=row["name"], next_at=session.now + timedelta(days=1))
            continue
        occurrences, following = missed(schedule, row["next_at"], session.now, session.tenant.timezone)
        for occurrence in occurrences:
            if schedule.alarm or await session.execute(
                _OCCUR, name=schedule.name, occurrence=occurrence, recorded_at=clock.utc_now()
            ):
                emit(session, schedule.fact(occurrence=occurrence), registry=registry)  # type: ignore[call-arg]
                started += 1
        await session.execute(_ADVANCE, name=schedule.name, next_at=following)
    return started


async def rewind(session: WriteSession, registry: Registry, tenant: Tenant) -> None:
    """After a test clock moved back: plan from the new time. Occurrences that ran once do not run again."""
    for schedule in registry.schedules.values():
        moment = tenant.now() if schedule.alarm else next_occurrence(schedule, tenant.now(), tenant.timezone)
        await session.execute(_ADVANCE, name=schedule.name, next_at=moment)


async def bring_forward(session: WriteSession, name: str, moment: datetime) -> None:
    """Let an alarm ring at a moment of the organization's time, unless it rings sooner anyway.

    The row stays locked to the end of the transaction, also where nothing changes: `run_due` leaves it alone meanwhile,
    so an alarm cannot have looked just before what it is set for was committed.
    """
    await session.execute(_BRING_FORWARD, name=name, moment=moment)
    if moment <= session.now:
        ring(session)
