"""Contacts: one row per person or organization, with the key rows it is found by.

The repeated parts (e-mails, phones, addresses, tags) live in the row as JSON documents, because they are always read
and written with it. What they are *searched* by are rows of `contact_keys`, a btree led by the organization: under
row-level security only leakproof comparisons use an index, so GIN and ``->>`` are of no use here. One function
(`repository.key_rows`) derives the keys, in the transaction that writes the row.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, text

from crm_api.kit.personal import anonymise, erase, nobody
from crm_api.kit.tables import day, document, flag, instant, number, one_of, refers, string, tenant_table, uid

CHANNELS = (
    "email", "phone", "sms", "post", "telegram", "viber", "whatsapp", "signal", "facebook", "instagram", "in_person",
)  # fmt: skip
"""How a person can be reached."""

contacts = tenant_table(
    "contacts",
    string("kind"),
    string("display_name", tag="donor_sensitive"),
    string("latin_name", null=True, tag="donor_sensitive"),
    string("given_name", null=True, tag="donor_sensitive"),
    string("middle_name", null=True, tag="donor_sensitive"),
    string("family_name", null=True, tag="donor_sensitive"),
    string("organization_name", null=True, tag="donor_sensitive"),
    document("other_names", tag="donor_sensitive", default="'[]'"),
    string("salutation", null=True, tag="donor_sensitive"),
    string("formal_greeting", null=True, tag="donor_sensitive"),
    string("informal_greeting", null=True, tag="donor_sensitive"),
    string("language", null=True),
    string("timezone", null=True),
    string("birth_date", null=True, tag="donor_sensitive"),  # 1980-05-17, 1980-05, 1980 or --05-17
    string("gender", null=True, tag="donor_sensitive"),
    document("emails", tag="donor_sensitive", default="'[]'"),
    document("phones", tag="donor_sensitive", default="'[]'"),
    document("addresses", tag="donor_sensitive", default="'[]'"),
    document("handles", tag="donor_sensitive", default="'[]'"),
    string("preferred_channel", null=True),
    document("external_ids", default="'[]'"),
    document("tags", default="'[]'"),
    document("roles", default="'[]'"),  # names of the current ones, from role_details
    document("role_details", default="'[]'"),
    uid("owner_member_id", null=True),
    document("custom", tag="donor_sensitive", default="'{}'"),
    document("custom_sensitive", tag="beneficiary_sensitive", default="'{}'"),
    flag("do_not_contact"),
    flag("deceased"),
    day("deceased_on", null=True, tag="donor_sensitive"),
    document("source", null=True, tag="donor_sensitive"),  # first touch: channel, UTM, referrer
    uid("merged_into", null=True),
    instant("erased_at", null=True),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("kind", ("person", "organization")),
    Index("ix_contacts__display_name", "organization_id", "display_name", "id"),
    Index("ix_contacts__language", "organization_id", "language", "id", postgresql_where=text("language IS NOT NULL")),
    Index("ix_contacts__created", "organization_id", "created_at", "id"),
    Index("ix_contacts__updated", "organization_id", "updated_at", "id"),
    Index(
        "ix_contacts__owner",
        "organization_id",
        "owner_member_id",
        "id",
        postgresql_where=text("owner_member_id IS NOT NULL"),
    ),
    Index(
        "ix_contacts__merged_into", "organization_id", "merged_into", postgresql_where=text("merged_into IS NOT NULL")
    ),
    Index(  # everybody, for rules and counts, without their rows
        "ix_contacts__present",
        "organization_id",
        "id",
        postgresql_where=text("merged_into IS NULL AND erased_at IS NULL"),
    ),
    refers("owner_member_id", "members"),
    refers("merged_into", "contacts"),
    CheckConstraint("merged_into <> id", name="merged_into"),
    one_of("preferred_channel", CHANNELS, null=True),
    personal=anonymise(
        "id",
        columns={
            "display_name": "'Erased ' || upper(right(CAST(t.id AS text), 8))",
            **dict.fromkeys(
                (
                    "latin_name",
                    "given_name",
                    "middle_name",
                    "family_name",
                    "organization_name",
                    "salutation",
                    "formal_greeting",
                    "informal_greeting",
                    "language",
                    "timezone",
                    "birth_date",
                    "gender",
                    "preferred_channel",
                    "deceased_on",
                    "source",
                    "owner_member_id",
                ),
                "NULL",
            ),
            **dict.fromkeys(
                (
                    "other_names",
                    "emails",
                    "phones",
                    "addresses",
                    "handles",
                    "external_ids",
                    "tags",
                    "roles",
                    "role_details",
                ),
                "'[]'",
            ),
            "custom": "'{}'",
            "custom_sensitive": "'{}'",
            "do_not_contact": "true",
            "erased_at": "coalesce(t.erased_at, :now)",
            "updated_at": ":now",
            "version": "t.version + 1",
        },
        ground="the row that gifts and other kept records belong to, without anything that names a person",
        traces=("jsonb_array_elements(t.emails) ->> 'address'",),
    ),
)

contact_keys = tenant_table(
    "contact_keys",
    string("kind", binary=True),  # email, phone, word, city, country, tag, role
    string("value", tag="donor_sensitive", binary=True),
    uid("contact_id"),
    refers("contact_id", "contacts", on_delete="CASCADE"),
    Index("ix_contact_keys__contact", "organization_id", "contact_id"),
    key=("kind", "value", "contact_id"),
    personal=erase("contact_id", export=False),
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
    personal=erase("contact_id", traces=("t.external_id",)),
)

contact_words = tenant_table(
    "contact_words",
    string("variant", tag="donor_sensitive", binary=True),  # a word of a name, or one with a letter left out
    string("word", tag="donor_sensitive", binary=True),
    uid("entry_id"),
    key=("variant", "word", "entry_id"),
    personal=nobody("words of names in general, of nobody in particular; those that nobody bears any more are removed"),
)
contact_words.info["insert"] = """
    INSERT INTO contact_words (organization_id, variant, word, entry_id)
    SELECT q.* FROM {source}LATERAL (
        SELECT {tenant}, v.variant, r.word, r.entry_id
        FROM (SELECT DISTINCT ON (r.word) r.word, r.entry_id FROM {rows}) r, LATERAL (
            SELECT r.word AS variant
            UNION SELECT left(r.word, i - 1) || substr(r.word, i + 1) FROM generate_series(1, length(r.word)) AS i
        ) v
        WHERE (
            SELECT true FROM contact_words k
            WHERE k.organization_id = {tenant} AND k.variant = r.word AND k.word = r.word LIMIT 1
        ) IS NULL
        OFFSET 0
    ) q
"""
# Deferred rows hold a word; those not known yet are added with their variants (contacts/words.py). Not as NOT EXISTS:
# the planner may make one join over the whole vocabulary of that, where this is a look-up for each word.
