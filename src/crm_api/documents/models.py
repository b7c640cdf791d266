"""Documents: files attached to contacts. The content is in the file store under a random name; the row says what it is.

A document that is `beneficiary_sensitive` exists only for callers with ``contacts:read_sensitive``.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, text

from crm_api.kit.personal import erase
from crm_api.kit.tables import day, instant, number, one_of, refers, string, tenant_table, uid

SENSITIVITIES = ("internal", "donor_sensitive", "beneficiary_sensitive")
KINDS = ("identity", "contract", "consent", "receipt", "report", "medical", "photo", "letter", "other")
NEVER = "9000-01-01"
"""What `expires_sort` holds for a document that does not expire: it comes last in lists by expiry."""

documents = tenant_table(
    "documents",
    uid("contact_id"),
    uid("owner_member_id", null=True),
    string("title", tag="donor_sensitive"),
    string("kind"),
    string("sensitivity"),
    string("file", tag="secret"),
    string("filename", tag="donor_sensitive"),
    string("media_type"),
    number("size", big=True),
    string("sha256"),
    day("expires_on", null=True),
    day("expires_sort", tag="internal"),
    number("remind_days", default="30"),
    day("remind_on", null=True),  # when the reminder is due; null once it was given, or where none will be
    instant("reminded_at", null=True),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("kind", KINDS),
    one_of("sensitivity", SENSITIVITIES),
    CheckConstraint("remind_days BETWEEN 0 AND 366", name="remind_days"),
    CheckConstraint(f"expires_sort = coalesce(expires_on, DATE '{NEVER}')", name="expires_sort"),
    refers("contact_id", "contacts"),
    refers("owner_member_id", "members"),
    Index("ix_documents__timeline", "organization_id", "contact_id", "created_at", "id"),
    Index("ix_documents__created", "organization_id", "created_at", "id"),
    Index("ix_documents__expires", "organization_id", "expires_sort", "id"),
    Index("ix_documents__owner", "organization_id", "owner_member_id", "id"),
    Index("ix_documents__file", "organization_id", "file", unique=True),
    Index("ix_documents__remind", "organization_id", "remind_on", postgresql_where=text("remind_on IS NOT NULL")),
    personal=erase("contact_id", files="file", hidden=("file", "expires_sort", "remind_on", "reminded_at")),
)
