"""The queue of payments that belong to nobody yet, and the rules that join them to people."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, text

from crm_api.kit.limits import RowLimit
from crm_api.kit.personal import anonymise, erase
from crm_api.kit.tables import flag, instant, minor, number, one_of, refers, string, tenant_table, uid

KINDS = ("donation", "event")
STATES = ("waiting", "matched", "dismissed")
REASONS = (
    "hint_only",  # who paid stands in free text only
    "payer_unknown",  # the provider said nothing of the payer
    "payment_unknown",  # an event about a payment that no event has brought
)
RULE_KINDS = ("contains", "code", "iban", "external_id")

unmatched_payments = tenant_table(
    "unmatched_payments",
    string("kind"),
    string("state"),
    string("reason"),
    uid("gift_id", null=True),
    uid("event_id", null=True),
    uid("connection_id", null=True),
    uid("rule_id", null=True),  # the rule that matched it
    string("provider", null=True),
    minor("amount", null=True),
    string("currency", null=True),
    string("hint", null=True, tag="donor_sensitive"),
    instant("received_at"),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("kind", KINDS),
    one_of("state", STATES),
    one_of("reason", REASONS),
    CheckConstraint("CASE kind WHEN 'donation' THEN gift_id IS NOT NULL ELSE event_id IS NOT NULL END", name="what"),
    refers("gift_id", "gifts"),
    refers("event_id", "provider_events"),
    refers("connection_id", "payment_connections"),
    refers("rule_id", "payment_match_rules"),
    Index("ix_unmatched_payments__received", "organization_id", "received_at", "id"),
    Index("ix_unmatched_payments__state", "organization_id", "state", "received_at", "id"),
    Index("uq_unmatched_payments__gift", "organization_id", "gift_id", unique=True),
    Index("uq_unmatched_payments__event", "organization_id", "event_id", unique=True),
    Index("ix_unmatched_payments__connection", "organization_id", "connection_id"),
    Index("ix_unmatched_payments__rule", "organization_id", "rule_id", postgresql_where=text("rule_id IS NOT NULL")),
    personal=(
        erase("gift_id.contact_id"),
        anonymise(
            where="t.state = 'waiting' AND t.hint IS NOT NULL AND EXISTS "
            "(SELECT 1 FROM unnest(:traces) n WHERE position(lower(n) IN lower(t.hint)) > 0)",
            columns={"hint": "NULL"},
            ground="the payment is still to be joined to somebody",
            until="received_at",
        ),
    ),
)

payment_match_rules = tenant_table(
    "payment_match_rules",
    string("name"),
    string("kind"),
    string("value", tag="donor_sensitive"),
    number("position", default="100"),  # the lowest that fits decides
    flag("is_active", default=True),
    uid("connection_id", null=True),
    uid("contact_id", null=True),
    uid("campaign_id", null=True),
    uid("fund_id", null=True),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("kind", RULE_KINDS),
    CheckConstraint(
        "(kind = 'external_id' AND contact_id IS NULL) OR (kind <> 'external_id' AND "
        "num_nonnulls(contact_id, campaign_id, fund_id) > 0)",
        name="effect",
    ),
    refers("connection_id", "payment_connections"),
    refers("contact_id", "contacts"),
    refers("campaign_id", "campaigns"),
    refers("fund_id", "funds"),
    Index("ix_payment_match_rules__created", "organization_id", "created_at", "id"),
    Index("ix_payment_match_rules__position", "organization_id", "position", "id"),
    Index("ix_payment_match_rules__connection", "organization_id", "connection_id"),
    Index("ix_payment_match_rules__contact", "organization_id", "contact_id"),
    Index("ix_payment_match_rules__campaign", "organization_id", "campaign_id"),
    Index("ix_payment_match_rules__fund", "organization_id", "fund_id"),
    personal=erase("contact_id"),
    limit=RowLimit(nobodys=True),  # a rule without a contact says something of campaigns and funds only
)
