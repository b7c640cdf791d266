"""HTTP of people's requests about their data."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Request, Response

from crm_api.contacts.custom_fields.values import READ_SENSITIVE
from crm_api.contacts.privacy import archive, service
from crm_api.contacts.privacy.schemas import ErasureCreate, ErasureRead, SubjectExportRead
from crm_api.idempotency.boundary import json_body, reads, router, services, writes
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.reply import reply

routes = router("privacy")


@routes.post(
    "/v1/contacts/{contact_id}/erasure",
    operation_id="contacts_erase",
    response_model=ErasureRead,
    responses={202: {"model": ErasureRead, "description": "The erasure is under way"}},
)
async def contacts_erase(
    session: Annotated[WriteSession, writes("privacy:write")],
    contact_id: UUID,
    body: Annotated[ErasureCreate, json_body(ErasureCreate)],
) -> Response:
    """Erase a person. Without `confirm` the answer is the plan: per table what is deleted, what loses its names, what
    stays on which ground until when. With it the worker carries it out; it cannot be undone."""
    if not body.confirm:
        return reply(await service.plan_erasure(session, contact_id))
    erasure = await service.request_erasure(session, contact_id)
    return reply(erasure, status=202, headers={"Location": f"/v1/erasures/{erasure['id']}"})


@routes.get("/v1/erasures/{erasure_id}", operation_id="erasures_get", response_model=ErasureRead)
async def erasures_get(session: Annotated[ReadSession, reads("privacy:read")], erasure_id: UUID) -> Response:
    """How far an erasure is."""
    return reply(service.erasure_to_read(await service.get_request(session, erasure_id, "erasure")))


@routes.post(
    "/v1/contacts/{contact_id}/subject-export",
    operation_id="contacts_export_subject",
    status_code=202,
    response_model=SubjectExportRead,
)
async def contacts_export_subject(
    session: Annotated[WriteSession, writes("privacy:write")], contact_id: UUID
) -> Response:
    """Make one archive of everything that is kept of a person, for that person."""
    export = await service.request_export(session, contact_id)
    return reply(export, status=202, headers={"Location": f"/v1/subject-exports/{export['id']}"})


@routes.get("/v1/subject-exports/{export_id}", operation_id="subject_exports_get", response_model=SubjectExportRead)
async def subject_exports_get(
    request: Request, session: Annotated[ReadSession, reads("privacy:read")], export_id: UUID
) -> Response:
    """How far an export is; once it succeeded, with a link that works for some minutes. Ask again for a new one. The
    archive holds what was said in confidence too: without the scope contacts:read_sensitive there is no link."""
    row = await service.get_request(session, export_id, "export")
    download = None
    there = row["state"] == "succeeded" and row["file_name"] is not None and row["expires_at"] > session.now
    if there and READ_SENSITIVE in session.actor.scopes:
        link = (
            await services(request)
            .more["files"]
            .link(row["file_name"], filename=archive.FILE_NAME, media_type="application/zip")
        )
        download = {"url": link.url, "expires_at": link.expires_at}
    return reply(service.export_to_read(row, download))
