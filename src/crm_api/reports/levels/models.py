"""Giving levels: from which sum on a donor is gold, silver or whatever a program calls it."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, UniqueConstraint

from crm_api.kit.tables import instant, number, string, tenant_table

giving_levels = tenant_table(
    "giving_levels",
    string("program", tag="public"),
    string("name", tag="public"),
    number("min_amount", big=True),  # minor units of the organization's currency
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    CheckConstraint("min_amount > 0", name="min_amount"),
    UniqueConstraint("organization_id", "program", "name"),
    UniqueConstraint("organization_id", "program", "min_amount"),
    Index("ix_giving_levels__created", "organization_id", "created_at", "id"),
    Index("ix_giving_levels__amount", "organization_id", "min_amount", "id"),
)
