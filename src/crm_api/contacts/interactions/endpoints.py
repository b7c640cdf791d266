"""HTTP of interactions."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import Response

from crm_api.contacts.interactions import service
from crm_api.contacts.interactions.fields import INTERACTIONS
from crm_api.contacts.interactions.rows import COLUMNS
from crm_api.contacts.interactions.schemas import (
    InteractionCreate,
    InteractionPage,
    InteractionPatch,
    InteractionRead,
)
from crm_api.idempotency.boundary import IfMatch, json_body, list_query, reads, router, writes
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.listing import Filter, ListQuery, read_page
from crm_api.kit.reply import created, no_content, reply

routes = router("interactions")


@routes.post(
    "/v1/interactions",
    operation_id="interactions_create",
    status_code=201,
    response_model=InteractionRead,
    responses={200: {"model": InteractionRead, "description": "This external_ref is known: the interaction there is"}},
)
async def interactions_create(
    session: Annotated[WriteSession, writes("contacts:write")],
    body: Annotated[InteractionCreate, json_body(InteractionCreate)],
) -> Response:
    """Record a call, meeting, e-mail, message, visit or note."""
    interaction, is_new = await service.create_interaction(session, body)
    if is_new:
        return created(interaction, f"/v1/interactions/{interaction['id']}")
    return reply(interaction, version=interaction["version"])


@routes.get("/v1/interactions", operation_id="interactions_list", response_model=InteractionPage)
async def interactions_list(
    session: Annotated[ReadSession, reads("contacts:read")],
    query: Annotated[ListQuery, list_query(INTERACTIONS)],
) -> Response:
    """List interactions, newest first: of a contact, of a member, with a mention of somebody, of a kind."""
    if not service.sees_sensitive(session):
        field = INTERACTIONS.by_name["sensitivity"]
        asked = [item for item in query.filters if item.field is field]
        if any(item.operator != "eq" or item.value != "donor_sensitive" for item in asked):
            service.need_sensitive(session)
        if not asked:
            query = replace(query, filters=(*query.filters, Filter(field, "eq", "donor_sensitive")))
    return await read_page(session, INTERACTIONS, query, partial(service.shown, session), columns=COLUMNS)


@routes.get("/v1/interactions/{interaction_id}", operation_id="interactions_get", response_model=InteractionRead)
async def interactions_get(session: Annotated[ReadSession, reads("contacts:read")], interaction_id: UUID) -> Response:
    """One interaction."""
    interaction = await service.get_interaction(session, interaction_id)
    return reply(interaction, version=interaction["version"])


@routes.patch("/v1/interactions/{interaction_id}", operation_id="interactions_update", response_model=InteractionRead)
async def interactions_update(
    session: Annotated[WriteSession, writes("contacts:write")],
    interaction_id: UUID,
    body: Annotated[InteractionPatch, json_body(InteractionPatch, media_type="application/merge-patch+json")],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Change an interaction by JSON merge patch."""
    interaction = await service.patch_interaction(session, interaction_id, body, expected=expected)
    return reply(interaction, version=interaction["version"])


@routes.delete("/v1/interactions/{interaction_id}", operation_id="interactions_remove", status_code=204)
async def interactions_remove(
    session: Annotated[WriteSession, writes("contacts:write")],
    interaction_id: UUID,
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Remove an interaction recorded by mistake; the audit keeps that there was one."""
    await service.remove_interaction(session, interaction_id, expected=expected)
    return no_content()
