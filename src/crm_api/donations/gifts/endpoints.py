"""HTTP of gifts: `/v1/donations`."""

from __future__ import annotations

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import Response

from crm_api.donations.gifts import repository, service
from crm_api.donations.gifts.fields import GIFTS
from crm_api.donations.gifts.schemas import DonationCreate, DonationPage, DonationRead, EntryPage, RefundCreate
from crm_api.idempotency.boundary import IfMatch, json_body, list_query, reads, router, writes
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.listing import ListQuery, read_page
from crm_api.kit.reply import created, reply
from crm_api.kit.schemas import money_or_none

routes = router("donations")


@routes.post("/v1/donations", operation_id="donations_create", status_code=201, response_model=DonationRead)
async def donations_create(
    session: Annotated[WriteSession, writes("donations:write")],
    body: Annotated[DonationCreate, json_body(DonationCreate)],
) -> Response:
    """Record a gift whose money has arrived (bank transfer, cash ...). Online gifts come by webhook."""
    gift = await service.record_by_hand(session, body)
    return created(gift, f"/v1/donations/{gift['id']}")


@routes.get("/v1/donations", operation_id="donations_list", response_model=DonationPage)
async def donations_list(
    session: Annotated[ReadSession, reads("donations:read")], query: Annotated[ListQuery, list_query(GIFTS)]
) -> Response:
    """List gifts, newest first."""
    return await read_page(session, GIFTS, query, partial(service.shown, session))


@routes.get("/v1/donations/{donation_id}", operation_id="donations_get", response_model=DonationRead)
async def donations_get(session: Annotated[ReadSession, reads("donations:read")], donation_id: UUID) -> Response:
    """One gift."""
    row = await service.get_gift(session, donation_id)
    return reply(service.shown(session, row), version=row["version"])


@routes.get("/v1/donations/{donation_id}/entries", operation_id="donations_entries_list", response_model=EntryPage)
async def donations_entries_list(
    session: Annotated[ReadSession, reads("donations:read")], donation_id: UUID
) -> Response:
    """The payment entries that a gift's status and balances follow from."""
    gift = await service.get_gift(session, donation_id)
    names = ("id", "kind", "occurred_at", "ref", "status", "reason", "recorded_at")
    data = [
        {**{name: row[name] for name in names}, "amount": money_or_none(row["amount"], gift["currency"])}
        for row in await repository.entry_rows(session, donation_id)
    ]
    return reply({"data": data, "has_more": False, "next_cursor": None})


@routes.post(
    "/v1/donations/{donation_id}/refunds",
    operation_id="donations_refund",
    status_code=201,
    response_model=DonationRead,
)
async def donations_refund(
    session: Annotated[WriteSession, writes("donations:write")],
    donation_id: UUID,
    body: Annotated[RefundCreate, json_body(RefundCreate)],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Record that money of a gift recorded by hand was given back, wholly or in part."""
    gift = await service.refund_by_hand(session, donation_id, body, expected=expected)
    return reply(gift, status=201, version=gift["version"])
