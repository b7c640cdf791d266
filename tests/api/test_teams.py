"""Teams and branches over HTTP: who sees which contacts, and all that hangs on them."""

from __future__ import annotations

from typing import Any

import pytest

from crm_api.auth.scopes import ALL_SCOPES
from tests.support.world import World


class Branch:
    """A key that its team limits."""

    def __init__(self, world: World, key: str, key_id: str, team_id: str) -> None:
        self.world, self.key_id, self.team_id = world, key_id, team_id
        self.headers = {"Authorization": f"Bearer {key}"}

    async def get(self, path: str, *, expect: int = 200, **options: Any) -> Any:
        return await self.call("GET", path, expect=expect, **options)

    async def post(self, path: str, body: Any = None, *, expect: int = 201, **options: Any) -> Any:
        return await self.call("POST", path, expect=expect, json=body, **options)

    async def put(self, path: str, body: Any, *, expect: int = 200, **options: Any) -> Any:
        return await self.call("PUT", path, expect=expect, json=body, **options)

    async def patch(self, path: str, body: Any, *, expect: int = 200, **options: Any) -> Any:
        return await self.call("PATCH", path, expect=expect, json=body, **options)

    async def call(self, method: str, path: str, *, expect: int, **options: Any) -> Any:
        headers = {**self.headers, **options.pop("headers", {})}
        return await self.world.call(method, path, expect=expect, headers=headers, **options)

    async def ids(self, path: str, **query: Any) -> set[str]:
        """Ids of everything a list shows."""
        return {row["id"] for row in (await self.get(path, params={"limit": 200, **query}))["data"]}


async def open_branch(
    world: World, name: str, *, parent: str | None = None, scopes: frozenset[str] = ALL_SCOPES
) -> Branch:
    """A team with a key that sees its contacts only."""
    team = await world.post("/v1/teams", {"name": name, "parent_id": parent})
    key = await world.post("/v1/api-keys", {"name": name, "scopes": sorted(scopes), "sees_all": False})
    await world.put(f"/v1/teams/{team['id']}/people", {"key_ids": [key["id"]]})
    return Branch(world, key["key"], key["id"], team["id"])


@pytest.fixture
async def branches(world: World) -> tuple[Branch, Branch]:
    """Lviv and Kyiv, with teams switched on."""
    await world.patch("/v1/organization", {"team_access": "on"})
    return await open_branch(world, "Львів"), await open_branch(world, "Київ")


async def test_two_branches(world: World, branches: tuple[Branch, Branch]) -> None:
    """Each finds, counts and opens its own people, gifts, talks, tasks, deals and files; the other's are not there."""
    lviv, kyiv = branches
    olena = await lviv.post("/v1/contacts", {"given_name": "Олена", "emails": [{"address": "olena@example.org"}]})
    taras = await kyiv.post("/v1/contacts", {"given_name": "Тарас", "emails": [{"address": "taras@example.org"}]})
    nobody = await world.post("/v1/contacts", {"given_name": "Нічий"})
    assert await lviv.ids("/v1/contacts") == {olena["id"]}
    assert await kyiv.ids("/v1/contacts") == {taras["id"]}
    assert (await lviv.get("/v1/contacts", params={"q": "Тарас", "include_total": "true"}))["total"] == 0
    assert await lviv.ids("/v1/contacts", email="taras@example.org") == set()
    for path in ("", "/timeline", "/donor-profile", "/duplicates", "/consents", "/teams"):
        await lviv.get(f"/v1/contacts/{taras['id']}{path}", expect=404)
        await lviv.get(f"/v1/contacts/{nobody['id']}{path}", expect=404)
        await lviv.get(f"/v1/contacts/{olena['id']}{path}")
    money = {"amount": {"amount": 5000, "currency": "USD"}, "method": "cash"}
    mine = await lviv.post("/v1/donations", {**money, "contact_id": olena["id"]})
    theirs = await kyiv.post("/v1/donations", {**money, "contact_id": taras["id"]})
    assert await lviv.ids("/v1/donations") == {mine["id"]}
    await lviv.get(f"/v1/donations/{theirs['id']}", expect=404)
    note = {"kind": "note", "body": "Зустріч", "participants": [{"contact_id": taras["id"]}]}
    talk = await kyiv.post("/v1/interactions", note)
    await lviv.get(f"/v1/interactions/{talk['id']}", expect=404)
    await lviv.post("/v1/interactions", note, expect=404)
    pipeline = await world.post("/v1/pipelines", {"name": "Grants"})
    deal = await kyiv.post(
        "/v1/deals", {"pipeline_id": pipeline["id"], "title": "Van", "contact_id": taras["id"]}
    )
    assert await lviv.ids("/v1/deals") == set()
    await kyiv.post("/v1/tasks", {"title": "Подякувати", "contact_id": taras["id"], "deal_id": deal["id"]})
    own = await lviv.post("/v1/tasks", {"title": "Прибрати"})
    assert await lviv.ids("/v1/tasks") == {own["id"]}
    file = {"file": ("a.txt", b"text", "text/plain")}
    document = await kyiv.call("POST", "/v1/documents", expect=201, data={"contact_id": taras["id"]}, files=file)
    await lviv.get(f"/v1/documents/{document['id']}", expect=404)
    await lviv.post(f"/v1/documents/{document['id']}/links", expect=404)
    await world.drain()
    kinds = {event["resource_id"] for event in (await lviv.get("/v1/audit-events", params={"limit": 200}))["data"]}
    assert olena["id"] in kinds
    assert not kinds & {taras["id"], theirs["id"], talk["id"], deal["id"], document["id"], nobody["id"]}
    assert await world.get("/v1/contacts", params={"include_total": "true", "limit": 1}) | {} != {}
    assert len((await world.get("/v1/contacts"))["data"]) == 3
