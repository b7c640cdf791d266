"""Soft credits: recognition of people who brought about or shared a gift that somebody else gave."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, UniqueConstraint

from crm_api.kit.personal import erase
from crm_api.kit.tables import instant, minor, number, one_of, refers, string, tenant_table, uid

TYPES = (
    "household_member", "solicitor", "matched_gift", "employer", "in_honor_of", "influencer", "donor_advised_fund",
    "workplace", "other",
)  # fmt: skip
ORIGINS = ("manual", "matching")

soft_credits = tenant_table(
    "soft_credits",
    uid("gift_id"),
    uid("contact_id"),
    string("type"),
    minor("amount", null=True),  # in the gift's currency; null: the whole gift, whatever becomes of its amount
    string("origin", default="'manual'"),  # matching: made and kept by the matching of gifts
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("type", TYPES),
    one_of("origin", ORIGINS),
    CheckConstraint("amount > 0", name="amount"),
    refers("gift_id", "gifts"),
    refers("contact_id", "contacts"),
    UniqueConstraint("organization_id", "gift_id", "contact_id", "type"),
    Index("ix_soft_credits__contact", "organization_id", "contact_id", "id"),
    personal=erase("contact_id"),
)
