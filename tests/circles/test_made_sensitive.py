"""A custom field that becomes beneficiary-sensitive: whoever may not read it sees nothing of it from that moment on,
whatever was written before, is being written, or is put back."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import UUID

import pytest

from crm_api.contacts import repository
from crm_api.contacts.custom_fields import service, walk
from crm_api.contacts.custom_fields.values import Definition, settled
from crm_api.contacts.service import new_row
from crm_api.kit import clock
from crm_api.kit.ids import new_id
from crm_api.transfers.imports import work
from crm_api.transfers.imports.contact_merge import changes_of
from tests.support.world import World

SENSITIVE = {"sensitivity": "beneficiary_sensitive"}


async def _field(world: World, **more: Any) -> str:
    body = {"resource": "contacts", "key": "need", "label": "Need", "type": "text", **more}
    field = await world.post("/v1/custom-fields", body)
    await world.drain()
    return f"/v1/custom-fields/{field['id']}"


async def _donors(world: World) -> Any:
    scopes = ["contacts:read", "contacts:write", "exports:read", "exports:write"]
    key = (await world.post("/v1/api-keys", {"name": "Donors", "scopes": scopes}))["key"]
    return {"headers": {"Authorization": f"Bearer {key}"}}


async def test_values_are_hidden_before_the_walk_has_come_by(world: World) -> None:
    path, donors = await _field(world), await _donors(world)
    body = {"given_name": "Ніна", "custom": {"need": "wheelchair"}, "external_ids": [{"system": "aid", "id": "7"}]}
    own = f"/v1/contacts/{(await world.post('/v1/contacts', body))['id']}"
    await world.patch(path, SENSITIVE)  # and no worker at work
    for answer in (
        await world.get(own, **donors),
        (await world.get("/v1/contacts", **donors))["data"][0],
        await world.get("/v1/contacts/by-external-id/aid/7", **donors),
        await world.patch(own, {"family_name": "Коваль"}, **donors),
        await world.patch(own, {"family_name": "Коваль"}, **donors),
        await world.put("/v1/contacts/by-external-id/aid/7", {"given_name": "Ніна"}, **donors),
    ):
        assert answer["custom"] == {}
    assert (await world.get(own))["custom"] == {"need": "wheelchair"}


async def test_what_an_import_and_an_export_noted_is_hidden_too(world: World) -> None:
    path, donors = await _field(world), await _donors(world)
    options = {"dry_run": True, "mapping": {"Need": "custom.need"}}
    data = {"kind": "contacts", "options": json.dumps(options)}
    files = {"file": ("people.csv", "given_name,email,Need\nНіна,nina@example.org,wheelchair\nЗоя,no-address,cane\n")}
    made = await world.call("POST", "/v1/imports", expect=202, data=data, files=files)
    asked = await world.post("/v1/exports", {"resource": "contacts", "format": "csv"}, expect=202, **donors)
    await world.drain()
    one, rows = f"/v1/imports/{made['id']}", f"/v1/imports/{made['id']}/rows"
    assert "wheelchair" in json.dumps(await world.get(one, **donors)) + json.dumps(await world.get(rows, **donors))
    assert (await world.get(one, **donors))["errors_url"]
    assert (await world.get(f"/v1/exports/{asked['id']}", **donors))["url"]
    await world.patch(path, SENSITIVE)
    for where in (one, rows, "/v1/imports"):
        assert "wheelchair" not in json.dumps(await world.get(where, **donors)), where
    assert (await world.get(one, **donors))["errors_url"] is None
    assert (await world.get(f"/v1/exports/{asked['id']}", **donors))["url"] is None
    assert "wheelchair" in json.dumps(await world.get(rows))
    assert (await world.get(one))["errors_url"]
    assert (await world.get(f"/v1/exports/{asked['id']}"))["url"]


async def test_a_merge_and_its_undo_put_nothing_back_in_the_open(world: World) -> None:
    path, donors = await _field(world), await _donors(world)
    survivor = (await world.contact(given_name="A", emails=[]))["id"]
    second = (await world.contact(given_name="B", emails=[], custom={"need": "wheelchair"}))["id"]
    third = (await world.contact(given_name="C", emails=[]))["id"]
    first_merge = await world.post(f"/v1/contacts/{survivor}/merge", {"from": [second]})
    await world.drain()
    await world.patch(path, SENSITIVE)
    async with asyncio.timeout(30):  # it waits for every transaction that is under way, those of other tests too
        while (await world.get(path))["run"]["state"] != "succeeded":
            await world.drain()
            await asyncio.sleep(0.05)
    second_merge = await world.post(f"/v1/contacts/{survivor}/merge", {"from": [third]})
    assert await _stored(world, survivor) == ({}, {"need": "wheelchair"})
    for merge in (second_merge, first_merge):
        await world.post(f"/v1/merges/{merge['id']}/undo", expect=200)
    await world.drain()
    assert await _stored(world, survivor) == ({}, {})
    assert await _stored(world, second) == ({}, {"need": "wheelchair"})
    assert (await world.get(f"/v1/contacts/{second}", **donors))["custom"] == {}


async def _stored(world: World, contact_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    row = await world.worker.database.read(world.tenant).fetch_row(repository.GET, id=UUID(contact_id))
    assert row is not None
    return row["custom"], row["custom_sensitive"]


async def test_an_import_that_began_before_writes_where_the_field_is_now(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await _field(world)
    monkeypatch.setattr(work, "CHUNK", 1)
    read = work._Run._chunk
    seen: list[int] = []

    async def chunk(self: Any, parsed: Any, progress: int) -> None:
        await read(self, parsed, progress)
        seen.append(len(seen))
        if len(seen) == 1:  # rows after the first were read by the definitions of before
            field = await world.patch(path, SENSITIVE)
            while (await world.get(path))["run"]["state"] != "succeeded":  # and nothing comes by later
                async with world.worker.database.write(world.tenant) as session:
                    await walk.step(session, UUID(field["id"]), UUID(field["run"]["id"]))

    monkeypatch.setattr(work._Run, "_chunk", chunk)
    lines = "".join(f"P{number},p{number}@example.org,wheelchair\n" for number in range(4))
    files = {"file": ("people.csv", f"given_name,email,custom.need\n{lines}")}
    data = {"kind": "contacts", "options": json.dumps({"dry_run": False})}
    await world.call("POST", "/v1/imports", expect=202, data=data, files=files)
    await world.drain()
    found = (await world.get("/v1/contacts"))["data"]
    assert len(found) == len(seen) == 4
    for one in found:
        assert await _stored(world, one["id"]) == ({}, {"need": "wheelchair"})


async def test_whoever_has_read_definitions_to_write_by_is_waited_for(world: World) -> None:
    await _field(world)
    database = world.worker.database
    async with database.write(world.tenant) as writing:
        await service.definitions(writing)
        await world.contact()  # somebody else commits meanwhile, as whoever changes the field and claims the walk does
        seen = await database.read(world.tenant).fetch_row(walk._OTHERS)
        assert seen is not None
        assert seen["busy"]


def test_a_newer_value_in_the_other_place_replaces_the_older() -> None:
    before = {"custom": {"need": "old", "hobby": "chess"}, "custom_sensitive": {}, "role_details": [], "kind": "person"}
    values = {"custom_sensitive": {"need": "new"}}
    changes = changes_of(_whole(before), values, "2026-01-01")
    assert changes == {"custom": {"hobby": "chess"}, "custom_sensitive": {"need": "new"}}


def _whole(held: dict[str, Any]) -> dict[str, Any]:
    return {**new_row({"kind": "person"}, now=clock.from_unix(0), source="test"), **held}


def test_values_settle_where_their_definitions_say() -> None:
    known = {
        "need": Definition(new_id(), "need", "text", sensitivity="beneficiary_sensitive"),
        "hobby": Definition(new_id(), "hobby", "text"),
    }
    content = {"custom": {"need": 1, "odd": 2}, "custom_sensitive": {"need": 0, "hobby": 3, "odder": 4}, "tags": []}
    told = settled(known, content)
    assert told == {"custom": {"odd": 2, "hobby": 3}, "custom_sensitive": {"need": 1, "odder": 4}, "tags": []}
    assert settled(known, told) == told
