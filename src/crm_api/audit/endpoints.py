"""HTTP of the audit: reading only. What was recorded cannot be changed, by anybody."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Response

from crm_api.audit import service
from crm_api.audit.fields import AUDIT_EVENTS, AUDIT_SEALS
from crm_api.audit.schemas import AuditEventPage, AuditEventRead, AuditSealPage
from crm_api.idempotency.boundary import list_query, reads, router
from crm_api.kit.db import ReadSession
from crm_api.kit.listing import ListQuery, read_page
from crm_api.kit.reply import reply

routes = router("audit events")


@routes.get("/v1/audit-events", operation_id="audit_events_list", response_model=AuditEventPage)
async def audit_events_list(
    session: Annotated[ReadSession, reads("audit:read")], query: Annotated[ListQuery, list_query(AUDIT_EVENTS)]
) -> Response:
    """List who did what, newest first."""
    return await read_page(session, AUDIT_EVENTS, query, service.to_read)


@routes.get("/v1/audit-events/{audit_event_id}", operation_id="audit_events_get", response_model=AuditEventRead)
async def audit_events_get(session: Annotated[ReadSession, reads("audit:read")], audit_event_id: UUID) -> Response:
    """One event of the audit."""
    return reply(service.to_read(await service.get_event(session, audit_event_id)))


@routes.get("/v1/audit-seals", operation_id="audit_seals_list", response_model=AuditSealPage)
async def audit_seals_list(
    session: Annotated[ReadSession, reads("audit:read")], query: Annotated[ListQuery, list_query(AUDIT_SEALS)]
) -> Response:
    """List the seals of the audit, newest first. Keep the newest hash elsewhere; `crm-api audit verify` checks them."""
    return await read_page(session, AUDIT_SEALS, query, service.seal_to_read)
