"""HTTP of recurring plans."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request, Response

from crm_api.donations.recurring import changes, forecast, matching, own, patching, periods, service
from crm_api.donations.recurring.fields import PERIODS, PLANS
from crm_api.donations.recurring.schemas import (
    Forecast,
    PeriodPage,
    PeriodRead,
    PlanCancel,
    PlanChanges,
    PlanCreate,
    PlanPage,
    PlanPatch,
    PlanPause,
    PlanPayment,
    PlanReactivate,
    PlanRead,
    PlanReason,
)
from crm_api.idempotency.boundary import IfMatch, json_body, list_query, reads, router, services, writes
from crm_api.kit.db import ReadSession, RowLike, WriteSession
from crm_api.kit.listing import ListQuery, read_page
from crm_api.kit.reply import created, reply
from crm_api.kit.schemas import QueryDay

routes = router("recurring plans")
_Expected = Annotated[int | None, IfMatch]


def _vault(request: Request) -> Any:
    return services(request).more["vault"]


def _shown(row: RowLike) -> Response:
    return reply(service.to_read(row), version=row["version"])


@routes.post("/v1/recurring-plans", operation_id="recurring_plans_create", status_code=201, response_model=PlanRead)
async def recurring_plans_create(
    request: Request,
    session: Annotated[WriteSession, writes("donations:write")],
    body: Annotated[PlanCreate, json_body(PlanCreate)],
) -> Response:
    """Begin a regular gift that we see to ourselves: a stored card that we charge, a standing order at a bank,
    or a donor who pays by hand."""
    plan = service.to_read(await own.create_plan(session, _vault(request), body))
    return created(plan, f"/v1/recurring-plans/{plan['id']}")


@routes.get("/v1/recurring-plans", operation_id="recurring_plans_list", response_model=PlanPage)
async def recurring_plans_list(
    session: Annotated[ReadSession, reads("donations:read")], query: Annotated[ListQuery, list_query(PLANS)]
) -> Response:
    """List recurring plans, newest first."""
    return await read_page(session, PLANS, query, service.to_read)


@routes.get("/v1/recurring-plans/forecast", operation_id="recurring_plans_forecast", response_model=Forecast)
async def recurring_plans_forecast(
    session: Annotated[ReadSession, reads("donations:read")],
    from_: Annotated[QueryDay | None, Query(alias="from", description="A day of the first month; this month.")] = None,
    months: Annotated[int, Query(ge=1, le=60)] = 12,
) -> Response:
    """Expected, received and missed regular gifts by month and currency, past and to come."""
    return reply(await forecast.forecast(session, from_, months))


@routes.get("/v1/recurring-plans/{plan_id}", operation_id="recurring_plans_get", response_model=PlanRead)
async def recurring_plans_get(session: Annotated[ReadSession, reads("donations:read")], plan_id: UUID) -> Response:
    """One recurring plan."""
    return _shown(await service.get_plan(session, plan_id))


@routes.patch("/v1/recurring-plans/{plan_id}", operation_id="recurring_plans_update", response_model=PlanRead)
async def recurring_plans_update(
    request: Request,
    session: Annotated[WriteSession, writes("donations:write")],
    plan_id: UUID,
    body: Annotated[PlanPatch, json_body(PlanPatch, media_type="application/merge-patch+json")],
    expected: _Expected,
) -> Response:
    """Change a plan by JSON merge patch. Of a provider's plan only note, contact, fund and campaign."""
    return _shown(await patching.patch_plan(session, _vault(request), plan_id, body, expected=expected))


@routes.get("/v1/recurring-plans/{plan_id}/changes", operation_id="recurring_plans_changes", response_model=PlanChanges)
async def recurring_plans_changes(session: Annotated[ReadSession, reads("donations:read")], plan_id: UUID) -> Response:
    """What changed in a plan, newest first: upgrades and downgrades with their value in a year, pauses, the end."""
    await service.get_plan(session, plan_id)
    return reply({"data": await changes.of_plan(session, plan_id), "has_more": False, "next_cursor": None})


