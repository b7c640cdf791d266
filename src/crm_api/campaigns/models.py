"""Campaigns: fundraising efforts with a goal and dates."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, UniqueConstraint

from crm_api.kit.personal import nobody
from crm_api.kit.tables import day, instant, minor, number, one_of, string, tenant_table

STATUSES = ("planned", "active", "completed", "canceled")

campaigns = tenant_table(
    "campaigns",
    string("code", binary=True),
    string("name", tag="public"),
    string("description", null=True, tag="public"),
    string("status", default="'planned'"),
    day("starts_on", null=True, tag="public"),
    day("ends_on", null=True, tag="public"),
    minor("goal_amount", null=True),
    string("goal_currency", null=True),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("status", STATUSES),
    CheckConstraint("ends_on >= starts_on", name="dates"),
    CheckConstraint("(goal_amount IS NULL) = (goal_currency IS NULL) AND goal_amount > 0", name="goal"),
    UniqueConstraint("organization_id", "code"),
    Index("ix_campaigns__created", "organization_id", "created_at", "id"),
    personal=nobody("the organization's own efforts and goals"),
)
