"""HTTP of the donation report."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query, Request, Response

from crm_api.idempotency.boundary import reads, router
from crm_api.kit.db import ReadSession
from crm_api.kit.reply import reply
from crm_api.kit.schemas import Currency, QueryDay
from crm_api.reports.donations import service
from crm_api.reports.donations.schemas import DonationReport, GroupBy
from crm_api.reports.negotiation import chosen
from crm_api.reports.report import as_csv

routes = router("reports")
OFFERS = ("application/json", "text/csv")
_CONTENT: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "The report, by Accept"}
}


@routes.get(
    "/v1/reports/donations", operation_id="reports_donations", response_model=DonationReport, responses=_CONTENT
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
    """Gifts by day, month, campaign, fund, channel, method or currency, as JSON or, with `Accept: text/csv`, as CSV."""
    found = await service.donations(session, service.asked(session, group_by, first, last, currency))
    if chosen(request.headers.get("accept"), OFFERS) == "text/csv":
        headers = {"Content-Disposition": 'attachment; filename="donations.csv"', "Vary": "Accept"}
        return Response(as_csv(service.as_table(found)), media_type="text/csv", headers=headers)
    return reply(found, headers={"Vary": "Accept"})
