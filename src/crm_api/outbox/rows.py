"""SQL of claimed work. Every change after a claim names its fencing token."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text

from crm_api.kit import clock
from crm_api.kit.db import Statement, WriteSession, prepare
from crm_api.outbox.facts import Job

# Rows whose lease ran out more than once are suspects: their worker may have died of them. They are taken one at a
# time, with nothing else of the organization under way, the least tried first, so that the innocent get done and the
# guilty one runs into its last attempt without company. They come after the others, in a pause of the others' work.
_CLAIM = prepare(
    text(
        """
        WITH plain AS (
            SELECT id, state FROM jobs
            WHERE organization_id = :organization_id AND state IN ('due', 'running', 'waiting') AND due_at <= :now
                AND NOT (state = 'running' AND attempts > 1) AND id <> ALL(CAST(:held AS uuid[]))
            ORDER BY due_at LIMIT :wanted FOR UPDATE SKIP LOCKED
        ),
        suspect AS (
            SELECT id, state FROM jobs
            WHERE organization_id = :organization_id AND state IN ('due', 'running', 'waiting') AND due_at <= :now
                AND state = 'running' AND attempts > 1 AND id <> ALL(CAST(:held AS uuid[]))
            ORDER BY attempts, due_at
            LIMIT CASE WHEN :alone AND NOT EXISTS (SELECT 1 FROM plain) THEN 1 ELSE 0 END FOR UPDATE SKIP LOCKED
        ),
        picked AS (SELECT * FROM plain UNION ALL SELECT * FROM suspect)
        UPDATE jobs j SET state = 'running', attempts = j.attempts + 1, lease = gen_random_uuid(), wait_key = NULL,
            due_at = :until
        FROM picked WHERE j.organization_id = :organization_id AND j.id = picked.id
        RETURNING j.id, j.subscriber, j.payload, j.attempts, j.lease, picked.state = 'waiting' AS expired
        """
    )
)
_OWN = "WHERE organization_id = :organization_id AND id = :id AND lease = :lease AND state = 'running'"
_DONE = prepare(text(f"UPDATE jobs SET state = 'done', finished_at = :now, last_error = NULL {_OWN}"))
_WAIT = prepare(
    text(
        "UPDATE jobs SET state = 'waiting', wait_key = :key, due_at = :until, attempts = 0, finished_at = NULL "
        "WHERE organization_id = :organization_id AND id = :id AND lease = :lease"
    )
)
_POSTPONE = prepare(
    text(
        "UPDATE jobs SET state = 'due', due_at = :due, last_error = :error, "
        f"attempts = greatest(attempts - :refund, 0) {_OWN}"
    )
)
_BURY = prepare(text(f"UPDATE jobs SET state = 'dead', due_at = :now, last_error = :error, finished_at = :now {_OWN}"))
_MINE = """
    SELECT m.id, m.lease FROM unnest(CAST(:ids AS uuid[]), CAST(:leases AS uuid[])) AS m(id, lease)
"""
# A row that its handler's open transaction has locked is left alone: while that lock is held nobody can claim it.
_RENEW = prepare(
    text(
        f"""
        WITH mine AS ({_MINE}),
        free AS (
            SELECT j.id FROM jobs j JOIN mine ON j.id = mine.id AND j.lease = mine.lease
            WHERE j.organization_id = :organization_id AND j.state = 'running' FOR NO KEY UPDATE OF j SKIP LOCKED
        ),
        renewed AS (
            UPDATE jobs j SET due_at = :until FROM free WHERE j.organization_id = :organization_id AND j.id = free.id
        )
        SELECT j.id FROM jobs j JOIN mine ON j.id = mine.id AND j.lease = mine.lease
        WHERE j.organization_id = :organization_id
        """
    )
)
_RETURN = prepare(
    text(
        f"""
        WITH mine AS ({_MINE})
        UPDATE jobs j SET state = 'due', due_at = :now, attempts = greatest(j.attempts - 1, 0)
        FROM mine WHERE j.organization_id = :organization_id AND j.id = mine.id AND j.lease = mine.lease
            AND j.state = 'running'
        """
    )
)


async def claim(
    session: WriteSession, *, wanted: int, lease: float, alone: bool, held: Sequence[UUID] = ()
) -> list[Job]:
    """Take due rows; `alone`: nothing else of this organization is under way here. `held` are not taken: they are being
    run here, only their leases were renewed too late."""
    now = clock.utc_now()
    until = now + timedelta(seconds=lease)
    found = await session.fetch(_CLAIM, now=now, until=until, wanted=wanted, alone=alone, held=list(held))
    return [
        Job(row["id"], row["subscriber"], row["payload"], row["attempts"], row["lease"], row["expired"])
        for row in found
    ]


async def finish(session: WriteSession, job: Job) -> bool:
    """Mark a row done; whether it was still ours."""
    return await _own(session, _DONE, job, now=clock.utc_now())


async def wait(session: WriteSession, job: Job, *, key: str, until: datetime) -> None:
    """Let a row wait to be woken."""
    await _own(session, _WAIT, job, key=key, until=until)


async def postpone(session: WriteSession, job: Job, *, seconds: float, error: str, spend: bool) -> bool:
    """Make a row due later; whether it was still ours. `spend`: the attempt counts."""
    due = clock.utc_now() + timedelta(seconds=seconds)
    return await _own(session, _POSTPONE, job, due=due, error=error, refund=0 if spend else 1)


async def bury(session: WriteSession, job: Job, *, error: str) -> bool:
    """Give a row up; whether it was still ours."""
    return await _own(session, _BURY, job, error=error, now=clock.utc_now())


async def renew(session: WriteSession, jobs: Sequence[Job], *, lease: float) -> set[UUID]:
    """Renew leases; the rows that nobody else has taken since."""
    until = clock.utc_now() + timedelta(seconds=lease)
    rows = await session.fetch(_RENEW, ids=[j.id for j in jobs], leases=[j.lease for j in jobs], until=until)
    return {row["id"] for row in rows}


async def give_back(session: WriteSession, jobs: Sequence[Job]) -> int:
    """Return rows that were not finished, their attempts unspent; how many were still ours."""
    ids, leases = [j.id for j in jobs], [j.lease for j in jobs]
    return await session.execute(_RETURN, ids=ids, leases=leases, now=clock.utc_now())


async def _own(session: WriteSession, statement: Statement, job: Job, **values: object) -> bool:
    return bool(await session.execute(statement, id=job.id, lease=job.lease, **values))