@routes.post("/v1/recurring-plans/{plan_id}/pause", operation_id="recurring_plans_pause", response_model=PlanRead)
async def recurring_plans_pause(
    session: Annotated[WriteSession, writes("donations:write")],
    plan_id: UUID,
    body: Annotated[PlanPause, json_body(PlanPause)],
    expected: _Expected,
) -> Response:
    """Pause a plan, until a day or until it is resumed. Nobody is charged meanwhile, and nothing is made up for."""
    return _shown(await own.pause(session, plan_id, body.reason, body.resume_on, expected=expected))


@routes.post("/v1/recurring-plans/{plan_id}/resume", operation_id="recurring_plans_resume", response_model=PlanRead)
async def recurring_plans_resume(
    session: Annotated[WriteSession, writes("donations:write")],
    plan_id: UUID,
    body: Annotated[PlanReason, json_body(PlanReason)],
    expected: _Expected,
) -> Response:
    """Let a paused plan go on with its first date from today on."""
    return _shown(await own.resume(session, plan_id, body.reason, expected=expected))


@routes.post("/v1/recurring-plans/{plan_id}/skip", operation_id="recurring_plans_skip", response_model=PlanRead)
async def recurring_plans_skip(
    session: Annotated[WriteSession, writes("donations:write")],
    plan_id: UUID,
    body: Annotated[PlanReason, json_body(PlanReason)],
    expected: _Expected,
) -> Response:
    """Leave out the payment that is next."""
    return _shown(await own.skip(session, plan_id, body.reason, expected=expected))


@routes.post("/v1/recurring-plans/{plan_id}/cancel", operation_id="recurring_plans_cancel", response_model=PlanRead)
async def recurring_plans_cancel(
    session: Annotated[WriteSession, writes("donations:write")],
    plan_id: UUID,
    body: Annotated[PlanCancel, json_body(PlanCancel)],
    expected: _Expected,
) -> Response:
    """End a plan. What has not been charged yet is not."""
    return _shown(await own.cancel(session, plan_id, body.reason, expected=expected))


@routes.post(
    "/v1/recurring-plans/{plan_id}/reactivate", operation_id="recurring_plans_reactivate", response_model=PlanRead
)
async def recurring_plans_reactivate(
    request: Request,
    session: Annotated[WriteSession, writes("donations:write")],
    plan_id: UUID,
    body: Annotated[PlanReactivate, json_body(PlanReactivate)],
    expected: _Expected,
) -> Response:
    """Let a plan go on that was given up or canceled, perhaps with another card."""
    return _shown(await own.reactivate(session, _vault(request), plan_id, body, expected=expected))


@routes.post("/v1/recurring-plans/{plan_id}/payments", operation_id="recurring_plans_pay", response_model=PeriodRead)
async def recurring_plans_pay(
    session: Annotated[WriteSession, writes("donations:write")],
    plan_id: UUID,
    body: Annotated[PlanPayment, json_body(PlanPayment)],
    expected: _Expected,
) -> Response:
    """Say that a gift pays a period of the plan, where it was not found by itself."""
    row = await matching.pay_by_hand(session, plan_id, body.donation_id, body.due_on, expected=expected)
    return reply(periods.to_read(row), version=row["version"])


@routes.get("/v1/recurring-periods", operation_id="recurring_periods_list", response_model=PeriodPage)
async def recurring_periods_list(
    session: Annotated[ReadSession, reads("donations:read")], query: Annotated[ListQuery, list_query(PERIODS)]
) -> Response:
    """List the payments of our own schedules, newest first, with what became of each; `plan_id=`: those of a plan."""
    return await read_page(session, PERIODS, query, periods.to_read)


@routes.get("/v1/recurring-periods/{period_id}", operation_id="recurring_periods_get", response_model=PeriodRead)
async def recurring_periods_get(session: Annotated[ReadSession, reads("donations:read")], period_id: UUID) -> Response:
    """One payment of our own schedules."""
    row = await periods.get_period(session, period_id)
    return reply(periods.to_read(row), version=row["version"])
