"""Funds: the purposes gifts are restricted to."""

from __future__ import annotations

from sqlalchemy import Index, UniqueConstraint

from crm_api.kit.tables import flag, instant, number, one_of, string, tenant_table

funds = tenant_table(
    "funds",
    string("code", binary=True),
    string("name", tag="public"),
    string("description", null=True, tag="public"),
    flag("is_restricted"),
    string("status", default="'active'"),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("status", ("active", "closed")),
    UniqueConstraint("organization_id", "code"),
    Index("ix_funds__created", "organization_id", "created_at", "id"),
)
