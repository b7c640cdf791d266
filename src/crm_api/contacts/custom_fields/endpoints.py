"""HTTP of custom fields."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Response

from crm_api.contacts.custom_fields import defining
from crm_api.contacts.custom_fields.fields import CUSTOM_FIELDS
from crm_api.contacts.custom_fields.schemas import (
    CustomFieldCreate,
    CustomFieldPage,
    CustomFieldPatch,
    CustomFieldRead,
)
from crm_api.idempotency.boundary import IfMatch, json_body, list_query, reads, router, writes
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.listing import ListQuery, read_page
from crm_api.kit.reply import created, no_content, reply

routes = router("custom fields")


@routes.post("/v1/custom-fields", operation_id="custom_fields_create", status_code=201, response_model=CustomFieldRead)
async def custom_fields_create(
    session: Annotated[WriteSession, writes("custom_fields:write")],
    body: Annotated[CustomFieldCreate, json_body(CustomFieldCreate)],
) -> Response:
    """Define a field of your own for a resource."""
    field = await defining.create_field(session, body)
    return created(field, f"/v1/custom-fields/{field['id']}")


@routes.get("/v1/custom-fields", operation_id="custom_fields_list", response_model=CustomFieldPage)
async def custom_fields_list(
    session: Annotated[ReadSession, reads("contacts:read")], query: Annotated[ListQuery, list_query(CUSTOM_FIELDS)]
) -> Response:
    """List custom fields by position, archived ones included."""
    return await read_page(session, CUSTOM_FIELDS, query, defining.to_read)


@routes.get("/v1/custom-fields/{custom_field_id}", operation_id="custom_fields_get", response_model=CustomFieldRead)
async def custom_fields_get(session: Annotated[ReadSession, reads("contacts:read")], custom_field_id: UUID) -> Response:
    """One custom field, with the state of its indexing."""
    row = await defining.get_field(session, custom_field_id)
    return reply(defining.to_read(row), version=row["version"])


@routes.patch(
    "/v1/custom-fields/{custom_field_id}", operation_id="custom_fields_update", response_model=CustomFieldRead
)
async def custom_fields_update(
    session: Annotated[WriteSession, writes("custom_fields:write")],
    custom_field_id: UUID,
    body: Annotated[CustomFieldPatch, json_body(CustomFieldPatch, media_type="application/merge-patch+json")],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Change a custom field by JSON merge patch: archive or restore it, index it, put its values apart."""
    field = await defining.patch_field(session, custom_field_id, body, expected=expected)
    return reply(field, version=field["version"])


@routes.delete("/v1/custom-fields/{custom_field_id}", operation_id="custom_fields_delete", status_code=204)
async def custom_fields_delete(
    session: Annotated[WriteSession, writes("custom_fields:write")],
    custom_field_id: UUID,
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Remove an archived custom field with every value of it, for good. Values are erased in the background."""
    await defining.erase_field(session, custom_field_id, expected=expected)
    return no_content()
