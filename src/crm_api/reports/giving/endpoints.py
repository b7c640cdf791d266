"""HTTP of the reports on giving: each as JSON, or by `Accept` as CSV, SVG or PNG."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request, Response

from crm_api.auth.rights import need
from crm_api.idempotency.boundary import reads, router
from crm_api.kit.db import ReadSession
from crm_api.kit.schemas import QueryDay
from crm_api.reports.forms import RESPONSES, answer
from crm_api.reports.giving import cohorts, rfm, spread, yearly
from crm_api.reports.giving.base import asked
from crm_api.reports.giving.schemas import (
    AbsentReport,
    CohortReport,
    ConcentrationReport,
    GainLossReport,
    PyramidReport,
    RetentionReport,
    RfmMigrationReport,
    RfmReport,
)
from crm_api.reports.report import Report

routes = router("reports")
AsOf = Annotated[
    QueryDay | None, Query(description="The day to look from; today when not given. Gifts dated later do not count.")
]
Year = Annotated[int | None, Query(ge=1900, le=2200, description="The fiscal year; that of `as_of` when not given.")]
Fund = Annotated[UUID | None, Query(description="Only gifts for this fund.")]
Campaign = Annotated[UUID | None, Query(description="Only gifts of this campaign.")]
Scored = Annotated[ReadSession, reads("scoring:read")]


async def _answer(
    request: Request, session: ReadSession, found: Mapping[str, Any], table: Callable[[Mapping[str, Any]], Report]
) -> Response:
    return await answer(session, request.headers.get("accept"), found["report"], found, table)


@routes.get(
    "/v1/reports/gain-loss", operation_id="reports_gain_loss", response_model=GainLossReport, responses=RESPONSES
)
async def reports_gain_loss(
    request: Request,
    session: Scored,
    as_of: AsOf = None,
    fund_id: Fund = None,
    campaign_id: Campaign = None,
    year: Year = None,
) -> Response:
    """What new, returning, upgrading, downgrading and lapsed donors brought or took away against the year before."""
    found = await yearly.gain_loss(session, await asked(session, as_of, fund_id=fund_id, campaign_id=campaign_id), year)
    return await _answer(request, session, found, yearly.gain_loss_table)


@routes.get(
    "/v1/reports/retention", operation_id="reports_retention", response_model=RetentionReport, responses=RESPONSES
)
async def reports_retention(
    request: Request,
    session: Scored,
    as_of: AsOf = None,
    fund_id: Fund = None,
    campaign_id: Campaign = None,
    years: Annotated[int, Query(ge=1, le=yearly.MOST_YEARS, description="How many fiscal years.")] = 5,
) -> Response:
    """How many of a year's donors gave again in the next; first-timers, repeat donors and returners apart."""
    found = await yearly.retention(
        session, await asked(session, as_of, fund_id=fund_id, campaign_id=campaign_id), years
    )
    return await _answer(request, session, found, yearly.retention_table)


