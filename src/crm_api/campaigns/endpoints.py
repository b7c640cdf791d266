"""HTTP of campaigns."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Response

from crm_api.campaigns import service
from crm_api.campaigns.fields import CAMPAIGNS
from crm_api.campaigns.schemas import CampaignCreate, CampaignPage, CampaignPatch, CampaignRead
from crm_api.idempotency.boundary import IfMatch, json_body, list_query, reads, router, writes
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.listing import ListQuery, read_page
from crm_api.kit.reply import created, reply

routes = router("campaigns")


@routes.post("/v1/campaigns", operation_id="campaigns_create", status_code=201, response_model=CampaignRead)
async def campaigns_create(
    session: Annotated[WriteSession, writes("campaigns:write")],
    body: Annotated[CampaignCreate, json_body(CampaignCreate)],
) -> Response:
    """Add a campaign."""
    campaign = service.create_campaign(session, body)
    return created(campaign, f"/v1/campaigns/{campaign['id']}")


@routes.get("/v1/campaigns", operation_id="campaigns_list", response_model=CampaignPage)
async def campaigns_list(
    session: Annotated[ReadSession, reads("campaigns:read")], query: Annotated[ListQuery, list_query(CAMPAIGNS)]
) -> Response:
    """List campaigns, newest first."""
    return await read_page(session, CAMPAIGNS, query, service.to_read)


@routes.get("/v1/campaigns/{campaign_id}", operation_id="campaigns_get", response_model=CampaignRead)
async def campaigns_get(session: Annotated[ReadSession, reads("campaigns:read")], campaign_id: UUID) -> Response:
    """One campaign."""
    campaign = await service.get_campaign(session, campaign_id)
    return reply(campaign, version=campaign["version"])


@routes.patch("/v1/campaigns/{campaign_id}", operation_id="campaigns_update", response_model=CampaignRead)
async def campaigns_update(
    session: Annotated[WriteSession, writes("campaigns:write")],
    campaign_id: UUID,
    body: Annotated[CampaignPatch, json_body(CampaignPatch, media_type="application/merge-patch+json")],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Change a campaign by JSON merge patch."""
    campaign = await service.patch_campaign(session, campaign_id, body, expected=expected)
    return reply(campaign, version=campaign["version"])
