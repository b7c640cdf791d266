"""Batches of contacts: a status per item, all or none, and what later items see of earlier ones."""

from __future__ import annotations

from typing import Any

from sqlalchemy import text

from crm_api.kit.db import ReadSession, prepare
from tests.support.world import World
from tests.transfers.conftest import Desk


async def batch(world: World, *items: dict[str, Any], expect: int = 200, **more: Any) -> dict[str, Any]:
    """Send items; the answer."""
    found: dict[str, Any] = await world.post("/v1/contacts/batch", {"items": list(items), **more}, expect=expect)
    return found


def create(**body: Any) -> dict[str, Any]:
    return {"op": "create", "body": body}


def upsert(own: str, **body: Any) -> dict[str, Any]:
    return {"op": "upsert", "by_external_id": {"system": "old", "id": own}, "body": body}


async def test_every_item_has_the_status_it_would_have_alone(world: World, desk: Desk) -> None:
    known = await world.contact(external_ids=[{"system": "old", "id": "1"}], tags=["first"])
    done = await batch(
        world,
        create(given_name="Іван", family_name="Петренко"),
        {"op": "update", "id": known["id"], "version": 1, "body": {"language": "uk"}},
        upsert("1", tags=["second"], given_name="Олена"),
        upsert("2", given_name="ნინო"),
        upsert("2", family_name="ბერიძე", given_name="ნინო"),
        create(given_name="Twin", external_ids=[{"system": "old", "id": "2"}]),
        create(kind="organization"),
        {"op": "update", "id": "0193a0e0-0000-7000-8000-000000000000", "body": {}},
        {"op": "remove"},
        {"op": "update", "id": known["id"], "version": 1, "body": {"language": "en"}},
    )
    assert [one["status"] for one in done["results"]] == [201, 200, 200, 201, 200, 409, 422, 404, 422, 412]
    assert (done["succeeded"], done["failed"]) == (5, 5)
    assert done["results"][6]["problem"]["errors"][0]["pointer"] == "/body"
    assert done["results"][5]["problem"]["code"] == "external_id_taken"
    olena, ivan, nino = await desk.contacts()
    assert (olena["id"], olena["tags"], olena["language"], olena["version"]) == (known["id"], ["second"], "uk", 2)
    assert ivan["display_name"] == "Іван Петренко"
    assert (nino["display_name"], nino["version"]) == ("ნინო ბერიძე", 1)
    assert [one["id"] for one in await desk.contacts(q="Petrenko")] == [ivan["id"]]
    assert [one["id"] for one in await desk.contacts(tag="second")] == [known["id"]]
    assert await desk.contacts(tag="first") == []


async def test_an_atomic_batch_is_carried_out_whole_or_not_at_all(world: World, desk: Desk) -> None:
    wrong = create(emails=[{"address": "nobody"}])
    problem = await batch(world, create(given_name="A"), wrong, atomic=True, expect=422)
    assert [error["pointer"] for error in problem["errors"]] == ["/items/1/body/emails/0/address"]
    assert await desk.contacts() == []
    done = await batch(world, create(given_name="A"), create(given_name="B"), atomic=True)
    assert [one["status"] for one in done["results"]] == [201, 201]
    assert len(await desk.contacts()) == 2


async def test_items_without_an_op_are_contacts_to_be_created(world: World, desk: Desk) -> None:
    one = {"kind": "person", "given_name": "Олена", "emails": [{"address": "olena@example.org"}]}
    done = await batch(world, one, {"emails": [{"address": "nobody"}]}, {"given_name": "A", "nickname": "B"})
    assert [item["status"] for item in done["results"]] == [201, 422, 422]
    errors = [item["problem"]["errors"][0] for item in done["results"][1:]]
    assert [error["pointer"] for error in errors] == ["/emails/0/address", "/nickname"]
    assert "given_name" in errors[1]["detail"], "an unknown member is answered by the known ones"
    (olena,) = await desk.contacts()
    assert olena["id"] == done["results"][0]["id"]
    problem = await world.post("/v1/contacts/batch?atomic=true", {"items": [one, {"given_name": 1}]}, expect=422)
    assert [error["pointer"] for error in problem["errors"]] == ["/items/1/given_name"]


async def test_a_thousand_items_take_a_few_trips(world: World, desk: Desk, monkeypatch: Any) -> None:
    trips = 0
    from crm_api.kit.db import WriteSession

    for name in ("fetch", "execute", "_insert"):
        original = getattr(WriteSession, name)

        async def counted(self: Any, *args: Any, _original: Any = original, **more: Any) -> Any:
            nonlocal trips
            trips += 1
            return await _original(self, *args, **more)

        monkeypatch.setattr(WriteSession, name, counted)
    items = [upsert(str(n), given_name="Олена", family_name=f"Number{n}", tags=["x"]) for n in range(1000)]
    done = await batch(world, *items, atomic=True)
    assert {one["status"] for one in done["results"]} == {201}
    assert trips < 15
    again = await batch(world, *items)
    assert {one["status"] for one in again["results"]} == {200}
    assert {one["version"] for one in again["results"]} == {1}, "nothing changed"
    too_many = {"items": items + items[:1]}
    await world.post("/v1/contacts/batch", too_many, expect=422)


async def test_keys_are_those_a_single_request_derives(world: World) -> None:
    body = {
        "given_name": "Олена", "family_name": "Шевченко", "emails": [{"address": "o@example.org"}], "tags": ["x"],
        "phones": [{"number": "+380501234567"}], "addresses": [{"city": "Київ", "country": "UA"}], "birth_date": "1980-05-17",
    }  # fmt: skip
    alone = await world.post("/v1/contacts", body)
    (one,) = (await batch(world, create(**body)))["results"]
    session = world.database.read(world.tenant)
    assert await _keys(session, one["id"]) == await _keys(session, alone["id"])
    for change in ({"family_name": "Коваль", "emails": []}, {"tags": ["y"], "addresses": []}):
        await world.patch(f"/v1/contacts/{alone['id']}", change)
        await batch(world, {"op": "update", "id": one["id"], "body": change})
        assert await _keys(session, one["id"]) == await _keys(session, alone["id"])


_KEYS = prepare(
    text(
        "SELECT kind, value FROM contact_keys WHERE organization_id = :organization_id "
        "AND contact_id = CAST(:id AS uuid) ORDER BY kind, value"
    )
)


async def _keys(session: ReadSession, contact_id: str) -> list[tuple[str, str]]:
    return [(row["kind"], row["value"]) for row in await session.fetch(_KEYS, id=contact_id)]
