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


class AuditSealRead(Output):
    """A link of the chain that seals the audit: a run of events in the order of their ids, tied to all before it."""

    id: UUID
    number: int
    """1, 2, 3 … of the organization, without a gap."""
    first_event_id: UUID
    last_event_id: UUID
    """The seal covers every event after the last one of the seal before it, up to and with this one."""
    events: int
    digest: str
    """SHA-256 over the SHA-256 of each event, in hexadecimal digits."""
    previous_hash: str
    """The hash of the seal before it; zeros for the first."""
    hash: str
    """SHA-256 of the previous hash, the first and last id, the number of events and the digest. Keep the newest one
    elsewhere: whoever can change the whole database can make a new chain, but not one that ends in the same hash."""
    through_at: datetime
    """Events of before this moment were complete when the seal was made."""
    sealed_at: datetime


class AuditSealPage(Output):
    """A page of seals of the audit."""

    data: list[AuditSealRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None
