"""Answers: JSON bytes made once, with the headers that resources carry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson
from starlette.requests import Request
from starlette.responses import Response as Response

_OPTIONS = orjson.OPT_UTC_Z


class Reply(Response):
    """A JSON answer whose bytes are final: FastAPI neither validates nor encodes it again."""

    media_type = "application/json"
    stored_body: bytes | None = None
    """What a replay by Idempotency-Key answers, where the first answer holds a secret that is shown once."""

    def __init__(self, content: bytes, status_code: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.body = content
        self.status_code = status_code
        self.background = None
        self.raw_headers = [
            (b"content-length", str(len(content)).encode()),
            (b"content-type", b"application/json"),
        ]
        for name, value in (headers or {}).items():
            self.raw_headers.append((name.lower().encode("latin-1"), value.encode("latin-1")))


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
    response = Reply(dumps(content), status, headers)
    if version is not None:
        response.raw_headers.append((b"etag", f'"{version}"'.encode()))
    return response


def no_content() -> Response:
    """204."""
    return Response(status_code=204)


def media(content: bytes, media_type: str, headers: Mapping[str, str]) -> Response:
    """An answer that is not JSON, such as a picture."""
    return Response(content, media_type=media_type, headers=dict(headers))


def created(content: Mapping[str, Any], location: str) -> Reply:
    """201 with Location and ETag."""
    return reply(content, status=201, version=content.get("version"), headers={"Location": location})


def not_modified(request: Request, response: Response) -> Response:
    """304 where the client of a GET has the answer already, by `If-None-Match`; else the answer."""
    wanted = request.headers.get("if-none-match") if request.method == "GET" else None
    tag = response.headers.get("etag") if wanted is not None else None
    if wanted is None or tag is None or response.status_code != 200:
        return response
    if wanted.strip() == "*" or tag in (part.strip().removeprefix("W/") for part in wanted.split(",")):
        return Response(status_code=304, headers={"etag": tag})
    return response
