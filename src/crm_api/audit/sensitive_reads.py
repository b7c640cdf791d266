"""Who was shown sensitive values of whom: noted in the process while the answer is made, written a moment later.

A read waits for none of it and holds no transaction. What is noted is written within a second, all rows of an
organization in one trip, tried again where the database is away, and at the latest when the process ends in order. Only
a process that is killed loses what it noted in its last moment.
"""

from __future__ import annotations

import asyncio
from typing import Any

from crm_api.audit.models import audit_events
from crm_api.audit.service import event_row
from crm_api.kit.db import Database, ReadSession, Tenant
from crm_api.kit.log import get_logger
from crm_api.kit.problems import Conflict

log = get_logger("crm_api.audit")
_GATHER_SECONDS = 0.25
_PAUSES = (0.0, 0.5, 1.0, 2.0, 4.0)
"""Seconds before each try."""
_AT_THE_END_SECONDS = 10.0
_AT_ONCE = 1_000
MOST_WAITING = 50_000
"""So many rows wait at most; beyond that the database has been away for long, and what is lost is logged by number."""


class _Waiting:
    """What one process has noted of one database and not written yet."""

    __slots__ = ("count", "rows", "task")

    def __init__(self) -> None:
        self.rows: dict[Tenant, list[dict[str, Any]]] = {}
        self.count = 0
        self.task: asyncio.Task[None] | None = None


_waiting: dict[Database, _Waiting] = {}


def note(session: ReadSession, action: str, resource: str, resource_id: object, *, fields: list[str]) -> None:
    """The session's actor is shown these members of a thing (their names). Returns at once."""
    database = session.database
    waiting = _waiting.get(database)
    if waiting is None:
        waiting = _waiting[database] = _Waiting()
    if waiting.count >= MOST_WAITING:
        log.error("sensitive_reads_lost", count=1, reason="too many wait to be written")
        return
    row = event_row(session.actor, action, resource, resource_id, fields=fields)
    waiting.rows.setdefault(session.tenant, []).append(row)
    waiting.count += 1
    if waiting.task is None or waiting.task.done():
        waiting.task = asyncio.get_running_loop().create_task(_write_soon(database))


async def flush(database: Database) -> None:
    """Write what waits now: before the database is closed, and in tests."""
    waiting = _waiting.get(database)
    if waiting is None:
        return
    if waiting.task is not None and not waiting.task.done():
        waiting.task.cancel()
        await asyncio.wait([waiting.task])
    try:
        async with asyncio.timeout(_AT_THE_END_SECONDS):
            await _write(database)
    except TimeoutError:
        log.error("sensitive_reads_lost", count=waiting.count, reason="the database is away")
        _waiting.pop(database, None)


async def _write_soon(database: Database) -> None:
    await asyncio.sleep(_GATHER_SECONDS)
    writing = asyncio.ensure_future(_write(database))
    try:
        await asyncio.shield(writing)
    except asyncio.CancelledError:  # the process ends: what is being written is not torn
        await writing
        raise


async def _write(database: Database) -> None:
    waiting = _waiting.get(database)
    while waiting is not None and waiting.rows:
        tenant, rows = waiting.rows.popitem()
        for begin in range(0, len(rows), _AT_ONCE):
            part = rows[begin : begin + _AT_ONCE]
            await _keep(database, tenant, part)
            waiting.count -= len(part)
    _waiting.pop(database, None)


async def _keep(database: Database, tenant: Tenant, rows: list[dict[str, Any]]) -> None:
    failed = ""
    for pause in _PAUSES:
        await asyncio.sleep(pause)
        try:
            async with database.write(tenant) as session:
                session.later_rows(audit_events, rows)
            return
        except Conflict:  # the try before has written them, and its answer was lost
            return
        except Exception as error:
            failed = type(error).__name__
    log.error("sensitive_reads_lost", count=len(rows), reason=failed)
