"""Recording facts: one row per interested subscriber, in the transaction that made the fact true."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select, text, update

from crm_api.kit import clock
from crm_api.kit.db import ReadSession, Row, WriteSession, prepare
from crm_api.kit.ids import new_id
from crm_api.kit.problems import Conflict, NotFound
from crm_api.outbox.facts import REGISTRY, Fact, Registry
from crm_api.outbox.models import jobs

_ring: list[Callable[[UUID], None]] = []


def set_doorbell(ring: Callable[[UUID], None] | None) -> None:
    """How this process tells the workers that an organization has work. `None`: the sweep finds it."""
    _ring[:] = [] if ring is None else [ring]


def emit(session: WriteSession, fact: Fact, *, delay: timedelta = timedelta(0), registry: Registry = REGISTRY) -> None:
    """Record a fact. Subscribers with nothing to do get no row. A bulk session records one batch fact for many."""
    if session.bulk and (whole := fact.in_bulk(session.bulk)) is not fact:
        if whole in session.told:
            return
        session.told |= {whole}
        fact = whole
    interested = [s for s in registry.by_fact.get(type(fact), ()) if s.wants(fact)]
    if not interested:
        return
    now = clock.utc_now()
    fact_id = new_id()
    payload = fact.model_dump(mode="json")
    for subscriber in interested:
        session.later(
            jobs,
            id=new_id(),
            subscriber=subscriber.name,
            fact=type(fact).__name__,
            fact_id=fact_id,
            payload=payload,
            due_at=(now + delay).isoformat(),
            request_id=session.actor.request_id or None,
            created_at=now.isoformat(),
        )
    ring(session)


def ring(session: WriteSession) -> None:
    """Ring the doorbell once this transaction is committed."""
    if _ring:
        session.after_commit(lambda: _ring[0](session.organization_id) if _ring else None)


def ring_now(organization_id: UUID) -> None:
    """Ring for work that is committed already."""
    if _ring:
        _ring[0](organization_id)


_WAKE = prepare(
    text(
        "UPDATE jobs SET state = 'due', due_at = :now, wait_key = NULL "
        "WHERE organization_id = :organization_id AND state = 'waiting' AND wait_key = ANY(:keys)"
    )
)


async def wake(session: WriteSession, keys: list[str]) -> int:
    """Make rows due that wait for any of the keys; how many there were."""
    woken = await session.execute(_WAKE, keys=keys, now=clock.utc_now())
    if woken:
        ring(session)
    return woken


_GET = prepare(select(jobs).where(jobs.c.organization_id == bindparam("organization_id"), jobs.c.id == bindparam("id")))
_RETRY = prepare(
    update(jobs)
    .where(
        jobs.c.organization_id == bindparam("organization_id"),
        jobs.c.id == bindparam("id"),
        jobs.c.state.in_([bindparam("s1", "dead"), bindparam("s2", "waiting"), bindparam("s3", "due")]),
    )
    .values(state="due", attempts=0, due_at=bindparam("now"), wait_key=None, finished_at=None)
    .returning(jobs)
)


async def get_job(session: ReadSession, job_id: UUID) -> Row:
    """One row of work."""
    row = await session.fetch_row(_GET, id=job_id)
    if row is None:
        raise NotFound("There is no such job; finished jobs are removed after some days.")
    return row


async def retry_job(session: WriteSession, job_id: UUID) -> Row:
    """Make a dead, waiting or backed-off job due now, with fresh attempts."""
    row = await session.fetch_row(_RETRY, id=job_id, now=clock.utc_now())
    if row is None:
        row = await get_job(session, job_id)
        raise Conflict(
            f"The job is {row['state']}; only dead, waiting or due jobs can be retried.", code="job_not_idle"
        )
    ring(session)
    return row


def job_times(row: Row) -> dict[str, Any]:
    """When the row is looked at next, or null once it is finished."""
    due: datetime | None = row["due_at"] if row["state"] in {"due", "running", "waiting"} else None
    return {"due_at": due}
