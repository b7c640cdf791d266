"""Verbs of members.

`grantable` is the set of roles the caller may give: those whose scopes it has itself, so that nobody raises anyone
above themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select

from crm_api.audit.service import record
from crm_api.kit import simple
from crm_api.kit.db import ReadSession, Row, WriteSession, prepare
from crm_api.kit.problems import Conflict, Forbidden, Invalid
from crm_api.kit.updates import check_version, update_row
from crm_api.organizations.members.schemas import MemberCreate, MemberPatch
from crm_api.organizations.models import members, organizations

_ORG: Any = bindparam("organization_id")
_READ = ("id", "email", "name", "role", "status", "sees_all", "version", "created_at", "updated_at")
_OWNER = ("owner", "active")
# NO KEY: the rows of other tables, which refer to the organization, can still be inserted meanwhile.
_LOCK = prepare(select(organizations.c.id).where(organizations.c.id == _ORG).with_for_update(key_share=True))
_ANOTHER_OWNER = prepare(
    select(members.c.id)
    .where(
        members.c.organization_id == _ORG,
        members.c.role == "owner",
        members.c.status == "active",
        members.c.id != bindparam("id"),
    )
    .limit(1)
)


def to_read(row: Row | Mapping[str, Any]) -> dict[str, Any]:
    """A member as the API shows it."""
    return {name: row[name] for name in _READ}


def _sees_all(role: str) -> bool:
    """Whether members with a role see all where nobody has said otherwise."""
    return role in {"owner", "admin"}


def _check_sight(role: str, sees_all: bool) -> None:
    if role == "owner" and not sees_all:
        detail = "An owner sees everything. Give the member another role to limit it to its teams."
        raise Invalid.at("/sees_all", "owner_sees_all", detail)


def _check_grant(role: str, grantable: Collection[str]) -> None:
    if role not in grantable:
        raise Forbidden(
            f"The role {role} has scopes that you do not have yourself, so you cannot give it.",
            code="role_not_grantable",
        )


def add_member(session: WriteSession, body: MemberCreate, *, grantable: Collection[str]) -> dict[str, Any]:
    """Add a member; the e-mail address is unique in the organization."""
    _check_grant(body.role, grantable)
    sees_all = _sees_all(body.role) if body.sees_all is None else body.sees_all
    _check_sight(body.role, sees_all)
    row = simple.add(session, members, {**body.model_dump(), "status": "active", "sees_all": sees_all})
    record(session, "member.created", "member", row["id"])
    return to_read(row)


async def get_member(session: ReadSession, member_id: UUID) -> dict[str, Any]:
    """One member, or 404."""
    return to_read(await simple.get(session, members, member_id, "member"))


async def _check_another_owner(session: WriteSession, member_id: UUID) -> None:
    if not await session.fetch(_ANOTHER_OWNER, id=member_id):
        raise Conflict(
            "This is the last active owner. Make somebody else an owner first, then change this one.", code="last_owner"
        )


async def patch_member(
    session: WriteSession, member_id: UUID, body: MemberPatch, *, expected: int | None, grantable: Collection[str]
) -> dict[str, Any]:
    """Change a member. The last active owner stays one: a lock on the organization settles who comes first."""
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    rights = changes.keys() & {"role", "status"}
    if rights:
        await session.fetch(_LOCK)
    before = await simple.get(session, members, member_id, "member")
    check_version(before["version"], expected)
    if not changes:
        return to_read(before)
    if rights:
        role, status = changes.get("role", before["role"]), changes.get("status", before["status"])
        if status == "active" and (role, status) != (before["role"], before["status"]):
            _check_grant(role, grantable)
        if (before["role"], before["status"]) == _OWNER and (role, status) != _OWNER:
            await _check_another_owner(session, member_id)
    after = changes.get("role", before["role"])
    if after != before["role"] and "sees_all" not in changes and before["sees_all"] == _sees_all(before["role"]):
        changes["sees_all"] = _sees_all(after)
    _check_sight(after, changes.get("sees_all", before["sees_all"]))
    row = await update_row(session, members, member_id, changes, expected=expected)
    record(session, "member.updated", "member", member_id, fields=changes)
    return to_read(row)
