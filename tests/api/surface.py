"""The API as its OpenAPI document lists it, for tests that walk every route: operations, bodies that are accepted, an
organization with one of everything, and requests put to the application byte by byte."""

from __future__ import annotations

import asyncio
import copy
import json
import urllib.parse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crm_api.app import create_app
from crm_api.settings import Settings
from tests.support.world import World

FIXTURES = Path(__file__).parent.parent / "fixtures" / "stripe"
METHODS = ("get", "post", "put", "patch", "delete")
_DOCUMENT: list[dict[str, Any]] = []


def document() -> dict[str, Any]:
    """The OpenAPI document as the code makes it, built once."""
    if not _DOCUMENT:
        _DOCUMENT.append(create_app(Settings(_env_file=None, environment="test")).openapi())
    return _DOCUMENT[0]


def component(name: str) -> dict[str, Any]:
    """A schema of the document."""
    found: dict[str, Any] = document()["components"]["schemas"][name]
    return found


@dataclass(frozen=True)
class Operation:
    """One operation."""

    method: str
    path: str
    id: str
    scope: str | None
    media_type: str | None
    body: str | None
    """Name of the request body's schema."""
    parameters: list[dict[str, Any]] = field(hash=False)
    raw: dict[str, Any] = field(hash=False, repr=False)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def in_path(self) -> list[str]:
        """Names of the path's parameters."""
        return [item["name"] for item in self.parameters if item["in"] == "path"]

    @property
    def ids(self) -> list[str]:
        """Path parameters that name a row."""
        return [name for name in self.in_path if name.endswith("_id") and name != "external_id"]

    @property
    def is_list(self) -> bool:
        """A page of rows, with cursors."""
        return any(item["name"] == "cursor" for item in self.parameters)

    @property
    def public(self) -> bool:
        """Needs no credentials."""
        return self.scope is None


def operations() -> list[Operation]:
    """Every operation of the document."""
    found = []
    for path, item in document()["paths"].items():
        for method in METHODS:
            if method not in item:
                continue
            raw = item[method]
            content = raw.get("requestBody", {}).get("content", {})
            media_type = next(iter(content), None)
            schema = content[media_type]["schema"] if media_type else {}
            name = schema.get("$ref", "").rpartition("/")[2] or None
            found.append(
                Operation(
                    method.upper(),
                    path,
                    raw["operationId"],
                    raw.get("x-scope"),
                    media_type,
                    name,
                    raw.get("parameters", []),
                    raw,
                )
            )
    return found


# One of everything


@dataclass
class Planted:
    """An organization with one of everything, and where each is."""

    world: World
    ids: dict[str, str]

    def url(self, operation: Operation, **changes: str) -> str:
        """The operation's path with the ids of what was planted."""
        return operation.path.format(**{**self.ids, **changes})

    def body(self, operation: Operation) -> Any:
        """A body that the operation accepts: its schema's own example, with ids of what was planted."""
        assert operation.body is not None
        return self.fitted(copy.deepcopy(component(operation.body)["examples"][0]))

    def fitted(self, body: Any) -> Any:
        """The body with this organization's ids in the members that name rows."""
        if isinstance(body, dict):
            for name, value in body.items():
                if name in self.ids and value is not None and name.endswith("_id"):
                    body[name] = self.ids[name]
                else:
                    body[name] = self.fitted(value)
        return body


async def plant(world: World) -> Planted:
    """Make one of everything, through the API and the worker."""
    contact = await world.contact(
        external_ids=[{"system": "old-crm", "id": "42"}],
        addresses=[{"city": "Kyiv", "country": "UA"}],
        tags=["friend"],
        phones=[{"number": "+380501234567"}],
    )
    fund = await world.post("/v1/funds", {"code": "winter", "name": "Winter relief"})
    campaign = await world.post("/v1/campaigns", {"code": "winter", "name": "Winter"})
    appeal = await world.post(
        "/v1/appeals", {"campaign_id": campaign["id"], "code": "letter", "name": "Letter", "channel": "mail"}
    )
    pipeline = await world.post("/v1/pipelines", {"name": "Grants"})
    deal = await world.post(
        "/v1/deals", {"pipeline_id": pipeline["id"], "title": "Ambulance", "contact_id": contact["id"]}
    )
    external_ids = [{"system": "old-crm", "id": "G1"}]
    gift = await world.donation(
        contact["id"], fund_id=fund["id"], campaign_id=campaign["id"], external_ids=external_ids
    )
    member = await world.post("/v1/members", {"email": "olena@fund.example", "role": "fundraiser"})
    key = await world.post("/v1/api-keys", {"name": "Website", "scopes": ["contacts:read"]})
    rate = {"source_currency": "USD", "target_currency": "UAH", "rate": "41.25", "rate_date": "2026-11-22"}
    await world.post("/v1/exchange-rates", rate)
    for name in ("customer_subscription_created", "payment_intent_succeeded_usd"):
        fixture = json.loads((FIXTURES / f"{name}.json").read_text())
        await world.stripe_sends(json.loads(fixture["request"]["body_raw"]))
    await world.drain()
    ids = {
        "contact_id": contact["id"],
        "system": "old-crm",
        "external_id": "42",
        "fund_id": fund["id"],
        "campaign_id": campaign["id"],
        "appeal_id": appeal["id"],
        "pipeline_id": pipeline["id"],
        "stage_id": pipeline["stages"][1]["id"],
        "deal_id": deal["id"],
        "donation_id": gift["id"],
        "member_id": member["id"],
        "owner_member_id": member["id"],
        "key_id": key["id"],
        "provider": "stripe",
        "connection_id": await world.stripe_connection(),
    }
    for name, path in (
        ("event_id", "/v1/payments/inbox"),
        ("job_id", "/v1/jobs"),
        ("message_id", "/v1/messages"),
        ("plan_id", "/v1/recurring-plans"),
    ):
        ids[name] = (await world.get(path))["data"][0]["id"]
    return Planted(world, ids)


