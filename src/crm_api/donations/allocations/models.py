"""How a gift is split over funds."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index

from crm_api.kit.personal import ACCOUNTING, retain
from crm_api.kit.tables import minor, number, rate, refers, tenant_table, uid

gift_allocations = tenant_table(
    "gift_allocations",
    uid("gift_id"),
    uid("fund_id"),
    number("position"),  # in the order that was given; of equal remainders the first is served first
    rate("percent", null=True),  # what was said; null where the split was said in amounts
    minor("amount"),  # this fund's part of the gift's amount: the parts add up to it exactly
    minor("counted"),  # and of its `counted`: net of refunds, lost disputes and reversals
    minor("base_counted", null=True),  # and of its `base_counted`; null until a rate is known
    CheckConstraint("amount >= 0 AND counted >= 0 AND counted <= amount", name="parts"),
    CheckConstraint("percent > 0 AND percent <= 100", name="percent"),
    refers("gift_id", "gifts"),
    refers("fund_id", "funds"),
    Index("ix_gift_allocations__fund", "organization_id", "fund_id", "gift_id"),
    key=("gift_id", "fund_id"),
    personal=retain("gift_id.contact_id", ground=ACCOUNTING),
)
"""Rows of split gifts only (`gifts.is_split`): a gift for one fund names it in `gifts.fund_id`."""
