"""The tenant itself."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, PrimaryKeyConstraint, Table, UniqueConstraint

from crm_api.kit.tables import (
    day,
    document,
    instant,
    metadata,
    number,
    one_of,
    rate,
    string,
    tenant_table,
    uid,
)

organizations = Table(
    "organizations",
    metadata,
    uid("id"),
    string("name", tag="public"),
    string("mode"),  # test or live, for good
    string("currency"),
    string("timezone"),
    string("language"),
    string("website", null=True, tag="public"),
    string("reply_email", null=True, tag="public"),
    string("postal_address", null=True, tag="public"),
    number("fiscal_year_start_month", default="1"),
    instant("test_clock", null=True),
    document("settings", default="'{}'"),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    PrimaryKeyConstraint("id"),
    one_of("mode", ("test", "live")),
    CheckConstraint("fiscal_year_start_month BETWEEN 1 AND 12", name="fiscal_year_start_month"),
    CheckConstraint("test_clock IS NULL OR mode = 'test'", name="test_clock"),
    info={"tenant_column": "id", "privileges": ("SELECT", "INSERT", "UPDATE")},
)

ROLES = ("owner", "admin", "fundraiser", "volunteer_coordinator", "finance", "viewer")

members = tenant_table(
    "members",
    string("email", tag="internal", binary=True),
    string("name", null=True),
    string("role"),
    string("status", default="'active'"),
    string("issuer", null=True),
    string("subject", null=True),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("role", ROLES),
    one_of("status", ("active", "disabled")),
    UniqueConstraint("organization_id", "email"),
    UniqueConstraint("organization_id", "issuer", "subject"),
)

exchange_rates = tenant_table(
    "exchange_rates",
    string("source_currency"),
    string("target_currency"),
    day("rate_date"),
    rate("rate"),
    string("origin", null=True),
    instant("created_at"),
    CheckConstraint("rate > 0", name="rate"),
    UniqueConstraint("organization_id", "source_currency", "target_currency", "rate_date"),
    Index("ix_exchange_rates__date", "organization_id", "rate_date", "id"),
)
