"""Payments under way that the provider is asked about, and when next."""

from __future__ import annotations

from sqlalchemy import Index

from crm_api.kit.personal import erase
from crm_api.kit.tables import instant, number, refers, tenant_table, uid

payment_polls = tenant_table(
    "payment_polls",  # removed when the payment is over, or nobody can say more of it
    uid("gift_id"),
    uid("connection_id"),
    number("asked", default="0"),
    instant("next_at"),
    instant("ends_at"),  # when its page closes, or after which nobody asks any more
    refers("gift_id", "gifts"),
    refers("connection_id", "payment_connections"),
    Index("ix_payment_polls__next", "organization_id", "next_at", "gift_id"),
    Index("ix_payment_polls__connection", "organization_id", "connection_id"),
    key=("gift_id",),
    personal=erase("gift_id.contact_id", export=False),
)
