"""Payouts: what a provider has sent to the bank, and the payments it says are in it."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, text

from crm_api.kit.personal import ACCOUNTING, retain
from crm_api.kit.tables import day, instant, minor, number, one_of, refers, string, tenant_table, uid

STATES = ("open", "reconciled", "canceled")
ORIGINS = ("manual", "upload", "provider")
ITEM_KINDS = ("payment", "refund", "chargeback", "fee", "adjustment", "other")
ITEM_STATES = (
    "unchecked", "matched", "missing_gift", "amount_differs", "fee_differs", "currency_differs", "paid_twice",
)  # fmt: skip
_STAYS = "what a provider paid out, as its statement says; it names payments, not people"

payouts = tenant_table(
    "payouts",
    uid("connection_id"),
    string("provider"),
    string("payout_ref", binary=True),
    day("arrived_on"),
    string("currency"),
    minor("amount"),  # what arrived at the bank
    minor("fee", default="0"),  # taken from the payout as a whole, beside the fees of its items
    minor("items_net", null=True),  # sum of the items; null where none were given
    string("state", default="'open'"),
    string("origin"),
    number("items_count", default="0"),
    number("items_matched", default="0"),
    string("reason", null=True),  # why it was canceled
    string("failure_code", null=True),  # why the bank sent it back, in the provider's word: then it never arrives
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("state", STATES),
    one_of("origin", ORIGINS),
    CheckConstraint("fee >= 0", name="fee"),
    CheckConstraint("failure_code IS NULL OR state = 'canceled'", name="failure"),
    refers("connection_id", "payment_connections"),
    Index(
        "uq_payouts__ref",
        "organization_id",
        "connection_id",
        "payout_ref",
        unique=True,
        postgresql_where=text("state <> 'canceled'"),
    ),
    Index("ix_payouts__connection", "organization_id", "connection_id", "arrived_on"),
    Index("ix_payouts__arrived", "organization_id", "arrived_on", "id"),
    Index("ix_payouts__created", "organization_id", "created_at", "id"),
    personal=retain(ground=_STAYS, until="created_at", export=False),
)

payout_items = tenant_table(
    "payout_items",
    uid("payout_id"),
    uid("connection_id"),
    string("kind"),
    string("ref", binary=True),
    minor("gross"),
    minor("fee"),
    minor("net"),
    uid("gift_id", null=True),
    string("state"),
    instant("created_at"),
    one_of("kind", ITEM_KINDS),
    one_of("state", ITEM_STATES),
    CheckConstraint("net = gross - fee", name="net"),
    refers("payout_id", "payouts"),
    refers("connection_id", "payment_connections"),
    refers("gift_id", "gifts"),
    Index("ix_payout_items__payout", "organization_id", "payout_id", "id"),
    Index("ix_payout_items__ref", "organization_id", "connection_id", "ref"),
    Index("ix_payout_items__gift", "organization_id", "gift_id", postgresql_where=text("gift_id IS NOT NULL")),
    Index("ix_payout_items__state", "organization_id", "state", "id"),
    personal=retain("gift_id.contact_id", ground=ACCOUNTING, until="created_at", traces=("t.ref",)),
)
