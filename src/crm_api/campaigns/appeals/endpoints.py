"""HTTP of appeals."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Response

from crm_api.campaigns.appeals import service
from crm_api.campaigns.appeals.fields import APPEALS
from crm_api.campaigns.appeals.schemas import AppealCreate, AppealPage, AppealPatch, AppealRead
from crm_api.idempotency.boundary import IfMatch, json_body, list_query, reads, router, writes
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.listing import ListQuery, read_page
from crm_api.kit.reply import created, reply

routes = router("appeals")


@routes.post("/v1/appeals", operation_id="appeals_create", status_code=201, response_model=AppealRead)
async def appeals_create(
    session: Annotated[WriteSession, writes("campaigns:write")],
    body: Annotated[AppealCreate, json_body(AppealCreate)],
) -> Response:
    """Add an appeal."""
    appeal = service.create_appeal(session, body)
    return created(appeal, f"/v1/appeals/{appeal['id']}")


@routes.get("/v1/appeals", operation_id="appeals_list", response_model=AppealPage)
async def appeals_list(
    session: Annotated[ReadSession, reads("campaigns:read")], query: Annotated[ListQuery, list_query(APPEALS)]
) -> Response:
    """List appeals, newest first."""
    return await read_page(session, APPEALS, query, service.to_read)


@routes.get("/v1/appeals/{appeal_id}", operation_id="appeals_get", response_model=AppealRead)
async def appeals_get(session: Annotated[ReadSession, reads("campaigns:read")], appeal_id: UUID) -> Response:
    """One appeal."""
    appeal = await service.get_appeal(session, appeal_id)
    return reply(appeal, version=appeal["version"])


@routes.patch("/v1/appeals/{appeal_id}", operation_id="appeals_update", response_model=AppealRead)
async def appeals_update(
    session: Annotated[WriteSession, writes("campaigns:write")],
    appeal_id: UUID,
    body: Annotated[AppealPatch, json_body(AppealPatch, media_type="application/merge-patch+json")],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Change an appeal by JSON merge patch."""
    appeal = await service.patch_appeal(session, appeal_id, body, expected=expected)
    return reply(appeal, version=appeal["version"])
