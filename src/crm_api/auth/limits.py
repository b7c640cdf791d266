"""Which rows a caller sees: from its own row, its teams and what its organization has switched on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import text

from crm_api.kit.db import Database, RowLike, Statement, Tenant, prepare
from crm_api.kit.limits import Limit

READ_SENSITIVE = "contacts:read_sensitive"


def _belongs(table: str, column: str) -> Statement:
    """The caller's own teams, and those below them."""
    return prepare(
        text(
            f"""
            WITH RECURSIVE own AS (
                SELECT team_id FROM {table} WHERE organization_id = :organization_id AND {column} = :who
            ), below AS (
                SELECT team_id FROM own
                UNION
                SELECT t.id FROM below b
                JOIN teams t ON t.organization_id = :organization_id AND t.parent_id = b.team_id
            )
            SELECT b.team_id, EXISTS (SELECT 1 FROM own WHERE own.team_id = b.team_id) AS own
            FROM below b ORDER BY b.team_id
            """
        )
    )


_TEAMS: Mapping[str, Statement] = {
    "api_key": _belongs("team_keys", "key_id"),
    "member": _belongs("team_members", "member_id"),
}


async def limit_of(
    database: Database, tenant: Tenant, row: RowLike, kind: str, who: UUID, scopes: frozenset[str]
) -> Limit | None:
    """The limit of a caller, or nothing where it sees all. `row` holds its ``sees_all`` and the organization's
    settings. Asks the database only for callers that teams limit."""
    by_team = row["team_access"] == "on" and not row["sees_all"]
    by_role = row["beneficiary_privacy"] == "records" and READ_SENSITIVE not in scopes
    if not by_team and not by_role:
        return None
    roles: Sequence[str] = row["beneficiary_roles"] if by_role else ()
    if not by_team:
        return Limit(hidden_roles=tuple(roles), unassigned=True)
    found = await database.read(tenant).fetch(_TEAMS[kind], who=who)
    return Limit(
        teams=tuple(one["team_id"] for one in found),
        home=tuple(one["team_id"] for one in found if one["own"]),
        unassigned=row["unassigned_contacts"] == "seen",
        hidden_roles=tuple(roles),
    )
