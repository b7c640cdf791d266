"""Requests of people about their data: to be erased, to get all that is kept. Each is a piece of work with a state."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, text

from crm_api.kit.personal import ACCOUNTABILITY, erase, retain
from crm_api.kit.tables import document, instant, made_under, number, one_of, refers, string, tenant_table, uid

KINDS = ("erasure", "export")
STATES = ("queued", "running", "succeeded", "failed")

privacy_requests = tenant_table(
    "privacy_requests",
    string("kind"),
    uid("contact_id"),
    string("state", default="'queued'"),
    number("permille", default="0"),  # of the work done
    string("reason", null=True),
    document("plan", default="'{}'"),  # tables, actions, counts; no value of the person's
    document("files", default="'[]'"),  # of an erasure: names in storage that are still to be removed
    string("file_name", null=True),  # of an export: where the archive is
    number("file_bytes", null=True, big=True),
    instant("expires_at", null=True),  # of an export: when the archive is removed
    string("requested_by_kind"),
    string("requested_by"),
    made_under(),
    instant("created_at"),
    instant("updated_at"),
    instant("finished_at", null=True),
    one_of("kind", KINDS),
    one_of("state", STATES),
    CheckConstraint("permille BETWEEN 0 AND 1000", name="permille"),
    refers("contact_id", "contacts"),
    Index("ix_privacy_requests__contact", "organization_id", "contact_id", "id"),
    Index(
        "ix_privacy_requests__expiring",
        "organization_id",
        "expires_at",
        postgresql_where=text("file_name IS NOT NULL"),
    ),
    personal=(
        retain(
            where="t.kind = 'erasure' AND t.contact_id = ANY(CAST(:ids AS uuid[]))",
            ground=ACCOUNTABILITY,
            until="created_at",
        ),
        erase(where="t.kind = 'export' AND t.contact_id = ANY(CAST(:ids AS uuid[]))", files="file_name", export=False),
    ),
)
privacy_requests.info["on_merge"] = "keep"  # a request is about that very record
