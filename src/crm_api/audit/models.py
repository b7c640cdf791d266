"""Who changed what, when: an insert-only table. Names of changed fields, never their values."""

from __future__ import annotations

from sqlalchemy import Index

from crm_api.kit.tables import APPEND_ONLY, document, instant, string, tenant_table

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
    privileges=APPEND_ONLY,
)
