"""Matching gifts: what an employer gives because its employee gave."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, UniqueConstraint

from crm_api.kit.personal import retain
from crm_api.kit.tables import day, instant, minor, number, one_of, refers, string, tenant_table, uid

STATUSES = ("potential", "submitted", "received")

matching_gifts = tenant_table(
    "matching_gifts",
    uid("gift_id"),  # the employee's
    uid("company_contact_id"),
    string("status"),
    minor("expected_amount", null=True),
    string("expected_currency", null=True),
    minor("received_amount", null=True),  # the part of the company's gift that matches this one, in its currency
    string("received_currency", null=True),
    uid("matching_gift_id", null=True),  # the company's, once it has come
    day("submitted_on", null=True),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("status", STATUSES),
    CheckConstraint("(status = 'received') = (matching_gift_id IS NOT NULL)", name="received"),
    CheckConstraint("(expected_amount IS NULL) = (expected_currency IS NULL)", name="expected_amount"),
    CheckConstraint(
        "(matching_gift_id IS NULL) = (received_amount IS NULL) "
        "AND (received_amount IS NULL) = (received_currency IS NULL)",
        name="received_amount",
    ),
    CheckConstraint("expected_amount > 0 AND received_amount > 0 AND gift_id <> matching_gift_id", name="sense"),
    refers("gift_id", "gifts"),
    refers("matching_gift_id", "gifts"),
    refers("company_contact_id", "contacts"),
    UniqueConstraint("organization_id", "gift_id", "company_contact_id"),
    Index("ix_matching_gifts__company", "organization_id", "company_contact_id", "id"),
    Index("ix_matching_gifts__status", "organization_id", "status", "id"),
    Index("ix_matching_gifts__matching", "organization_id", "matching_gift_id"),
    personal=retain(
        "gift_id.contact_id", "company_contact_id", ground="a link between gifts that are kept; it names nobody itself"
    ),
)
