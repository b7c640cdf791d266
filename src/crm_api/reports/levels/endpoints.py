"""HTTP of giving levels; the report on them is among the reports on giving."""

from __future__ import annotations

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import Response

from crm_api.idempotency.boundary import IfMatch, json_body, list_query, reads, router, writes
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.listing import ListQuery, read_page
from crm_api.kit.reply import created, no_content, reply
from crm_api.reports.levels import service
from crm_api.reports.levels.fields import GIVING_LEVELS
from crm_api.reports.levels.schemas import GivingLevelCreate, GivingLevelPage, GivingLevelPatch, GivingLevelRead

routes = router("reports")


@routes.post("/v1/giving-levels", operation_id="giving_levels_create", status_code=201, response_model=GivingLevelRead)
async def giving_levels_create(
    session: Annotated[WriteSession, writes("reports:write")],
    body: Annotated[GivingLevelCreate, json_body(GivingLevelCreate)],
) -> Response:
    """Add a level to a program."""
    level = service.create_level(session, body)
    return created(level, f"/v1/giving-levels/{level['id']}")


@routes.get("/v1/giving-levels", operation_id="giving_levels_list", response_model=GivingLevelPage)
async def giving_levels_list(
    session: Annotated[ReadSession, reads("scoring:read")], query: Annotated[ListQuery, list_query(GIVING_LEVELS)]
) -> Response:
    """List levels, newest first; `sort=min_amount` gives them from the lowest up."""
    return await read_page(session, GIVING_LEVELS, query, partial(service.to_read, currency=session.tenant.currency))


@routes.get("/v1/giving-levels/{giving_level_id}", operation_id="giving_levels_get", response_model=GivingLevelRead)
async def giving_levels_get(session: Annotated[ReadSession, reads("scoring:read")], giving_level_id: UUID) -> Response:
    """One level."""
    level = await service.get_level(session, giving_level_id)
    return reply(level, version=level["version"])


@routes.patch(
    "/v1/giving-levels/{giving_level_id}", operation_id="giving_levels_update", response_model=GivingLevelRead
)
async def giving_levels_update(
    session: Annotated[WriteSession, writes("reports:write")],
    giving_level_id: UUID,
    body: Annotated[GivingLevelPatch, json_body(GivingLevelPatch, media_type="application/merge-patch+json")],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Change a level by JSON merge patch."""
    level = await service.patch_level(session, giving_level_id, body, expected=expected)
    return reply(level, version=level["version"])


@routes.delete("/v1/giving-levels/{giving_level_id}", operation_id="giving_levels_delete", status_code=204)
async def giving_levels_delete(
    session: Annotated[WriteSession, writes("reports:write")],
    giving_level_id: UUID,
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Remove a level."""
    await service.delete_level(session, giving_level_id, expected=expected)
    return no_content()
