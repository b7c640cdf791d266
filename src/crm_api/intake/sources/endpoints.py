"""HTTP of sources of intake."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import Request, Response

from crm_api.idempotency.boundary import IfMatch, json_body, list_query, reads, router, services, writes
from crm_api.intake.sources import service
from crm_api.intake.sources.fields import SOURCES
from crm_api.intake.sources.schemas import (
    IntakeSourceCreate,
    IntakeSourcePage,
    IntakeSourcePatch,
    IntakeSourceRead,
    StartLinkCreate,
    StartLinkRead,
)
from crm_api.kit.db import ReadSession, Row, WriteSession
from crm_api.kit.listing import ListQuery, read_page
from crm_api.kit.reply import created, dumps, reply

routes = router("intake")


def _shown(
    request: Request, session: ReadSession, row: Row | dict[str, Any], issued: dict[str, str] | None = None
) -> dict[str, Any]:
    lent = services(request).more
    url = lent["settings"].public_url
    return service.to_read(row, vault=lent["vault"], session=session, public_url=url, issued=issued)


@routes.post(
    "/v1/intake-sources", operation_id="intake_sources_create", status_code=201, response_model=IntakeSourceRead
)
async def intake_sources_create(
    request: Request,
    session: Annotated[WriteSession, writes("intake:write")],
    body: Annotated[IntakeSourceCreate, json_body(IntakeSourceCreate)],
) -> Response:
    """Add a source. Enter the answer's `webhook_url` at the other side; `issued` is shown this once."""
    row, issued = await service.create_source(session, services(request).more["vault"], body)
    answer = created(_shown(request, session, row, issued), f"/v1/intake-sources/{row['id']}")
    answer.stored_body = dumps(_shown(request, session, row))
    return answer


@routes.get("/v1/intake-sources", operation_id="intake_sources_list", response_model=IntakeSourcePage)
async def intake_sources_list(
    request: Request,
    session: Annotated[ReadSession, reads("intake:read")],
    query: Annotated[ListQuery, list_query(SOURCES)],
) -> Response:
    """List sources of intake, newest first."""
    return await read_page(session, SOURCES, query, lambda row: _shown(request, session, row))


@routes.get("/v1/intake-sources/{source_id}", operation_id="intake_sources_get", response_model=IntakeSourceRead)
async def intake_sources_get(
    request: Request, session: Annotated[ReadSession, reads("intake:read")], source_id: UUID
) -> Response:
    """One source of intake."""
    row = await service.get_source(session, source_id)
    return reply(_shown(request, session, row), version=row["version"])


@routes.patch("/v1/intake-sources/{source_id}", operation_id="intake_sources_update", response_model=IntakeSourceRead)
async def intake_sources_update(
    request: Request,
    session: Annotated[WriteSession, writes("intake:write")],
    source_id: UUID,
    body: Annotated[IntakeSourcePatch, json_body(IntakeSourcePatch, media_type="application/merge-patch+json")],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Rename, map anew or switch off a source, or rotate its credentials."""
    lent = services(request).more
    row = await service.patch_source(session, lent["vault"], source_id, body, expected=expected)
    session.after_commit(lambda: lent["intake"].forget(source_id))
    return reply(_shown(request, session, row), version=row["version"])


@routes.post(
    "/v1/intake-sources/{source_id}/links",
    operation_id="intake_sources_link",
    status_code=201,
    response_model=StartLinkRead,
)
async def intake_sources_link(
    request: Request,
    session: Annotated[WriteSession, writes("intake:write")],
    source_id: UUID,
    body: Annotated[StartLinkCreate, json_body(StartLinkCreate)],
) -> Response:
    """Make a deep link for one contact: who opens it and starts the bot is joined to that contact."""
    link = await service.make_link(session, services(request).more["vault"], source_id, body)
    return reply(link, status=201)
