"""HTTP of funds."""

from __future__ import annotations

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import Response

from crm_api.donations.funds import service
from crm_api.donations.funds.fields import FUNDS
from crm_api.donations.funds.models import funds
from crm_api.donations.funds.schemas import FundCreate, FundPage, FundPatch, FundRead
from crm_api.idempotency.boundary import IfMatch, json_body, list_query, reads, router, writes
from crm_api.kit import simple
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.listing import ListQuery, read_page
from crm_api.kit.reply import created, reply

routes = router("funds")


@routes.post("/v1/funds", operation_id="funds_create", status_code=201, response_model=FundRead)
async def funds_create(
    session: Annotated[WriteSession, writes("donations:write")], body: Annotated[FundCreate, json_body(FundCreate)]
) -> Response:
    """Add a fund."""
    fund = service.create_fund(session, body)
    return created(fund, f"/v1/funds/{fund['id']}")


@routes.get("/v1/funds", operation_id="funds_list", response_model=FundPage)
async def funds_list(
    session: Annotated[ReadSession, reads("donations:read")], query: Annotated[ListQuery, list_query(FUNDS)]
) -> Response:
    """List funds, newest first."""
    return await read_page(session, FUNDS, query, partial(simple.to_read, funds))


@routes.get("/v1/funds/{fund_id}", operation_id="funds_get", response_model=FundRead)
async def funds_get(session: Annotated[ReadSession, reads("donations:read")], fund_id: UUID) -> Response:
    """One fund."""
    fund = await service.get_fund(session, fund_id)
    return reply(fund, version=fund["version"])


@routes.patch("/v1/funds/{fund_id}", operation_id="funds_update", response_model=FundRead)
async def funds_update(
    session: Annotated[WriteSession, writes("donations:write")],
    fund_id: UUID,
    body: Annotated[FundPatch, json_body(FundPatch, media_type="application/merge-patch+json")],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Change a fund by JSON merge patch."""
    fund = await service.patch_fund(session, fund_id, body, expected=expected)
    return reply(fund, version=fund["version"])
