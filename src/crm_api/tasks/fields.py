"""What tasks can be filtered and sorted by."""

from __future__ import annotations

from crm_api.kit.fields import Catalogue, Field
from crm_api.tasks.models import PRIORITIES, STATUSES, tasks

OVERDUE = Field(
    "overdue",
    "text",
    tasks.c.due_by,
    choices=("true",),
    description="Only open tasks whose time is up.",
)

TASKS = Catalogue(
    resource="tasks",
    table=tasks,
    default_sort="-id",
    fields=(
        Field("id", "uuid", tasks.c.id, sortable=True),
        Field("assignee_id", "uuid", tasks.c.assignee_id),
        Field("contact_id", "uuid", tasks.c.contact_id),
        Field("deal_id", "uuid", tasks.c.deal_id),
        Field("interaction_id", "uuid", tasks.c.interaction_id),
        Field("status", "choice", tasks.c.status, choices=STATUSES),
        Field("priority", "choice", tasks.c.priority, choices=PRIORITIES),
        Field(
            "due",
            "instant",
            tasks.c.due_by,
            sortable=True,
            description="When its time is up: `due_at`, or the end of `due_on` in the organization's time zone. Tasks "
            "without either come last.",
        ),
        OVERDUE,
        Field("reminded", "boolean", tasks.c.reminded, description="Whether the moment of `remind_at` has come."),
        Field("reminded_at", "instant", tasks.c.reminded_at),
        Field("remind_at", "instant", tasks.c.remind_at),
        Field("completed_at", "instant", tasks.c.completed_at),
        Field("created_at", "instant", tasks.c.created_at, sortable=True),
    ),
)
