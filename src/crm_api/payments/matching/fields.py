"""What unmatched payments and match rules can be filtered and sorted by."""

from __future__ import annotations

from crm_api.kit.fields import Catalogue, Field
from crm_api.payments.matching.models import KINDS, REASONS, RULE_KINDS, STATES, payment_match_rules, unmatched_payments

UNMATCHED = Catalogue(
    resource="unmatched-payments",
    table=unmatched_payments,
    default_sort="-received_at",
    fields=(
        Field("id", "uuid", unmatched_payments.c.id),
        Field("state", "choice", unmatched_payments.c.state, choices=STATES, description="waiting, where not said"),
        Field("kind", "choice", unmatched_payments.c.kind, choices=KINDS),
        Field("reason", "choice", unmatched_payments.c.reason, choices=REASONS),
        Field("connection_id", "uuid", unmatched_payments.c.connection_id),
        Field("donation_id", "uuid", unmatched_payments.c.gift_id),
        Field("rule_id", "uuid", unmatched_payments.c.rule_id),
        Field("received_at", "instant", unmatched_payments.c.received_at, sortable=True),
    ),
)
MATCH_RULES = Catalogue(
    resource="payment-match-rules",
    table=payment_match_rules,
    default_sort="position",
    fields=(
        Field("id", "uuid", payment_match_rules.c.id),
        Field("kind", "choice", payment_match_rules.c.kind, choices=RULE_KINDS),
        Field("is_active", "boolean", payment_match_rules.c.is_active),
        Field("contact_id", "uuid", payment_match_rules.c.contact_id),
        Field("position", "integer", payment_match_rules.c.position, sortable=True),
        Field("created_at", "instant", payment_match_rules.c.created_at, sortable=True),
    ),
)
