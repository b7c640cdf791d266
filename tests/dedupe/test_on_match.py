"""`on_match` of create and upsert."""

from __future__ import annotations

import asyncio

from tests.support.world import World

OLENA = {
    "given_name": "Olena",
    "family_name": "Shevchenko",
    "emails": [{"address": "olena@example.org"}],
}


async def test_create_is_the_default(world: World) -> None:
    await world.contact()
    await world.contact()
    assert len((await world.get("/v1/contacts"))["data"]) == 2


async def test_reject_lists_the_candidates(world: World) -> None:
    first = await world.contact()
    refused = await world.post("/v1/contacts", {**OLENA, "on_match": "reject"}, expect=409)
    assert refused["code"] == "duplicate_found"
    (candidate,) = refused["candidates"]
    assert (candidate["contact_id"], candidate["certainty"]) == (first["id"], "certain")
    assert candidate["score"] >= 34
    assert "email_and_name" in candidate["rules"]
    assert {"field": "email", "verdict": "agree", "reason": "same", "weight": 24} in candidate["fields"]
    assert "Shevchenko" not in str(refused)
    other = {"given_name": "Петро", "family_name": "Бондар", "emails": [{"address": "petro@example.org"}]}
    await world.post("/v1/contacts", {**other, "on_match": "reject"})


async def test_return_answers_the_certain_match_only(world: World) -> None:
    first = await world.contact()
    again = await world.post("/v1/contacts", {**OLENA, "on_match": "return"}, expect=200)
    assert again == await world.get(f"/v1/contacts/{first['id']}")
    husband = {**OLENA, "given_name": "Петро", "on_match": "return"}
    assert (await world.post("/v1/contacts", husband))["id"] != first["id"], "he only shares her e-mail"


async def test_queue_creates_and_asks(world: World) -> None:
    first = await world.contact()
    second = await world.post("/v1/contacts", {**OLENA, "on_match": "queue"})
    (pair,) = (await world.get("/v1/duplicates"))["data"]
    assert set(pair["contact_ids"]) == {first["id"], second["id"]}
    assert (pair["state"], pair["origin"], pair["certainty"]) == ("open", "create", "certain")


async def test_an_upsert_asks_only_where_its_id_is_new(world: World) -> None:
    first = await world.contact()
    path = "/v1/contacts/by-external-id/forms/7"
    assert (await world.put(path, {**OLENA, "on_match": "reject"}, expect=409))["code"] == "duplicate_found"
    linked = await world.put(path, {**OLENA, "on_match": "return"})
    assert linked["id"] == first["id"]
    assert linked["external_ids"] == [{"system": "forms", "id": "7"}]
    changed = await world.put(path, {**OLENA, "language": "uk", "on_match": "reject"})
    assert (changed["id"], changed["language"]) == (first["id"], "uk")


async def test_two_at_once_make_one(world: World) -> None:
    answers = await asyncio.gather(
        *(world.client.post("/v1/contacts", json={**OLENA, "on_match": "return"}) for _ in range(8))
    )
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
