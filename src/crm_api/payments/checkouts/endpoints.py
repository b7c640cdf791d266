"""HTTP of checkouts: a page for a payment, how it stands, and what the organization allows."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Request, Response
from sqlalchemy import Text, Uuid, literal_column

from crm_api.idempotency.boundary import Guard, call_of, json_body, list_query, reads, router, services, writes
from crm_api.idempotency.stages import Stages
from crm_api.kit.db import ReadSession, RowLike, WriteSession
from crm_api.kit.listing import ListQuery, read_page
from crm_api.kit.reply import reply
from crm_api.payments.checkouts import service
from crm_api.payments.checkouts.fields import CHECKOUTS
from crm_api.payments.checkouts.making import make_checkout
from crm_api.payments.checkouts.models import checkouts
from crm_api.payments.checkouts.schemas import (
    CheckoutCreate,
    CheckoutPage,
    CheckoutRead,
    CheckoutSettings,
    CheckoutSettingsRead,
)
from crm_api.payments.checkouts.service import Asked

routes = router("checkouts")
_INTEND = "donations:intend"
_COLUMNS: tuple[Any, ...] = (
    *checkouts.c,
    literal_column(service.GIFT.format(column="id"), Uuid).label("donation_id"),
    literal_column(service.GIFT.format(column="status"), Text).label("gift_status"),
)


class _InStages(Guard):
    """Admits whoever may record gifts, and publishable keys; gives transactions one by one."""

    async def __call__(self, request: Request) -> Stages:  # type: ignore[override]
        principal = await self.admit(request)
        await request.body()  # all of it first: what follows holds a connection
        actor = principal.actor(request.scope.get("crm.request_id", ""))
        return Stages(request, call_of(request), services(request).database, principal.tenant, actor)


_IN_STAGES = Depends(_InStages("donations:write", _INTEND, write=True))


@routes.post(
    "/v1/donations/checkout", operation_id="donations_checkout_create", status_code=201, response_model=CheckoutRead
)
async def donations_checkout_create(
    request: Request,
    stages: Annotated[Stages, _IN_STAGES],
    body: Annotated[CheckoutCreate, json_body(CheckoutCreate)],
) -> Response:
    """Make a page at a payment provider, and send the donor to its `url`. The gift is recorded as pending at once, and
    whatever the provider tells of the payment, in whatever order, ends in it.

    A publishable key with `donations:intend` will do, so that a web page can call this itself; it is held to limits per
    key, address and e-mail, and after a burst of refused payments nothing new is begun for a while (429). Send an
    Idempotency-Key: the same request sent again gets the same page, whatever broke in between.
    """
    lent = services(request).more
    asked = Asked(
        publishable="donations:write" not in stages.actor.scopes,
        address=request.client.host if request.client else None,
        public_url=lent["settings"].public_url,
    )
    return await make_checkout(stages, lent["vault"], asked, body)


@routes.get("/v1/donations/checkouts", operation_id="donations_checkouts_list", response_model=CheckoutPage)
async def donations_checkouts_list(
    session: Annotated[ReadSession, reads("donations:read")], query: Annotated[ListQuery, list_query(CHECKOUTS)]
) -> Response:
    """List checkouts, newest first."""
    return await read_page(session, CHECKOUTS, query, partial(_shown, session), columns=_COLUMNS)


def _shown(session: ReadSession, row: RowLike) -> dict[str, Any]:
    return service.to_read(row, session.now)


@routes.get(
    "/v1/donations/checkouts/{checkout_id}", operation_id="donations_checkouts_get", response_model=CheckoutRead
)
async def donations_checkouts_get(
    session: Annotated[ReadSession, reads("donations:read", _INTEND)], checkout_id: UUID
) -> Response:
    """How a checkout stands. A publishable key sees the ones that it has begun itself."""
    own_only = "donations:read" not in session.actor.scopes
    return reply(await service.get_checkout(session, checkout_id, own_only=own_only))


@routes.get("/v1/checkout-settings", operation_id="checkout_settings_get", response_model=CheckoutSettingsRead)
async def checkout_settings_get(session: Annotated[ReadSession, reads("payments:read")]) -> Response:
    """Where donors may be sent after a payment, the smallest gift, and the limits against card testing."""
    return reply(await service.settings_of(session))


@routes.put("/v1/checkout-settings", operation_id="checkout_settings_replace", response_model=CheckoutSettingsRead)
async def checkout_settings_replace(
    session: Annotated[WriteSession, writes("payments:write")],
    body: Annotated[CheckoutSettings, json_body(CheckoutSettings)],
) -> Response:
    """Replace the settings of checkouts."""
    return reply(await service.save_settings(session, body))
