"""Contacts: one row per person or organization, with the key rows it is found by.

The repeated parts (e-mails, phones, addresses, tags) live in the row as JSON documents, because they are always read
and written with it. What they are *searched* by are rows of `contact_keys`, a btree led by the organization: under
row-level security only leakproof comparisons use an index, so GIN and ``->>`` are of no use here. One function
(`repository.key_rows`) derives the keys, in the transaction that writes the row.
"""

from __future__ import annotations

from sqlalchemy import Index

from crm_api.kit.tables import document, flag, instant, number, one_of, refers, string, tenant_table, uid

contacts = tenant_table(
    "contacts",
    string("kind"),
    string("display_name", tag="donor_sensitive"),
    string("given_name", null=True, tag="donor_sensitive"),
    string("middle_name", null=True, tag="donor_sensitive"),
    string("family_name", null=True, tag="donor_sensitive"),
    string("organization_name", null=True, tag="donor_sensitive"),
    string("language", null=True),
    document("emails", tag="donor_sensitive", default="'[]'"),
    document("phones", tag="donor_sensitive", default="'[]'"),
    document("addresses", tag="donor_sensitive", default="'[]'"),
    document("external_ids", default="'[]'"),
    document("tags", default="'[]'"),
    document("roles", default="'[]'"),
    document("custom", tag="donor_sensitive", default="'{}'"),
    flag("do_not_contact"),
    flag("deceased"),
    string("source", null=True),  # first touch: api, stripe, import ...
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("kind", ("person", "organization")),
    Index("ix_contacts__created", "organization_id", "created_at", "id"),
    Index("ix_contacts__updated", "organization_id", "updated_at", "id"),
)

contact_keys = tenant_table(
    "contact_keys",
    string("kind", binary=True),  # email, phone, word, city, country, tag, role
    string("value", tag="donor_sensitive", binary=True),
    uid("contact_id"),
    refers("contact_id", "contacts", on_delete="CASCADE"),
    Index("ix_contact_keys__contact", "organization_id", "contact_id"),
    key=("kind", "value", "contact_id"),
)

contact_external_ids = tenant_table(
    "contact_external_ids",
    string("system", binary=True),
    string("external_id", binary=True),
    uid("contact_id"),
    instant("created_at"),
    refers("contact_id", "contacts", on_delete="CASCADE"),
    Index("ix_contact_external_ids__contact", "organization_id", "contact_id"),
    key=("system", "external_id"),
)
