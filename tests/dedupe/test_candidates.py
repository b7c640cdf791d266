"""Candidates, the review queue and sweeps, over HTTP and with the worker."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from crm_api.contacts import repository
from crm_api.contacts.dedupe import candidates
from tests.support.world import World


def _reasons(candidate: dict[str, Any]) -> dict[str, str]:
    return {one["field"]: one["verdict"] for one in candidate["fields"]}


async def test_candidates_are_scored_and_explained(world: World) -> None:
    olena = await world.contact(phones=[{"number": "+380501234567"}])
    latin = await world.contact(given_name="Olena", family_name="Shevchenko", emails=[{"address": "OLENA@example.org"}])
    husband = await world.contact(given_name="Петро", emails=[], phones=[{"number": "+380501234567"}])
    await world.contact(given_name="Іван", family_name="Франко", emails=[{"address": "ivan@example.org"}])
    found = (await world.get(f"/v1/contacts/{olena['id']}/duplicates"))["data"]
    assert [one["contact_id"] for one in found] == [latin["id"]]
    assert found[0]["certainty"] == "certain"
    assert {"email_and_name", "name"} <= set(found[0]["rules"])
    assert _reasons(found[0])["given_name"] == "agree"
    assert _reasons(found[0])["phone"] == "missing"
    assert sum(one["weight"] for one in found[0]["fields"]) == found[0]["score"]
    assert "olena" not in str(found[0]["fields"]).casefold()
    assert (await world.get(f"/v1/contacts/{husband['id']}/duplicates"))["data"] == []


async def test_what_a_household_shares_makes_nobody_certain(world: World) -> None:
    """Father and son of one name, on the family's landline and in the mailbox that the mother uses too."""
    shared = {"emails": [{"address": "franko@example.org"}], "phones": [{"number": "+380442345678"}]}
    father = await world.contact(given_name="Іван", family_name="Франко", **shared)
    await world.contact(given_name="Іван", family_name="Франко", **shared)
    await world.contact(given_name="Ольга", family_name="Франко", **shared)
    (candidate,) = (await world.get(f"/v1/contacts/{father['id']}/duplicates"))["data"]
    assert candidate["certainty"] == "possible"


async def test_short_forms_meet(world: World) -> None:
    formal = await world.contact(given_name="Олександр", family_name="Коваленко", emails=[])
    short = await world.contact(given_name="Саша", family_name="Коваленко", emails=[], birth_date="1980-05-17")
    found = (await world.get(f"/v1/contacts/{short['id']}/duplicates"))["data"]
    assert found == [] or found[0]["contact_id"] == formal["id"]
    await world.patch(f"/v1/contacts/{formal['id']}", {"birth_date": "1980-05-17"})
    (found,) = (await world.get(f"/v1/contacts/{short['id']}/duplicates"))["data"]
    assert found["contact_id"] == formal["id"]
    sweep = await world.post("/v1/duplicates/sweeps", expect=202)
    await world.drain()
    assert (await world.get(f"/v1/duplicates/sweeps/{sweep['id']}"))["pairs_found"] == 1


async def test_a_sweep_fills_the_queue_and_a_dismissal_is_remembered(world: World) -> None:
    a = await world.contact()
    b = await world.contact(given_name="Olena", family_name="Shevchenko")
    c = await world.contact(given_name="Olena", family_name="Ševčenko")
    sweep = await world.post("/v1/duplicates/sweeps", expect=202)
    assert sweep["state"] == "queued"
    await world.drain()
    sweep = await world.get(f"/v1/duplicates/sweeps/{sweep['id']}")
    assert (sweep["state"], sweep["progress"], sweep["pairs_found"]) == ("succeeded", 1.0, 3)

    pairs = (await world.get("/v1/duplicates", params={"state": "open"}))["data"]
    assert len(pairs) == 3
    by_pair = {frozenset(pair["contact_ids"]): pair for pair in pairs}
    bc = by_pair[frozenset((b["id"], c["id"]))]
    dismissed = await world.post(f"/v1/duplicates/{bc['id']}/dismiss", expect=200)
    assert dismissed["state"] == "dismissed"

    ab = by_pair[frozenset((a["id"], b["id"]))]
    merge = await world.post(f"/v1/duplicates/{ab['id']}/merge", {})
    assert merge["survivor_id"] == a["id"]
    assert (await world.get(f"/v1/duplicates/{ab['id']}"))["state"] == "merged"
    ac = by_pair[frozenset((a["id"], c["id"]))]
    assert (await world.get(f"/v1/duplicates/{ac['id']}"))["state"] == "dismissed", "b is a now, and b was not c"
    assert (await world.get(f"/v1/contacts/{a['id']}/duplicates"))["data"] == []
    await world.drain()
    await world.post("/v1/duplicates/sweeps", expect=202)
    await world.drain()
    assert (await world.get("/v1/duplicates", params={"state": "open"}))["data"] == []

    await world.post(f"/v1/merges/{merge['id']}/undo", expect=200)
    states = {pair["id"]: pair["state"] for pair in (await world.get("/v1/duplicates"))["data"]}
    assert states == {ab["id"]: "open", bc["id"]: "dismissed", ac["id"]: "open"}


async def test_crowded_keys_are_skipped_and_reported(world: World) -> None:
    await world.put("/v1/duplicate-rules", {"largest_block": 3})
    for number in range(5):
        await world.contact(family_name=f"Особа{number}", emails=[{"address": "office@example.org"}])
    await world.post("/v1/duplicates/sweeps", expect=202)
    await world.drain()
    (sweep,) = (await world.get("/v1/duplicates/sweeps"))["data"]
    assert {"kind": "email", "size": 5} in sweep["skipped"]
    assert sweep["pairs_found"] == 0


async def test_nothing_is_merged_by_itself_unless_a_rule_says_so(world: World) -> None:
    a = await world.contact()
    b = await world.contact()
    await world.post("/v1/duplicates/sweeps", expect=202)
    await world.drain()
    assert len((await world.get("/v1/contacts"))["data"]) == 2
    rules = await world.get("/v1/duplicate-rules")
    assert rules["version"] == 0
    rules["rules"][0]["action"] = "merge"
    body = {"rules": rules["rules"]}
    assert (await world.put("/v1/duplicate-rules", body, headers={"If-Match": '"0"'}))["version"] == 1
    await world.put("/v1/duplicate-rules", body, headers={"If-Match": '"0"'}, expect=412)
    await world.post("/v1/duplicates/sweeps", expect=202)
    await world.drain()
    assert [row["id"] for row in (await world.get("/v1/contacts"))["data"]] == [a["id"]]
    answer = await world.client.get(f"/v1/contacts/{b['id']}")
    assert answer.status_code == 301


async def test_many_are_looked_up_a_few_at_a_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = []
    for _ in range(3):
        made = await world.contact(phones=[{"number": "+380501234567"}])
        row = await world.worker.database.read(world.tenant).fetch_row(repository.GET, id=UUID(made["id"]))
        rows.append(dict(row or {}))
    session = world.worker.database.read(world.tenant)
    whole = await candidates.find_candidates_of_many(session, rows)
    assert [len(found) for found in whole] == [2, 2, 2]
    monkeypatch.setattr(candidates, "_AT_ONCE", 1)
    assert await candidates.find_candidates_of_many(session, rows) == whole
