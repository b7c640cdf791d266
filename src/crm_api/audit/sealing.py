"""Sealing the audit behind everybody's back, so that no write waits for a chain, and checking what was sealed.

A seal covers every event after the last one of the seal before it, up to and with its own last: the order is that of
the ids, which the application makes when something is done. A transaction commits its events later than that, so a seal
keeps its distance from the present. An event that came later still, with an id among sealed ones, is found by `verify`
as one that was added, and rightly: nobody can tell it from a forged one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import bindparam, select, text

from crm_api.audit.chain import GENESIS, Run, first_id_of, seal_hash
from crm_api.audit.models import audit_events, audit_seals
from crm_api.kit import clock
from crm_api.kit.db import ReadSession, Row, WriteSession, prepare
from crm_api.kit.ids import new_id

SETTLED = timedelta(minutes=5)
"""How old an event is before it is sealed. An id is made up to some seconds before its row is written (waiting for a
connection, a retry), and by the clock of another machine."""
BEFORE_OPEN = timedelta(minutes=1)
"""How far before the oldest transaction still open nothing is sealed, however long that runs."""
AT_ONCE = 5_000
"""The most events of one seal."""
_FIRST = UUID(int=0)
_SEALS_AT_ONCE = 500

_LOCK = prepare(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"))
_LAST = prepare(
    select(audit_seals)
    .where(audit_seals.c.organization_id == bindparam("organization_id"))
    .order_by(audit_seals.c.number.desc())
    .limit(1)
)
_EVENTS = prepare(
    select(audit_events)
    .where(
        audit_events.c.organization_id == bindparam("organization_id"),
        audit_events.c.id > bindparam("after"),
        audit_events.c.id <= bindparam("until"),
    )
    .order_by(audit_events.c.id)
    .limit(bindparam("most"))
)
_SEALS = prepare(
    select(audit_seals)
    .where(audit_seals.c.organization_id == bindparam("organization_id"), audit_seals.c.number > bindparam("after"))
    .order_by(audit_seals.c.number)
    .limit(_SEALS_AT_ONCE)
)
# A role sees the transactions of its own sessions only: those are the service's, which write events.
_OLDEST_OPEN = prepare(
    text(
        "SELECT min(xact_start) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND usename = current_user"
    )
)


async def settled_until(session: ReadSession) -> datetime:
    """The moment before which no event is still to come: some minutes ago, and before every open transaction."""
    until = clock.utc_now() - SETTLED
    oldest: datetime | None = await session.fetch_val(_OLDEST_OPEN)
    return until if oldest is None else min(until, oldest - BEFORE_OPEN)


async def seal_next(session: WriteSession, *, through: datetime | None = None) -> int:
    """Seal the oldest events that are settled and not sealed yet, at most `AT_ONCE`; how many. One at a time in each
    organization. `through`: where the caller knows better what is settled (`settled_until`)."""
    await session.fetch(_LOCK, name=f"{session.organization_id}:audit-seal")
    through = through or await settled_until(session)
    last = await session.fetch_row(_LAST)
    after = _FIRST if last is None else last["last_event_id"]
    rows = await session.fetch(_EVENTS, after=after, until=first_id_of(through), most=AT_ONCE)
    if not rows:
        return 0
    run = Run()
    for row in rows:
        run.add(row)
    previous = GENESIS if last is None else last["hash"]
    session.later(
        audit_seals,
        id=new_id(),
        number=1 if last is None else last["number"] + 1,
        first_event_id=run.first,
        last_event_id=run.last,
        events=run.count,
        digest=run.digest,
        previous_hash=previous,
        hash=seal_hash(previous, run.first, run.last, run.count, run.digest),
        through_at=through,
        sealed_at=clock.utc_now(),
    )
    return run.count


@dataclass(frozen=True, slots=True)
class Misfit:
    """The first seal that does not fit, and what that means."""

    number: int
    code: str
    """``seal_missing``, ``chain_broken``, ``seal_changed``, ``events_removed``, ``events_added`` or
    ``events_changed``."""
    first_event_id: UUID
    last_event_id: UUID
    words: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the check of one organization's audit found."""

    seals: int
    """How many seals fit, from the first on."""
    events: int
    """How many events they hold."""
    number: int
    hash: str
    """The last seal that fits: what was kept elsewhere must be equal."""
    misfit: Misfit | None


async def count_sealed(session: ReadSession) -> int:
    """How many events all seals say they hold: for a measure of progress."""
    return int(await session.fetch_val(_COUNT) or 0)


_COUNT = prepare(text("SELECT sum(events) FROM audit_seals WHERE organization_id = :organization_id"))


async def verify(session: ReadSession, advance: Callable[[int], None] = lambda _: None) -> Verdict:
    """Compute every seal again from the events as they are now, up to the first one that does not fit. Memory does not
    grow with the audit. `advance` hears of events that were gone through."""
    number, previous, after, events = 0, GENESIS, _FIRST, 0
    async for seal in _all_seals(session):
        misfit = _own_fault(seal, number + 1, previous)
        if misfit is None:
            misfit = _fault_of_events(seal, await _run(session, after, seal["last_event_id"], advance))
        if misfit is not None:
            return Verdict(number, events, number, previous, misfit)
        number, previous, after, events = seal["number"], seal["hash"], seal["last_event_id"], events + seal["events"]
    return Verdict(number, events, number, previous, None)


async def _all_seals(session: ReadSession) -> AsyncIterator[Row]:
    after = 0
    while seals := await session.fetch(_SEALS, after=after):
        for seal in seals:
            yield seal
        after = seals[-1]["number"]


async def _run(session: ReadSession, after: UUID, until: UUID, advance: Callable[[int], None]) -> Run:
    """The events after one id up to and with another. What stands between two seals belongs to the later one."""
    run = Run()
    while rows := await session.fetch(_EVENTS, after=after, until=until, most=AT_ONCE):
        for row in rows:
            run.add(row)
        advance(len(rows))
        after = rows[-1]["id"]
        if len(rows) < AT_ONCE:
            break
    return run


def _misfit(seal: Row, code: str, words: str) -> Misfit:
    return Misfit(seal["number"], code, seal["first_event_id"], seal["last_event_id"], words)


def _own_fault(seal: Row, number: int, previous: str) -> Misfit | None:
    """What is wrong with a seal itself, before its events are looked at."""
    if seal["number"] != number:
        return _misfit(seal, "seal_missing", f"The seal before it is gone: number {number} was to come.")
    if seal["previous_hash"] != previous:
        return _misfit(seal, "chain_broken", "It does not name the hash of the seal before it: one was replaced.")
    members = (seal[name] for name in ("previous_hash", "first_event_id", "last_event_id", "events", "digest"))
    if seal["hash"] != seal_hash(*members):
        return _misfit(seal, "seal_changed", "Its hash is not that of its own members: the seal was changed.")
    return None


def _fault_of_events(seal: Row, run: Run) -> Misfit | None:
    """What is wrong with the events of a seal that is sound itself."""
    missing = seal["events"] - run.count
    if missing > 0:
        return _misfit(seal, "events_removed", f"{missing} of its {seal['events']} events are gone.")
    if missing < 0:
        words = f"{-missing} events stand among its {seal['events']} that were not there when it was made."
        return _misfit(seal, "events_added", words)
    if run.digest != seal["digest"]:
        return _misfit(seal, "events_changed", f"At least one of its {seal['events']} events is not as it was sealed.")
    return None
