"""What clients get of the audit."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from crm_api.kit.schemas import Output


class AuditEventRead(Output):
    """Who did what, when. Names of changed fields, never their values."""

    id: UUID
    at: datetime
    """The machine's time, whatever a test organization's clock says."""
    actor_kind: str
    actor_id: str
    action: str
    resource: str
    resource_id: str
    fields: list[str] | None
    """Names of the members that were changed; null where the action says it all."""
    request_id: str | None


class AuditEventPage(Output):
    """A page of audit events."""

    data: list[AuditEventRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None
