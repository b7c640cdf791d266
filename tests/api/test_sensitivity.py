"""What a beneficiary confided is shown to those who may read it, and to nobody else: asked of every route there is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from crm_api.auth.scopes import ALL_SCOPES
from crm_api.kit.tables import metadata
from tests.api.surface import Operation, Planted, operations, plant, send
from tests.support.world import World

SECRET = "zqconfided"
MAY = "contacts:read_sensitive"


async def _confide(planted: Planted) -> None:
    """A word in every kind of record that can be beneficiary-sensitive, all about the planted contact."""
    world, contact_id = planted.world, planted.ids["contact_id"]
    field = {
        "resource": "contacts", "key": "diagnosis", "label": "Diagnosis", "type": "text", "filterable": True,
        "sensitivity": "beneficiary_sensitive",
    }  # fmt: skip
    await world.post("/v1/custom-fields", field)
    await world.drain()
    await world.patch(f"/v1/contacts/{contact_id}", {"custom": {"diagnosis": f"{SECRET}1"}})
    note = {
        "kind": "note", "subject": f"{SECRET}2", "body": f"{SECRET}3", "sensitivity": "beneficiary_sensitive",
        "participants": [{"contact_id": contact_id, "role": "about"}],
    }  # fmt: skip
    await world.post("/v1/interactions", note)
    file = {"file": (f"{SECRET}4.txt", f"{SECRET}5".encode(), "text/plain")}
    data = {"contact_id": contact_id, "title": f"{SECRET}6", "sensitivity": "beneficiary_sensitive"}
    await world.call("POST", "/v1/documents", expect=201, data=data, files=file)
    await world.drain()


def _reads() -> list[Operation]:
    return [one for one in operations() if one.method == "GET" and not one.public]


async def _shown(planted: Planted, key: str) -> dict[str, str]:
    """Every answer of every route that reads, for a key; lists whole."""
    found = {}
    header = [(b"authorization", f"Bearer {key}".encode())]
    for operation in _reads():
        url = planted.url(operation)
        if operation.is_list:
            url += "?limit=200"
        answer = await send(planted.world, "GET", url, headers=header, authorized=False)
        assert answer.status < 500, f"{operation}: {answer.text}"
        found[operation.id] = answer.text
    return found


@pytest.fixture
async def confided(world: World) -> Planted:
    """An organization with one of everything, and things said in confidence."""
    planted = await plant(world)
    await _confide(planted)
    return planted


async def _key(world: World, scopes: frozenset[str]) -> str:
    return str((await world.post("/v1/api-keys", {"name": "One", "scopes": sorted(scopes)}))["key"])


async def test_no_route_shows_it_without_the_scope(confided: Planted) -> None:
    for_all = await _shown(confided, await _key(confided.world, ALL_SCOPES))
    telling = {name for name, text in for_all.items() if SECRET in text}
    assert {"contacts_get", "contacts_list", "interactions_list", "documents_list"} <= telling, telling
    without = await _shown(confided, await _key(confided.world, ALL_SCOPES - {MAY}))
    assert {name for name, text in without.items() if SECRET in text} == set()
    for name in telling:  # shown at all, only without what was confided
        assert json.loads(without[name]).keys() == json.loads(for_all[name]).keys()


async def test_no_answer_to_a_change_shows_it_without_the_scope(confided: Planted) -> None:
    """Whoever may change a record and not read what was confided gets it back without that."""
    world = confided.world
    header = [(b"authorization", f"Bearer {await _key(world, ALL_SCOPES - {MAY})}".encode())]
    tried = 0
    for operation in operations():
        if operation.method not in {"PATCH", "PUT", "POST"} or operation.public or operation.id in {
            "contacts_erase", "contacts_export_subject", "api_keys_rotate", "organization_set_test_clock",
            "contacts_merge", "duplicates_merge", "merges_batch", "merges_undo",
        }:  # fmt: skip
            continue
        body = json.dumps(confided.body(operation)).encode() if operation.body else b""
        answer = await send(world, operation.method, confided.url(operation), body=body, headers=header,
                            authorized=False)  # fmt: skip
        assert SECRET not in answer.text, operation
        tried += answer.status < 300
    assert tried > 12


async def test_it_cannot_be_asked_for_without_the_scope(confided: Planted) -> None:
    """Neither a filter nor a sort nor a search finds out what may not be read: refused, or as if it were not there."""
    world = confided.world
    header = {"Authorization": f"Bearer {await _key(world, ALL_SCOPES - {MAY})}"}
    query: dict[str, Any]
    for query in (
        {"custom.diagnosis": f"{SECRET}1"},
        {"custom[diagnosis]": f"{SECRET}1"},
        {"sort": "custom.diagnosis"},
    ):
        answer = await world.client.get("/v1/contacts", params=query, headers=header)
        assert answer.status_code in {403, 422}, answer.text
    for path in ("/v1/contacts", "/v1/interactions", "/v1/documents"):
        answer = await world.client.get(path, params={"q": f"{SECRET}1"}, headers=header)
        assert answer.status_code == 422 or answer.json()["data"] == [], answer.text


def test_what_is_confided_is_no_plain_column_of_a_list() -> None:
    """A column with such a tag is in no catalogue unless the field carries the tag too, so that the list can refuse."""
    from tests.structure.test_catalogue import catalogues

    tags = {(table.name, column.name): column.info["sensitivity"] for table in metadata.tables.values()
            for column in table.columns}  # fmt: skip
    for catalogue in catalogues():
        for item in catalogue.fields:
            if item.column is not None and tags[item.column.table.name, item.column.name] == "beneficiary_sensitive":
                assert item.sensitivity == "beneficiary_sensitive", f"{catalogue.resource}.{item.name}"
