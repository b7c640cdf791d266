"""HTTP of batches of gifts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Response

from crm_api.donations.batches import service
from crm_api.donations.batches.fields import GIFT_BATCHES
from crm_api.donations.batches.schemas import GiftBatchCreate, GiftBatchPage, GiftBatchPatch, GiftBatchRead
from crm_api.donations.gifts.bulk import DonationBatch
from crm_api.donations.gifts.schemas import DonationCreate, DonationRead
from crm_api.idempotency.boundary import IfMatch, json_body, list_query, reads, router, writes
from crm_api.kit.batch import MAX_BYTES, BatchRead
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.listing import ListQuery, read_page
from crm_api.kit.reply import created, reply

routes = router("gift batches")


@routes.post("/v1/gift-batches", operation_id="gift_batches_create", status_code=201, response_model=GiftBatchRead)
async def gift_batches_create(
    session: Annotated[WriteSession, writes("donations:write")],
    body: Annotated[GiftBatchCreate, json_body(GiftBatchCreate)],
) -> Response:
    """Open a batch with its control count and total."""
    batch = service.open_batch(session, body)
    return created(batch, f"/v1/gift-batches/{batch['id']}")


@routes.get("/v1/gift-batches", operation_id="gift_batches_list", response_model=GiftBatchPage)
async def gift_batches_list(
    session: Annotated[ReadSession, reads("donations:read")], query: Annotated[ListQuery, list_query(GIFT_BATCHES)]
) -> Response:
    """List batches, newest first."""

    async def with_figures(rows: Sequence[Any], items: list[dict[str, Any]], _: tuple[str, ...]) -> None:
        items[:] = await service.shown(session, rows)

    return await read_page(session, GIFT_BATCHES, replace(query, expand=("entered",)), dict, expand=with_figures)


@routes.get("/v1/gift-batches/{gift_batch_id}", operation_id="gift_batches_get", response_model=GiftBatchRead)
async def gift_batches_get(session: Annotated[ReadSession, reads("donations:read")], gift_batch_id: UUID) -> Response:
    """One batch, with what was entered so far."""
    batch = await service.get_batch(session, gift_batch_id)
    return reply(batch, version=batch["version"])


@routes.patch("/v1/gift-batches/{gift_batch_id}", operation_id="gift_batches_update", response_model=GiftBatchRead)
async def gift_batches_update(
    session: Annotated[WriteSession, writes("donations:write")],
    gift_batch_id: UUID,
    body: Annotated[GiftBatchPatch, json_body(GiftBatchPatch, media_type="application/merge-patch+json")],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Change an open batch by JSON merge patch."""
    batch = await service.patch_batch(session, gift_batch_id, body, expected=expected)
    return reply(batch, version=batch["version"])


@routes.post(
    "/v1/gift-batches/{gift_batch_id}/donations",
    operation_id="gift_batches_add",
    status_code=201,
    response_model=DonationRead,
)
async def gift_batches_add(
    session: Annotated[WriteSession, writes("donations:write")],
    gift_batch_id: UUID,
    body: Annotated[DonationCreate, json_body(DonationCreate)],
) -> Response:
    """Enter a gift into an open batch; it is pending until the batch is posted."""
    gift = await service.add_gift(session, gift_batch_id, body)
    return created(gift, f"/v1/donations/{gift['id']}")


@routes.post(
    "/v1/gift-batches/{gift_batch_id}/donations/batch", operation_id="gift_batches_add_many", response_model=BatchRead
)
async def gift_batches_add_many(
    session: Annotated[WriteSession, writes("donations:write")],
    gift_batch_id: UUID,
    body: Annotated[DonationBatch, json_body(DonationBatch, max_bytes=MAX_BYTES)],
    atomic: Annotated[bool, Query(description="The same as `atomic` in the body; either of them will do.")] = False,
) -> Response:
    """Enter up to 1,000 gifts into an open batch, each with a status of its own."""
    answer = await service.add_gifts(session, gift_batch_id, body, atomic=atomic or body.atomic)
    return reply(answer)


@routes.post("/v1/gift-batches/{gift_batch_id}/post", operation_id="gift_batches_post", response_model=GiftBatchRead)
async def gift_batches_post(
    session: Annotated[WriteSession, writes("donations:write")],
    gift_batch_id: UUID,
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Let the gifts of a batch count; 409 while their number or sum is not the control figure."""
    batch = await service.post_batch(session, gift_batch_id, expected=expected)
    return reply(batch, version=batch["version"])


@routes.post(
    "/v1/gift-batches/{gift_batch_id}/cancel", operation_id="gift_batches_cancel", response_model=GiftBatchRead
)
async def gift_batches_cancel(
    session: Annotated[WriteSession, writes("donations:write")],
    gift_batch_id: UUID,
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Give up a batch: every gift in it is canceled."""
    batch = await service.cancel_batch(session, gift_batch_id, expected=expected)
    return reply(batch, version=batch["version"])
