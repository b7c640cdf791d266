"""HTTP of premiums."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Response

from crm_api.donations.premiums import service
from crm_api.donations.premiums.schemas import PremiumCreate, PremiumPage, PremiumRead
from crm_api.idempotency.boundary import IfMatch, json_body, reads, router, writes
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.reply import created, no_content, reply

routes = router("donations")


@routes.post(
    "/v1/donations/{donation_id}/premiums",
    operation_id="donation_premiums_create",
    status_code=201,
    response_model=PremiumRead,
)
async def donation_premiums_create(
    session: Annotated[WriteSession, writes("donations:write")],
    donation_id: UUID,
    body: Annotated[PremiumCreate, json_body(PremiumCreate)],
) -> Response:
    """Note what the donor got for the gift; its value lowers the gift's `deductible_amount`."""
    premium = await service.add_premium(session, donation_id, body)
    return created(premium, f"/v1/donations/{donation_id}/premiums")


@routes.get("/v1/donations/{donation_id}/premiums", operation_id="donation_premiums_list", response_model=PremiumPage)
async def donation_premiums_list(
    session: Annotated[ReadSession, reads("donations:read")], donation_id: UUID
) -> Response:
    """What the donor got for the gift."""
    data = await service.premiums_of(session, donation_id)
    return reply({"data": data, "has_more": False, "next_cursor": None})


@routes.delete(
    "/v1/donations/{donation_id}/premiums/{premium_id}", operation_id="donation_premiums_delete", status_code=204
)
async def donation_premiums_delete(
    session: Annotated[WriteSession, writes("donations:write")],
    donation_id: UUID,
    premium_id: UUID,
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Remove a premium that the donor did not get. Premiums are part of the gift: `If-Match` takes its ETag."""
    await service.remove_premium(session, donation_id, premium_id, expected=expected)
    return no_content()
