"""Relationships: typed links between two contacts, read from both sides; affiliations of persons with organizations."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text

from crm_api.kit.personal import erase
from crm_api.kit.tables import day, document, flag, instant, number, one_of, refers, string, tenant_table, uid

KINDS = ("personal", "affiliation")
ENDS = ("person", "organization", "any")
STATUSES = ("active", "archived")

relationship_types = tenant_table(
    "relationship_types",
    string("code", binary=True),
    string("kind"),  # for good, like code, from_kind, to_kind and is_symmetric
    string("from_kind"),
    string("to_kind"),
    flag("is_symmetric"),
    string("name"),  # "from" is this of "to": parent of
    string("reciprocal_name"),  # "to" is this of "from": child of
    document("names", default="'{}'"),  # language: {name, reciprocal_name}
    string("status", default="'active'"),
    number("position", default="0"),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("kind", KINDS),
    one_of("from_kind", ENDS),
    one_of("to_kind", ENDS),
    one_of("status", STATUSES),
    UniqueConstraint("organization_id", "code"),
    Index("ix_relationship_types__position", "organization_id", "position", "id"),
)

relationships = tenant_table(
    "relationships",
    uid("type_id"),
    string("kind"),  # the type's
    uid("from_contact_id"),
    uid("to_contact_id"),
    day("since", null=True, tag="donor_sensitive"),
    day("until", null=True, tag="donor_sensitive"),  # the last day; null while it lasts
    string("note", null=True, tag="donor_sensitive"),
    string("job_title", null=True, tag="donor_sensitive"),
    flag("is_primary"),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("kind", KINDS),
    CheckConstraint("from_contact_id <> to_contact_id", name="two_contacts"),
    CheckConstraint("until >= since", name="dates"),
    CheckConstraint("kind = 'affiliation' OR (job_title IS NULL AND NOT is_primary)", name="affiliation"),
    refers("type_id", "relationship_types"),
    refers("from_contact_id", "contacts", on_delete="CASCADE"),
    refers("to_contact_id", "contacts", on_delete="CASCADE"),
    Index("ix_relationships__type", "organization_id", "type_id"),
    Index("ix_relationships__from", "organization_id", "from_contact_id", "id"),
    Index("ix_relationships__to", "organization_id", "to_contact_id", "id"),
    Index("ix_relationships__created", "organization_id", "created_at", "id"),
    Index(
        "uq_relationships__lasting",
        "organization_id",
        "type_id",
        "from_contact_id",
        "to_contact_id",
        unique=True,
        postgresql_where=text("until IS NULL"),
    ),
    Index(
        "uq_relationships__primary",
        "organization_id",
        "from_contact_id",
        unique=True,
        postgresql_where=text("is_primary AND until IS NULL"),
    ),
    personal=erase("from_contact_id", "to_contact_id"),
)
