"""Recurring plans: a donor's standing promise to give."""

from __future__ import annotations

from sqlalchemy import Index, text

from crm_api.kit.personal import ACCOUNTING, anonymise
from crm_api.kit.tables import day, instant, minor, number, one_of, refers, string, tenant_table, uid

STATUSES = ("pending", "active", "past_due", "paused", "canceled", "completed")
UNITS = ("day", "week", "month", "year")

recurring_plans = tenant_table(
    "recurring_plans",
    uid("contact_id", null=True),
    string("status"),
    instant("status_at"),  # the provider's time of the newest statement about the status
    minor("amount", null=True),
    string("currency", null=True),
    string("frequency_unit", null=True),
    number("frequency_interval", null=True),
    instant("described_at", null=True),  # of the newest statement about amount and frequency
    instant("started_at", null=True),
    day("next_date", null=True),
    instant("ended_at", null=True),
    uid("campaign_id", null=True),
    uid("connection_id", null=True),
    string("provider", null=True),
    string("provider_plan_id", null=True, binary=True),
    string("provider_customer_id", null=True, binary=True),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("status", STATUSES),
    one_of("frequency_unit", UNITS, null=True),
    refers("contact_id", "contacts"),
    refers("campaign_id", "campaigns"),
    refers("connection_id", "payment_connections"),
    Index("ix_recurring_plans__created", "organization_id", "created_at", "id"),
    Index("ix_recurring_plans__contact", "organization_id", "contact_id", "status"),
    Index("ix_recurring_plans__timeline", "organization_id", "contact_id", "status_at", "id"),
    Index("ix_recurring_plans__campaign", "organization_id", "campaign_id"),
    Index(
        "uq_recurring_plans__provider",
        "organization_id",
        "connection_id",
        "provider_plan_id",
        unique=True,
        postgresql_where=text("connection_id IS NOT NULL"),
    ),
    Index("ix_recurring_plans__provider_plan_id", "organization_id", "provider_plan_id"),
    # Without its contact: were it still charged, the next payment would come from somebody new.
    personal=anonymise(
        "contact_id",
        columns={"contact_id": "NULL", "provider_customer_id": "NULL", "updated_at": ":now"},
        ground=ACCOUNTING,
        until="created_at",
        traces=("t.provider_plan_id", "t.provider_customer_id"),
    ),
)
