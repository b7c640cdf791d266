"""HTTP of payouts."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from crm_api.donations.ledger.payouts import reading, service
from crm_api.donations.ledger.payouts.differences import differences
from crm_api.donations.ledger.payouts.fields import ITEMS, PAYOUTS
from crm_api.donations.ledger.payouts.models import payout_items
from crm_api.donations.ledger.payouts.schemas import (
    PayoutCancel,
    PayoutCreate,
    PayoutDifferences,
    PayoutItemPage,
    PayoutPage,
    PayoutRead,
    PayoutUpload,
)
from crm_api.idempotency.boundary import json_body, list_query, reads, router, writes
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.listing import Filter, ListQuery, read_page
from crm_api.kit.reply import created, reply
from crm_api.kit.uploads import Upload, upload_form

routes = router("payouts")
UPLOAD = upload_form(PayoutUpload, max_bytes=reading.LARGEST)


@routes.post("/v1/payouts", operation_id="payouts_create", status_code=201, response_model=PayoutRead)
async def payouts_create(
    session: Annotated[WriteSession, writes("ledger:write")], body: Annotated[PayoutCreate, json_body(PayoutCreate)]
) -> Response:
    """Record what a provider has sent to the bank. Its items are matched with gifts by the worker."""
    payout = await service.record_by_hand(session, body)
    return created(payout, f"/v1/payouts/{payout['id']}")


@routes.post("/v1/payouts/uploads", operation_id="payouts_upload", status_code=201, response_model=PayoutRead)
async def payouts_upload(
    session: Annotated[WriteSession, writes("ledger:write")], form: Annotated[Upload[PayoutUpload], UPLOAD]
) -> Response:
    """Record a payout with the rows of a CSV file, such as a provider's reconciliation report, as its items."""
    content = await asyncio.to_thread(form.file.read)
    said = await asyncio.to_thread(reading.read_statement, form.body, content)
    payout = service.to_read(await service.record_payout(session, form.body.connection_id, said, origin="upload"))
    return created(payout, f"/v1/payouts/{payout['id']}")


@routes.get("/v1/payouts", operation_id="payouts_list", response_model=PayoutPage)
async def payouts_list(
    session: Annotated[ReadSession, reads("ledger:read")], query: Annotated[ListQuery, list_query(PAYOUTS)]
) -> Response:
    """List payouts, by the day they arrived, newest first."""
    return await read_page(session, PAYOUTS, query, service.to_read)


@routes.get("/v1/payouts/differences", operation_id="payouts_list_differences", response_model=PayoutDifferences)
async def payouts_list_differences(
    session: Annotated[ReadSession, reads("ledger:read")],
    connection_id: Annotated[UUID | None, Query(description="Only of this payment connection.")] = None,
    after_days: Annotated[
        int, Query(ge=0, le=365, description="Days after which a gift should have been paid out.")
    ] = 14,
) -> Response:
    """What does not fit: items without a gift, with another amount or fee, paid twice; gifts that no payout brought."""
    return reply(await differences(session, connection_id, after_days))


@routes.get("/v1/payouts/{payout_id}", operation_id="payouts_get", response_model=PayoutRead)
async def payouts_get(session: Annotated[ReadSession, reads("ledger:read")], payout_id: UUID) -> Response:
    """One payout."""
    row = await service.get_payout(session, payout_id)
    return reply(service.to_read(row), version=row["version"])


@routes.get("/v1/payouts/{payout_id}/items", operation_id="payouts_list_items", response_model=PayoutItemPage)
async def payouts_list_items(
    session: Annotated[ReadSession, reads("ledger:read")],
    payout_id: UUID,
    query: Annotated[ListQuery, list_query(ITEMS)],
) -> Response:
    """The payments, refunds and fees of a payout, each with how it compares to our books."""
    row = await service.get_payout(session, payout_id)
    own = Filter(ITEMS.by_name["payout_id"], "eq", payout_id)
    query = replace(query, filters=(*query.filters, own))
    return await read_page(
        session, ITEMS, query, partial(service.item_to_read, row["currency"]), columns=tuple(payout_items.c)
    )


@routes.post("/v1/payouts/{payout_id}/cancel", operation_id="payouts_cancel", response_model=PayoutRead)
async def payouts_cancel(
    session: Annotated[WriteSession, writes("ledger:write")],
    payout_id: UUID,
    body: Annotated[PayoutCancel, json_body(PayoutCancel)],
) -> Response:
    """Take a payout back that was entered wrongly: its postings are reversed, its gifts count as unpaid again."""
    payout = await service.cancel_payout(session, payout_id, body)
    return reply(payout, version=payout["version"])
