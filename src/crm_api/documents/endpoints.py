"""HTTP of documents and of links to files."""

from __future__ import annotations

import re
from typing import Annotated
from uuid import UUID

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from crm_api.audit.service import record
from crm_api.documents import service
from crm_api.documents.fields import DOCUMENTS
from crm_api.documents.schemas import DocumentLink, DocumentPage, DocumentPatch, DocumentRead, DocumentUpload
from crm_api.documents.storage import FileStore, content_disposition, keep_in
from crm_api.documents.types import look
from crm_api.idempotency.boundary import IfMatch, json_body, list_query, reads, router, services, writes
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.listing import ListQuery, read_page
from crm_api.kit.problems import RangeNotSatisfiable
from crm_api.kit.reply import created, no_content, reply
from crm_api.kit.uploads import Upload, upload_form

routes = router("documents")
MAX_BYTES = 25_000_000
_UPLOAD = upload_form(DocumentUpload, max_bytes=MAX_BYTES, keep=keep_in(service.AREA, look))
_RANGE = re.compile(r"bytes=(?:(\d{1,15})-(\d{0,15})|-(\d{1,15}))")
_CONTENT = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}


def _files(request: Request) -> FileStore:
    found: FileStore = services(request).more["files"]
    return found


@routes.post("/v1/documents", operation_id="documents_create", status_code=201, response_model=DocumentRead)
async def documents_create(
    session: Annotated[WriteSession, writes("documents:write")], form: Annotated[Upload[DocumentUpload], _UPLOAD]
) -> Response:
    """Attach a file to a contact."""
    document = await service.add_document(session, form.body, form.kept)
    return created(document, f"/v1/documents/{document['id']}")


@routes.get("/v1/documents", operation_id="documents_list", response_model=DocumentPage)
async def documents_list(
    session: Annotated[ReadSession, reads("documents:read")], query: Annotated[ListQuery, list_query(DOCUMENTS)]
) -> Response:
    """List documents, newest first; those that end soon by `expires_on[lte]` and `sort=expires_on`."""
    return await read_page(session, DOCUMENTS, service.visible(session, query), service.to_read)


@routes.get("/v1/documents/{document_id}", operation_id="documents_get", response_model=DocumentRead)
async def documents_get(session: Annotated[ReadSession, reads("documents:read")], document_id: UUID) -> Response:
    """What is known of one document."""
    document = service.to_read(await service.get_document(session, document_id))
    return reply(document, version=document["version"])


@routes.patch("/v1/documents/{document_id}", operation_id="documents_update", response_model=DocumentRead)
async def documents_update(
    session: Annotated[WriteSession, writes("documents:write")],
    document_id: UUID,
    body: Annotated[DocumentPatch, json_body(DocumentPatch, media_type="application/merge-patch+json")],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Change a document by JSON merge patch; its content stays."""
    document = await service.patch_document(session, document_id, body, expected=expected)
    return reply(document, version=document["version"])


@routes.delete("/v1/documents/{document_id}", operation_id="documents_delete", status_code=204)
async def documents_delete(
    session: Annotated[WriteSession, writes("documents:write")],
    document_id: UUID,
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Delete a document; its file is removed a moment later."""
    await service.delete_document(session, document_id, expected=expected)
    return no_content()


@routes.post(
    "/v1/documents/{document_id}/links",
    operation_id="documents_link",
    status_code=201,
    response_model=DocumentLink,
)
async def documents_link(
    session: Annotated[WriteSession, writes("documents:read")], document_id: UUID, request: Request
) -> Response:
    """Make a link to the content that works for some minutes without credentials."""
    looking = services(request).database.read(session.tenant, session.actor)  # a bucket may be asked before we write
    row = await service.get_document(looking, document_id)
    link = await _files(request).link(row["file"], filename=row["filename"], media_type=row["media_type"])
    record(session, "document.link_created", "document", document_id)
    return created({"url": link.url, "expires_at": link.expires_at}, link.url)


@routes.get(
    "/v1/files/{file_token}",
    operation_id="files_read",
    response_class=Response,
    responses={
        200: {**_CONTENT, "description": "The content"},
        206: {**_CONTENT, "description": "The part of the content that Range asks for"},
    },
)
async def files_read(file_token: str, request: Request) -> Response:
    """Read a file by a link. The link is the permission: it is sealed, and ends after some minutes."""
    files = _files(request)
    linked = files.opened(file_token)
    size = await files.size(linked.name)
    headers = {
        "Content-Disposition": content_disposition(linked.filename),
        "Content-Type": linked.media_type,
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Cache-Control": "private, no-store",
        "Accept-Ranges": "bytes",
        "X-Content-Type-Options": "nosniff",
    }
    asked = _RANGE.fullmatch(request.headers.get("range", "").strip().lower())
    if asked is None:  # none, or one of several parts: the whole is always a right answer
        headers["Content-Length"] = str(size)
        return StreamingResponse(files.read(linked.name), headers=headers)
    start, end = _bounds(asked, size)
    if start >= end:
        raise RangeNotSatisfiable(f"The file has {size} bytes.", headers={"Content-Range": f"bytes */{size}"})
    headers |= {"Content-Range": f"bytes {start}-{end - 1}/{size}", "Content-Length": str(end - start)}
    return StreamingResponse(files.read(linked.name, start=start, end=end), status_code=206, headers=headers)


def _bounds(asked: re.Match[str], size: int) -> tuple[int, int]:
    """First byte, and the one after the last."""
    first, last, suffix = asked.groups()
    if suffix is not None:
        return max(size - int(suffix), 0) if int(suffix) else size, size
    return int(first), min(int(last) + 1, size) if last else size
