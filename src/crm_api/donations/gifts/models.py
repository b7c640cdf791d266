"""Gifts, and the immutable payment entries their state is derived from."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text

from crm_api.campaigns.appeals.models import CHANNELS
from crm_api.kit.personal import ACCOUNTING, anonymise, erase, retain
from crm_api.kit.tables import (
    APPEND_ONLY,
    day,
    document,
    flag,
    instant,
    minor,
    number,
    one_of,
    rate,
    refers,
    string,
    tenant_table,
    uid,
)

STATUSES = (
    "pending", "succeeded", "failed", "canceled", "partially_refunded", "refunded", "disputed", "charged_back",
)  # fmt: skip
METHODS = ("card", "bank_transfer", "cash", "cheque", "wallet", "crypto", "in_kind", "stock", "other")
ENTRY_KINDS = (
    "pending", "charge", "failed", "canceled", "fee", "refund", "refunded_total", "dispute", "dispute_withdrawn",
    "dispute_reinstated", "superseded", "refund_failed", "reversal", "adjustment",
)  # fmt: skip

gifts = tenant_table(
    "gifts",
    uid("contact_id", null=True),
    minor("amount"),
    string("currency"),
    string("status"),  # this and the four balances are derived from the entries, never assigned
    minor("refunded", default="0"),
    minor("fee", default="0"),
    minor("charged_back", default="0"),
    minor("counted", default="0"),  # settled, net of refunds and lost disputes: what scoring sums
    string("failure_reason", null=True),
    minor("base_amount", null=True),  # in the organization's currency, by `base_rate` of `base_rate_date`
    minor("base_counted", null=True),
    rate("base_rate", null=True),
    day("base_rate_date", null=True),
    string("method"),
    flag("is_anonymous"),
    instant("received_at"),
    day("gift_date"),  # of received_at, in the organization's time zone
    uid("fund_id", null=True),  # the one fund it is for; null where it is for none or split
    flag("is_split"),  # over several funds: `gift_allocations` says how
    uid("campaign_id", null=True),
    uid("appeal_id", null=True),
    string("source_code", null=True, binary=True),
    string("channel", null=True),
    document("utm", null=True),
    uid("plan_id", null=True),
    uid("batch_id", null=True),
    minor("donor_covered_fee", null=True),  # the part of the amount that the donor added for the fee
    minor("premium_value", default="0"),  # what came back to the donor in goods: not deductible
    document("method_details", null=True, tag="donor_sensitive"),
    string("note", null=True, tag="donor_sensitive"),
    uid("connection_id", null=True),
    string("provider", null=True),
    string("provider_payment_id", null=True, binary=True),
    string("provider_customer_id", null=True, binary=True),
    document("payer", null=True, tag="donor_sensitive"),  # the most trusted of the provider's statements
    uid("superseded_by", null=True),  # the same payment as that gift: counts for nothing, is not listed
    document("external_ids", default="'[]'"),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("status", STATUSES),
    one_of("method", METHODS),
    one_of("channel", CHANNELS, null=True),
    CheckConstraint("amount >= 0 AND refunded >= 0 AND refunded <= amount AND counted >= 0", name="balances"),
    refers("contact_id", "contacts"),
    refers("fund_id", "funds"),
    CheckConstraint("donor_covered_fee >= 0 AND premium_value >= 0", name="parts"),
    refers("campaign_id", "campaigns"),
    refers("appeal_id", "appeals"),
    refers("batch_id", "gift_batches"),
    refers("plan_id", "recurring_plans"),
    refers("connection_id", "payment_connections"),
    refers("superseded_by", "gifts"),
    Index("ix_gifts__received", "organization_id", "received_at", "id"),
    Index("ix_gifts__created", "organization_id", "created_at", "id"),
    Index(
        "ix_gifts__contact",
        "organization_id",
        "contact_id",
        "gift_date",
        "id",
        postgresql_include=["counted", "base_counted", "received_at", "currency", "plan_id", "channel"],
    ),
    Index(  # who gave in some days and how much, without the rows
        "ix_gifts__day",
        "organization_id",
        "gift_date",
        postgresql_include=["contact_id", "counted", "base_counted", "superseded_by"],
    ),
    Index(
        "ix_gifts__timeline",
        "organization_id",
        "contact_id",
        "received_at",
        "id",
        postgresql_where=text("superseded_by IS NULL"),
    ),
    Index("ix_gifts__status", "organization_id", "status", "received_at", "id"),
    Index("ix_gifts__fund", "organization_id", "fund_id", postgresql_where=text("fund_id IS NOT NULL")),
    Index("ix_gifts__campaign", "organization_id", "campaign_id", postgresql_where=text("campaign_id IS NOT NULL")),
    Index("ix_gifts__appeal", "organization_id", "appeal_id", postgresql_where=text("appeal_id IS NOT NULL")),
    Index("ix_gifts__batch", "organization_id", "batch_id", "id", postgresql_where=text("batch_id IS NOT NULL")),
    Index("ix_gifts__split", "organization_id", "id", postgresql_where=text("is_split")),
    Index("ix_gifts__plan", "organization_id", "plan_id", postgresql_where=text("plan_id IS NOT NULL")),
    Index(
        "uq_gifts__provider_payment",
        "organization_id",
        "connection_id",
        "provider_payment_id",
        unique=True,
        postgresql_where=text("connection_id IS NOT NULL"),
    ),
    Index(
        "ix_gifts__provider_payment_id",
        "organization_id",
        "provider_payment_id",
        postgresql_where=text("provider_payment_id IS NOT NULL"),
    ),
    Index(
        "ix_gifts__customer",
        "organization_id",
        "connection_id",
        "provider_customer_id",
        "received_at",
        postgresql_where=text("provider_customer_id IS NOT NULL"),
    ),
    Index(
        "ix_gifts__superseded",
        "organization_id",
        "superseded_by",
        postgresql_where=text("superseded_by IS NOT NULL"),
    ),
    Index("ix_gifts__no_rate", "organization_id", "currency", postgresql_where=text("base_amount IS NULL")),
    personal=anonymise(
        "contact_id",
        columns={
            "payer": "NULL",
            "provider_customer_id": "NULL",
            "external_ids": "'[]'",
            "method_details": "NULL",
            "note": "NULL",
        },
        ground=ACCOUNTING,
        until="gift_date",
        traces=("t.provider_customer_id", "t.provider_payment_id"),
    ),
)

payment_entries = tenant_table(
    "payment_entries",
    uid("gift_id"),
    string("entry_key", binary=True),
    string("kind"),
    instant("occurred_at"),
    minor("amount", null=True),
    string("ref", null=True),
    string("status", null=True),
    string("reason", null=True),
    instant("started_at", null=True),
    instant("recorded_at"),
    one_of("kind", ENTRY_KINDS),
    refers("gift_id", "gifts"),
    UniqueConstraint("organization_id", "gift_id", "entry_key"),
    privileges=APPEND_ONLY,
    personal=retain("gift_id.contact_id", ground=ACCOUNTING, until="recorded_at"),
)

gift_payment_refs = tenant_table(
    "gift_payment_refs",
    uid("connection_id"),
    string("ref", binary=True),  # every provider id that names the gift's payment
    uid("gift_id"),
    refers("connection_id", "payment_connections"),
    refers("gift_id", "gifts"),
    Index("ix_gift_payment_refs__gift", "organization_id", "gift_id"),
    key=("connection_id", "ref"),
    personal=retain("gift_id.contact_id", ground=ACCOUNTING, traces=("t.ref",)),
)

gift_external_ids = tenant_table(
    "gift_external_ids",
    string("system", binary=True),
    string("external_id", binary=True),
    uid("gift_id"),
    refers("gift_id", "gifts"),
    Index("ix_gift_external_ids__gift", "organization_id", "gift_id"),
    key=("system", "external_id"),
    personal=erase("gift_id.contact_id"),
)
