"""Batches: gifts entered together, with a count and a sum that must fit before any of them counts."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index

from crm_api.kit.personal import nobody
from crm_api.kit.tables import instant, minor, number, one_of, string, tenant_table

STATUSES = ("open", "posted", "canceled")

gift_batches = tenant_table(
    "gift_batches",
    string("name"),
    string("status", default="'open'"),
    number("control_count"),
    minor("control_amount"),
    string("currency"),
    instant("posted_at", null=True),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("status", STATUSES),
    CheckConstraint("control_count > 0 AND control_amount > 0", name="control"),
    CheckConstraint("(status = 'posted') = (posted_at IS NOT NULL)", name="posted_at"),
    Index("ix_gift_batches__created", "organization_id", "created_at", "id"),
    personal=nobody("figures of many gifts together"),
)
