"""HTTP of scoring."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from crm_api.idempotency.boundary import json_body, reads, router, writes
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.problems import Invalid
from crm_api.kit.reply import reply
from crm_api.kit.schemas import QueryDay
from crm_api.scoring import service
from crm_api.scoring.calculator import LtvRequest, LtvResult, calculate
from crm_api.scoring.schemas import DonorProfile

routes = router("scoring")


@routes.get(
    "/v1/contacts/{contact_id}/donor-profile", operation_id="contacts_donor_profile", response_model=DonorProfile
)
async def contacts_donor_profile(
    session: Annotated[ReadSession, reads("scoring:read")],
    contact_id: UUID,
    as_of: Annotated[QueryDay | None, Query(description="The date to look from; today when not given.")] = None,
) -> Response:
    """A contact as a donor: status with its reasons, totals and RFM scores."""
    if as_of is not None and not 1900 <= as_of.year <= 2200:
        raise Invalid.at("?as_of", "out_of_range", "as_of must lie between the years 1900 and 2200.")
    return reply(await service.donor_profile(session, contact_id, as_of))


@routes.post("/v1/ltv/calculate", operation_id="ltv_calculate", response_model=LtvResult)
async def ltv_calculate(
    session: Annotated[WriteSession, writes("scoring:read")], body: Annotated[LtvRequest, json_body(LtvRequest)]
) -> Response:
    """A lifetime value from inputs of your own, by one of five methods, exactly; nothing is stored."""
    return reply(calculate(body, currency=session.tenant.currency))
