"""Merging and unmerging, over HTTP and with the worker: what moves, what answers 301, what comes back."""

from __future__ import annotations

from tests.support.world import World


async def _two(world: World) -> tuple[str, str]:
    first = await world.contact(tags=["friend"], external_ids=[{"system": "old-crm", "id": "1"}])
    second = await world.contact(
        given_name="Olena",
        family_name="Shevchenko",
        emails=[{"address": "olena.work@example.org"}],
        phones=[{"number": "+380501234567"}],
        language="uk",
        tags=["volunteer", "friend"],
        external_ids=[{"system": "old-crm", "id": "2"}],
        do_not_contact=True,
    )
    return first["id"], second["id"]


async def test_everything_of_the_retired_contact_is_the_survivors(world: World) -> None:
    survivor, retired = await _two(world)
    await world.donation(survivor, 1000)
    gift = await world.donation(retired, 2500)
    await world.drain()
    merge = await world.post(f"/v1/contacts/{survivor}/merge", {"from": [retired]})
    await world.drain()

    assert merge["survivor_id"] == survivor
    assert merge["retired_ids"] == [retired]
    moved = {row["table"]: row["moved"] for row in merge["tables"]}
    assert moved["gifts"] == 1
    assert (await world.get(f"/v1/donations/{gift['id']}"))["contact_id"] == survivor
    contact = await world.get(f"/v1/contacts/{survivor}")
    assert contact["given_name"] == "Олена"
    assert contact["language"] == "uk"
    assert contact["do_not_contact"] is True
    assert [item["address"] for item in contact["emails"]] == ["olena@example.org", "olena.work@example.org"]
    assert [item["is_primary"] for item in contact["emails"]] == [True, False]
    assert contact["tags"] == ["friend", "volunteer"]
    assert contact["external_ids"] == [{"system": "old-crm", "id": "1"}, {"system": "old-crm", "id": "2"}]
    assert [(item["type"], item["family_name"]) for item in contact["other_names"]] == [("alias", "Shevchenko")]
    profile = await world.get(f"/v1/contacts/{survivor}/donor-profile")
    assert profile["gift_count"] == 2
    assert [row["id"] for row in (await world.get("/v1/contacts"))["data"]] == [survivor]
    assert (await world.get("/v1/contacts", params={"email": "olena.work@example.org"}))["data"][0]["id"] == survivor
    assert (await world.get("/v1/contacts/by-external-id/old-crm/2"))["id"] == survivor

    answer = await world.client.get(f"/v1/contacts/{retired}?fields=id")
    assert answer.status_code == 301
    assert answer.headers["location"] == f"/v1/contacts/{survivor}?fields=id"
    refused = await world.patch(f"/v1/contacts/{retired}", {"language": "en"}, expect=409)
    assert refused["code"] == "contact_merged"

    undone = await world.post(f"/v1/merges/{merge['id']}/undo", expect=200)
    await world.drain()
    assert undone["state"] == "undone"
    assert (await world.get(f"/v1/contacts/{retired}"))["do_not_contact"] is True
    assert (await world.get(f"/v1/contacts/{survivor}"))["do_not_contact"] is False
    assert (await world.get(f"/v1/donations/{gift['id']}"))["contact_id"] == retired
    assert (await world.get(f"/v1/contacts/{retired}/donor-profile"))["gift_count"] == 1
    assert (await world.post(f"/v1/merges/{merge['id']}/undo", expect=409))["code"] == "merge_undone"
