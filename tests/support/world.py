"""One organization as a test sees it: an API client, a worker to drain, a mailbox, and Stripe on the other side."""

from __future__ import annotations

import email
import email.policy
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from crm_api.app import build_services, create_app
from crm_api.bootstrap import make_organization
from crm_api.kit import http
from crm_api.kit.db import Database, Tenant
from crm_api.kit.edge import Edge
from crm_api.kit.pool import Pool
from crm_api.outbox import service as outbox
from crm_api.payments.providers import STRIPE
from crm_api.settings import Settings
from crm_api.worker import Worker
from tests.support.services import Services
from tests.support.settings import make_settings

STRIPE_SECRET = "whsec_of_the_tests"


_POOLS: dict[str, Pool] = {}
"""Connections that the worlds of this process share, by database: each knows its statements and plans already."""
_APPS: list[Any] = []
"""Applications of worlds that are over, for worlds to come: one takes a while to make, and FastAPI remembers its parts
for good."""


@dataclass
class World:
    """An organization with everything around it."""

    settings: Settings
    database: Database
    tenant: Tenant
    api_key: str
    client: httpx.AsyncClient
    worker: Worker
    app: Any
    own_pool: bool = True
    connections: dict[str, str] = field(default_factory=dict)

    @property
    def id(self) -> UUID:
        """The organization's id."""
        return self.tenant.id

    # The API

    async def get(self, path: str, *, expect: int = 200, **options: Any) -> Any:
        """GET; the JSON of an answer with the expected status."""
        return await self.call("GET", path, expect=expect, **options)

    async def post(self, path: str, body: Any = None, *, expect: int = 201, **options: Any) -> Any:
        """POST JSON; the JSON of an answer with the expected status."""
        return await self.call("POST", path, expect=expect, json=body, **options)

    async def patch(self, path: str, body: Any, *, expect: int = 200, **options: Any) -> Any:
        """PATCH JSON."""
        return await self.call("PATCH", path, expect=expect, json=body, **options)

    async def put(self, path: str, body: Any, *, expect: int = 200, **options: Any) -> Any:
        """PUT JSON."""
        return await self.call("PUT", path, expect=expect, json=body, **options)

    async def call(self, method: str, path: str, *, expect: int, **options: Any) -> Any:
        """Any request; fails with the answer's text when the status is another."""
        answer = await self.client.request(method, path, **options)
        assert answer.status_code == expect, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def set_clock(self, moment: datetime | None) -> None:
        """Move the organization's clock."""
        body = {"now": None if moment is None else moment.isoformat().replace("+00:00", "Z")}
        await self.put("/v1/organization/test-clock", body)

    async def contact(self, **changes: Any) -> Any:
        """Add a contact."""
        body = {"given_name": "Олена", "family_name": "Шевченко", "emails": [{"address": "olena@example.org"}]}
        return await self.post("/v1/contacts", {**body, **changes})

    async def contact_refused(self, **changes: Any) -> Any:
        """The problem that adding a contact with these members meets."""
        return await self.post("/v1/contacts", {"given_name": "Олена", **changes}, expect=422)

    async def donation(self, contact_id: str | None, amount: int = 2500, currency: str = "USD", **more: Any) -> Any:
        """Record a gift by hand."""
        body = {"contact_id": contact_id, "amount": {"amount": amount, "currency": currency}, "method": "bank_transfer"}
        return await self.post("/v1/donations", {**body, **more})

    async def profile(self, contact_id: str, **query: Any) -> Any:
        """The donor profile."""
        return await self.get(f"/v1/contacts/{contact_id}/donor-profile", params=query)

    # The worker

    async def drain(self) -> int:
        """Run all due work of this organization, follow-ups included; how many rows were run."""
        return await self.worker._tend(self.id, ensure=False)

    async def jobs(self, **query: Any) -> list[dict[str, Any]]:
        """Rows of the outbox."""
        found: list[dict[str, Any]] = (await self.get("/v1/jobs", params={"limit": 200, **query}))["data"]
        return found

    # Letters

    def letters(self) -> list[EmailMessage]:
        """Every letter in the mailbox, oldest first."""
        folder = self.settings.mail_directory
        assert folder is not None
        files = sorted(folder.glob("*.eml")) if folder.exists() else []
        return [email.message_from_bytes(f.read_bytes(), policy=email.policy.default) for f in files]

    def letter_kinds(self) -> list[str]:
        """Kinds of the letters in the mailbox."""
        return [str(letter["X-CRM-Letter"]) for letter in self.letters()]

    # Stripe

    async def stripe_connection(self, secret: str = STRIPE_SECRET, **credentials: str) -> str:
        """The id of the organization's Stripe connection with this secret."""
        if secret not in self.connections:
            body = {"provider": "stripe", "name": "Main", "credentials": {"webhook_secret": secret, **credentials}}
            self.connections[secret] = (await self.post("/v1/payment-connections", body))["id"]
        return self.connections[secret]

    async def stripe_sends(
        self, event: dict[str, Any] | bytes, *, secret: str = STRIPE_SECRET, expect: int = 202
    ) -> httpx.Response:
        """Deliver an event with a correct signature of this moment."""
        connection = await self.stripe_connection(secret)
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        row = await self.get("/v1/organization")
        now = datetime.fromisoformat(row["test_clock"]) if row["test_clock"] else datetime.now(UTC)
        headers = STRIPE.sign(body, secret=secret, now=now)
        return await self.deliver(connection, body, headers, expect=expect)

    async def deliver(
        self, connection: str, body: bytes, headers: dict[str, str], *, expect: int = 202
    ) -> httpx.Response:
        """Deliver raw bytes with given headers."""
        path = f"/v1/payments/webhooks/stripe/{connection}"
        answer = await self.client.post(path, content=body, headers={**headers, "Authorization": ""})
        assert answer.status_code == expect, answer.text
        return answer

    async def close(self) -> None:
        """Let everything go."""
        await self.client.aclose()
        if self.own_pool:
            await self.database.close()
        _APPS.append(self.app)


