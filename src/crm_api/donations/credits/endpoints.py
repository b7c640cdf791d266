"""HTTP of soft credits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any
from uuid import UUID

from fastapi import Response

from crm_api.contacts.service import get_contact
from crm_api.donations.credits import service
from crm_api.donations.credits.fields import SOFT_CREDITS
from crm_api.donations.credits.schemas import SoftCreditCreate, SoftCreditPage, SoftCreditRead
from crm_api.donations.gifts.service import get_gift
from crm_api.idempotency.boundary import IfMatch, json_body, list_query, reads, router, writes
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.listing import Filter, ListQuery, read_page
from crm_api.kit.reply import created, no_content

routes = router("donations")


async def _page(session: ReadSession, query: ListQuery, name: str, value: UUID) -> Response:
    own = Filter(SOFT_CREDITS.by_name[name], "eq", value)

    async def shown(rows: Sequence[Any], items: list[dict[str, Any]], _: tuple[str, ...]) -> None:
        items[:] = await service.shown(session, rows)

    asked = replace(query, filters=(*query.filters, own), expand=("gifts",))
    return await read_page(session, SOFT_CREDITS, asked, dict, expand=shown)


@routes.post(
    "/v1/donations/{donation_id}/soft-credits",
    operation_id="donation_soft_credits_create",
    status_code=201,
    response_model=SoftCreditRead,
)
async def donation_soft_credits_create(
    session: Annotated[WriteSession, writes("donations:write")],
    donation_id: UUID,
    body: Annotated[SoftCreditCreate, json_body(SoftCreditCreate)],
) -> Response:
    """Credit somebody with a gift that another gave. Sums of money received never count it."""
    credit = await service.add_credit(session, donation_id, body)
    return created(credit, f"/v1/donations/{donation_id}/soft-credits")


@routes.get(
    "/v1/donations/{donation_id}/soft-credits",
    operation_id="donation_soft_credits_list",
    response_model=SoftCreditPage,
)
async def donation_soft_credits_list(
    session: Annotated[ReadSession, reads("donations:read")],
    donation_id: UUID,
    query: Annotated[ListQuery, list_query(SOFT_CREDITS)],
) -> Response:
    """List the soft credits of a gift, newest first."""
    await get_gift(session, donation_id)
    return await _page(session, query, "gift_id", donation_id)


@routes.delete(
    "/v1/donations/{donation_id}/soft-credits/{soft_credit_id}",
    operation_id="donation_soft_credits_delete",
    status_code=204,
)
async def donation_soft_credits_delete(
    session: Annotated[WriteSession, writes("donations:write")],
    donation_id: UUID,
    soft_credit_id: UUID,
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Take a soft credit back."""
    await service.remove_credit(session, donation_id, soft_credit_id, expected=expected)
    return no_content()


@routes.get(
    "/v1/contacts/{contact_id}/soft-credits", operation_id="contact_soft_credits_list", response_model=SoftCreditPage
)
async def contact_soft_credits_list(
    session: Annotated[ReadSession, reads("donations:read")],
    contact_id: UUID,
    query: Annotated[ListQuery, list_query(SOFT_CREDITS)],
) -> Response:
    """List what a contact was credited with, newest first."""
    await get_contact(session, contact_id)
    return await _page(session, query, "contact_id", contact_id)
