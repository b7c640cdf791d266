"""Premiums: goods that a donor got for a gift; their value is not deductible."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index

from crm_api.kit.personal import ACCOUNTING, retain
from crm_api.kit.tables import instant, minor, number, refers, string, tenant_table, uid

gift_premiums = tenant_table(
    "gift_premiums",
    uid("gift_id"),
    string("name"),
    number("quantity", default="1"),
    minor("fair_market_value"),  # of one piece, in the gift's currency
    instant("created_at"),
    CheckConstraint("quantity > 0 AND fair_market_value >= 0", name="value"),
    refers("gift_id", "gifts"),
    Index("ix_gift_premiums__gift", "organization_id", "gift_id", "id"),
    personal=retain("gift_id.contact_id", ground=ACCOUNTING),
)
"""`gifts.premium_value` holds the sum of a gift's."""
