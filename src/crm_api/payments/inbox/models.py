"""The inbox: every provider event as it came, before anything is made of it."""

from __future__ import annotations

from sqlalchemy import Column, Index, LargeBinary, UniqueConstraint, text

from crm_api.kit.personal import ACCOUNTING, anonymise
from crm_api.kit.tables import instant, one_of, refers, string, tenant_table, uid
from crm_api.payments.inbox.scrub import scrub

STATES = ("received", "waiting", "handled", "ignored", "unmatched", "failed")

provider_events = tenant_table(
    "provider_events",
    uid("connection_id"),
    string("provider"),
    string("provider_event_id", binary=True),
    string("event_type"),
    Column("body", LargeBinary, nullable=False, info={"sensitivity": "donor_sensitive"}),  # the exact bytes
    string("state"),
    string("reason", null=True),
    string("wait_key", null=True, binary=True),
    uid("gift_id", null=True),
    instant("occurred_at", null=True),
    instant("received_at"),
    instant("handled_at", null=True),
    one_of("state", STATES),
    refers("connection_id", "payment_connections"),
    refers("gift_id", "gifts"),
    UniqueConstraint("organization_id", "connection_id", "provider_event_id"),
    Index("ix_provider_events__event", "organization_id", "provider_event_id"),
    Index("ix_provider_events__received", "organization_id", "received_at", "id"),
    Index("ix_provider_events__state", "organization_id", "state", "id"),
    Index("ix_provider_events__gift", "organization_id", "gift_id"),
    Index("ix_provider_events__unmatched", "organization_id", "wait_key", postgresql_where=text("state = 'unmatched'")),
    personal=anonymise(
        "gift_id.contact_id",
        where="t.gift_id IS NULL AND t.state NOT IN ('received', 'waiting') "
        "AND EXISTS (SELECT 1 FROM unnest(:traces) n WHERE position(convert_to(n, 'UTF8') IN t.body) > 0)",
        rewrite={"body": scrub},
        ground=ACCOUNTING,
        until="received_at",
    ),
)
