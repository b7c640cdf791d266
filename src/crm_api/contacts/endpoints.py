"""HTTP of contacts."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Request, Response

from crm_api.contacts import repository, service
from crm_api.contacts.custom_fields.filters import resolve
from crm_api.contacts.custom_fields.service import guarded_keys
from crm_api.contacts.dedupe.arrivals import create_or_match, upsert_or_match
from crm_api.contacts.fields import CONTACTS
from crm_api.contacts.schemas import ContactCreate, ContactPage, ContactPatch, ContactRead
from crm_api.contacts.search import read_contacts
from crm_api.contacts.seen import note_shown
from crm_api.idempotency.boundary import IfMatch, json_body, list_query, reads, router, writes
from crm_api.kit.db import ReadSession, RowLike, WriteSession
from crm_api.kit.listing import ListQuery
from crm_api.kit.problems import NotFound
from crm_api.kit.reply import created, reply

routes = router("contacts")
System = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$")]
ExternalIdPath = Annotated[str, Path(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]


@routes.post(
    "/v1/contacts",
    operation_id="contacts_create",
    status_code=201,
    response_model=ContactRead,
    responses={200: {"model": ContactRead, "description": "The contact that was there already (on_match=return)"}},
)
async def contacts_create(
    session: Annotated[WriteSession, writes("contacts:write")],
    body: Annotated[ContactCreate, json_body(ContactCreate)],
) -> Response:
    """Add a person or an organization. `on_match` says what to do where it may be there already."""
    contact, is_new = await create_or_match(session, body)
    if is_new:
        return created(contact, f"/v1/contacts/{contact['id']}")
    return reply(contact, version=contact["version"], headers={"Location": f"/v1/contacts/{contact['id']}"})


@routes.get("/v1/contacts", operation_id="contacts_list", response_model=ContactPage)
async def contacts_list(
    session: Annotated[ReadSession, reads("contacts:read")],
    query: Annotated[ListQuery, list_query(CONTACTS)],
) -> Response:
    """List contacts, newest first, or the best matches of `q` first, filtered by e-mail, phone, city, tag, role and by
    filterable fields of the organization's own (`custom.<key>`, `custom.<key>[gte]`)."""
    scopes, guarded = session.actor.scopes, await guarded_keys(session)
    query = await resolve(session, query)
    fields = dict(query.parameters).get("fields")

    def to_item(row: RowLike) -> dict[str, Any]:
        note_shown(session, row, fields)
        return service.to_read(row, scopes, guarded)

    return await read_contacts(session, query, to_item)


@routes.get(
    "/v1/contacts/by-external-id/{system}/{external_id:path}",
    operation_id="contacts_get_by_external_id",
    response_model=ContactRead,
)
async def contacts_get_by_external_id(
    request: Request,
    session: Annotated[ReadSession, reads("contacts:read")],
    system: System,
    external_id: ExternalIdPath,
) -> Response:
    """The contact with this id in another system."""
    row = await repository.by_external_id(session, system, external_id)
    if row is None:
        raise NotFound("No contact has this external id.")
    note_shown(session, row, request.query_params.get("fields"))
    return reply(await service.shown(session, row), version=row["version"])


@routes.put(
    "/v1/contacts/by-external-id/{system}/{external_id:path}",
    operation_id="contacts_upsert_by_external_id",
    response_model=ContactRead,
    responses={201: {"model": ContactRead, "description": "Created"}},
)
async def contacts_upsert_by_external_id(
    session: Annotated[WriteSession, writes("contacts:write")],
    system: System,
    external_id: ExternalIdPath,
    body: Annotated[ContactCreate, json_body(ContactCreate)],
) -> Response:
    """Create the contact with this id in another system, or change it: members not sent stay as they are."""
    contact, is_new = await upsert_or_match(session, system, external_id, body)
    if is_new:
        return created(contact, f"/v1/contacts/{contact['id']}")
    return reply(contact, version=contact["version"])


@routes.get("/v1/contacts/{contact_id}", operation_id="contacts_get", response_model=ContactRead)
async def contacts_get(
    request: Request, session: Annotated[ReadSession, reads("contacts:read")], contact_id: UUID
) -> Response:
    """One contact."""
    row = await service.get_contact(session, contact_id)
    note_shown(session, row, request.query_params.get("fields"))
    return reply(await service.shown(session, row), version=row["version"])


@routes.patch("/v1/contacts/{contact_id}", operation_id="contacts_update", response_model=ContactRead)
async def contacts_update(
    session: Annotated[WriteSession, writes("contacts:write")],
    contact_id: UUID,
    body: Annotated[ContactPatch, json_body(ContactPatch, media_type="application/merge-patch+json")],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Change a contact by JSON merge patch."""
    contact = await service.patch_contact(session, contact_id, body, expected=expected)
    return reply(contact, version=contact["version"])
