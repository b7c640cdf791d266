"""Tasks in a contact's timeline: each when it was done, until then when it was made."""

from __future__ import annotations

from crm_api.kit.timeline import TimelineSource
from crm_api.tasks.models import tasks

TIMELINE = (
    TimelineSource(
        kind="task",
        scope="tasks:read",
        resource="tasks",
        contact=tasks.c.contact_id,
        at=tasks.c.timeline_at,
        id=tasks.c.id,
        resource_id=tasks.c.id,
        facts={
            "title": tasks.c.title,
            "status": tasks.c.status,
            "priority": tasks.c.priority,
            "assignee_id": tasks.c.assignee_id,
            "due_on": tasks.c.due_on,
            "due_at": tasks.c.due_at,
            "completed_at": tasks.c.completed_at,
        },
    ),
)
