"""HTTP of deals."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated
from uuid import UUID

from fastapi import Response

from crm_api.idempotency.boundary import IfMatch, json_body, list_query, reads, router, writes
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.listing import Filter, ListQuery, read_page
from crm_api.kit.reply import created, reply
from crm_api.pipelines.deals import service
from crm_api.pipelines.deals.fields import DEALS, MOVES
from crm_api.pipelines.deals.schemas import DealCreate, DealMove, DealMovePage, DealPage, DealPatch, DealRead

routes = router("deals")


@routes.post("/v1/deals", operation_id="deals_create", status_code=201, response_model=DealRead)
async def deals_create(
    session: Annotated[WriteSession, writes("pipelines:write")], body: Annotated[DealCreate, json_body(DealCreate)]
) -> Response:
    """Add a deal to a pipeline."""
    deal = await service.create_deal(session, body)
    return created(deal, f"/v1/deals/{deal['id']}")


@routes.get("/v1/deals", operation_id="deals_list", response_model=DealPage)
async def deals_list(
    session: Annotated[ReadSession, reads("pipelines:read")], query: Annotated[ListQuery, list_query(DEALS)]
) -> Response:
    """List deals, newest first."""
    return await read_page(session, DEALS, query, service.to_read)


@routes.get("/v1/deals/{deal_id}", operation_id="deals_get", response_model=DealRead)
async def deals_get(session: Annotated[ReadSession, reads("pipelines:read")], deal_id: UUID) -> Response:
    """One deal."""
    deal = await service.get_deal(session, deal_id)
    return reply(deal, version=deal["version"])


@routes.patch("/v1/deals/{deal_id}", operation_id="deals_update", response_model=DealRead)
async def deals_update(
    session: Annotated[WriteSession, writes("pipelines:write")],
    deal_id: UUID,
    body: Annotated[DealPatch, json_body(DealPatch, media_type="application/merge-patch+json")],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Change a deal by JSON merge patch."""
    deal = await service.patch_deal(session, deal_id, body, expected=expected)
    return reply(deal, version=deal["version"])


@routes.post("/v1/deals/{deal_id}/move", operation_id="deals_move", response_model=DealRead)
async def deals_move(
    session: Annotated[WriteSession, writes("pipelines:write")],
    deal_id: UUID,
    body: Annotated[DealMove, json_body(DealMove)],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Move a deal to a stage of its pipeline; to the stage it is in, nothing changes."""
    deal = await service.move_deal(session, deal_id, body.stage_id, expected=expected)
    return reply(deal, version=deal["version"])


@routes.get("/v1/deals/{deal_id}/moves", operation_id="deal_moves_list", response_model=DealMovePage)
async def deal_moves_list(
    session: Annotated[ReadSession, reads("pipelines:read")],
    deal_id: UUID,
    query: Annotated[ListQuery, list_query(MOVES)],
) -> Response:
    """List the moves of a deal, newest first."""
    await service.get_deal(session, deal_id)
    own = Filter(MOVES.by_name["deal_id"], "eq", deal_id)
    return await read_page(session, MOVES, replace(query, filters=(*query.filters, own)), service.to_move)
