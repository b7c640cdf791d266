"""Payment connections: one account at one provider."""

from __future__ import annotations

from sqlalchemy import Column, Index, LargeBinary

from crm_api.kit.tables import instant, number, one_of, string, tenant_table

payment_connections = tenant_table(
    "payment_connections",
    string("provider"),
    string("name"),
    string("status", default="'active'"),
    Column("credentials", LargeBinary, nullable=False, info={"sensitivity": "secret"}),  # sealed JSON, see kit.crypto
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("status", ("active", "disabled")),
    Index("ix_payment_connections__created", "organization_id", "created_at", "id"),
)
Index("ix_payment_connections__id", payment_connections.c.id, unique=True)
