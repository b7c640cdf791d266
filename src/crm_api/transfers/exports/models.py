"""Exports: what was asked for, how far it is, and where the file is until it is deleted."""

from __future__ import annotations

from sqlalchemy import Index

from crm_api.kit.personal import retain
from crm_api.kit.tables import document, instant, made_under, number, one_of, string, tenant_table

STATES = ("queued", "running", "succeeded", "failed", "expired")
FORMATS = ("csv", "xlsx", "jsonl")
KEPT_DAYS = 3
"""How long the file is kept."""

exports = tenant_table(
    "exports",
    string("resource"),
    string("format"),
    document("filter", tag="donor_sensitive", default="'{}'"),
    document("columns", null=True),
    document("scopes", default="'[]'"),  # what the asker may see; the file holds nothing else
    string("state"),
    number("progress", default="0"),  # in thousandths
    number("rows", default="0"),
    string("file_key", null=True),
    number("file_size", null=True, big=True),
    string("actor_kind"),
    string("actor_id"),
    made_under(),
    string("reason", null=True),
    instant("finished_at", null=True),
    instant("purge_at"),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("state", STATES),
    one_of("format", FORMATS),
    Index("ix_exports__created", "organization_id", "created_at", "id"),
    Index("ix_exports__purge", "organization_id", "purge_at"),
    personal=retain(
        ground=f"a copy that somebody with the right to it has asked for; removed after {KEPT_DAYS} days",
        until="purge_at",
        export=False,
    ),
)
