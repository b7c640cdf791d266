"""HTTP of timelines."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Response

from crm_api.contacts.timeline import service
from crm_api.contacts.timeline.query import TIMELINE
from crm_api.contacts.timeline.schemas import TimelinePage
from crm_api.idempotency.boundary import list_query, reads, router
from crm_api.kit.db import ReadSession
from crm_api.kit.listing import ListQuery, make_cursor
from crm_api.kit.reply import reply

routes = router("contacts")


@routes.get("/v1/contacts/{contact_id}/timeline", operation_id="contact_timeline_list", response_model=TimelinePage)
async def contact_timeline_list(
    session: Annotated[ReadSession, reads("contacts:read")],
    contact_id: UUID,
    query: Annotated[ListQuery, list_query(TIMELINE)],
) -> Response:
    """Every touch with a contact in one list, newest first: what was said, given, sent, agreed and planned."""
    page = await service.read_timeline(session, contact_id, query)
    rows = page.pop("rows")
    cursor = make_cursor(query, rows[-1]["at"], rows[-1]["id"]) if page["has_more"] else None
    answer: dict[str, Any] = {"data": [service.to_entry(row) for row in rows], "next_cursor": cursor, **page}
    headers = None
    if cursor is not None:
        target = f"{query.path}?{urlencode([*query.parameters, ('cursor', cursor)])}"
        headers = {"link": f'<{target}>; rel="next"'}
    return reply(answer, headers=headers)
