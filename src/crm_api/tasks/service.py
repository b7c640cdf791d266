"""Verbs of tasks, and the alarm that notices when one is to be reminded of or is due."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select, text

from crm_api.audit.service import record
from crm_api.kit import clock, simple
from crm_api.kit.db import ReadSession, RowLike, WriteSession, prepare
from crm_api.kit.problems import NotFound
from crm_api.kit.updates import check_version, update_row
from crm_api.outbox import schedules
from crm_api.outbox.service import emit
from crm_api.tasks.facts import TaskAlarm, TaskChanged, TaskCreated, TaskDue, TaskReminder
from crm_api.tasks.models import tasks
from crm_api.tasks.schemas import TaskCreate, TaskPatch

NEVER = datetime(2999, 12, 31, tzinfo=UTC)
"""`due_by` of a task without a date: after every date that is taken."""
ALARM = "tasks.alarm"
AT_ONCE = 1_000
_READ = (
    "id", "title", "body", "status", "priority", "contact_id", "assignee_id", "deal_id", "interaction_id", "due_on",
    "due_at", "remind_at", "reminded", "reminded_at", "completed_at", "completed_by_kind", "completed_by_id",
    "version", "created_at", "updated_at",
)  # fmt: skip
_LOCK = prepare(
    select(tasks)
    .where(tasks.c.organization_id == bindparam("organization_id"), tasks.c.id == bindparam("id"))
    .with_for_update(key_share=True)
)
# A retired contact's tasks are its survivor's; the lock makes a merge of it wait, or this wait for it.
_SURVIVOR = prepare(
    text(
        "SELECT coalesce(merged_into, id) FROM contacts WHERE organization_id = :organization_id AND id = :id "
        "FOR KEY SHARE"
    )
)


def to_read(row: RowLike) -> dict[str, Any]:
    """A task as the API shows it."""
    return {name: row[name] for name in _READ}


def due_by(due_on: date | None, due_at: datetime | None, zone_name: str) -> datetime:
    """When a task's time is up: its moment, or the end of its day in the organization's zone; `NEVER` without one."""
    if due_at is not None:
        return due_at
    if due_on is None:
        return NEVER
    end = datetime.combine(due_on + timedelta(days=1), time_of_day(), clock.zone(zone_name))
    return end.astimezone(UTC)


async def create_task(session: WriteSession, body: TaskCreate) -> dict[str, Any]:
    """Add a task; other packages use it too. `NotFound` names a reference that is none."""
    await session.flush()  # what this transaction has added may be referred to
    row = simple.add(
        session,
        tasks,
        {
            **body.model_dump(),
            "contact_id": await _survivor(session, body.contact_id),
            "status": "open",
            "due_by": due_by(body.due_on, body.due_at, session.tenant.timezone),
            "timeline_at": session.now,
            "due_told": False,
            "reminded": False,
            "reminded_at": None,
            "completed_at": None,
            "completed_by_kind": None,
            "completed_by_id": None,
        },
    )
    await _arm(session, row)
    record(session, "task.created", "task", row["id"])
    emit(session, TaskCreated(task_id=row["id"], contact_id=row["contact_id"], assignee_id=row["assignee_id"]))
    return to_read(row)


async def _survivor(session: WriteSession, contact_id: UUID | None) -> UUID | None:
    if contact_id is None:
        return None
    found: UUID | None = await session.fetch_val(_SURVIVOR, id=contact_id)
    if found is None:
        raise NotFound.reference("contact_id")
    return found


async def get_task(session: ReadSession, task_id: UUID) -> dict[str, Any]:
    """One task, or 404."""
    return to_read(await simple.get(session, tasks, task_id, "task"))


async def patch_task(session: WriteSession, task_id: UUID, body: TaskPatch, *, expected: int | None) -> dict[str, Any]:
    """Change, complete, cancel or reopen a task. A new due date or reminder is noticed anew."""
    row = await session.fetch_row(_LOCK, id=task_id)
    if row is None:
        raise NotFound("There is no such task.")
    check_version(row["version"], expected)
    sent = body.stored()
    if sent.get("contact_id") is not None:
        sent["contact_id"] = await _survivor(session, sent["contact_id"])
    if sent.get("due_at") is not None:
        sent["due_on"] = None
    elif sent.get("due_on") is not None:
        sent["due_at"] = None
    changes = {name: value for name, value in sent.items() if value != row[name]}
    if not changes:
        return to_read(row)
    names = sorted(changes)
    changes |= _following(session, {**dict(row), **changes}, changes)
    after = await update_row(session, tasks, task_id, changes, expected=None)
    await _arm(session, after)
    record(session, "task.updated", "task", task_id, fields=names)
    emit(session, TaskChanged(task_id=task_id, status=after["status"], fields=tuple(names)))
    return to_read(after)


def _following(session: WriteSession, after: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Columns that follow from what a client changed."""
    found: dict[str, Any] = {}
    if "due_on" in changes or "due_at" in changes:
        found["due_by"] = due_by(after["due_on"], after["due_at"], session.tenant.timezone)
        found["due_told"] = False
    if "remind_at" in changes:
        found |= {"reminded": False, "reminded_at": None}
    if "status" in changes:
        done = after["status"] == "done"
        found["completed_at"] = session.now if done else None
        found["completed_by_kind"] = session.actor.kind if done else None
        found["completed_by_id"] = session.actor.id if done else None
        found["timeline_at"] = session.now if done else after["created_at"]
    return found


