"""HTTP of tributes and their notices."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Response

from crm_api.donations.tributes import service
from crm_api.donations.tributes.fields import TRIBUTE_NOTICES
from crm_api.donations.tributes.schemas import (
    TributeCreate,
    TributeNoticePage,
    TributeNoticePatch,
    TributeNoticeRead,
    TributePage,
    TributePatch,
    TributeRead,
)
from crm_api.idempotency.boundary import IfMatch, json_body, list_query, reads, router, writes
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.listing import ListQuery, read_page
from crm_api.kit.reply import created, no_content, reply

routes = router("donations")


@routes.post(
    "/v1/donations/{donation_id}/tributes",
    operation_id="tributes_create",
    status_code=201,
    response_model=TributeRead,
)
async def tributes_create(
    session: Annotated[WriteSession, writes("donations:write")],
    donation_id: UUID,
    body: Annotated[TributeCreate, json_body(TributeCreate)],
) -> Response:
    """Give a gift in honour or in memory of somebody, and say who is to be told."""
    tribute = await service.add_tribute(session, donation_id, body)
    return created(tribute, f"/v1/tributes/{tribute['id']}")


@routes.get("/v1/donations/{donation_id}/tributes", operation_id="donation_tributes_list", response_model=TributePage)
async def donation_tributes_list(
    session: Annotated[ReadSession, reads("donations:read")], donation_id: UUID
) -> Response:
    """The tributes of a gift."""
    data = await service.tributes_of(session, donation_id)
    return reply({"data": data, "has_more": False, "next_cursor": None})


@routes.get("/v1/tributes/{tribute_id}", operation_id="tributes_get", response_model=TributeRead)
async def tributes_get(session: Annotated[ReadSession, reads("donations:read")], tribute_id: UUID) -> Response:
    """One tribute."""
    tribute = await service.get_tribute(session, tribute_id)
    return reply(tribute, version=tribute["version"])


@routes.patch("/v1/tributes/{tribute_id}", operation_id="tributes_update", response_model=TributeRead)
async def tributes_update(
    session: Annotated[WriteSession, writes("donations:write")],
    tribute_id: UUID,
    body: Annotated[TributePatch, json_body(TributePatch, media_type="application/merge-patch+json")],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Change a tribute by JSON merge patch."""
    tribute = await service.patch_tribute(session, tribute_id, body, expected=expected)
    return reply(tribute, version=tribute["version"])


@routes.delete("/v1/tributes/{tribute_id}", operation_id="tributes_delete", status_code=204)
async def tributes_delete(
    session: Annotated[WriteSession, writes("donations:write")],
    tribute_id: UUID,
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Remove a tribute with its notices."""
    await service.remove_tribute(session, tribute_id, expected=expected)
    return no_content()


@routes.get("/v1/tribute-notices", operation_id="tribute_notices_list", response_model=TributeNoticePage)
async def tribute_notices_list(
    session: Annotated[ReadSession, reads("donations:read")], query: Annotated[ListQuery, list_query(TRIBUTE_NOTICES)]
) -> Response:
    """List who is to be told of tributes, newest first."""
    return await read_page(session, TRIBUTE_NOTICES, query, service.notice_to_read)


@routes.get(
    "/v1/tribute-notices/{tribute_notice_id}", operation_id="tribute_notices_get", response_model=TributeNoticeRead
)
async def tribute_notices_get(
    session: Annotated[ReadSession, reads("donations:read")], tribute_notice_id: UUID
) -> Response:
    """One notice."""
    notice = await service.get_notice(session, tribute_notice_id)
    return reply(notice, version=notice["version"])


@routes.patch(
    "/v1/tribute-notices/{tribute_notice_id}", operation_id="tribute_notices_update", response_model=TributeNoticeRead
)
async def tribute_notices_update(
    session: Annotated[WriteSession, writes("donations:write")],
    tribute_notice_id: UUID,
    body: Annotated[TributeNoticePatch, json_body(TributeNoticePatch, media_type="application/merge-patch+json")],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Note that somebody was told of a tribute, or need not be."""
    notice = await service.patch_notice(session, tribute_notice_id, body, expected=expected)
    return reply(notice, version=notice["version"])
