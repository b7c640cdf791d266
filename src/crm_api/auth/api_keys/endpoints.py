"""HTTP of API keys."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import Request, Response

from crm_api.auth.api_keys import service
from crm_api.auth.api_keys.fields import API_KEYS
from crm_api.auth.api_keys.schemas import (
    ApiKeyCreate,
    ApiKeyIssued,
    ApiKeyPage,
    ApiKeyPatch,
    ApiKeyRead,
    ApiKeyRotate,
)
from crm_api.idempotency.boundary import IfMatch, json_body, list_query, reads, router, services, writes
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.listing import ListQuery, read_page
from crm_api.kit.reply import Reply, dumps, reply

routes = router("api keys")


class _Issued(Reply):
    """201 with the whole key. `stored_body` is what the boundary keeps for idempotent replays: the same without it."""

    def __init__(self, key: dict[str, Any], token: str) -> None:
        headers = {"Location": f"/v1/api-keys/{key['id']}", "ETag": f'"{key["version"]}"', "Cache-Control": "no-store"}
        super().__init__(dumps({**key, "key": token}), status_code=201, headers=headers)
        self.stored_body = dumps({**key, "key": None})


def _forget(request: Request, session: WriteSession) -> None:
    """Drop cached principals once the change stands."""
    authenticator, organization_id = services(request).authenticator, session.organization_id
    session.after_commit(lambda: authenticator.forget(organization_id))


@routes.post("/v1/api-keys", operation_id="api_keys_create", status_code=201, response_model=ApiKeyIssued)
async def api_keys_create(
    session: Annotated[WriteSession, writes("api_keys:write")],
    body: Annotated[ApiKeyCreate, json_body(ApiKeyCreate)],
) -> Response:
    """Create a key. Its secret is in this answer only: an idempotent replay has it null, then rotate the key."""
    return _Issued(*service.create_key(session, body))


@routes.get("/v1/api-keys", operation_id="api_keys_list", response_model=ApiKeyPage)
async def api_keys_list(
    session: Annotated[ReadSession, reads("api_keys:read")], query: Annotated[ListQuery, list_query(API_KEYS)]
) -> Response:
    """List keys, newest first; never their secrets."""
    return await read_page(session, API_KEYS, query, service.to_read)


@routes.get("/v1/api-keys/{key_id}", operation_id="api_keys_get", response_model=ApiKeyRead)
async def api_keys_get(session: Annotated[ReadSession, reads("api_keys:read")], key_id: UUID) -> Response:
    """One key."""
    key = await service.get_key(session, key_id)
    return reply(key, version=key["version"])


@routes.patch("/v1/api-keys/{key_id}", operation_id="api_keys_update", response_model=ApiKeyRead)
async def api_keys_update(
    request: Request,
    session: Annotated[WriteSession, writes("api_keys:write")],
    key_id: UUID,
    body: Annotated[ApiKeyPatch, json_body(ApiKeyPatch, media_type="application/merge-patch+json")],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Rename a key, or change whether its teams limit it."""
    key = await service.patch_key(session, key_id, body, expected=expected)
    _forget(request, session)
    return reply(key, version=key["version"])


@routes.post(
    "/v1/api-keys/{key_id}/rotate", operation_id="api_keys_rotate", status_code=201, response_model=ApiKeyIssued
)
async def api_keys_rotate(
    request: Request,
    session: Annotated[WriteSession, writes("api_keys:write")],
    key_id: UUID,
    body: Annotated[ApiKeyRotate, json_body(ApiKeyRotate)],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Replace a key by a new one with the same name and scopes; the old one works on for `overlap_seconds`."""
    overlap = timedelta(seconds=body.overlap_seconds)
    issued = await service.rotate_key(session, key_id, overlap, expected=expected)
    _forget(request, session)
    return _Issued(*issued)


@routes.post("/v1/api-keys/{key_id}/revoke", operation_id="api_keys_revoke", response_model=ApiKeyRead)
async def api_keys_revoke(
    request: Request,
    session: Annotated[WriteSession, writes("api_keys:write")],
    key_id: UUID,
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """End a key at once and for good."""
    key = await service.revoke_key(session, key_id, expected=expected)
    _forget(request, session)
    return reply(key, version=key["version"])
