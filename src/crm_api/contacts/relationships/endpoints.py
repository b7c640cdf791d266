"""HTTP of relationships and their types."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Response

from crm_api.contacts.relationships import service
from crm_api.contacts.relationships.fields import RELATIONSHIP_TYPES, RELATIONSHIPS
from crm_api.contacts.relationships.models import relationship_types
from crm_api.contacts.relationships.schemas import (
    RelationshipCreate,
    RelationshipPage,
    RelationshipPatch,
    RelationshipRead,
    RelationshipTypeCreate,
    RelationshipTypePage,
    RelationshipTypePatch,
    RelationshipTypeRead,
)
from crm_api.idempotency.boundary import IfMatch, json_body, list_query, reads, router, writes
from crm_api.kit import simple
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.listing import ListQuery, read_page
from crm_api.kit.reply import created, no_content, reply

routes = router("relationships")
_MERGE_PATCH = "application/merge-patch+json"


@routes.post(
    "/v1/relationship-types",
    operation_id="relationship_types_create",
    status_code=201,
    response_model=RelationshipTypeRead,
)
async def relationship_types_create(
    session: Annotated[WriteSession, writes("contacts:write")],
    body: Annotated[RelationshipTypeCreate, json_body(RelationshipTypeCreate)],
) -> Response:
    """Add a type of relationship, named from both sides."""
    added = service.create_type(session, body)
    return created(added, f"/v1/relationship-types/{added['id']}")


@routes.get("/v1/relationship-types", operation_id="relationship_types_list", response_model=RelationshipTypePage)
async def relationship_types_list(
    session: Annotated[ReadSession, reads("contacts:read")],
    query: Annotated[ListQuery, list_query(RELATIONSHIP_TYPES)],
) -> Response:
    """List the types of relationship: those every organization begins with, and its own."""
    return await read_page(session, RELATIONSHIP_TYPES, query, lambda row: simple.to_read(relationship_types, row))


@routes.get(
    "/v1/relationship-types/{relationship_type_id}",
    operation_id="relationship_types_get",
    response_model=RelationshipTypeRead,
)
async def relationship_types_get(
    session: Annotated[ReadSession, reads("contacts:read")], relationship_type_id: UUID
) -> Response:
    """One type of relationship."""
    row = await simple.get(session, relationship_types, relationship_type_id, "relationship type")
    return reply(simple.to_read(relationship_types, row), version=row["version"])


@routes.patch(
    "/v1/relationship-types/{relationship_type_id}",
    operation_id="relationship_types_update",
    response_model=RelationshipTypeRead,
)
async def relationship_types_update(
    session: Annotated[WriteSession, writes("contacts:write")],
    relationship_type_id: UUID,
    body: Annotated[RelationshipTypePatch, json_body(RelationshipTypePatch, media_type=_MERGE_PATCH)],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Rename or archive a type by JSON merge patch."""
    changed = await service.patch_type(session, relationship_type_id, body, expected=expected)
    return reply(changed, version=changed["version"])


@routes.delete(
    "/v1/relationship-types/{relationship_type_id}", operation_id="relationship_types_delete", status_code=204
)
async def relationship_types_delete(
    session: Annotated[WriteSession, writes("contacts:write")],
    relationship_type_id: UUID,
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Remove a type that no relationship has."""
    await service.remove_type(session, relationship_type_id, expected=expected)
    return no_content()


@routes.post("/v1/relationships", operation_id="relationships_create", status_code=201, response_model=RelationshipRead)
async def relationships_create(
    session: Annotated[WriteSession, writes("contacts:write")],
    body: Annotated[RelationshipCreate, json_body(RelationshipCreate)],
) -> Response:
    """Relate two contacts, or a person with an organization."""
    added = await service.create_relationship(session, body)
    return created(added, f"/v1/relationships/{added['id']}")


@routes.get("/v1/relationships", operation_id="relationships_list", response_model=RelationshipPage)
async def relationships_list(
    session: Annotated[ReadSession, reads("contacts:read")], query: Annotated[ListQuery, list_query(RELATIONSHIPS)]
) -> Response:
    """List relationships, newest first; `contact_id` gives those of a contact from both sides."""
    language = session.tenant.language
    return await read_page(
        session, RELATIONSHIPS, query, lambda row: service.to_read(row, language), columns=service.COLUMNS
    )


@routes.get("/v1/relationships/{relationship_id}", operation_id="relationships_get", response_model=RelationshipRead)
async def relationships_get(session: Annotated[ReadSession, reads("contacts:read")], relationship_id: UUID) -> Response:
    """One relationship."""
    found = await service.get_relationship(session, relationship_id)
    return reply(found, version=found["version"])


@routes.patch(
    "/v1/relationships/{relationship_id}", operation_id="relationships_update", response_model=RelationshipRead
)
async def relationships_update(
    session: Annotated[WriteSession, writes("contacts:write")],
    relationship_id: UUID,
    body: Annotated[RelationshipPatch, json_body(RelationshipPatch, media_type=_MERGE_PATCH)],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Change a relationship by JSON merge patch; one that has ended gets an `until`."""
    changed = await service.patch_relationship(session, relationship_id, body, expected=expected)
    return reply(changed, version=changed["version"])


@routes.delete("/v1/relationships/{relationship_id}", operation_id="relationships_delete", status_code=204)
async def relationships_delete(
    session: Annotated[WriteSession, writes("contacts:write")],
    relationship_id: UUID,
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Remove a relationship that was recorded by mistake."""
    await service.remove_relationship(session, relationship_id, expected=expected)
    return no_content()
