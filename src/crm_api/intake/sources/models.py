"""Sources of intake: a form, a telephone exchange, an ad account, a bot."""

from __future__ import annotations

from sqlalchemy import Column, Index, LargeBinary

from crm_api.kit.tables import document, flag, instant, number, one_of, refers, string, tenant_table, uid

KINDS = ("form", "google_forms", "binotel", "ringostat", "meta_leads", "telegram", "viber")

intake_sources = tenant_table(
    "intake_sources",
    string("kind"),
    string("name"),
    flag("active", default=True),
    Column("credentials", LargeBinary, nullable=False, info={"sensitivity": "secret"}),  # sealed JSON, see kit.crypto
    document("mapping", default="'{}'"),  # their field → ours
    document("defaults", default="'{}'"),  # tags, roles, country, first touch, consent: what every delivery brings
    uid("campaign_id", null=True),
    string("bot_username", null=True),
    string("start_system", null=True),  # whose external ids a bot's deep links may name
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("kind", KINDS),
    refers("campaign_id", "campaigns"),
    Index("ix_intake_sources__created", "organization_id", "created_at", "id"),
    Index("ix_intake_sources__campaign", "organization_id", "campaign_id"),
)
Index("ix_intake_sources__id", intake_sources.c.id, unique=True)
