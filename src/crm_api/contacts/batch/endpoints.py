"""HTTP of batches of contacts."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Response

from crm_api.contacts.batch import service
from crm_api.contacts.batch.schemas import ContactBatch
from crm_api.idempotency.boundary import json_body, router, writes
from crm_api.kit.batch import MAX_BYTES, BatchRead
from crm_api.kit.db import WriteSession
from crm_api.kit.reply import reply

routes = router("contacts")


@routes.post("/v1/contacts/batch", operation_id="contacts_batch", response_model=BatchRead)
async def contacts_batch(
    session: Annotated[WriteSession, writes("contacts:write")],
    body: Annotated[ContactBatch, json_body(ContactBatch, max_bytes=MAX_BYTES)],
    atomic: Annotated[bool, Query(description="The same as `atomic` in the body; either of them will do.")] = False,
) -> Response:
    """Create, change and upsert up to 1,000 contacts in one transaction. Every item has the status it would have had
    alone; with `atomic` all are carried out or none."""
    return reply(await service.carry_out(session, body, atomic=atomic or body.atomic))
