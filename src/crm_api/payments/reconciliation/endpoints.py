"""HTTP of reconciliations."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated
from uuid import UUID

from fastapi import Request, Response

from crm_api.idempotency.boundary import json_body, list_query, reads, router, services, writes
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.listing import Filter, ListQuery, read_page
from crm_api.kit.reply import reply
from crm_api.payments.reconciliation import service
from crm_api.payments.reconciliation.fields import ITEMS, OF, RECONCILIATIONS
from crm_api.payments.reconciliation.schemas import (
    ReconciliationCreate,
    ReconciliationItemPage,
    ReconciliationPage,
    ReconciliationRead,
)

routes = router("reconciliations")


@routes.post(
    "/v1/payment-connections/{connection_id}/reconciliations",
    operation_id="payment_connections_reconcile",
    status_code=202,
    response_model=ReconciliationRead,
)
async def payment_connections_reconcile(
    request: Request,
    session: Annotated[WriteSession, writes("payments:write")],
    connection_id: UUID,
    body: Annotated[ReconciliationCreate, json_body(ReconciliationCreate)],
) -> Response:
    """Compare the provider's own list of payments with ours. With `apply`, what the provider says of payments that
    differ is applied as its events would have been, and compared again."""
    started = await service.start(session, services(request).more["vault"], connection_id, body)
    return reply(started, status=202, version=1, headers={"Location": f"/v1/reconciliations/{started['id']}"})


@routes.get("/v1/reconciliations", operation_id="reconciliations_list", response_model=ReconciliationPage)
async def reconciliations_list(
    session: Annotated[ReadSession, reads("payments:read")], query: Annotated[ListQuery, list_query(RECONCILIATIONS)]
) -> Response:
    """List reconciliations, newest first. Every night each connection that can list its payments is compared."""
    return await read_page(session, RECONCILIATIONS, query, service.to_read)


@routes.get(
    "/v1/reconciliations/{reconciliation_id}", operation_id="reconciliations_get", response_model=ReconciliationRead
)
async def reconciliations_get(
    session: Annotated[ReadSession, reads("payments:read")], reconciliation_id: UUID
) -> Response:
    """One reconciliation: how far it is, and what it found."""
    row = await service.get_reconciliation(session, reconciliation_id)
    return reply(service.to_read(row), version=row["version"])


@routes.get(
    "/v1/reconciliations/{reconciliation_id}/items",
    operation_id="reconciliations_items_list",
    response_model=ReconciliationItemPage,
)
async def reconciliations_items_list(
    session: Annotated[ReadSession, reads("payments:read")],
    reconciliation_id: UUID,
    query: Annotated[ListQuery, list_query(ITEMS)],
) -> Response:
    """What differs, each payment and kind once."""
    await service.get_reconciliation(session, reconciliation_id)
    kind = ITEMS.by_name["kind"]
    own = (Filter(OF, "eq", reconciliation_id), Filter(kind, "in", list(kind.choices)))
    return await read_page(session, ITEMS, replace(query, filters=(*query.filters, *own)), service.item_to_read)
