"""HTTP of gifts: `/v1/donations`."""

from __future__ import annotations

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import Path, Query, Response

from crm_api.donations.gifts import changing, corrections, repository, service
from crm_api.donations.gifts.bulk import DonationBatch, record_many
from crm_api.donations.gifts.expansion import PATTERN, expander
from crm_api.donations.gifts.fields import GIFTS
from crm_api.donations.gifts.schemas import (
    AdjustmentCreate,
    CancelCreate,
    DonationCreate,
    DonationPage,
    DonationPatch,
    DonationRead,
    EntryPage,
    RefundCreate,
    RefundFailed,
    ReversalCreate,
)
from crm_api.idempotency.boundary import IfMatch, json_body, list_query, reads, router, writes
from crm_api.kit.batch import MAX_BYTES, BatchRead
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.listing import ListQuery, read_page
from crm_api.kit.reply import created, reply
from crm_api.kit.schemas import money_or_none

routes = router("donations")
System = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$")]
ExternalKey = Annotated[str, Path(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]


@routes.post("/v1/donations", operation_id="donations_create", status_code=201, response_model=DonationRead)
async def donations_create(
    session: Annotated[WriteSession, writes("donations:write")],
    body: Annotated[DonationCreate, json_body(DonationCreate)],
) -> Response:
    """Record a gift whose money has arrived (bank transfer, cash ...). Online gifts come by webhook."""
    gift = await service.record_by_hand(session, body)
    return created(gift, f"/v1/donations/{gift['id']}")


@routes.post("/v1/donations/batch", operation_id="donations_batch", response_model=BatchRead)
async def donations_batch(
    session: Annotated[WriteSession, writes("donations:write")],
    body: Annotated[DonationBatch, json_body(DonationBatch, max_bytes=MAX_BYTES)],
    atomic: Annotated[bool, Query(description="The same as `atomic` in the body; either of them will do.")] = False,
) -> Response:
    """Record up to 1,000 gifts in one transaction, each with a status of its own; with `atomic` all or none."""
    return reply(await record_many(session, body, atomic=atomic or body.atomic))


@routes.get("/v1/donations", operation_id="donations_list", response_model=DonationPage)
async def donations_list(
    session: Annotated[ReadSession, reads("donations:read")], query: Annotated[ListQuery, list_query(GIFTS)]
) -> Response:
    """List gifts, newest first."""
    return await read_page(session, GIFTS, query, partial(service.shown, session), expand=expander(session))


@routes.get("/v1/donations/{donation_id}", operation_id="donations_get", response_model=DonationRead)
async def donations_get(
    session: Annotated[ReadSession, reads("donations:read")],
    donation_id: UUID,
    expand: Annotated[
        str | None,
        Query(pattern=PATTERN, max_length=100, description="What to put beside the gift, separated by commas."),
    ] = None,
) -> Response:
    """One gift."""
    row = await service.get_gift(session, donation_id)
    gift = await service.shown_whole(session, row)
    if expand is None:
        return reply(gift, version=row["version"])
    await expander(session)([row], [gift], tuple(expand.split(",")))
    return reply(gift)  # without an ETag, which would not change with what is beside the gift


@routes.patch("/v1/donations/{donation_id}", operation_id="donations_update", response_model=DonationRead)
async def donations_update(
    session: Annotated[WriteSession, writes("donations:write")],
    donation_id: UUID,
    body: Annotated[DonationPatch, json_body(DonationPatch, media_type="application/merge-patch+json")],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Change a gift's donor, purpose, origin or details by JSON merge patch. Amounts are corrected by adjustments."""
    gift = await changing.patch_gift(session, donation_id, body, expected=expected)
    return reply(gift, version=gift["version"])


@routes.get(
    "/v1/donations/by-external-id/{system}/{external_id:path}",
    operation_id="donations_get_by_external_id",
    response_model=DonationRead,
)
async def donations_get_by_external_id(
    session: Annotated[ReadSession, reads("donations:read")], system: System, external_id: ExternalKey
) -> Response:
    """The gift with an id in another system."""
    row = await service.get_by_external_id(session, system, external_id)
    return reply(await service.shown_whole(session, row), version=row["version"])


@routes.put(
    "/v1/donations/by-external-id/{system}/{external_id:path}",
    operation_id="donations_upsert_by_external_id",
    response_model=DonationRead,
    responses={201: {"model": DonationRead, "description": "Recorded"}},
)
async def donations_upsert_by_external_id(
    session: Annotated[WriteSession, writes("donations:write")],
    system: System,
    external_id: ExternalKey,
    body: Annotated[DonationCreate, json_body(DonationCreate)],
) -> Response:
    """Record or change the gift with an id in another system. Another amount than before is an adjustment."""
    gift, is_new = await changing.upsert_by_external_id(session, system, external_id, body)
    if is_new:
        return created(gift, f"/v1/donations/{gift['id']}")
    return reply(gift, version=gift["version"])


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
    gift = await corrections.refund_by_hand(session, donation_id, body, expected=expected)
    return reply(gift, status=201, version=gift["version"])


@routes.post(
    "/v1/donations/{donation_id}/refund-failures",
    operation_id="donations_refund_failed",
    status_code=201,
    response_model=DonationRead,
)
async def donations_refund_failed(
    session: Annotated[WriteSession, writes("donations:write")],
    donation_id: UUID,
    body: Annotated[RefundFailed, json_body(RefundFailed)],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Record that a refund recorded by hand did not reach the donor."""
    gift = await corrections.fail_refund(session, donation_id, body, expected=expected)
    return reply(gift, status=201, version=gift["version"])


@routes.post(
    "/v1/donations/{donation_id}/adjustments",
    operation_id="donations_adjust",
    status_code=201,
    response_model=DonationRead,
)
async def donations_adjust(
    session: Annotated[WriteSession, writes("donations:write")],
    donation_id: UUID,
    body: Annotated[AdjustmentCreate, json_body(AdjustmentCreate)],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Correct the amount or the time of receipt of a gift recorded by hand. What was entered first stays on record."""
    gift = await corrections.adjust_by_hand(session, donation_id, body, expected=expected)
    return reply(gift, status=201, version=gift["version"])


@routes.post(
    "/v1/donations/{donation_id}/reversals",
    operation_id="donations_reverse",
    status_code=201,
    response_model=DonationRead,
)
async def donations_reverse(
    session: Annotated[WriteSession, writes("donations:write")],
    donation_id: UUID,
    body: Annotated[ReversalCreate, json_body(ReversalCreate)],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Record that a bank took back what is left of a gift recorded by hand: a cheque bounced, a transfer returned."""
    gift = await corrections.reverse_by_hand(session, donation_id, body, expected=expected)
    return reply(gift, status=201, version=gift["version"])


@routes.post("/v1/donations/{donation_id}/cancel", operation_id="donations_cancel", response_model=DonationRead)
async def donations_cancel(
    session: Annotated[WriteSession, writes("donations:write")],
    donation_id: UUID,
    body: Annotated[CancelCreate, json_body(CancelCreate)],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Give up a pending gift recorded by hand: its money has not arrived."""
    gift = await corrections.cancel_by_hand(session, donation_id, body, expected=expected)
    return reply(gift, version=gift["version"])
