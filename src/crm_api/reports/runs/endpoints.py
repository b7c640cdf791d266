"""HTTP of kept runs."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Request, Response

from crm_api.idempotency.boundary import json_body, list_query, reads, router, writes
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.listing import ListQuery, read_page
from crm_api.kit.reply import created, reply
from crm_api.reports.forms import JSON, RESPONSES, VARY, answer, wanted
from crm_api.reports.runs import service
from crm_api.reports.runs.fields import REPORT_RUNS
from crm_api.reports.runs.schemas import ReportDifference, ReportRunCreate, ReportRunPage, ReportRunRead

routes = router("reports")
Scored = Annotated[ReadSession, reads("scoring:read")]


@routes.post(
    "/v1/reports/{report}/runs", operation_id="report_runs_create", status_code=201, response_model=ReportRunRead
)
async def report_runs_create(
    session: Annotated[WriteSession, writes("reports:write")],
    report: str,
    body: Annotated[ReportRunCreate, json_body(ReportRunCreate)],
) -> Response:
    """Make a report and keep it with its inputs and numbers, so that a published figure can be shown again."""
    run = await service.keep(session, report, body)
    return created(run, f"/v1/reports/runs/{run['id']}")


@routes.get("/v1/reports/runs", operation_id="report_runs_list", response_model=ReportRunPage)
async def report_runs_list(session: Scored, query: Annotated[ListQuery, list_query(REPORT_RUNS)]) -> Response:
    """List kept runs, newest first, without their numbers."""
    return await read_page(session, REPORT_RUNS, query, service.to_item, columns=service.ITEM_COLUMNS)


@routes.get(
    "/v1/reports/runs/{report_run_id}",
    operation_id="report_runs_get",
    response_model=ReportRunRead,
    responses=RESPONSES,
)
async def report_runs_get(request: Request, session: Scored, report_run_id: UUID) -> Response:
    """One kept run; by `Accept` its numbers as CSV, SVG or PNG."""
    run = await service.get_run(session, report_run_id)
    accept = request.headers.get("accept")
    if wanted(accept) == JSON:
        return reply(service.to_read(run), headers=VARY)
    return await answer(session, accept, run["report"], run["result"], service.kind_of(run["report"]).table)


@routes.get(
    "/v1/reports/runs/{report_run_id}/difference",
    operation_id="report_runs_difference",
    response_model=ReportDifference,
)
async def report_runs_difference(session: Scored, report_run_id: UUID) -> Response:
    """What the same question answers now, figure by figure, against what was kept."""
    return reply(await service.difference(session, report_run_id))
