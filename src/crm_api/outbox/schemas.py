"""What clients get of background work."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import JsonValue

from crm_api.kit.schemas import Output


class JobRead(Output):
    """One reaction to one fact: `due`, `running`, `done`, `waiting` for `wait_key`, or `dead` with `last_error`.

    `payload` holds ids and codes only. `due_at` is when it is looked at next, null once it is finished.
    """

    id: UUID
    subscriber: str
    fact: str
    payload: dict[str, JsonValue]
    state: str
    attempts: int
    due_at: datetime | None
    wait_key: str | None
    last_error: str | None
    created_at: datetime
    finished_at: datetime | None


class JobPage(Output):
    """A page of jobs."""

    data: list[JobRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None
