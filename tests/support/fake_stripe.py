"""Stripe's REST API as far as payments are looked up, listed and begun in it, on a port of this machine."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from tests.support.stripe_events import START, stripe_event

API_KEY = "sk_test_of_the_tests"
_FOLDERS = {"payment_intents": "pi", "charges": "ch", "invoices": "in", "checkout/sessions": "cs", "payouts": "po"}


@dataclass
class FakeStripe:
    """Objects by id, and what was asked for. `trouble` holds status codes to answer the next requests with."""

    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    invoice_payments: list[dict[str, Any]] = field(default_factory=list)
    payout_transactions: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """By payout, newest first; each with the id of its source."""
    trouble: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    pages: dict[str, tuple[dict[str, str], dict[str, Any]]] = field(default_factory=dict)
    """What was sent with each idempotency key, and the session that it made."""
    refusal: str = ""
    """The code of a final no to the next session."""
    forbidden: set[str] = field(default_factory=set)
    """Paths that the key may not read."""
    any_key: bool = False
    """Whether every key opens the account."""
    page_size: int = 100
    now: datetime = START
    """What Stripe's clock says."""
    port: int = 0

    @property
    def url(self) -> str:
        """For the settings."""
        return f"http://127.0.0.1:{self.port}"

    def knows(self, *objects: dict[str, Any]) -> None:
        """Put objects into the account."""
        self.objects.update({obj["id"]: obj for obj in objects})

    def open_session(self, key: str, fields: dict[str, str]) -> tuple[int, Any]:
        """A checkout session; the same for the same key, and a refusal where its fields are others."""
        if self.refusal:
            return 400, {"error": {"type": "invalid_request_error", "code": self.refusal}}
        if key in self.pages:
            sent, made = self.pages[key]
            same = sent == fields
            return (200, made) if same else (400, {"error": {"type": "idempotency_error"}})
        name = f"cs_test_fake{len(self.pages):04d}{key[-6:]}"
        made = {
            "id": name,
            "object": "checkout.session",
            "url": f"https://checkout.stripe.com/c/pay/{name}",
            "status": "open",
            "payment_intent": None,
            "expires_at": int(fields["expires_at"]),
        }
        self.pages[key] = fields, made
        self.knows(made)
        return 200, made

    def charges(self, query: dict[str, str]) -> dict[str, Any]:
        """A page of charges of a time, newest first."""
        since, until = int(query["created[gte]"]), int(query["created[lt]"])
        found = [one for one in self.objects.values() if one.get("object") == "charge"]
        found = sorted((one for one in found if since <= one["created"] < until), key=lambda one: -one["created"])
        if (after := query.get("starting_after")) is not None:
            found = found[[one["id"] for one in found].index(after) + 1 :]
        size = min(int(query["limit"]), self.page_size)
        return {"object": "list", "data": found[:size], "has_more": len(found) > size}

    def subscriptions(self, query: dict[str, str]) -> dict[str, Any]:
        """A page of subscriptions, newest first; canceled ones only where they are asked for."""
        found = [one for one in self.objects.values() if one.get("object") == "subscription"]
        if query.get("status") != "all":
            found = [one for one in found if one["status"] != "canceled"]
        found = sorted(found, key=lambda one: (-one["created"], one["id"]))
        if (after := query.get("starting_after")) is not None:
            found = found[[one["id"] for one in found].index(after) + 1 :]
        size = min(int(query["limit"]), self.page_size)
        return {"object": "list", "data": found[:size], "has_more": len(found) > size}

    def payouts(self, query: dict[str, str]) -> dict[str, Any]:
        """Payouts made in a time, newest first."""
        since, until = int(query["created[gte]"]), int(query["created[lt]"])
        found = [one for one in self.objects.values() if one.get("object") == "payout"]
        found = sorted((one for one in found if since <= one["created"] < until), key=lambda one: -one["created"])
        return {"object": "list", "data": found[: int(query["limit"])], "has_more": len(found) > int(query["limit"])}

    def balance_transactions(self, query: dict[str, str]) -> tuple[int, Any]:
        """A page of what is in an automatic payout; Stripe does not know it of others. Sources as asked for: their ids,
        or whole."""
        if not self.objects.get(query["payout"], {}).get("automatic"):
            return 400, {"error": {"type": "invalid_request_error"}}
        found = self.payout_transactions.get(query["payout"], [])
        if (after := query.get("starting_after")) is not None:
            found = found[[one["id"] for one in found].index(after) + 1 :]
        size = min(int(query["limit"]), self.page_size)
        page = [one | {"source": self.objects.get(one["source"], one["source"])} for one in found[:size]]
        whole = query.get("expand[]") == "data.source"
        return 200, {"object": "list", "data": page if whole else found[:size], "has_more": len(found) > size}

    def answer(self, target: str, headers: dict[str, str], fields: dict[str, str] | None = None) -> tuple[int, Any]:
        """Status and body for one request; `fields` of one that posts."""
        parts = urlsplit(target)
        self.asked.append(parts.path)
        if not self.any_key and headers.get("authorization") != f"Bearer {API_KEY}":
            return 401, {"error": {"type": "invalid_request_error"}}
        if self.trouble:
            return self.trouble.pop(0), {"error": {"type": "api_error"}}
        if fields is not None:
            return self.open_session(headers["idempotency-key"], fields)
        if parts.path == "/v1/charges":
            return 200, self.charges(dict(parse_qsl(parts.query)))
        if parts.path in self.forbidden:
            return 403, {"error": {"type": "invalid_request_error", "code": "more_permissions_required"}}
        if parts.path == "/v1/subscriptions":
            return 200, self.subscriptions(dict(parse_qsl(parts.query)))
        if parts.path == "/v1/payouts":
            return 200, self.payouts(dict(parse_qsl(parts.query)))
        if parts.path == "/v1/balance_transactions":
            return self.balance_transactions(dict(parse_qsl(parts.query)))
        if parts.path in {"/v1/disputes", "/v1/refunds"}:
            wanted, kind = parse_qs(parts.query)["charge"], parts.path[4:-1]
            found = [one for one in self.objects.values() if one.get("object") == kind and one["charge"] in wanted]
            return 200, {"object": "list", "data": found}
        folder, _, name = parts.path.removeprefix("/v1/").rpartition("/")
        if parts.path == "/v1/invoice_payments":
            wanted = parse_qs(parts.query)["payment[payment_intent]"]
            joins = [one for one in self.invoice_payments if one["payment"]["payment_intent"] in wanted]
            return 200, {"object": "list", "data": joins, "has_more": False}
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
            sent = (await reader.readexactly(int(headers.get("content-length", "0")))).decode()
            fields = dict(parse_qsl(sent, keep_blank_values=True)) if first.startswith("POST") else None
            status, found = self.answer(first.split(" ")[1], headers, fields)
            body = json.dumps(found).encode()
            now = format_datetime(self.now, usegmt=True)
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


def stripe_of_this_process() -> str:
    """The address of a Stripe that every organization of this process may use: it makes pages, and lists one payment of
    November 2026 that nobody was told of. Begun when first asked for, in a thread that ends with the process."""
    if not _COMMON:
        account = FakeStripe(any_key=True)
        made: Any = {"seed": "of this process", "start": datetime(2026, 11, 10, 9, tzinfo=UTC)}
        charge = stripe_event("charge.succeeded", **made)["data"]["object"]
        intent = stripe_event("payment_intent.succeeded", **made)["data"]["object"]
        account.knows(charge, {**intent, "latest_charge": charge})

        class Handler(BaseHTTPRequestHandler):
            def _answer(self, fields: dict[str, str] | None) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                status, found = account.answer(self.path, headers, fields)
                body = json.dumps(found).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                self._answer(None)

            def do_POST(self) -> None:
                sent = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
                self._answer(dict(parse_qsl(sent, keep_blank_values=True)))

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        _COMMON.append(server)
    return f"http://127.0.0.1:{_COMMON[0].server_port}"


_COMMON: list[ThreadingHTTPServer] = []
