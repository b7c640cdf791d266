"""Letters and what became of each."""

from __future__ import annotations

from sqlalchemy import Index, UniqueConstraint

from crm_api.kit.tables import instant, number, one_of, refers, string, tenant_table, uid

STATES = ("queued", "sending", "sent", "suppressed", "canceled", "failed", "bounced", "unknown")
KINDS = ("welcome", "thank_you", "payment_failed", "refund_confirmed")

messages = tenant_table(
    "messages",
    string("kind"),
    string("channel"),
    uid("contact_id"),
    uid("gift_id", null=True),
    string("dedupe_key", binary=True),  # at most one letter of each family per gift
    string("language"),
    string("recipient", null=True, tag="donor_sensitive"),
    string("subject", null=True, tag="donor_sensitive"),
    string("state"),
    string("reason", null=True),
    number("attempts", default="0"),
    instant("created_at"),
    instant("sent_at", null=True),
    instant("updated_at"),
    one_of("kind", KINDS),
    one_of("channel", ("email",)),
    one_of("state", STATES),
    refers("contact_id", "contacts"),
    refers("gift_id", "gifts"),
    UniqueConstraint("organization_id", "dedupe_key"),
    Index("ix_messages__created", "organization_id", "created_at", "id"),
    Index("ix_messages__contact", "organization_id", "contact_id", "kind"),
    Index("ix_messages__gift", "organization_id", "gift_id"),
    Index("ix_messages__state", "organization_id", "state", "id"),
)
