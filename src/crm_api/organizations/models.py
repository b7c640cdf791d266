"""The tenant itself."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, PrimaryKeyConstraint, Table, UniqueConstraint

from crm_api.kit.tables import (
    day,
    document,
    flag,
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
    string("team_access", default="'off'"),  # on: callers that do not see all see the contacts of their teams
    string("unassigned_contacts", default="'hidden'"),  # from those callers
    string("beneficiary_privacy", default="'fields'"),  # what is hidden without contacts:read_sensitive
    document("beneficiary_roles", default="""'["beneficiary"]'"""),
    document("settings", default="'{}'"),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    PrimaryKeyConstraint("id"),
    one_of("mode", ("test", "live")),
    one_of("team_access", ("off", "on")),
    one_of("unassigned_contacts", ("hidden", "seen")),
    one_of("beneficiary_privacy", ("fields", "records")),
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
    flag("sees_all"),  # not limited to its teams
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
