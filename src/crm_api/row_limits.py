"""Putting the policies of `kit.limits` into a database, with what the limited role may do: after every migration.

They are made from the models, so a new table is limited without anybody writing a policy, and until they are there the
role may do nothing with it. Run again, this changes only what differs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import asyncpg
from sqlalchemy import MetaData

from crm_api.kit import limits
from crm_api.registry import load_models

_LOCK = 4_201_972_002  # any fixed number: one at a time
_TABLES = """
    SELECT c.relname AS name, array_agg(DISTINCT s.privilege) FILTER (WHERE s.grantee = 'crm_service') AS service,
        array_agg(DISTINCT s.privilege) FILTER (WHERE s.grantee = $1) AS limited
    FROM pg_class c LEFT JOIN LATERAL (
        SELECT a.grantee::regrole::text AS grantee, a.privilege_type AS privilege FROM aclexplode(c.relacl) a
        WHERE a.grantee <> 0
        UNION ALL
        SELECT a.grantee::regrole::text, format('%s (%I)', a.privilege_type, t.attname)
        FROM pg_attribute t, aclexplode(t.attacl) a
        WHERE t.attrelid = c.oid AND NOT t.attisdropped AND a.grantee <> 0
    ) s ON s.grantee IN ('crm_service', $1)
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') GROUP BY c.relname
"""
_POLICIES = """
    SELECT p.polrelid::regclass::text AS table_name, p.polname AS name, obj_description(p.oid, 'pg_policy') AS made_of
    FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
    WHERE c.relnamespace = 'public'::regnamespace AND p.polname LIKE 'limit\\_%'
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the models ask for."""

    policies: dict[tuple[str, str], limits.Policy]
    privileges: dict[str, tuple[str, ...]]
    """Only where the limited role may do less than the service."""


def wanted(schema: MetaData) -> Wanted:
    """The policies of every table, and where the role may do less."""
    policies = {
        (name, policy.name): policy for name, rows in limits.catalogue(schema).items() for policy in rows.policies
    }
    said = {table.name: table.info.get("limit") for table in schema.tables.values()}
    return Wanted(policies, {name: one.privileges for name, one in said.items() if one and one.privileges is not None})


def _made_of(policy: limits.Policy) -> str:
    return sha256(f"{policy.using}\n{policy.check}".encode()).hexdigest()


async def apply(owner_url: str) -> None:
    """Bring the policies and privileges of the limited role to what the models ask for, in one transaction."""
    models = load_models()
    owner = await asyncpg.connect(owner_url)
    try:
        async with owner.transaction():
            await owner.execute("SET LOCAL lock_timeout = '5s'")
            await owner.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
            tables = {row["name"]: row for row in await owner.fetch(_TABLES, limits.ROLE)}
            there = {(row["table_name"], row["name"]): row["made_of"] for row in await owner.fetch(_POLICIES)}
            asked = wanted(models)
            statements = [*_changed_policies(asked, there, set(models.tables) - set(tables))]
            statements += _changed_privileges(asked, tables)
            if statements:
                await owner.execute("; ".join(statements))
    finally:
        await owner.close()


def _changed_policies(asked: Wanted, there: dict[tuple[str, str], str | None], missing: set[str]) -> Iterator[str]:
    for place in sorted(there.keys() - asked.policies.keys()):
        yield f"DROP POLICY {place[1]} ON {place[0]}"
    for (table, name), policy in asked.policies.items():
        made_of = _made_of(policy)
        if table in missing or any(f"FROM {one} " in policy.using for one in missing):
            continue  # a table that no migration has made yet: there is nothing to hold
        if there.get((table, name)) == made_of:
            continue
        if (table, name) in there:
            yield f"DROP POLICY {name} ON {table}"
        yield (
            f"CREATE POLICY {name} ON {table} AS RESTRICTIVE TO {limits.ROLE} "
            f"USING ({policy.using}) WITH CHECK ({policy.check})"
        )
        yield f"COMMENT ON POLICY {name} ON {table} IS '{made_of}'"


def _changed_privileges(asked: Wanted, tables: dict[str, Any]) -> Iterator[str]:
    for name, row in sorted(tables.items()):
        may = set(asked.privileges.get(name, row["service"] or ()))
        has = set(row["limited"] or ())
        for privilege in sorted(has - may):
            yield f"REVOKE {privilege} ON {name} FROM {limits.ROLE}"
        for privilege in sorted(may - has):
            yield f"GRANT {privilege} ON {name} TO {limits.ROLE}"
