"""HTTP of the reports on levels, on what donors are worth, and on what is to come."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query, Request, Response

from crm_api.auth.rights import need
from crm_api.idempotency.boundary import reads, router
from crm_api.kit.db import ReadSession
from crm_api.kit.reply import reply
from crm_api.kit.schemas import Currency, QueryDay
from crm_api.reports.forms import RESPONSES, answer
from crm_api.reports.giving.base import asked
from crm_api.reports.giving.spread import Span
from crm_api.reports.levels import report as levels
from crm_api.reports.levels.schemas import LevelDonors, LevelReport
from crm_api.reports.outlook import forecast, ltv, prospects
from crm_api.reports.outlook.schemas import IncomeForecast, LtvReport, ProspectReport

routes = router("reports")
AsOf = Annotated[
    QueryDay | None, Query(description="The day to look from; today when not given. Gifts dated later do not count.")
]
Fund = Annotated[UUID | None, Query(description="Only gifts for this fund.")]
Campaign = Annotated[UUID | None, Query(description="Only gifts of this campaign.")]
Program = Annotated[str | None, Query(min_length=1, max_length=200, description="Only levels of this program.")]
Scored = Annotated[ReadSession, reads("scoring:read")]


@routes.get(
    "/v1/reports/giving-levels", operation_id="reports_giving_levels", response_model=LevelReport, responses=RESPONSES
)
async def reports_giving_levels(
    request: Request,
    session: Scored,
    as_of: AsOf = None,
    fund_id: Fund = None,
    campaign_id: Campaign = None,
    span: Span = "last_365_days",
    program: Program = None,
) -> Response:
    """Who is on which giving level of each program, who rose or fell since the span before, what each level gave."""
    question = await asked(session, as_of, fund_id=fund_id, campaign_id=campaign_id)
    found = await levels.giving_levels(session, question, span, program)
    return await answer(session, request.headers.get("accept"), "giving-levels", found, levels.levels_table)


@routes.get("/v1/reports/giving-levels/donors", operation_id="reports_giving_levels_donors", response_model=LevelDonors)
async def reports_giving_levels_donors(
    session: Scored,
    program: Annotated[str, Query(min_length=1, max_length=200, examples=["Circle of friends"])],
    as_of: AsOf = None,
    fund_id: Fund = None,
    campaign_id: Campaign = None,
    span: Span = "last_365_days",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """The donors on the levels of a program, now or in the span before, each with the level before."""
    need(session, "contacts:read")
    question = await asked(session, as_of, fund_id=fund_id, campaign_id=campaign_id)
    return reply(await levels.level_donors(session, question, span, program, limit=limit, cursor=cursor))


@routes.get("/v1/reports/ltv", operation_id="reports_ltv", response_model=LtvReport, responses=RESPONSES)
async def reports_ltv(
    request: Request,
    session: Scored,
    as_of: AsOf = None,
    by: ltv.By = "channel",
    from_date: Annotated[
        QueryDay | None, Query(alias="from", description="Only donors whose first gift is not before this day.")
    ] = None,
) -> Response:
    """What donors have given per head and what winning them cost, by channel, campaign, cohort, country, segment."""
    found = await ltv.lifetime_value(session, await asked(session, as_of), by, from_date)
    return await answer(session, request.headers.get("accept"), "ltv", found, ltv.ltv_table)


@routes.get(
    "/v1/reports/income-forecast",
    operation_id="reports_income_forecast",
    response_model=IncomeForecast,
    responses=RESPONSES,
)
async def reports_income_forecast(
    request: Request,
    session: Scored,
    as_of: AsOf = None,
    months: Annotated[int, Query(ge=1, le=24, description="How many months ahead.")] = 12,
    currency: Annotated[Currency | None, Query(description="Only this currency.")] = None,
) -> Response:
    """Income expected by month and currency, with the method's measured error, beside what is committed."""
    found = await forecast.income_forecast(session, await asked(session, as_of), months, currency)
    return await answer(session, request.headers.get("accept"), "income-forecast", found, forecast.forecast_table)


@routes.get(
    "/v1/reports/prospects", operation_id="reports_prospects", response_model=ProspectReport, responses=RESPONSES
)
async def reports_prospects(
    request: Request,
    session: Scored,
    as_of: AsOf = None,
    most: Annotated[int, Query(ge=1, le=1000, description="How many donors at most.")] = 100,
) -> Response:
    """Who looks like those who became major or recurring donors, with the score's measured worth."""
    need(session, "contacts:read")
    found = await prospects.prospects(session, await asked(session, as_of), most)
    return await answer(session, request.headers.get("accept"), "prospects", found, prospects.prospects_table)
