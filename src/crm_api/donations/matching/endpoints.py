"""HTTP of matching gifts."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Response

from crm_api.donations.matching import service
from crm_api.donations.matching.fields import MATCHING_GIFTS
from crm_api.donations.matching.schemas import (
    MatchingGiftCreate,
    MatchingGiftPage,
    MatchingGiftPatch,
    MatchingGiftRead,
)
from crm_api.idempotency.boundary import IfMatch, json_body, list_query, reads, router, writes
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.listing import ListQuery, read_page
from crm_api.kit.reply import created, reply

routes = router("donations")


@routes.post(
    "/v1/donations/{donation_id}/matching-gifts",
    operation_id="matching_gifts_create",
    status_code=201,
    response_model=MatchingGiftRead,
)
async def matching_gifts_create(
    session: Annotated[WriteSession, writes("donations:write")],
    donation_id: UUID,
    body: Annotated[MatchingGiftCreate, json_body(MatchingGiftCreate)],
) -> Response:
    """Note that the donor's employer may match the gift, or was asked to."""
    match = await service.add_match(session, donation_id, body)
    return created(match, f"/v1/matching-gifts/{match['id']}")


@routes.get("/v1/matching-gifts", operation_id="matching_gifts_list", response_model=MatchingGiftPage)
async def matching_gifts_list(
    session: Annotated[ReadSession, reads("donations:read")], query: Annotated[ListQuery, list_query(MATCHING_GIFTS)]
) -> Response:
    """List matching gifts, newest first."""
    return await read_page(session, MATCHING_GIFTS, query, service.to_read)


@routes.get("/v1/matching-gifts/{matching_gift_id}", operation_id="matching_gifts_get", response_model=MatchingGiftRead)
async def matching_gifts_get(
    session: Annotated[ReadSession, reads("donations:read")], matching_gift_id: UUID
) -> Response:
    """One matching gift."""
    match = await service.get_match(session, matching_gift_id)
    return reply(match, version=match["version"])


@routes.patch(
    "/v1/matching-gifts/{matching_gift_id}", operation_id="matching_gifts_update", response_model=MatchingGiftRead
)
async def matching_gifts_update(
    session: Annotated[WriteSession, writes("donations:write")],
    matching_gift_id: UUID,
    body: Annotated[MatchingGiftPatch, json_body(MatchingGiftPatch, media_type="application/merge-patch+json")],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Change a matching gift. Naming the company's gift credits the employee with it."""
    match = await service.patch_match(session, matching_gift_id, body, expected=expected)
    return reply(match, version=match["version"])