async def _open(settings: Settings) -> Database:
    return await Database.open(
        settings.database_url, size=settings.database_pool, statement_cache=settings.database_statement_cache
    )


async def _shared(settings: Settings) -> Database:
    if settings.database_url not in _POOLS:
        _POOLS[settings.database_url] = (await _open(settings))._pool
    return Database(_POOLS[settings.database_url])


async def close_pools() -> None:
    """Close what the worlds shared, at the end of the run."""
    while _POOLS:
        await _POOLS.popitem()[1].close(5)


async def open_world(
    database_url: str,
    services: Services,
    mail: Path,
    *,
    name: str = "Test Fund",
    mode: str = "test",
    currency: str = "USD",
    timezone: str = "UTC",
    language: str = "en",
    **settings: Any,
) -> World:
    """Make an organization and everything around it. Asked for a pool of some size, it has one of its own."""
    mail.mkdir(parents=True, exist_ok=True)
    chosen = make_settings(database_url, mail, **settings)
    http.configure(chosen.service_urls, paypal_ca_file=chosen.paypal_ca_file)
    outbox.set_doorbell(None)
    own_pool = "database_pool" in settings
    database = await (_open if own_pool else _shared)(chosen)
    made = await make_organization(
        database, name=name, mode=mode, currency=currency, timezone=timezone, language=language
    )
    app = _APPS.pop() if _APPS else create_app(chosen)
    app.state.services = build_services(chosen, database)
    edge = Edge(app, max_body_bytes=chosen.max_body_bytes, access_log=chosen.access_log)
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=edge, raise_app_exceptions=False),
        base_url="http://crm.test",
        headers={"Authorization": f"Bearer {made.api_key}"},
    )
    return World(chosen, database, made.tenant, made.api_key, client, Worker(chosen, database), app, own_pool)
