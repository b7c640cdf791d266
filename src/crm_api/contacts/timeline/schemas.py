"""What clients get of a timeline."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import Field, JsonValue

from crm_api.kit.schemas import Money, Output


class TimelineEntry(Output):
    """One touch. `kind` is a code (interaction, gift, letter, deal, task, consent …; more may come) for a frontend to
    put into words; `title` is what people wrote, in their language. `resource` and `resource_id` name where to read
    the whole of it: `/v1/{resource}/{resource_id}`. `details` are further facts of the kind."""

    id: UUID
    kind: str
    at: datetime
    resource: str
    resource_id: UUID
    title: str | None
    status: str | None
    direction: str | None
    channel: str | None
    amount: Money | None
    details: dict[str, JsonValue]


class TimelinePage(Output):
    """A page of a timeline. `omitted` are kinds that are left out because the caller may not read them."""

    data: list[TimelineEntry]
    has_more: bool
    next_cursor: str | None
    omitted: list[str] = Field(default=[])
    total: int | None = None
