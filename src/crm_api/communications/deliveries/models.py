"""Letters and what became of each."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text

from crm_api.kit.personal import anonymise
from crm_api.kit.tables import instant, number, one_of, refers, string, tenant_table, uid

STATES = ("queued", "sending", "sent", "suppressed", "canceled", "failed", "bounced", "unknown")
KINDS = (
    "welcome", "thank_you", "payment_failed", "refund_confirmed", "receipt", "card_expiring", "plan_payment_missed",
    "plan_given_up", "pledge_overdue",
)  # fmt: skip

messages = tenant_table(
    "messages",
    string("kind"),
    string("channel"),
    string("purpose"),  # what it is for, as in consent events
    string("list", null=True),
    string("legal_basis", null=True),  # what permitted it: this, and the event that says so where one does
    uid("consent_event_id", null=True),
    uid("contact_id"),
    uid("gift_id", null=True),
    uid("receipt_id", null=True),
    uid("recurring_plan_id", null=True),
    uid("pledge_id", null=True),
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
    CheckConstraint(
        "state = 'suppressed' OR legal_basis IS NOT NULL OR consent_event_id IS NOT NULL", name="permitted"
    ),
    refers("contact_id", "contacts"),
    refers("gift_id", "gifts"),
    refers("receipt_id", "receipts"),
    refers("recurring_plan_id", "recurring_plans"),
    refers("pledge_id", "pledges"),
    refers("consent_event_id", "consent_events"),
    UniqueConstraint("organization_id", "dedupe_key"),
    Index("ix_messages__created", "organization_id", "created_at", "id"),
    Index("ix_messages__contact", "organization_id", "contact_id", "kind"),
    Index("ix_messages__timeline", "organization_id", "contact_id", "created_at", "id"),
    Index("ix_messages__gift", "organization_id", "gift_id"),
    Index(
        "ix_messages__plan",
        "organization_id",
        "recurring_plan_id",
        postgresql_where=text("recurring_plan_id IS NOT NULL"),
    ),
    Index("ix_messages__pledge", "organization_id", "pledge_id", postgresql_where=text("pledge_id IS NOT NULL")),
    Index("ix_messages__receipt", "organization_id", "receipt_id", postgresql_where=text("receipt_id IS NOT NULL")),
    Index(
        "ix_messages__consent",
        "organization_id",
        "consent_event_id",
        postgresql_where=text("consent_event_id IS NOT NULL"),
    ),
    Index("ix_messages__state", "organization_id", "state", "id"),
    personal=anonymise(
        "contact_id",
        columns={"recipient": "NULL", "subject": "NULL", "updated_at": ":now"},
        ground="that a letter was sent, when and by what right (GDPR Art. 5(2))",
        until="created_at",
    ),
)
