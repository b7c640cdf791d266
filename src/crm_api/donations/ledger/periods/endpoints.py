"""HTTP of closed periods."""

from __future__ import annotations

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import Response

from crm_api.donations.ledger.models import ledger_periods
from crm_api.donations.ledger.periods import service
from crm_api.donations.ledger.periods.fields import PERIODS
from crm_api.donations.ledger.periods.schemas import (
    LedgerPeriodClose,
    LedgerPeriodPage,
    LedgerPeriodRead,
    LedgerPeriodReopen,
)
from crm_api.idempotency.boundary import json_body, list_query, reads, router, writes
from crm_api.kit import simple
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.listing import ListQuery, read_page
from crm_api.kit.reply import created, reply

routes = router("ledger")


@routes.post(
    "/v1/ledger/periods", operation_id="ledger_periods_close", status_code=201, response_model=LedgerPeriodRead
)
async def ledger_periods_close(
    session: Annotated[WriteSession, writes("ledger:write")],
    body: Annotated[LedgerPeriodClose, json_body(LedgerPeriodClose)],
) -> Response:
    """Close the books up to and with a day. What comes later for those days is posted on the first open one."""
    period = await service.close_period(session, body)
    return created(period, f"/v1/ledger/periods/{period['id']}")


@routes.get("/v1/ledger/periods", operation_id="ledger_periods_list", response_model=LedgerPeriodPage)
async def ledger_periods_list(
    session: Annotated[ReadSession, reads("ledger:read")], query: Annotated[ListQuery, list_query(PERIODS)]
) -> Response:
    """List closings, newest first."""
    return await read_page(session, PERIODS, query, partial(simple.to_read, ledger_periods))


@routes.get("/v1/ledger/periods/{ledger_period_id}", operation_id="ledger_periods_get", response_model=LedgerPeriodRead)
async def ledger_periods_get(session: Annotated[ReadSession, reads("ledger:read")], ledger_period_id: UUID) -> Response:
    """One closing."""
    period = await service.get_period(session, ledger_period_id)
    return reply(period, version=period["version"])


@routes.post(
    "/v1/ledger/periods/{ledger_period_id}/reopen",
    operation_id="ledger_periods_reopen",
    response_model=LedgerPeriodRead,
)
async def ledger_periods_reopen(
    session: Annotated[WriteSession, writes("ledger:write")],
    ledger_period_id: UUID,
    body: Annotated[LedgerPeriodReopen, json_body(LedgerPeriodReopen)],
) -> Response:
    """Open a closed period and every later one again, with a reason that the audit keeps."""
    period = await service.reopen_period(session, ledger_period_id, body)
    return reply(period, version=period["version"])
