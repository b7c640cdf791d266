"""What clients send and get of tasks."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from crm_api.kit import rules
from crm_api.kit.schemas import Input, Instant, LongText, Name, NotNull, Output, Versioned

Status = Literal["open", "done", "canceled"]
Priority = Literal["low", "normal", "high", "urgent"]


def _sane(day: date) -> date:
    if not 1900 <= day.year <= 2200:
        raise ValueError("must lie between the years 1900 and 2200")
    return day


Day = Annotated[date, AfterValidator(_sane), Field(json_schema_extra={"pattern": f"^{rules.years(1900, 2200)}-"})]
_ONE_DUE = rules.not_both("due_on", "due_at")


def _one_due(body: TaskCreate | TaskPatch) -> None:
    if body.due_on is not None and body.due_at is not None:
        raise ValueError("a task is due on a day (due_on) or at a moment (due_at), not both")


class TaskCreate(Input):
    """A new task, due on a day or at a moment, or without a date."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "title": "Надіслати звіт про зимову кампанію",
                    "contact_id": "01989c5e-1b2c-7d3e-8a53-6f1d2b7c8e91",
                    "assignee_id": "01989c5e-2c3d-7e4f-9b64-7a2e3c8d9fa2",
                    "due_on": "2026-12-01",
                    "remind_at": "2026-11-30T08:00:00Z",
                    "priority": "high",
                }
            ],
            **_ONE_DUE,
        }
    )

    title: Name
    body: LongText | None = None
    priority: Priority = "normal"
    contact_id: UUID | None = None
    assignee_id: UUID | None = None
    deal_id: UUID | None = None
    interaction_id: UUID | None = None
    due_on: Day | None = None
    due_at: Instant | None = None
    remind_at: Instant | None = None

    @model_validator(mode="after")
    def _whole(self) -> TaskCreate:
        _one_due(self)
        return self


class TaskPatch(Input):
    """Changes to a task (JSON merge patch): `status` completes, cancels and reopens it. A date of one kind takes the
    place of one of the other."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "done"}], **_ONE_DUE})

    title: Annotated[Name | None, NotNull] = None
    body: LongText | None = None
    status: Annotated[Status | None, NotNull] = None
    priority: Annotated[Priority | None, NotNull] = None
    contact_id: UUID | None = None
    assignee_id: UUID | None = None
    deal_id: UUID | None = None
    interaction_id: UUID | None = None
    due_on: Day | None = None
    due_at: Instant | None = None
    remind_at: Instant | None = None

    @model_validator(mode="after")
    def _whole(self) -> TaskPatch:
        _one_due(self)
        return self

    def stored(self) -> dict[str, Any]:
        """Column values of the members that were sent."""
        return {name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set}


class TaskRead(Versioned):
    """A task. `reminded_at` is when the moment of `remind_at` was noticed: at most once for each value of it."""

    title: str
    body: str | None
    status: str
    priority: str
    contact_id: UUID | None
    assignee_id: UUID | None
    deal_id: UUID | None
    interaction_id: UUID | None
    due_on: date | None
    due_at: datetime | None
    remind_at: datetime | None
    reminded: bool
    reminded_at: datetime | None
    completed_at: datetime | None
    completed_by_kind: str | None
    completed_by_id: str | None


class TaskPage(Output):
    """A page of tasks."""

    data: list[TaskRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None