# Requests byte by byte


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.content.decode()

    def json(self) -> Any:
        """The body's JSON."""
        return json.loads(self.content)


async def send(
    world: World,
    method: str,
    target: str | bytes,
    *,
    body: bytes | Iterable[bytes] = b"",
    headers: Iterable[tuple[bytes, bytes]] = (),
    media_type: str | None = "application/json",
    authorized: bool = True,
) -> Answer:
    """A request as a server would hand it to the application: nothing is tidied up on the way, unlike a client does.

    A body given in pieces comes without Content-Length, as a chunked one does.
    """
    raw = target if isinstance(target, bytes) else target.encode("ascii")
    path, _, query = raw.partition(b"?")
    sent = [(b"host", b"crm.test")]
    if authorized:
        sent.append((b"authorization", f"Bearer {world.api_key}".encode()))
    pieces = [body] if isinstance(body, bytes) else list(body)
    if isinstance(body, bytes) and body:
        sent.append((b"content-length", str(len(body)).encode()))
    if media_type is not None and any(pieces) and not any(name == b"content-type" for name, _ in headers):
        sent.append((b"content-type", media_type.encode()))
    sent += [(name.lower(), value) for name, value in headers]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": urllib.parse.unquote(path.decode("ascii")),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": sent,
        "client": ("127.0.0.1", 1),
        "server": ("crm.test", 80),
    }
    return await _exchange(world.client._transport.app, scope, pieces)  # type: ignore[attr-defined]


async def _exchange(app: Any, scope: dict[str, Any], pieces: list[bytes]) -> Answer:
    waiting = [
        {"type": "http.request", "body": piece, "more_body": number < len(pieces) - 1}
        for number, piece in enumerate(pieces or [b""])
    ]
    answered: list[Any] = []

    async def receive() -> Any:
        if not waiting:
            await asyncio.Event().wait()  # the client stays, silently
        return waiting.pop(0)

    async def take(message: Any) -> None:
        answered.append(message)

    await app(scope, receive, take)
    start = answered[0]
    content = b"".join(message.get("body", b"") for message in answered[1:])
    headers = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
    return Answer(start["status"], headers, content)


def problem_of(answer: Answer, *, never: Iterable[str] = ()) -> dict[str, Any]:
    """The answer's problem document, complete and without any of the texts it must not repeat."""
    assert answer.headers["content-type"] == "application/problem+json", (answer.status, answer.text[:300])
    found: dict[str, Any] = answer.json()
    assert found.keys() >= {"type", "title", "status", "detail", "code", "request_id"}, found
    assert found["status"] == answer.status
    assert found["request_id"] == answer.headers["x-request-id"]
    assert found["type"] == f"https://crm-api.dev/problems/{found['code'].replace('_', '-')}"
    for error in found.get("errors", []):
        assert error.keys() == {"pointer", "code", "detail"}
    for text in never:
        assert text not in answer.text, f"the rejected value came back: {answer.text[:500]}"
    return found


def leaves(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every place of a JSON value, inner ones first."""
    items: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    for name, item in items:
        yield from leaves(item, (*at, name))
    if at:
        yield at, value


def replaced(value: Any, at: tuple[str | int, ...], new: Any) -> Any:
    """A copy with another value at a place."""
    result = copy.deepcopy(value)
    inner = result
    for step in at[:-1]:
        inner = inner[step]
    inner[at[-1]] = new
    return result
