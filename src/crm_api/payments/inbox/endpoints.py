"""HTTP of the inbox: where providers deliver, and where people look what came of it."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import parse_qsl
from uuid import UUID

from fastapi import Path, Request, Response

from crm_api.idempotency.boundary import list_query, reads, router, services, writes
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.listing import ListQuery, read_page
from crm_api.kit.problems import BadRequest
from crm_api.kit.reply import Reply, reply
from crm_api.outbox.service import ring_now
from crm_api.payments.inbox import service
from crm_api.payments.inbox.fields import INBOX
from crm_api.payments.inbox.schemas import Accepted, Acknowledged, InboxEvent, InboxPage, Listening
from crm_api.payments.provider import Delivery

routes = router("payments")
_LISTENING = b'{"listening":true}'


_BODIES = {"type": "object"}
_ANY_QUERY: dict[str, Any] = {"x-any-query": True}
"""Whoever delivers may have a query in the address, a secret among it."""
_PROVIDER = Path(min_length=1, max_length=40, pattern=r"^[a-z_]+$")
_SECRET = Path(
    min_length=8,
    max_length=255,
    pattern=r"^[!-$&-~]+$",
    description="The connection's secret, where the provider signs nothing.",
)
_MANY_ASKED = 50


def _pairs(request: Request) -> dict[str, str]:
    """What stands in the address's query, as far as anybody could mean it."""
    return dict(parse_qsl(request.scope["query_string"].decode("ascii", "replace"), max_num_fields=_MANY_ASKED))


async def _receive(request: Request, provider: str, connection_id: UUID, tail: str) -> Response:
    lent = services(request)
    connection = await lent.more["directory"].find(provider, connection_id)
    body = await request.body()
    if not body:
        raise BadRequest("The body is empty.", code="body_missing")
    try:
        delivery = Delivery(body, request.headers, _pairs(request), tail)
    except ValueError:
        raise BadRequest("The address has more parameters than any provider sends.", code="query_too_long") from None
    request_id = request.scope.get("crm.request_id", "")
    new, answer = await service.receive(lent.database, connection, delivery, request_id=request_id)
    if new:
        ring_now(connection.tenant.id)
    if answer.status == 202:
        return Reply(answer.body, status_code=answer.status)
    return Response(answer.body, status_code=answer.status, media_type="application/json")


@routes.post(
    "/v1/payments/webhooks/{provider}/{connection_id}",
    operation_id="payments_webhooks_receive",
    status_code=202,
    response_model=Accepted,
    responses={200: {"model": Acknowledged, "description": "Stored, in the words that this provider wants to hear"}},
    openapi_extra={
        **_ANY_QUERY,
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": _BODIES},
                "application/x-www-form-urlencoded": {"schema": _BODIES},
            },
        },
    },
)
async def payments_webhooks_receive(
    request: Request, provider: Annotated[str, _PROVIDER], connection_id: UUID
) -> Response:
    """Where a payment provider delivers its events. The signature is the authentication.

    The event is stored before the answer leaves and handled by the worker. Deliveries may come in any order and any
    number of times. A provider that signs nothing (`monobank_personal`) is given the address with its connection's
    secret behind it: `…/{connection_id}/{secret}`.
    """
    return await _receive(request, provider, connection_id, "")


@routes.post(
    "/v1/payments/webhooks/{provider}/{connection_id}/{secret}",
    operation_id="payments_webhooks_receive_secret",
    status_code=202,
    response_model=Accepted,
    responses={200: {"model": Acknowledged, "description": "Stored, in the words that this provider wants to hear"}},
    openapi_extra={
        **_ANY_QUERY,
        "requestBody": {"required": True, "content": {"application/json": {"schema": _BODIES}}},
    },
)
async def payments_webhooks_receive_secret(
    request: Request,
    provider: Annotated[str, _PROVIDER],
    connection_id: UUID,
    secret: Annotated[str, _SECRET],
) -> Response:
    """The same for a provider that signs nothing: the connection's secret in the address is the authentication."""
    return await _receive(request, provider, connection_id, secret)


async def _probe(request: Request, provider: str, connection_id: UUID) -> Response:
    await services(request).more["directory"].find(provider, connection_id)
    return Reply(_LISTENING)


@routes.get(
    "/v1/payments/webhooks/{provider}/{connection_id}",
    operation_id="payments_webhooks_probe",
    response_model=Listening,
    openapi_extra=_ANY_QUERY,
)
async def payments_webhooks_probe(
    request: Request, provider: Annotated[str, _PROVIDER], connection_id: UUID
) -> Response:
    """Answers the question of a provider (Monobank) whether somebody listens at this address."""
    return await _probe(request, provider, connection_id)


@routes.get(
    "/v1/payments/webhooks/{provider}/{connection_id}/{secret}",
    operation_id="payments_webhooks_probe_secret",
    response_model=Listening,
    openapi_extra=_ANY_QUERY,
)
async def payments_webhooks_probe_secret(
    request: Request, provider: Annotated[str, _PROVIDER], connection_id: UUID, secret: Annotated[str, _SECRET]
) -> Response:
    """The same at an address with a secret; whether it is the right one is not said."""
    return await _probe(request, provider, connection_id)


@routes.get("/v1/payments/inbox", operation_id="payments_inbox_list", response_model=InboxPage)
async def payments_inbox_list(
    session: Annotated[ReadSession, reads("payments:read")], query: Annotated[ListQuery, list_query(INBOX)]
) -> Response:
    """List provider events, newest first. `state=unmatched` are those that name a payment we never heard of."""
    return await read_page(session, INBOX, query, service.to_read)


@routes.get("/v1/payments/inbox/{event_id}", operation_id="payments_inbox_get", response_model=InboxEvent)
async def payments_inbox_get(session: Annotated[ReadSession, reads("payments:read")], event_id: UUID) -> Response:
    """One provider event."""
    return reply(service.to_read(await service.get_event(session, event_id)))


@routes.post(
    "/v1/payments/inbox/{event_id}/replay",
    operation_id="payments_inbox_replay",
    status_code=202,
    response_model=InboxEvent,
)
async def payments_inbox_replay(session: Annotated[WriteSession, writes("payments:write")], event_id: UUID) -> Response:
    """Handle an event again; safe at any time."""
    return reply(service.to_read(await service.replay(session, event_id)), status=202)
