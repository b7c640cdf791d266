"""Filters that name a contact: an id from before a merge finds what its survivor has."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Uuid, bindparam, case, column, select, table

from crm_api.kit.limits import ROOT

_CONTACTS: Any = table(ROOT, *(column(name, Uuid) for name in ("organization_id", "id", "merged_into")))


def names_contact(named: Any) -> bool:
    """Whether a column names a contact, and its survivor after a merge. Rows that are about that very record do not."""
    holder = getattr(named.table, "element", named.table)  # of an alias, its table
    if holder.info.get("on_merge") == "keep":
        return False
    return f"{ROOT}.id" in {key.target_fullname for key in holder.c[named.name].foreign_keys}


def survivor(name: str) -> Any:
    """Who the contact of a parameter is today. CASE is leakproof, so what is compared with it uses its index."""
    who = _CONTACTS.alias("who")
    now = case((who.c.merged_into.is_(None), who.c.id), else_=who.c.merged_into)
    one: Any = bindparam(name, type_=Uuid)
    return select(now).where(who.c.organization_id == bindparam("organization_id"), who.c.id == one).scalar_subquery()
