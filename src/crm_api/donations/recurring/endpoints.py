"""HTTP of recurring plans."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Response

from crm_api.donations.recurring import service
from crm_api.donations.recurring.fields import PLANS
from crm_api.donations.recurring.schemas import PlanPage, PlanRead
from crm_api.idempotency.boundary import list_query, reads, router
from crm_api.kit.db import ReadSession
from crm_api.kit.listing import ListQuery, read_page
from crm_api.kit.reply import reply

routes = router("recurring plans")


@routes.get("/v1/recurring-plans", operation_id="recurring_plans_list", response_model=PlanPage)
async def recurring_plans_list(
    session: Annotated[ReadSession, reads("donations:read")], query: Annotated[ListQuery, list_query(PLANS)]
) -> Response:
    """List recurring plans, newest first."""
    return await read_page(session, PLANS, query, service.to_read)


@routes.get("/v1/recurring-plans/{plan_id}", operation_id="recurring_plans_get", response_model=PlanRead)
async def recurring_plans_get(session: Annotated[ReadSession, reads("donations:read")], plan_id: UUID) -> Response:
    """One recurring plan."""
    row = await service.get_plan(session, plan_id)
    return reply(service.to_read(row), version=row["version"])
