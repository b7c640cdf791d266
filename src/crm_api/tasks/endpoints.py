"""HTTP of tasks."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated
from uuid import UUID

from fastapi import Response

from crm_api.idempotency.boundary import IfMatch, json_body, list_query, reads, router, writes
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.listing import Filter, ListQuery, read_page
from crm_api.kit.reply import created, reply
from crm_api.tasks import service
from crm_api.tasks.fields import OVERDUE, TASKS
from crm_api.tasks.schemas import TaskCreate, TaskPage, TaskPatch, TaskRead

routes = router("tasks")


@routes.post("/v1/tasks", operation_id="tasks_create", status_code=201, response_model=TaskRead)
async def tasks_create(
    session: Annotated[WriteSession, writes("tasks:write")], body: Annotated[TaskCreate, json_body(TaskCreate)]
) -> Response:
    """Add a task."""
    task = await service.create_task(session, body)
    return created(task, f"/v1/tasks/{task['id']}")


@routes.get("/v1/tasks", operation_id="tasks_list", response_model=TaskPage)
async def tasks_list(
    session: Annotated[ReadSession, reads("tasks:read")], query: Annotated[ListQuery, list_query(TASKS)]
) -> Response:
    """List tasks, newest first; `overdue=true` gives the open ones whose time is up, `sort=due` the most urgent."""
    return await read_page(session, TASKS, _with_overdue(session, query), service.to_read)


def _with_overdue(session: ReadSession, query: ListQuery) -> ListQuery:
    """The two conditions that `overdue` stands for."""
    others = tuple(item for item in query.filters if item.field is not OVERDUE)
    if len(others) == len(query.filters):
        return query
    own = (Filter(TASKS.by_name["status"], "eq", "open"), Filter(TASKS.by_name["due"], "lte", session.now))
    return replace(query, filters=(*others, *own))


@routes.get("/v1/tasks/{task_id}", operation_id="tasks_get", response_model=TaskRead)
async def tasks_get(session: Annotated[ReadSession, reads("tasks:read")], task_id: UUID) -> Response:
    """One task."""
    task = await service.get_task(session, task_id)
    return reply(task, version=task["version"])


@routes.patch("/v1/tasks/{task_id}", operation_id="tasks_update", response_model=TaskRead)
async def tasks_update(
    session: Annotated[WriteSession, writes("tasks:write")],
    task_id: UUID,
    body: Annotated[TaskPatch, json_body(TaskPatch, media_type="application/merge-patch+json")],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Change, complete (`status: done`), cancel or reopen a task by JSON merge patch."""
    task = await service.patch_task(session, task_id, body, expected=expected)
    return reply(task, version=task["version"])