# The alarm. Moments that are still to come are found by two small partial indexes; their conditions stand in the
# statements word for word.

_PENDING = {"remind_at": "NOT reminded AND remind_at IS NOT NULL", "due_by": "NOT due_told"}


def _ring(column: str, told: str) -> Any:
    return prepare(
        text(
            f"UPDATE tasks SET {told}, version = version + 1, updated_at = :now "
            "WHERE organization_id = :organization_id AND id IN (SELECT id FROM tasks "
            f"WHERE organization_id = :organization_id AND status = 'open' AND {_PENDING[column]} AND {column} <= :now "
            f"ORDER BY {column}, id LIMIT :most FOR NO KEY UPDATE SKIP LOCKED) "
            "RETURNING id, assignee_id, contact_id"
        )
    )


_REMIND = _ring("remind_at", "reminded = true, reminded_at = :now")
_TELL = _ring("due_by", "due_told = true")
_NEXT = prepare(
    text(
        "SELECT least("
        + ", ".join(
            f"(SELECT {column} FROM tasks WHERE organization_id = :organization_id AND status = 'open' "
            f"AND {pending} ORDER BY {column}, id LIMIT 1)"
            for column, pending in _PENDING.items()
        )
        + ")"
    )
)
_REDATE = prepare(
    text(
        "UPDATE tasks SET due_by = (due_on + 1)::timestamp AT TIME ZONE :zone "
        "WHERE organization_id = :organization_id AND due_on IS NOT NULL AND status = 'open'"
    )
)


async def _arm(session: WriteSession, row: RowLike) -> None:
    """Let the alarm ring when this task next needs it."""
    moments = []
    if row["status"] == "open":
        if row["remind_at"] is not None and not row["reminded"]:
            moments.append(row["remind_at"])
        if row["due_by"] < NEVER and not row["due_told"]:
            moments.append(row["due_by"])
    if moments:
        await schedules.bring_forward(session, ALARM, min(moments))


async def ring(session: WriteSession) -> None:
    """Give a fact for every open task whose reminder or due date has come, once for each, and set the alarm for the
    next. A moved clock or a repeated run finds nothing twice: what was told is marked in the same transaction."""
    reminded = await session.fetch(_REMIND, now=session.now, most=AT_ONCE)
    for row in reminded:
        emit(session, TaskReminder(task_id=row["id"], assignee_id=row["assignee_id"], contact_id=row["contact_id"]))
    due = await session.fetch(_TELL, now=session.now, most=AT_ONCE)
    for row in due:
        emit(session, TaskDue(task_id=row["id"], assignee_id=row["assignee_id"], contact_id=row["contact_id"]))
    if AT_ONCE in (len(reminded), len(due)):
        emit(session, TaskAlarm(occurrence=session.now))
        return
    following = await session.fetch_val(_NEXT)
    if following is not None and following < NEVER:
        await schedules.bring_forward(session, ALARM, following)


async def redate(session: WriteSession) -> None:
    """Let days end in the organization's new time zone."""
    await session.execute(_REDATE, zone=session.tenant.timezone)
    await ring(session)
