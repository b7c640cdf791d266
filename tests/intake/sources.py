"""Sources of intake in the tests: made over the API, delivered to byte by byte."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import text
from standardwebhooks import Webhook

from crm_api.kit.db import prepare
from tests.support.fake_meta import PAGE_TOKEN
from tests.support.world import World

FOLDER = Path(__file__).parents[1] / "fixtures" / "intake"
NOW = datetime.fromtimestamp(1760000002, UTC)
"""When the fixtures were sent, near enough."""
PATH_SECRET = "path-secret-of-the-tests"
AUTH_KEY = "ringostat-key-of-the-tests"
SIGNING = "whsec_Zml4dHVyZS1mb3JtLW9wZW4tMjRieXRl"
CREDENTIALS: dict[str, dict[str, str]] = {
    "form": {"signing_secret": SIGNING},
    "google_forms": {"signing_secret": SIGNING},
    "binotel": {"path_secret": PATH_SECRET},
    "ringostat": {"auth_key": AUTH_KEY},
    "meta_leads": {
        "app_secret": "fixture_meta_app_secret",
        "verify_token": "word-of-the-tests",
        "page_access_token": PAGE_TOKEN,
    },
    "telegram": {"secret_token": "fixture_open_secret_token"},
    "viber": {"auth_token": "fixture-viber-token-0000"},
}


def fixture(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text())


@dataclass
class Source:
    """A source and what is delivered to it."""

    world: World
    row: dict[str, Any]

    @property
    def id(self) -> str:
        found: str = self.row["id"]
        return found

    @property
    def kind(self) -> str:
        found: str = self.row["kind"]
        return found

    async def send(
        self,
        body: bytes | str,
        headers: dict[str, str] | None = None,
        *,
        expect: int = 200,
        secret: str | None = None,
        query: str = "",
    ) -> httpx.Response:
        """Deliver raw bytes as they are."""
        path = f"/v1/intake/{self.kind}/{self.id}" + (f"/{secret}" if secret else "") + query
        given = {"Content-Type": "application/json", **(headers or {}), "Authorization": ""}
        content = body.encode() if isinstance(body, str) else body
        answer = await self.world.client.post(path, content=content, headers=given)
        assert answer.status_code == expect, answer.text
        return answer

    async def send_fixture(self, name: str, *, expect: int = 200) -> httpx.Response:
        """Deliver a fixture byte for byte."""
        request = fixture(name)["request"]
        headers = {**request["headers"]}
        if self.kind == "ringostat":
            headers["Auth-Key"] = AUTH_KEY
        secret = PATH_SECRET if self.kind == "binotel" else None
        return await self.send(request["body_raw"], headers, expect=expect, secret=secret)

    async def send_signed(self, body: Any, *, key: str, expect: int = 200, at: datetime = NOW) -> httpx.Response:
        """Deliver JSON with a Standard Webhooks signature."""
        content = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        return await self.send(content, signed(content, key=key, at=at), expect=expect)

    async def send_viber(self, body: dict[str, Any], *, expect: int = 200) -> httpx.Response:
        """Deliver a callback with Viber's signature."""
        content = json.dumps(body, ensure_ascii=False).encode()
        digest = hmac.new(CREDENTIALS["viber"]["auth_token"].encode(), content, hashlib.sha256).hexdigest()
        return await self.send(content, {"X-Viber-Content-Signature": digest}, expect=expect)

    async def send_telegram(self, update: dict[str, Any], *, expect: int = 200) -> httpx.Response:
        """Deliver an update with the secret."""
        token = CREDENTIALS["telegram"]["secret_token"]
        return await self.send(json.dumps(update), {"X-Telegram-Bot-Api-Secret-Token": token}, expect=expect)

    async def send_meta(self, *lead_ids: str, expect: int = 200) -> httpx.Response:
        """Deliver an event that names leads."""
        changes = [{"field": "leadgen", "value": {"leadgen_id": one, "created_time": 1760000000}} for one in lead_ids]
        content = json.dumps({"object": "page", "entry": [{"id": "3", "changes": changes}]}).encode()
        secret = CREDENTIALS["meta_leads"]["app_secret"].encode()
        digest = "sha256=" + hmac.new(secret, content, hashlib.sha256).hexdigest()
        return await self.send(content, {"X-Hub-Signature-256": digest}, expect=expect)

    async def deliveries(self, **query: Any) -> list[Any]:
        found: list[Any] = (
            await self.world.get("/v1/intake-deliveries", params={"source_id": self.id, "limit": 200, **query})
        )["data"]
        return found


def signed(content: bytes, *, key: str, at: datetime = NOW, secret: str = SIGNING) -> dict[str, str]:
    signature = Webhook(secret).sign(msg_id=key, timestamp=at, data=content.decode())
    return {"webhook-id": key, "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}


async def make_source(world: World, kind: str, *, frozen: bool = True, **changes: Any) -> Source:
    """A source of a kind; the organization's clock stands where the fixtures were sent."""
    if frozen:
        await world.set_clock(NOW)
    body = {"kind": kind, "name": f"Source {kind}", "credentials": CREDENTIALS[kind], **changes}
    return Source(world, await world.post("/v1/intake-sources", body))


async def contacts(world: World) -> list[Any]:
    found: list[Any] = (await world.get("/v1/contacts", params={"limit": 200}))["data"]
    return found


async def interactions(world: World, **query: Any) -> list[Any]:
    found: list[Any] = (await world.get("/v1/interactions", params={"limit": 200, **query}))["data"]
    return found


async def counted(world: World) -> dict[str, int]:
    """Rows of every table that a delivery could touch, straight from the database."""
    tables = ("intake_deliveries", "jobs", "contacts", "interactions", "consent_events", "audit_events")
    reader = world.database.read(world.tenant)
    found = {}
    for table in tables:
        statement = prepare(text(f"SELECT count(*) FROM {table} WHERE organization_id = :organization_id"))
        found[table] = int(await reader.fetch_val(statement))
    return found
