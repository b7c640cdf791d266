"""HTTP of exchange rates."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import Response

from crm_api.idempotency.boundary import json_body, list_query, reads, router, writes
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.listing import ListQuery, read_page
from crm_api.kit.reply import reply
from crm_api.kit.uploads import Upload, upload_form
from crm_api.organizations.rates import service
from crm_api.organizations.rates.fields import RATES
from crm_api.organizations.rates.files import read_rates
from crm_api.organizations.rates.schemas import (
    ExchangeRateBatch,
    ExchangeRateCreate,
    ExchangeRateFile,
    ExchangeRatePage,
    ExchangeRateRead,
    ExchangeRatesTaken,
)

routes = router("exchange rates")
RATES_FILE = upload_form(ExchangeRateFile, max_bytes=2_000_000)


@routes.post(
    "/v1/exchange-rates",
    operation_id="exchange_rates_create",
    status_code=201,
    response_model=ExchangeRateRead,
    responses={200: {"model": ExchangeRateRead, "description": "Replaced"}},
)
async def exchange_rates_create(
    session: Annotated[WriteSession, writes("donations:write")],
    body: Annotated[ExchangeRateCreate, json_body(ExchangeRateCreate)],
) -> Response:
    """Add the rate of a day, or replace the one of the same currencies and date."""
    rate, is_new = await service.put_rate(session, body)
    return reply(rate, status=201 if is_new else 200)


@routes.post("/v1/exchange-rates/batch", operation_id="exchange_rates_batch", response_model=ExchangeRatesTaken)
async def exchange_rates_batch(
    session: Annotated[WriteSession, writes("donations:write")],
    body: Annotated[ExchangeRateBatch, json_body(ExchangeRateBatch, max_bytes=2_000_000)],
) -> Response:
    """Add or replace up to 5,000 rates."""
    return reply(await service.put_rates(session, body.rates))


@routes.post("/v1/exchange-rates/file", operation_id="exchange_rates_file", response_model=ExchangeRatesTaken)
async def exchange_rates_file(
    session: Annotated[WriteSession, writes("donations:write")],
    form: Annotated[Upload[ExchangeRateFile], RATES_FILE],
) -> Response:
    """Add or replace the rates of a central bank's CSV file: all its lines or, where one is wrong, none."""
    rates = read_rates(await asyncio.to_thread(form.file.read), form.body.origin)
    return reply(await service.put_rates(session, rates))


@routes.get("/v1/exchange-rates", operation_id="exchange_rates_list", response_model=ExchangeRatePage)
async def exchange_rates_list(
    session: Annotated[ReadSession, reads("donations:read")], query: Annotated[ListQuery, list_query(RATES)]
) -> Response:
    """List exchange rates, newest date first."""
    return await read_page(session, RATES, query, service.to_read)
