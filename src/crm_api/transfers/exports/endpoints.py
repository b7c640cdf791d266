"""HTTP of exports."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import Request, Response

from crm_api.documents.storage import FileStore
from crm_api.idempotency.boundary import json_body, list_query, reads, router, services, writes
from crm_api.kit.db import ReadSession, RowLike, WriteSession
from crm_api.kit.listing import ListQuery, read_page
from crm_api.kit.reply import reply
from crm_api.transfers.exports import service
from crm_api.transfers.exports.fields import EXPORTS
from crm_api.transfers.exports.schemas import ExportCreate, ExportPage, ExportRead
from crm_api.transfers.exports.writers import MEDIA_TYPES

routes = router("exports")


async def _shown(request: Request, session: ReadSession, row: RowLike) -> dict[str, Any]:
    """The export with a link to its file, for whoever may see what is in it."""
    if row["file_key"] is None or not await service.may_download(session, row):
        return service.to_read(row)
    files: FileStore = services(request).more["files"]
    filename = f"{row['resource']}.{row['format']}"
    link = await files.link(row["file_key"], filename=filename, media_type=MEDIA_TYPES[row["format"]])
    return service.to_read(row, link.url, link.expires_at)


@routes.post("/v1/exports", operation_id="exports_create", status_code=202, response_model=ExportRead)
async def exports_create(
    session: Annotated[WriteSession, writes("exports:write")],
    body: Annotated[ExportCreate, json_body(ExportCreate)],
) -> Response:
    """Write records into a file: those a list with this filter shows, with the columns that the caller may read."""
    return reply(service.to_read(await service.create_export(session, body)), status=202, version=1)


@routes.get("/v1/exports", operation_id="exports_list", response_model=ExportPage)
async def exports_list(
    session: Annotated[ReadSession, reads("exports:read")], query: Annotated[ListQuery, list_query(EXPORTS)]
) -> Response:
    """List exports, newest first. Links to the files are in the single export only."""
    return await read_page(session, EXPORTS, query, service.to_read)


@routes.get("/v1/exports/{bulk_export_id}", operation_id="exports_get", response_model=ExportRead)
async def exports_get(
    request: Request, session: Annotated[ReadSession, reads("exports:read")], bulk_export_id: UUID
) -> Response:
    """One export: how far it is, and then a link to the file, fresh with every answer."""
    row = await service.get_export(session, bulk_export_id)
    return reply(await _shown(request, session, row), version=row["version"])
