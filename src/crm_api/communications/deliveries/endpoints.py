"""HTTP of letters."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Response

from crm_api.communications.deliveries import service
from crm_api.communications.deliveries.fields import MESSAGES
from crm_api.communications.deliveries.schemas import MessagePage, MessageRead
from crm_api.idempotency.boundary import list_query, reads, router
from crm_api.kit.db import ReadSession
from crm_api.kit.listing import ListQuery, read_page
from crm_api.kit.reply import reply

routes = router("messages")


@routes.get("/v1/messages", operation_id="messages_list", response_model=MessagePage)
async def messages_list(
    session: Annotated[ReadSession, reads("messages:read")], query: Annotated[ListQuery, list_query(MESSAGES)]
) -> Response:
    """List letters, newest first, with what became of each."""
    return await read_page(session, MESSAGES, query, service.to_read)


@routes.get("/v1/messages/{message_id}", operation_id="messages_get", response_model=MessageRead)
async def messages_get(session: Annotated[ReadSession, reads("messages:read")], message_id: UUID) -> Response:
    """One letter."""
    return reply(service.to_read(await service.get_message(session, message_id)))
