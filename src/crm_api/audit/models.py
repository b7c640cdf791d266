"""Who changed what, when: an insert-only table. Names of changed fields, never their values."""

from __future__ import annotations

from sqlalchemy import Index, UniqueConstraint

from crm_api.kit.limits import RowLimit
from crm_api.kit.personal import ACCOUNTABILITY, retain
from crm_api.kit.tables import APPEND_ONLY, document, instant, number, string, tenant_table, uid

audit_events = tenant_table(
    "audit_events",
    instant("at"),
    string("actor_kind"),
    string("actor_id"),
    string("action"),
    string("resource"),
    string("resource_id", binary=True),
    document("fields", null=True),
    string("request_id", null=True),
    Index("ix_audit_events__resource", "organization_id", "resource", "resource_id", "id"),
    Index("ix_audit_events__at", "organization_id", "at", "id"),
    Index("ix_audit_events__actor", "organization_id", "actor_id", "id"),
    privileges=APPEND_ONLY,
    personal=retain(where="t.resource = 'contact' AND t.resource_id = ANY(:names)", ground=ACCOUNTABILITY, until="at"),
    limit=RowLimit(where="{things}"),
)

audit_seals = tenant_table(
    "audit_seals",
    number("number"),  # 1, 2, 3 … of each organization
    uid("first_event_id"),
    uid("last_event_id"),
    number("events"),
    string("digest"),
    string("previous_hash"),
    string("hash"),
    instant("through_at"),  # no event before it was still to come when the seal was made
    instant("sealed_at"),
    UniqueConstraint("organization_id", "number"),
    privileges=APPEND_ONLY,
)
