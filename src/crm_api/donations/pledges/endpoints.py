"""HTTP of pledges."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Response

from crm_api.donations.pledges import payments, service
from crm_api.donations.pledges.fields import PLEDGES
from crm_api.donations.pledges.schemas import (
    InstallmentList,
    PledgeCancel,
    PledgeCreate,
    PledgePage,
    PledgePatch,
    PledgePaymentCreate,
    PledgePaymentList,
    PledgeRead,
    PledgeWriteOffCreate,
)
from crm_api.idempotency.boundary import IfMatch, json_body, list_query, reads, router, writes
from crm_api.kit.db import ReadSession, RowLike, WriteSession
from crm_api.kit.listing import ListQuery, read_page
from crm_api.kit.reply import created, reply

routes = router("pledges")
_Expected = Annotated[int | None, IfMatch]


def _shown(row: RowLike) -> Response:
    return reply(service.to_read(row), version=row["version"])


@routes.post("/v1/pledges", operation_id="pledges_create", status_code=201, response_model=PledgeRead)
async def pledges_create(
    session: Annotated[WriteSession, writes("donations:write")],
    body: Annotated[PledgeCreate, json_body(PledgeCreate)],
) -> Response:
    """Record a promise: of money, all at once or in installments, or of something in kind."""
    pledge = service.to_read(await service.create_pledge(session, body))
    return created(pledge, f"/v1/pledges/{pledge['id']}")


@routes.get("/v1/pledges", operation_id="pledges_list", response_model=PledgePage)
async def pledges_list(
    session: Annotated[ReadSession, reads("donations:read")], query: Annotated[ListQuery, list_query(PLEDGES)]
) -> Response:
    """List pledges, newest first."""
    return await read_page(session, PLEDGES, query, service.to_read)


@routes.get("/v1/pledges/{pledge_id}", operation_id="pledges_get", response_model=PledgeRead)
async def pledges_get(session: Annotated[ReadSession, reads("donations:read")], pledge_id: UUID) -> Response:
    """One pledge."""
    return _shown(await service.get_pledge(session, pledge_id))


@routes.patch("/v1/pledges/{pledge_id}", operation_id="pledges_update", response_model=PledgeRead)
async def pledges_update(
    session: Annotated[WriteSession, writes("donations:write")],
    pledge_id: UUID,
    body: Annotated[PledgePatch, json_body(PledgePatch, media_type="application/merge-patch+json")],
    expected: _Expected,
) -> Response:
    """Change a pledge by JSON merge patch; new installments take the place of all."""
    return _shown(await service.patch_pledge(session, pledge_id, body, expected=expected))


@routes.get(
    "/v1/pledges/{pledge_id}/installments", operation_id="pledge_installments_list", response_model=InstallmentList
)
async def pledge_installments_list(
    session: Annotated[ReadSession, reads("donations:read")], pledge_id: UUID
) -> Response:
    """The installments of a pledge, and what of each is paid, written off and open."""
    pledge = await service.get_pledge(session, pledge_id)
    data = await service.installments_of(session, pledge)
    return reply({"data": data, "has_more": False, "next_cursor": None})


@routes.get("/v1/pledges/{pledge_id}/payments", operation_id="pledge_payments_list", response_model=PledgePaymentList)
async def pledge_payments_list(session: Annotated[ReadSession, reads("donations:read")], pledge_id: UUID) -> Response:
    """The gifts that pay a pledge."""
    pledge = await service.get_pledge(session, pledge_id)
    data = await payments.payments_of(session, pledge)
    return reply({"data": data, "has_more": False, "next_cursor": None})


@routes.post("/v1/pledges/{pledge_id}/payments", operation_id="pledge_payments_create", response_model=PledgeRead)
async def pledge_payments_create(
    session: Annotated[WriteSession, writes("donations:write")],
    pledge_id: UUID,
    body: Annotated[PledgePaymentCreate, json_body(PledgePaymentCreate)],
    expected: _Expected,
) -> Response:
    """Say that a gift, or so much of it, pays this pledge: its oldest open installments first."""
    return _shown(await payments.pay(session, pledge_id, body, expected=expected))


@routes.delete(
    "/v1/pledges/{pledge_id}/payments/{donation_id}", operation_id="pledge_payments_delete", response_model=PledgeRead
)
async def pledge_payments_delete(
    session: Annotated[WriteSession, writes("donations:write")],
    pledge_id: UUID,
    donation_id: UUID,
    expected: _Expected,
) -> Response:
    """Say that a gift does not pay this pledge after all."""
    return _shown(await payments.remove(session, pledge_id, donation_id, expected=expected))


@routes.post("/v1/pledges/{pledge_id}/write-off", operation_id="pledges_write_off", response_model=PledgeRead)
async def pledges_write_off(
    session: Annotated[WriteSession, writes("donations:write")],
    pledge_id: UUID,
    body: Annotated[PledgeWriteOffCreate, json_body(PledgeWriteOffCreate)],
    expected: _Expected,
) -> Response:
    """Give up what is open: of one installment, or of all. Money that comes after all still counts."""
    return _shown(await service.write_off(session, pledge_id, body.reason, body.installment_id, expected=expected))


@routes.post("/v1/pledges/{pledge_id}/cancel", operation_id="pledges_cancel", response_model=PledgeRead)
async def pledges_cancel(
    session: Annotated[WriteSession, writes("donations:write")],
    pledge_id: UUID,
    body: Annotated[PledgeCancel, json_body(PledgeCancel)],
    expected: _Expected,
) -> Response:
    """Take a pledge back. Gifts that paid it stay gifts."""
    return _shown(await service.cancel(session, pledge_id, body.reason, expected=expected))
