"""HTTP of the donation report."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response

from crm_api.idempotency.boundary import reads, router
from crm_api.kit.db import ReadSession
from crm_api.kit.schemas import Currency, QueryDay
from crm_api.reports.donations import service
from crm_api.reports.donations.schemas import DonationReport, GroupBy
from crm_api.reports.forms import RESPONSES, answer

routes = router("reports")


@routes.get(
    "/v1/reports/donations", operation_id="reports_donations", response_model=DonationReport, responses=RESPONSES
)
async def reports_donations(
    request: Request,
    session: Annotated[ReadSession, reads("donations:read")],
    group_by: GroupBy = "month",
    first: Annotated[
        QueryDay | None, Query(alias="from", description="First gift date; 30 days or 12 months when not given.")
    ] = None,
    last: Annotated[QueryDay | None, Query(alias="to", description="Last gift date; today when not given.")] = None,
    currency: Annotated[Currency | None, Query(description="Only gifts in this currency.")] = None,
) -> Response:
    """Gifts by day, month, campaign, fund, channel, method or currency, as JSON, CSV, SVG or PNG by `Accept`."""
    found = await service.donations(session, service.asked(session, group_by, first, last, currency))
    return await answer(session, request.headers.get("accept"), "donations", found, service.as_table)
