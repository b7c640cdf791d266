"""Tributes: gifts in honour or in memory of somebody, and who is told of them."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index

from crm_api.kit.personal import erase
from crm_api.kit.tables import document, instant, number, one_of, refers, string, tenant_table, uid

TYPES = ("honor", "memorial")
NOTICE_STATUSES = ("pending", "sent", "failed", "not_needed")

tributes = tenant_table(
    "tributes",
    uid("gift_id"),
    string("type"),
    uid("honoree_contact_id", null=True),
    string("honoree_name", null=True, tag="donor_sensitive"),
    string("message", null=True, tag="donor_sensitive"),  # the donor's words to whom is told
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("type", TYPES),
    CheckConstraint("honoree_contact_id IS NOT NULL OR honoree_name IS NOT NULL", name="honoree"),
    refers("gift_id", "gifts"),
    refers("honoree_contact_id", "contacts"),
    Index("ix_tributes__gift", "organization_id", "gift_id"),
    Index("ix_tributes__honoree", "organization_id", "honoree_contact_id"),
    personal=erase("gift_id.contact_id", "honoree_contact_id"),
)

tribute_notices = tenant_table(
    "tribute_notices",
    uid("tribute_id"),
    uid("contact_id", null=True),
    string("name", null=True, tag="donor_sensitive"),
    string("email", null=True, tag="donor_sensitive"),
    document("address", null=True, tag="donor_sensitive"),
    string("status", default="'pending'"),
    instant("notified_at", null=True),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("status", NOTICE_STATUSES),
    CheckConstraint("contact_id IS NOT NULL OR name IS NOT NULL", name="whom"),
    CheckConstraint("(status = 'sent') = (notified_at IS NOT NULL)", name="notified_at"),
    refers("tribute_id", "tributes", on_delete="CASCADE"),
    refers("contact_id", "contacts"),
    Index("ix_tribute_notices__tribute", "organization_id", "tribute_id", "id"),
    Index("ix_tribute_notices__contact", "organization_id", "contact_id"),
    Index("ix_tribute_notices__status", "organization_id", "status", "id"),
    personal=erase("contact_id", "tribute_id.gift_id.contact_id", "tribute_id.honoree_contact_id"),
)
