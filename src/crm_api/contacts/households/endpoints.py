"""HTTP of households."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated
from uuid import UUID

from fastapi import Path, Response

from crm_api.contacts.households import service
from crm_api.contacts.households.fields import HOUSEHOLD_MEMBERS, HOUSEHOLDS
from crm_api.contacts.households.models import households
from crm_api.contacts.households.schemas import (
    HouseholdCreate,
    HouseholdMemberCreate,
    HouseholdMemberPage,
    HouseholdMemberPatch,
    HouseholdMemberRead,
    HouseholdPage,
    HouseholdPatch,
    HouseholdPatternPut,
    HouseholdPatternRead,
    HouseholdPatterns,
    HouseholdRead,
)
from crm_api.idempotency.boundary import IfMatch, json_body, list_query, reads, router, writes
from crm_api.kit import simple
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.listing import Filter, ListQuery, read_page
from crm_api.kit.reply import created, no_content, reply

routes = router("households")
_MERGE_PATCH = "application/merge-patch+json"
LanguagePath = Annotated[str, Path(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=35)]


@routes.post("/v1/households", operation_id="households_create", status_code=201, response_model=HouseholdRead)
async def households_create(
    session: Annotated[WriteSession, writes("contacts:write")],
    body: Annotated[HouseholdCreate, json_body(HouseholdCreate)],
) -> Response:
    """Add a household with its members; it is named and greeted after them."""
    household = await service.create_household(session, body)
    return created(household, f"/v1/households/{household['id']}")


@routes.get("/v1/households", operation_id="households_list", response_model=HouseholdPage)
async def households_list(
    session: Annotated[ReadSession, reads("contacts:read")], query: Annotated[ListQuery, list_query(HOUSEHOLDS)]
) -> Response:
    """List households, newest first; `contact_id` gives the one a contact belongs to."""
    return await read_page(session, HOUSEHOLDS, query, service.to_summary)


@routes.get("/v1/households/{household_id}", operation_id="households_get", response_model=HouseholdRead)
async def households_get(session: Annotated[ReadSession, reads("contacts:read")], household_id: UUID) -> Response:
    """One household with its members."""
    household = await service.get_household(session, household_id)
    return reply(household, version=household["version"])


@routes.patch("/v1/households/{household_id}", operation_id="households_update", response_model=HouseholdRead)
async def households_update(
    session: Annotated[WriteSession, writes("contacts:write")],
    household_id: UUID,
    body: Annotated[HouseholdPatch, json_body(HouseholdPatch, media_type=_MERGE_PATCH)],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Change a household by JSON merge patch: fix its name or greetings by hand, or dissolve it."""
    household = await service.patch_household(session, household_id, body, expected=expected)
    return reply(household, version=household["version"])


@routes.delete("/v1/households/{household_id}", operation_id="households_delete", status_code=204)
async def households_delete(
    session: Annotated[WriteSession, writes("contacts:write")],
    household_id: UUID,
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Remove a household that was recorded by mistake, with its history."""
    await service.remove_household(session, household_id, expected=expected)
    return no_content()


@routes.post(
    "/v1/households/{household_id}/members",
    operation_id="household_members_create",
    status_code=201,
    response_model=HouseholdMemberRead,
)
async def household_members_create(
    session: Annotated[WriteSession, writes("contacts:write")],
    household_id: UUID,
    body: Annotated[HouseholdMemberCreate, json_body(HouseholdMemberCreate)],
) -> Response:
    """Let a contact belong to a household."""
    member = await service.add_member(session, household_id, body)
    return created(member, f"/v1/households/{household_id}/members/{member['contact_id']}")


@routes.get(
    "/v1/households/{household_id}/members",
    operation_id="household_members_list",
    response_model=HouseholdMemberPage,
)
async def household_members_list(
    session: Annotated[ReadSession, reads("contacts:read")],
    household_id: UUID,
    query: Annotated[ListQuery, list_query(HOUSEHOLD_MEMBERS)],
) -> Response:
    """List everybody who belongs or has belonged to a household, the latest first."""
    await simple.get(session, households, household_id, "household")
    own = Filter(HOUSEHOLD_MEMBERS.by_name["household_id"], "eq", household_id)
    return await read_page(session, HOUSEHOLD_MEMBERS, replace(query, filters=(*query.filters, own)), service.to_member)


@routes.get(
    "/v1/households/{household_id}/members/{contact_id}",
    operation_id="household_members_get",
    response_model=HouseholdMemberRead,
)
async def household_members_get(
    session: Annotated[ReadSession, reads("contacts:read")], household_id: UUID, contact_id: UUID
) -> Response:
    """The membership of a contact who belongs to a household now."""
    member = await service.get_member(session, household_id, contact_id)
    return reply(member, version=member["version"])


@routes.patch(
    "/v1/households/{household_id}/members/{contact_id}",
    operation_id="household_members_update",
    response_model=HouseholdMemberRead,
)
async def household_members_update(
    session: Annotated[WriteSession, writes("contacts:write")],
    household_id: UUID,
    contact_id: UUID,
    body: Annotated[HouseholdMemberPatch, json_body(HouseholdMemberPatch, media_type=_MERGE_PATCH)],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Change a membership by JSON merge patch: its role, who is the primary member, who is named and greeted."""
    member = await service.patch_member(session, household_id, contact_id, body, expected=expected)
    return reply(member, version=member["version"])


@routes.delete(
    "/v1/households/{household_id}/members/{contact_id}", operation_id="household_members_delete", status_code=204
)
async def household_members_delete(
    session: Annotated[WriteSession, writes("contacts:write")],
    household_id: UUID,
    contact_id: UUID,
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Let a member leave the household today; the membership stays in its history."""
    await service.remove_member(session, household_id, contact_id, expected=expected)
    return no_content()


@routes.get("/v1/household-patterns", operation_id="household_patterns_list", response_model=HouseholdPatterns)
async def household_patterns_list(session: Annotated[ReadSession, reads("contacts:read")]) -> Response:
    """How households are named and greeted in each language."""
    return reply({"data": await service.list_patterns(session)})


@routes.put(
    "/v1/household-patterns/{language}", operation_id="household_patterns_put", response_model=HouseholdPatternRead
)
async def household_patterns_put(
    session: Annotated[WriteSession, writes("contacts:write")],
    language: LanguagePath,
    body: Annotated[HouseholdPatternPut, json_body(HouseholdPatternPut)],
) -> Response:
    """Say how households of a language are named; they are named anew in the background."""
    return reply(await service.put_pattern(session, language, body))
