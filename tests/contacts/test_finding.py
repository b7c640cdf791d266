"""Finding by what clients hold: ids from before a merge, ids of other systems with a slash, names in order."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from tests.support.world import World


async def _ids(world: World, path: str, **query: Any) -> list[str]:
    return [row["id"] for row in (await world.get(path, params=query))["data"]]


async def test_an_id_from_before_a_merge_finds_what_the_survivor_has(world: World) -> None:
    survivor, retired, other = [(await world.contact(emails=[]))["id"] for _ in range(3)]
    gift = (await world.donation(retired))["id"]
    task = (await world.post("/v1/tasks", {"title": "T", "contact_id": survivor}))["id"]
    bond = {"type": "friend", "from_contact_id": retired, "to_contact_id": other}
    relationship = (await world.post("/v1/relationships", bond))["id"]
    await world.post(f"/v1/contacts/{survivor}/merge", {"from": [retired]})
    later = (await world.contact(emails=[]))["id"]
    await world.post(f"/v1/contacts/{later}/merge", {"from": [survivor]})
    for one in (retired, survivor, later):
        assert await _ids(world, "/v1/donations", contact_id=one) == [gift]
        assert await _ids(world, "/v1/tasks", contact_id=one) == [task]
        assert await _ids(world, "/v1/relationships", contact_id=one) == [relationship]
        assert await _ids(world, "/v1/relationships", from_contact_id=one) == [relationship]
    assert len(await _ids(world, "/v1/merges", survivor_id=survivor)) == 1
    assert await _ids(world, "/v1/donations", contact_id=other) == []


async def test_duplicates_of_one_contact(world: World) -> None:
    twin = {"given_name": "Марко", "family_name": "Вовчок", "birth_date": "1983-12-22", "on_match": "queue"}
    one, other = [(await world.post("/v1/contacts", twin))["id"] for _ in range(2)]
    (pair,) = await _ids(world, "/v1/duplicates", contact_id=one)
    assert await _ids(world, "/v1/duplicates", contact_id=other, state="open") == [pair]
    assert await _ids(world, "/v1/duplicates", contact_id=(await world.contact())["id"]) == []


async def test_external_ids_with_a_slash(world: World) -> None:
    """Encoded or not: what comes after the system is the id, whole."""
    own = "2025/A-17 №5"
    made = await world.put(f"/v1/contacts/by-external-id/ledger/{quote(own, safe='')}", {"given_name": "Х"}, expect=201)
    assert made["external_ids"] == [{"system": "ledger", "id": own}]
    for path in (quote(own, safe=""), quote(own, safe="/")):
        assert (await world.get(f"/v1/contacts/by-external-id/ledger/{path}"))["id"] == made["id"]
    await world.get("/v1/contacts/by-external-id/ledger/2025", expect=404)
    await world.get("/v1/contacts/by-external-id/ledger/", expect=422)


async def test_contacts_by_name_and_language(world: World) -> None:
    names = ["Борис", "Адам", "Віра", "Адам"]
    made = {(await world.post("/v1/contacts", {"given_name": n, "language": "uk" if n != "Віра" else "ka"}))["id"]: n
            for n in names}  # fmt: skip
    seen: list[str] = []
    cursor = None
    while cursor is not None or not seen:
        query = {"sort": "display_name", "limit": 2} | ({"cursor": cursor} if cursor else {})
        page = await world.get("/v1/contacts", params=query)
        seen += [row["id"] for row in page["data"]]
        cursor = page["next_cursor"]
    assert [made[one] for one in seen] == sorted(names)
    assert len(set(seen)) == 4
    assert {made[one] for one in await _ids(world, "/v1/contacts", language="ka")} == {"Віра"}
    assert [made[one] for one in await _ids(world, "/v1/contacts", sort="-display_name", language="uk", limit=1)] == [
        "Борис"
    ]
    assert len(await _ids(world, "/v1/contacts", display_name="Адам")) == 2
