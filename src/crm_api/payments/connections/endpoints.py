"""HTTP of payment connections."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import Request, Response

from crm_api.idempotency.boundary import IfMatch, json_body, list_query, reads, router, services, writes
from crm_api.kit.db import ReadSession, Row, WriteSession
from crm_api.kit.listing import ListQuery, read_page
from crm_api.kit.reply import created, reply
from crm_api.payments.connections import service
from crm_api.payments.connections.fields import CONNECTIONS
from crm_api.payments.connections.schemas import ConnectionCreate, ConnectionPage, ConnectionPatch, ConnectionRead

routes = router("payments")


def _shown(request: Request, session: ReadSession, row: Row | dict[str, Any]) -> dict[str, Any]:
    lent = services(request).more
    return service.to_read(row, vault=lent["vault"], tenant=session.tenant, public_url=lent["settings"].public_url)


@routes.post(
    "/v1/payment-connections", operation_id="payment_connections_create", status_code=201, response_model=ConnectionRead
)
async def payment_connections_create(
    request: Request,
    session: Annotated[WriteSession, writes("payments:write")],
    body: Annotated[ConnectionCreate, json_body(ConnectionCreate)],
) -> Response:
    """Connect an account at a payment provider. Enter the answer's `webhook_url` at the provider."""
    row = service.create_connection(session, services(request).more["vault"], body)
    shown = _shown(request, session, row)
    return created(shown, f"/v1/payment-connections/{shown['id']}")


@routes.get("/v1/payment-connections", operation_id="payment_connections_list", response_model=ConnectionPage)
async def payment_connections_list(
    request: Request,
    session: Annotated[ReadSession, reads("payments:read")],
    query: Annotated[ListQuery, list_query(CONNECTIONS)],
) -> Response:
    """List payment connections, newest first."""
    return await read_page(session, CONNECTIONS, query, lambda row: _shown(request, session, row))


@routes.get(
    "/v1/payment-connections/{connection_id}", operation_id="payment_connections_get", response_model=ConnectionRead
)
async def payment_connections_get(
    request: Request, session: Annotated[ReadSession, reads("payments:read")], connection_id: UUID
) -> Response:
    """One payment connection."""
    row = await service.get_connection(session, connection_id)
    return reply(_shown(request, session, row), version=row["version"])


@routes.patch(
    "/v1/payment-connections/{connection_id}", operation_id="payment_connections_update", response_model=ConnectionRead
)
async def payment_connections_update(
    request: Request,
    session: Annotated[WriteSession, writes("payments:write")],
    connection_id: UUID,
    body: Annotated[ConnectionPatch, json_body(ConnectionPatch, media_type="application/merge-patch+json")],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Rename or disable a connection, or rotate its credentials."""
    lent = services(request).more
    row = await service.patch_connection(session, lent["vault"], connection_id, body, expected=expected)
    session.after_commit(lambda: lent["directory"].forget(connection_id))
    return reply(_shown(request, session, row), version=row["version"])
