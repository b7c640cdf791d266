"""What must be true of the database role before anything is served."""

from __future__ import annotations

from typing import Any

from crm_api.kit.db import Database

_ROLE = """
    SELECT current_user AS name, r.rolsuper OR r.rolbypassrls AS bypasses,
        (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND pg_has_role(current_user, c.relowner, 'MEMBER')
        ) AS owns
    FROM pg_roles r WHERE r.rolname = current_user
"""


class UnsafeRole(Exception):
    """The service would run with a role that row-level security does not hold."""


def trouble_of(row: Any) -> str | None:
    """What is wrong with a role, in words, or nothing."""
    if row["bypasses"]:
        return (
            f"The role {row['name']} in DATABASE_URL bypasses row-level security: organizations would see "
            "each other. Use a role that is neither superuser nor BYPASSRLS; `crm-api migrate` creates it."
        )
    if row["owns"]:
        return (
            f"The role {row['name']} in DATABASE_URL owns tables. Give the tables to the owner in "
            "MIGRATION_DATABASE_URL and let the service use another role."
        )
    return None


async def check_role(database: Database) -> str | None:
    """What is wrong with the connected role, or nothing."""
    async with database.connection() as connection:
        return trouble_of(await connection.fetchrow(_ROLE))


async def require_safe_role(database: Database) -> None:
    """Refuse to start with a role that bypasses row-level security."""
    trouble = await check_role(database)
    if trouble is not None:
        raise UnsafeRole(trouble)
