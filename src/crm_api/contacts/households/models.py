"""Households: people who share an address and a greeting, with who belonged to them and when."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text

from crm_api.kit.limits import RowLimit
from crm_api.kit.personal import anonymise, erase
from crm_api.kit.tables import day, document, flag, instant, number, one_of, refers, string, tenant_table, uid

ROLES = ("head", "spouse", "partner", "parent", "child", "grandparent", "sibling", "other")
STATUSES = ("active", "dissolved")
_THEIRS = (
    "EXISTS (SELECT 1 FROM household_members m WHERE m.organization_id = t.organization_id "
    "AND m.household_id = t.id AND m.contact_id = ANY(:ids))"
)
_OTHERS = (
    "EXISTS (SELECT 1 FROM household_members o WHERE o.organization_id = t.organization_id "
    "AND o.household_id = t.id AND o.contact_id <> ALL(:ids))"
)

households = tenant_table(
    "households",
    string("name", tag="donor_sensitive"),
    flag("name_auto", default=True),  # made from the members; else fixed by hand
    string("formal_greeting", null=True, tag="donor_sensitive"),
    flag("formal_greeting_auto", default=True),
    string("informal_greeting", null=True, tag="donor_sensitive"),
    flag("informal_greeting_auto", default=True),
    string("language", null=True),
    document("address", null=True, tag="donor_sensitive"),
    flag("all_deceased"),
    string("status", default="'active'"),
    flag("stale"),  # a member was erased: name and greetings are to be made anew
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("status", STATUSES),
    Index("ix_households__created", "organization_id", "created_at", "id"),
    Index("ix_households__stale", "organization_id", "id", postgresql_where=text("stale")),
    limit=RowLimit(seen_through="household_members"),
    personal=(
        erase(where=f"{_THEIRS} AND NOT {_OTHERS}"),
        anonymise(
            where=f"{_THEIRS} AND {_OTHERS}",
            columns={
                "name": "''",
                "name_auto": "true",
                "formal_greeting": "NULL",
                "formal_greeting_auto": "true",
                "informal_greeting": "NULL",
                "informal_greeting_auto": "true",
                "stale": "true",
            },
            ground="other people belong to the household; its name is made anew from theirs",
        ),
    ),
)

household_members = tenant_table(
    "household_members",
    uid("household_id"),
    uid("contact_id"),
    string("role", default="'other'"),
    flag("is_primary"),
    flag("in_name", default=True),
    flag("in_greetings", default=True),
    day("since"),
    day("until", null=True),  # the day it ended; null while it lasts
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("role", ROLES),
    CheckConstraint("until >= since", name="dates"),
    refers("household_id", "households", on_delete="CASCADE"),
    refers("contact_id", "contacts", on_delete="CASCADE"),
    Index("ix_household_members__household", "organization_id", "household_id", "id"),
    Index("ix_household_members__contact", "organization_id", "contact_id"),
    Index("ix_household_members__since", "organization_id", "since", "id"),
    Index(
        "uq_household_members__contact",
        "organization_id",
        "contact_id",
        unique=True,
        postgresql_where=text("until IS NULL"),
    ),
    Index(
        "uq_household_members__primary",
        "organization_id",
        "household_id",
        unique=True,
        postgresql_where=text("is_primary AND until IS NULL"),
    ),
    limit=RowLimit(past=("household_id",)),
    personal=erase("contact_id"),
)

household_patterns = tenant_table(
    "household_patterns",
    string("language", binary=True),
    string("name"),
    string("formal_greeting"),
    string("informal_greeting"),
    string("conjunction"),
    instant("updated_at"),
    UniqueConstraint("organization_id", "language"),
)
