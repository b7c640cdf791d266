"""HTTP of the inbox: where providers deliver, and where people look what came of it."""

from __future__ import annotations

from typing import Annotated
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
from crm_api.payments.inbox.schemas import Accepted, InboxEvent, InboxPage

routes = router("payments")
_ACCEPTED = b'{"received":true}'


@routes.post(
    "/v1/payments/webhooks/{provider}/{connection_id}",
    operation_id="payments_webhooks_receive",
    status_code=202,
    response_model=Accepted,
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
    },
)
async def payments_webhooks_receive(
    request: Request,
    provider: Annotated[str, Path(min_length=1, max_length=40, pattern=r"^[a-z_]+$")],
    connection_id: UUID,
) -> Response:
    """Where a payment provider delivers its events. The signature is the authentication.

    The event is stored before the answer leaves and handled by the worker. Deliveries may come in any order and any
    number of times.
    """
    lent = services(request)
    connection = await lent.more["directory"].find(provider, connection_id)
    body = await request.body()
    if not body:
        raise BadRequest("The body is empty.", code="body_missing")
    request_id = request.scope.get("crm.request_id", "")
    if await service.receive(lent.database, connection, body, request.headers, request_id=request_id):
        ring_now(connection.tenant.id)
    return Reply(_ACCEPTED, status_code=202)


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
