"""Batches of merges, choices of fields, and what is refused."""

from __future__ import annotations

import uuid

import pytest

from crm_api.kit.ids import new_id
from tests.support.world import World


async def test_a_batch_goes_on_after_a_failure(world: World) -> None:
    ids = [(await world.contact())["id"] for _ in range(5)]
    pairs = [(0, 1), (0, 1), (2, 3), (0, 2)]
    body = {"merges": [{"into": ids[a], "from": ids[b]} for a, b in pairs]}
    batch = await world.post("/v1/merges/batch", body, expect=202)
    assert (batch["state"], batch["progress"]) == ("queued", 0.0)
    await world.drain()
    batch = await world.get(f"/v1/merge-batches/{batch['id']}")
    assert (batch["state"], batch["progress"], batch["merged"], batch["failed"]) == ("succeeded", 1.0, 3, 1)
    assert [one["state"] for one in batch["results"]] == ["merged", "failed", "merged", "merged"]
    assert batch["results"][1]["code"] == "contact_merged"
    assert (await world.client.get(f"/v1/contacts/{ids[3]}")).headers["location"] == f"/v1/contacts/{ids[0]}"
    listed = (await world.get("/v1/merges", params={"batch_id": batch["id"]}))["data"]
    assert len(listed) == 3


async def test_fields_are_chosen(world: World) -> None:
    first = (await world.contact(language="en"))["id"]
    second = (await world.contact(given_name="Olena", language="uk", emails=[{"address": "o@example.org"}]))["id"]
    fields = {
        "given_name": second, "language": second, "family_name": {"value": "Бондар"}, "emails": second,
        "salutation": "Пані",
    }  # fmt: skip
    merge = await world.post(f"/v1/contacts/{first}/merge", {"from": [second], "fields": fields})
    assert merge["chosen_fields"] == sorted(fields)
    contact = await world.get(f"/v1/contacts/{first}")
    assert (contact["given_name"], contact["family_name"], contact["language"]) == ("Olena", "Бондар", "uk")
    assert (contact["display_name"], contact["salutation"]) == ("Olena Бондар", "Пані")
    assert [item["address"] for item in contact["emails"]] == ["o@example.org"]
    await world.post(f"/v1/merges/{merge['id']}/undo", expect=200)
    contact = await world.get(f"/v1/contacts/{first}")
    assert [item["address"] for item in contact["emails"]] == ["olena@example.org"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"external_ids": "first"}, "not_choosable"),
        ({"do_not_contact": "first"}, "not_choosable"),
        ({"given_name": str(uuid.UUID(int=7))}, "not_a_party"),
        ({"language": {"value": "Klingon!"}}, "invalid"),
        ({"language": "Klingon!"}, "invalid"),
        ({"custom.shirt": "first"}, "no_value"),
        ({"custom.shirt": {"value": "M"}}, "contact_expected"),
    ],
)
async def test_choices_that_cannot_be_made(world: World, fields: dict[str, object], code: str) -> None:
    first, second = [(await world.contact())["id"] for _ in range(2)]
    body = {"from": [second], "fields": {name: first if one == "first" else one for name, one in fields.items()}}
    refused = await world.post(f"/v1/contacts/{first}/merge", body, expect=422)
    assert refused["errors"][0]["code"] == code
    assert "Klingon" not in str(refused)


async def test_what_cannot_be_merged(world: World) -> None:
    person = (await world.contact())["id"]
    company = (await world.contact(kind="organization", organization_name="ТОВ Промінь"))["id"]
    refused = await world.post(f"/v1/contacts/{person}/merge", {"from": [company]}, expect=409)
    assert refused["code"] == "kinds_differ"
    await world.post(f"/v1/contacts/{person}/merge", {"from": [str(new_id())]}, expect=404)
    await world.post(f"/v1/contacts/{new_id()}/merge", {"from": [person]}, expect=404)
    refused = await world.post(f"/v1/contacts/{person}/merge", {"from": [person]}, expect=422)
    assert refused["errors"][0]["code"] == "merge_with_itself"


async def test_a_gift_that_names_the_retired_contact_is_the_survivors(world: World) -> None:
    first, second = [(await world.contact())["id"] for _ in range(2)]
    await world.post(f"/v1/contacts/{first}/merge", {"from": [second]})
    gift = await world.donation(second, 700)
    await world.drain()
    assert (await world.get(f"/v1/donations/{gift['id']}"))["contact_id"] == first
    assert (await world.profile(first))["gift_count"] == 1
