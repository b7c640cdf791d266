"""HTTP of members."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Request, Response

from crm_api.auth.scopes import ROLE_SCOPES
from crm_api.idempotency.boundary import IfMatch, json_body, list_query, reads, router, services, writes
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.listing import ListQuery, read_page
from crm_api.kit.reply import created, reply
from crm_api.organizations.members import service
from crm_api.organizations.members.fields import MEMBERS
from crm_api.organizations.members.schemas import MemberCreate, MemberPage, MemberPatch, MemberRead

routes = router("members")


def _grantable(session: WriteSession) -> frozenset[str]:
    return frozenset(role for role, scopes in ROLE_SCOPES.items() if scopes <= session.actor.scopes)


@routes.post("/v1/members", operation_id="members_create", status_code=201, response_model=MemberRead)
async def members_create(
    session: Annotated[WriteSession, writes("members:write")],
    body: Annotated[MemberCreate, json_body(MemberCreate)],
) -> Response:
    """Add a member. You can give only roles whose scopes you have yourself."""
    member = service.add_member(session, body, grantable=_grantable(session))
    return created(member, f"/v1/members/{member['id']}")


@routes.get("/v1/members", operation_id="members_list", response_model=MemberPage)
async def members_list(
    session: Annotated[ReadSession, reads("members:read")], query: Annotated[ListQuery, list_query(MEMBERS)]
) -> Response:
    """List members, newest first."""
    return await read_page(session, MEMBERS, query, service.to_read)


@routes.get("/v1/members/{member_id}", operation_id="members_get", response_model=MemberRead)
async def members_get(session: Annotated[ReadSession, reads("members:read")], member_id: UUID) -> Response:
    """One member."""
    member = await service.get_member(session, member_id)
    return reply(member, version=member["version"])


@routes.patch("/v1/members/{member_id}", operation_id="members_update", response_model=MemberRead)
async def members_update(
    request: Request,
    session: Annotated[WriteSession, writes("members:write")],
    member_id: UUID,
    body: Annotated[MemberPatch, json_body(MemberPatch, media_type="application/merge-patch+json")],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Change a member by JSON merge patch. The last active owner cannot be demoted or disabled."""
    member = await service.patch_member(session, member_id, body, expected=expected, grantable=_grantable(session))
    authenticator = services(request).authenticator
    session.after_commit(lambda: authenticator.forget(session.organization_id))
    return reply(member, version=member["version"])
