"""What can happen to tasks."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from crm_api.outbox.facts import Fact


class TaskCreated(Fact):
    """A task was added."""

    task_id: UUID
    contact_id: UUID | None
    assignee_id: UUID | None


class TaskChanged(Fact):
    """A task was changed; `fields` are the names of what changed, `status` is what it is now."""

    task_id: UUID
    status: str
    fields: tuple[str, ...] = ()


class TaskReminder(Fact):
    """The moment of an open task's `remind_at` has come. Given once for each value of it."""

    task_id: UUID
    assignee_id: UUID | None
    contact_id: UUID | None


class TaskDue(Fact):
    """An open task's time is up: it is overdue from now on. Given once for each due date it is given."""

    task_id: UUID
    assignee_id: UUID | None
    contact_id: UUID | None


class TaskAlarm(Fact):
    """Some task may be due or to be reminded of."""

    occurrence: datetime
