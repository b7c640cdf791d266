"""What the tests of imports and exports share."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.world import World


class Desk:
    """Sends files to be imported, as a client does, and lets the worker work."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def send(
        self, content: str | bytes, *, filename: str = "people.csv", expect: int = 202, **options: Any
    ) -> dict[str, Any]:
        """Upload a file; the answer."""
        raw = content.encode() if isinstance(content, str) else content
        answer = await self.world.client.post(
            "/v1/imports",
            data={"kind": "contacts", "options": json.dumps(options)},
            files={"file": (filename, raw, "application/octet-stream")},
        )
        assert answer.status_code == expect, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def done(self, content: str | bytes, **options: Any) -> dict[str, Any]:
        """Upload a file and work; the import as it then is."""
        made = await self.send(content, **options)
        await self.world.drain()
        return await self.see(made["id"])

    async def see(self, import_id: str) -> dict[str, Any]:
        """The import."""
        found: dict[str, Any] = await self.world.get(f"/v1/imports/{import_id}")
        return found

    async def tell(self, import_id: str, verb: str, *, expect: int = 202, work: bool = True) -> dict[str, Any]:
        """Run, pause or undo; the import after the work."""
        answer: dict[str, Any] = await self.world.post(f"/v1/imports/{import_id}/{verb}", expect=expect)
        if not work or expect >= 400:
            return answer
        await self.world.drain()
        return await self.see(import_id)

    async def rows(self, import_id: str, **query: Any) -> list[dict[str, Any]]:
        """What became of the rows."""
        found: list[dict[str, Any]] = []
        path: str | None = f"/v1/imports/{import_id}/rows"
        query = {"limit": 200, **query}
        while path:
            page = await self.world.get(path, params=query)
            found += page["data"]
            query["cursor"] = page["next_cursor"]
            if not page["has_more"]:
                path = None
        return found

    async def contacts(self, **query: Any) -> list[dict[str, Any]]:
        """Every contact, oldest first."""
        found: list[dict[str, Any]] = []
        query = {"limit": 200, "sort": "id", **query}
        while True:
            page = await self.world.get("/v1/contacts", params=query)
            found += page["data"]
            if not page["has_more"]:
                return found
            query["cursor"] = page["next_cursor"]


class GiftDesk(Desk):
    """The same for gifts."""

    async def send(
        self, content: str | bytes, *, filename: str = "gifts.csv", expect: int = 202, **options: Any
    ) -> dict[str, Any]:
        raw = content.encode() if isinstance(content, str) else content
        answer = await self.world.client.post(
            "/v1/imports",
            data={"kind": "donations", "options": json.dumps(options)},
            files={"file": (filename, raw, "text/csv")},
        )
        assert answer.status_code == expect, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def gifts(self, **query: Any) -> list[dict[str, Any]]:
        """Every gift that lists show, by day."""
        page = await self.world.get("/v1/donations", params={"limit": 200, "sort": "received_at", **query})
        found: list[dict[str, Any]] = page["data"]
        return found


@pytest.fixture
def desk(world: World) -> Desk:
    """A desk in a fresh organization."""
    return Desk(world)


@pytest.fixture
def gift_desk(world: World) -> GiftDesk:
    """A desk for gifts in a fresh organization."""
    return GiftDesk(world)
