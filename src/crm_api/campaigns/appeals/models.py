"""Appeals: the solicitations of a campaign."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, UniqueConstraint

from crm_api.kit.personal import nobody
from crm_api.kit.tables import day, instant, minor, number, one_of, refers, string, tenant_table, uid

CHANNELS = ("email", "sms", "mail", "phone", "event", "web", "social", "other")

appeals = tenant_table(
    "appeals",
    uid("campaign_id"),
    string("code", binary=True),
    string("name"),
    string("channel"),
    day("sent_on", null=True),
    minor("cost_amount", null=True),
    string("cost_currency", null=True),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("channel", CHANNELS),
    CheckConstraint("(cost_amount IS NULL) = (cost_currency IS NULL) AND cost_amount >= 0", name="cost"),
    refers("campaign_id", "campaigns"),
    UniqueConstraint("organization_id", "code"),
    Index("ix_appeals__campaign", "organization_id", "campaign_id", "id"),
    Index("ix_appeals__created", "organization_id", "created_at", "id"),
    personal=nobody("the organization's own efforts and their costs"),
)
