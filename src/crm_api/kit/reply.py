"""Answers: JSON bytes made once, with the headers that resources carry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson
from starlette.responses import Response

_OPTIONS = orjson.OPT_UTC_Z


class Reply(Response):
    """A JSON answer whose bytes are final: FastAPI neither validates nor encodes it again."""

    media_type = "application/json"
    stored_body: bytes | None = None
    """What a replay by Idempotency-Key answers, where the first answer holds a secret that is shown once."""


def _plain(value: Any) -> str:
    if isinstance(value, UUID):  # asyncpg's is a subclass, which orjson does not take by itself
        return str(value)
    raise TypeError(f"{type(value).__name__} does not belong into an answer")


def dumps(content: Any) -> bytes:
    """JSON as the API writes it: instants in UTC with ``Z``."""
    return orjson.dumps(content, option=_OPTIONS, default=_plain)


def reply(
    content: Any, *, status: int = 200, version: int | None = None, headers: Mapping[str, str] | None = None
) -> Reply:
    """An answer; `version` gives it a strong ETag."""
    response = Reply(dumps(content), status_code=status)
    if version is not None:
        response.headers["etag"] = f'"{version}"'
    if headers:
        response.headers.update(headers)
    return response


def no_content() -> Response:
    """204."""
    return Response(status_code=204)


def created(content: Mapping[str, Any], location: str) -> Reply:
    """201 with Location and ETag."""
    return reply(content, status=201, version=content.get("version"), headers={"Location": location})
