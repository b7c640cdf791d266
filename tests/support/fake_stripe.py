"""Stripe's REST API as far as payments are looked up in it, on a port of this machine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.stripe_events import START

API_KEY = "sk_test_of_the_tests"
_FOLDERS = {"payment_intents": "pi", "charges": "ch", "invoices": "in", "checkout/sessions": "cs"}


@dataclass
class FakeStripe:
    """Objects by id, and what was asked for. `trouble` holds status codes to answer the next requests with."""

    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    invoice_payments: list[dict[str, Any]] = field(default_factory=list)
    trouble: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        """For the settings."""
        return f"http://127.0.0.1:{self.port}"

    def knows(self, *objects: dict[str, Any]) -> None:
        """Put objects into the account."""
        self.objects.update({obj["id"]: obj for obj in objects})

    def answer(self, target: str, headers: dict[str, str]) -> tuple[int, Any]:
        """Status and body for one request."""
        parts = urlsplit(target)
        self.asked.append(parts.path)
        if headers.get("authorization") != f"Bearer {API_KEY}":
            return 401, {"error": {"type": "invalid_request_error"}}
        if self.trouble:
            return self.trouble.pop(0), {"error": {"type": "api_error"}}
        folder, _, name = parts.path.removeprefix("/v1/").rpartition("/")
        if parts.path == "/v1/invoice_payments":
            wanted = parse_qs(parts.query)["payment[payment_intent]"]
            found = [one for one in self.invoice_payments if one["payment"]["payment_intent"] in wanted]
            return 200, {"object": "list", "data": found, "has_more": False}
        obj = self.objects.get(name)
        if obj is None or folder not in _FOLDERS or not name.startswith(_FOLDERS[folder] + "_"):
            return 404, {"error": {"type": "invalid_request_error", "code": "resource_missing"}}
        return 200, obj

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request per connection."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            status, found = self.answer(first.split(" ")[1], headers)
            body = json.dumps(found).encode()
            now = format_datetime(START, usegmt=True)
            writer.write(
                f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
                f"Date: {now}\r\nConnection: close\r\n\r\n".encode()
                + body
            )
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def fake_stripe() -> AsyncIterator[FakeStripe]:
    """The server, listening on a free port of this machine."""
    stripe = FakeStripe()
    server = await asyncio.start_server(stripe.converse, "127.0.0.1", 0)
    stripe.port = server.sockets[0].getsockname()[1]
    try:
        yield stripe
    finally:
        server.close()
        await server.wait_closed()
