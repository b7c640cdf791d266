"""Stored answers of requests that carried an Idempotency-Key."""

from __future__ import annotations

from sqlalchemy import Index

from crm_api.kit.limits import IDEMPOTENCY, RowLimit
from crm_api.kit.personal import erase
from crm_api.kit.tables import document, instant, number, string, tenant_table

idempotency_keys = tenant_table(
    "idempotency_keys",
    string("principal", binary=True),
    string("key", binary=True),
    string("fingerprint"),
    number("status"),
    document("headers"),
    string("body", tag="donor_sensitive"),
    instant("created_at"),
    Index("ix_idempotency_keys__age", "organization_id", "created_at"),
    key=("principal", "key"),
    limit=RowLimit(where=IDEMPOTENCY),
    personal=erase(
        # An answer about a gift of theirs can hold what was written with it (a tribute's words), and no name.
        where="EXISTS (SELECT 1 FROM unnest(:names || :traces) n WHERE position(n IN t.body) > 0) "
        "OR EXISTS (SELECT 1 FROM gifts g WHERE g.organization_id = t.organization_id AND g.contact_id = ANY(:ids) "
        "AND position(CAST(g.id AS text) IN t.body || CAST(t.headers AS text)) > 0)",
        export=False,
    ),
)
