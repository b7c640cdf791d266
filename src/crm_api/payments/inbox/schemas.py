"""What clients get of the inbox."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import JsonValue, RootModel

from crm_api.kit.schemas import Output


class InboxEvent(Output):
    """A provider event as it came, and what became of it."""

    id: UUID
    connection_id: UUID
    provider: str
    provider_event_id: str
    event_type: str
    state: str
    reason: str | None
    donation_id: UUID | None
    occurred_at: datetime | None
    received_at: datetime
    handled_at: datetime | None


class InboxPage(Output):
    """A page of provider events."""

    data: list[InboxEvent]
    has_more: bool
    next_cursor: str | None
    total: int | None = None


class Accepted(Output):
    """The event is stored; it is handled in a moment. A repeated delivery gets the same answer."""

    received: bool


class Listening(Output):
    """Somebody listens at this address."""

    listening: bool


class Acknowledged(RootModel[dict[str, JsonValue]]):
    """The event is stored; said in the words that this provider wants to hear (WayForPay wants them signed)."""
