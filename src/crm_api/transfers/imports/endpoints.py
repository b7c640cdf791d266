"""HTTP of imports."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any
from uuid import UUID

from fastapi import Request, Response

from crm_api.contacts.custom_fields.service import guarded_keys
from crm_api.documents.storage import FileStore, keep_in
from crm_api.idempotency.boundary import IfMatch, json_body, list_query, reads, router, services, writes
from crm_api.kit.db import ReadSession, RowLike, WriteSession
from crm_api.kit.listing import Filter, ListQuery, read_page
from crm_api.kit.reply import reply
from crm_api.kit.uploads import Upload, upload_form
from crm_api.transfers.imports import service
from crm_api.transfers.imports.fields import IMPORT_ROWS, IMPORTS
from crm_api.transfers.imports.journal import row_id
from crm_api.transfers.imports.schemas import ImportPage, ImportPatch, ImportRead, ImportRowPage, ImportUpload

routes = router("imports")
LARGEST = 500_000_000
UPLOAD = upload_form(ImportUpload, max_bytes=LARGEST, keep=keep_in("imports"))


async def _shown(request: Request, session: ReadSession, row: RowLike) -> dict[str, Any]:
    """The import with a link to the file of its failed rows."""
    url, guarded = None, await guarded_keys(session)
    if row["errors_key"] is not None and service.may_see_cells(row, session.actor.scopes, guarded):
        files: FileStore = services(request).more["files"]
        link = await files.link(row["errors_key"], filename="import-errors.csv", media_type="text/csv", seconds=3600)
        url = link.url
    return service.to_read(row, session.actor.scopes, url, guarded)


@routes.post("/v1/imports", operation_id="imports_create", status_code=202, response_model=ImportRead)
async def imports_create(
    session: Annotated[WriteSession, writes("contacts:write", "donations:write")],
    form: Annotated[Upload[ImportUpload], UPLOAD],
) -> Response:
    """Import a file: CSV or XLSX with a row of headers. It is looked at and tried at once; with `dry_run: false` it is
    also written."""
    made = service.create_import(session, form.body, name=form.kept.name, filename=form.filename, size=form.size)
    shown = service.to_read({**made, "errors_key": None}, session.actor.scopes)
    return reply(shown, version=1, status=202)


@routes.get("/v1/imports", operation_id="imports_list", response_model=ImportPage)
async def imports_list(
    session: Annotated[ReadSession, reads("contacts:read", "donations:read")],
    query: Annotated[ListQuery, list_query(IMPORTS)],
) -> Response:
    """List imports of the kinds of records that the caller may read, newest first. Links to files of failed rows are in
    the single import only."""
    seen = Filter(IMPORTS.by_name["kind"], "in", tuple(service.kinds_seen(session)))
    query = replace(query, filters=(*query.filters, seen))
    scopes, guarded = session.actor.scopes, await guarded_keys(session)
    return await read_page(session, IMPORTS, query, lambda row: service.to_read(row, scopes, guarded=guarded))


@routes.get("/v1/imports/{import_id}", operation_id="imports_get", response_model=ImportRead)
async def imports_get(
    request: Request, session: Annotated[ReadSession, reads("contacts:read", "donations:read")], import_id: UUID
) -> Response:
    """One import: how far it is, what it did or would do, and a link to the failed rows."""
    row = await service.get_import(session, import_id)
    return reply(await _shown(request, session, row), version=row["version"])


@routes.patch("/v1/imports/{import_id}", operation_id="imports_update", response_model=ImportRead)
async def imports_update(
    session: Annotated[WriteSession, writes("contacts:write", "donations:write")],
    import_id: UUID,
    body: Annotated[ImportPatch, json_body(ImportPatch, media_type="application/merge-patch+json")],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Change the mapping or how the file is read, before anything is written. Every row is tried anew."""
    row = await service.patch_import(session, import_id, body, expected=expected)
    guarded = await guarded_keys(session)
    return reply(service.to_read(row, session.actor.scopes, guarded=guarded), version=row["version"])


@routes.get("/v1/imports/{import_id}/rows", operation_id="imports_list_rows", response_model=ImportRowPage)
async def imports_list_rows(
    session: Annotated[ReadSession, reads("contacts:read", "donations:read")],
    import_id: UUID,
    query: Annotated[ListQuery, list_query(IMPORT_ROWS)],
) -> Response:
    """What became of each row, or in a dry run would: created, updated (field by field), skipped, queued, failed."""
    row = await service.get_import(session, import_id)
    by_id = IMPORT_ROWS.by_name["id"]
    own = (
        Filter(by_id, "gte", row_id(import_id, 0)),
        Filter(by_id, "lte", row_id(import_id, row["position"])),
        Filter(IMPORT_ROWS.by_name["import_id"], "eq", import_id),
    )
    query = replace(query, filters=(*query.filters, *own))
    scopes, guarded = session.actor.scopes, await guarded_keys(session)
    return await read_page(session, IMPORT_ROWS, query, lambda one: service.row_to_read(one, scopes, guarded))


@routes.post("/v1/imports/{import_id}/run", operation_id="imports_run", status_code=202, response_model=ImportRead)
async def imports_run(
    session: Annotated[WriteSession, writes("contacts:write", "donations:write")], import_id: UUID
) -> Response:
    """Write the rows of an import that is ready, or go on with one that was paused or has failed on the way."""
    row = await service.run_import(session, import_id)
    guarded = await guarded_keys(session)
    return reply(service.to_read(row, session.actor.scopes, guarded=guarded), version=row["version"], status=202)


@routes.post("/v1/imports/{import_id}/pause", operation_id="imports_pause", response_model=ImportRead)
async def imports_pause(
    session: Annotated[WriteSession, writes("contacts:write", "donations:write")], import_id: UUID
) -> Response:
    """Stop a running import between two chunks of rows. `run` goes on from there."""
    row = await service.pause_import(session, import_id)
    guarded = await guarded_keys(session)
    return reply(service.to_read(row, session.actor.scopes, guarded=guarded), version=row["version"])


@routes.post("/v1/imports/{import_id}/undo", operation_id="imports_undo", status_code=202, response_model=ImportRead)
async def imports_undo(
    session: Annotated[WriteSession, writes("contacts:write", "donations:write")], import_id: UUID
) -> Response:
    """Take back what an import has written: records that it created and nobody touched since go, those that it changed
    get back what they had. What was changed again since is kept, and listed by `rows`."""
    row = await service.undo_import(session, import_id)
    guarded = await guarded_keys(session)
    return reply(service.to_read(row, session.actor.scopes, guarded=guarded), version=row["version"], status=202)