@routes.get("/v1/reports/lybunt", operation_id="reports_lybunt", response_model=AbsentReport, responses=RESPONSES)
async def reports_lybunt(
    request: Request,
    session: Scored,
    as_of: AsOf = None,
    fund_id: Fund = None,
    campaign_id: Campaign = None,
    year: Year = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """Donors who gave last year but unfortunately not this one, the most generous first."""
    need(session, "contacts:read")
    found = await yearly.absent(
        session,
        await asked(session, as_of, fund_id=fund_id, campaign_id=campaign_id),
        "lybunt",
        year=year,
        include_last_year=True,
        limit=limit,
        cursor=cursor,
    )
    return await _answer(request, session, found, yearly.absent_table)


@routes.get("/v1/reports/sybunt", operation_id="reports_sybunt", response_model=AbsentReport, responses=RESPONSES)
async def reports_sybunt(
    request: Request,
    session: Scored,
    as_of: AsOf = None,
    fund_id: Fund = None,
    campaign_id: Campaign = None,
    year: Year = None,
    include_last_year: Annotated[
        bool, Query(description="Also donors of the year before, whom LYBUNT lists; some systems do so.")
    ] = False,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """Donors who gave some year but unfortunately not this one, nor the one before."""
    need(session, "contacts:read")
    question = await asked(session, as_of, fund_id=fund_id, campaign_id=campaign_id)
    found = await yearly.absent(
        session, question, "sybunt", year=year, include_last_year=include_last_year, limit=limit, cursor=cursor
    )
    return await _answer(request, session, found, yearly.absent_table)


@routes.get("/v1/reports/cohorts", operation_id="reports_cohorts", response_model=CohortReport, responses=RESPONSES)
async def reports_cohorts(
    request: Request,
    session: Scored,
    as_of: AsOf = None,
    fund_id: Fund = None,
    campaign_id: Campaign = None,
    by: cohorts.By = "year",
    most: Annotated[int, Query(ge=1, le=60, description="How many of the newest cohorts.")] = 12,
) -> Response:
    """Donors by the year or month of their first gift, and how many of them give in each period after."""
    question = await asked(session, as_of, fund_id=fund_id, campaign_id=campaign_id)
    found = await cohorts.cohorts(session, question, by, min(most, cohorts.MOST[by]))
    return await _answer(request, session, found, cohorts.cohorts_table)


@routes.get(
    "/v1/reports/giving-pyramid",
    operation_id="reports_giving_pyramid",
    response_model=PyramidReport,
    responses=RESPONSES,
)
async def reports_giving_pyramid(
    request: Request,
    session: Scored,
    as_of: AsOf = None,
    fund_id: Fund = None,
    campaign_id: Campaign = None,
    span: spread.Span = "last_365_days",
) -> Response:
    """How many donors gave how much, in bands from the smallest up."""
    found = await spread.pyramid(session, await asked(session, as_of, fund_id=fund_id, campaign_id=campaign_id), span)
    return await _answer(request, session, found, spread.pyramid_table)


@routes.get(
    "/v1/reports/concentration",
    operation_id="reports_concentration",
    response_model=ConcentrationReport,
    responses=RESPONSES,
)
async def reports_concentration(
    request: Request,
    session: Scored,
    as_of: AsOf = None,
    fund_id: Fund = None,
    campaign_id: Campaign = None,
    span: spread.Span = "last_365_days",
) -> Response:
    """How much of the income comes from how few donors, with a warning where that is a danger."""
    found = await spread.concentration(
        session, await asked(session, as_of, fund_id=fund_id, campaign_id=campaign_id), span
    )
    return await _answer(request, session, found, spread.concentration_table)


@routes.get("/v1/reports/rfm", operation_id="reports_rfm", response_model=RfmReport, responses=RESPONSES)
async def reports_rfm(
    request: Request, session: Scored, as_of: AsOf = None, fund_id: Fund = None, campaign_id: Campaign = None
) -> Response:
    """The RFM cube and its eleven names, of all donors as of a day."""
    return await _answer(
        request,
        session,
        await rfm.rfm(session, await asked(session, as_of, fund_id=fund_id, campaign_id=campaign_id)),
        rfm.rfm_table,
    )


@routes.get(
    "/v1/reports/rfm-migration",
    operation_id="reports_rfm_migration",
    response_model=RfmMigrationReport,
    responses=RESPONSES,
)
async def reports_rfm_migration(
    request: Request,
    session: Scored,
    as_of: AsOf = None,
    fund_id: Fund = None,
    campaign_id: Campaign = None,
    from_date: Annotated[
        QueryDay | None, Query(alias="from", description="The earlier day; a year before `as_of` when not given.")
    ] = None,
) -> Response:
    """From which RFM name to which the donors went between two days."""
    question = await asked(session, as_of, fund_id=fund_id, campaign_id=campaign_id)
    found = await rfm.migration(session, question, from_date or rfm.year_before(question.as_of))
    return await _answer(request, session, found, rfm.migration_table)
