"""Meta's Graph API as far as leads are read from it, on a port of this machine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

PAGE_TOKEN = "page_token_of_the_tests"
EXPIRED: dict[str, Any] = {
    "message": "Error validating access token: Session has expired.",
    "type": "OAuthException",
    "code": 190,
    "error_subcode": 463,
}
FORBIDDEN: dict[str, Any] = {"message": "Requires leads_retrieval permission", "type": "OAuthException", "code": 200}
UNKNOWN: dict[str, Any] = {
    "message": "Unsupported get request. Object does not exist",
    "type": "GraphMethodException",
    "code": 100,
    "error_subcode": 33,
}
LIMITED: dict[str, Any] = {"message": "Application request limit reached", "type": "OAuthException", "code": 4}


@dataclass
class FakeMeta:
    """Leads by id, and what was asked for. `trouble` holds errors to answer the next requests with."""

    leads: dict[str, dict[str, Any]] = field(default_factory=dict)
    trouble: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    fields: list[str] = field(default_factory=list)
    port: int = 0
    token: str = PAGE_TOKEN

    @property
    def url(self) -> str:
        """For the settings."""
        return f"http://127.0.0.1:{self.port}"

    def answer(self, target: str, headers: dict[str, str]) -> tuple[int, Any]:
        """Status and body for one request."""
        parts = urlsplit(target)
        query = parse_qs(parts.query)
        assert "access_token" not in query, "the token must not stand in an address, which others log"
        self.asked.append(parts.path.lstrip("/"))
        self.fields += query["fields"]
        if self.trouble:
            status, error = self.trouble.pop(0)
            return status, {"error": error}
        if headers.get("authorization") != f"Bearer {self.token}":
            return 400, {"error": EXPIRED}
        lead = self.leads.get(self.asked[-1])
        return (200, lead) if lead else (400, {"error": UNKNOWN})

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request per connection."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            request, *lines = head.split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            status, body = self.answer(request.split(" ")[1], headers)
            content = json.dumps(body).encode()
            writer.write(
                f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n"
                "Connection: close\r\n\r\n".encode()
                + content
            )
            await writer.drain()
        finally:
            writer.close()


@asynccontextmanager
async def fake_meta() -> AsyncIterator[FakeMeta]:
    """A stand-in for the Graph API for the time of a test."""
    fake = FakeMeta()
    server = await asyncio.start_server(fake.converse, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    async with server:
        yield fake
