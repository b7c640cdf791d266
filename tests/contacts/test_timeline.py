"""A contact's timeline: a donor's year in one list, page by page."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from crm_api.contacts.interactions.recording import NewInteraction, Participant, record_interactions
from crm_api.kit.ids import new_id
from crm_api.kit.timeline import SOURCES
from tests.support.world import World

START = datetime(2026, 1, 5, 9, tzinfo=UTC)
KINDS = {
    "interaction", "gift", "recurring_plan", "letter", "deal", "deal_move", "task", "consent", "donor_status",
    "document", "contact_created", "contact_merged",
}  # fmt: skip


def z(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


async def read(world: World, contact: str, **query: Any) -> list[dict[str, Any]]:
    """All pages, one after the other."""
    found: list[dict[str, Any]] = []
    query = {"limit": 200, **query}
    while True:
        page = await world.get(f"/v1/contacts/{contact}/timeline", params=query)
        assert len(page["data"]) <= int(query["limit"])
        found += page["data"]
        if not page["has_more"]:
            assert page["next_cursor"] is None
            return found
        query["cursor"] = page["next_cursor"]


async def limited(world: World, *scopes: str) -> httpx.AsyncClient:
    key = await world.post("/v1/api-keys", {"name": "Limited", "scopes": list(scopes)})
    headers = {"Authorization": f"Bearer {key['key']}"}
    return httpx.AsyncClient(transport=world.client._transport, base_url="http://crm.test", headers=headers)


async def a_year(world: World) -> dict[str, str]:
    """What happens to a donor in a year; ids of those in it."""
    days: Iterator[datetime] = (START + timedelta(days=30 * n) for n in range(20))
    await world.set_clock(next(days))
    olena = (await world.contact())["id"]
    taras = (await world.contact(given_name="Тарас", emails=[{"address": "taras@example.org"}]))["id"]
    nadia = (await world.post("/v1/members", {"email": "nadia@fund.example", "role": "fundraiser"}))["id"]

    async def met(kind: str, *people: str, **more: Any) -> str:
        body = {"kind": kind, "participants": [{"contact_id": one} for one in people], "at": z(next(days)), **more}
        found: str = (await world.post("/v1/interactions", body))["id"]
        return found

    call = await met("call", olena, direction="inbound", channel="phone", subject="Питає про звіт", outcome="answered")
    await world.set_clock(next(days))
    consent = {"purpose": "newsletter", "channel": "email", "status": "granted", "legal_basis": "consent"}
    await world.post(f"/v1/contacts/{olena}/consents", consent)
    await world.set_clock(next(days))
    await world.donation(olena, 5000, received_at=z(world_now := next(days)))
    await world.set_clock(world_now)
    await world.drain()
    await world.set_clock(next(days))
    task = await world.post("/v1/tasks", {"title": "Подзвонити", "contact_id": olena, "assignee_id": nadia})
    pipeline = await world.post("/v1/pipelines", {"name": "Grants"})
    await world.set_clock(next(days))
    file = ("consent.txt", "Згода".encode(), "text/plain")
    form = {"contact_id": olena, "title": "Згода", "kind": "consent"}
    await world.call("POST", "/v1/documents", expect=201, data=form, files={"file": file})
    deal = await world.post("/v1/deals", {"pipeline_id": pipeline["id"], "title": "Швидка", "contact_id": olena})
    await world.set_clock(next(days))
    await world.post(f"/v1/deals/{deal['id']}/move", {"stage_id": pipeline["stages"][1]["id"]}, expect=200)
    meeting = await met("meeting", olena, taras, channel="in_person", duration_seconds=3600)
    note = await met("note", olena, body=f"Спитати про дітей @[{nadia}]", mentions=[])
    await world.set_clock(next(days))
    await world.patch(f"/v1/tasks/{task['id']}", {"status": "done"})
    return {"olena": olena, "taras": taras, "nadia": nadia, "call": call, "meeting": meeting, "note": note}


async def test_a_donors_year(world: World) -> None:
    ids = await a_year(world)
    everything = await read(world, ids["olena"])
    kinds = [entry["kind"] for entry in everything]
    assert kinds[0] == "task", "the newest: it was done last"
    assert kinds[1:4] == ["interaction", "interaction", "deal_move"]
    assert kinds[-1] == "contact_created"
    assert set(kinds) == KINDS - {"recurring_plan", "pledge", "contact_merged"}
    places = [(entry["at"], entry["id"]) for entry in everything]
    assert places == sorted(places, key=lambda place: (datetime.fromisoformat(place[0]), place[1]), reverse=True)

    by_kind = {entry["kind"]: entry for entry in reversed(everything)}  # the newest of each
    gift, letter, call = by_kind["gift"], by_kind["letter"], everything[-2]
    assert (gift["amount"], gift["status"]) == ({"amount": 5000, "currency": "USD"}, "succeeded")
    assert (letter["direction"], letter["channel"], letter["details"]["kind"]) == ("outbound", "email", "welcome")
    assert (by_kind["task"]["title"], by_kind["task"]["status"]) == ("Подзвонити", "done")
    assert by_kind["donor_status"]["details"]["previous_status"] is None
    assert by_kind["consent"]["details"]["purpose"] == "newsletter"
    assert (call["id"], call["title"], call["direction"]) == (ids["call"], "Питає про звіт", "inbound")
    assert (call["details"]["kind"], call["details"]["outcome"]) == ("call", "answered")

    assert [entry["id"] for entry in await read(world, ids["taras"])][:1] == [ids["meeting"]]
    assert [entry["kind"] for entry in await read(world, ids["taras"])] == ["interaction", "contact_created"]

    page = await world.get(f"/v1/contacts/{ids['olena']}/timeline", params={"kind": "gift,letter", "limit": 1})
    assert page["omitted"] == []
    assert {e["kind"] for e in await read(world, ids["olena"], kind="gift,letter", limit=1)} == {"gift", "letter"}
    since = {"at[gte]": everything[3]["at"], "at[lt]": everything[0]["at"]}
    assert await read(world, ids["olena"], **since) == everything[1:4]
    assert await read(world, ids["olena"], sort="at", limit=3) == everything[::-1]
    counted = await world.get(f"/v1/contacts/{ids['olena']}/timeline", params={"include_total": "true", "limit": 2})
    assert counted["total"] == len(everything)
    for entry in everything:
        if entry["resource"] not in {"consents"}:
            await world.get(f"/v1/{entry['resource']}/{entry['resource_id']}")


async def test_a_removed_or_changed_touch(world: World) -> None:
    ids = await a_year(world)
    before = await read(world, ids["taras"])
    await world.patch(f"/v1/interactions/{ids['meeting']}", {"at": z(START - timedelta(days=400))})
    assert [entry["id"] for entry in await read(world, ids["taras"])] == [entry["id"] for entry in before][::-1]
    await world.patch(f"/v1/interactions/{ids['meeting']}", {"participants": [{"contact_id": ids["olena"]}]})
    assert [entry["kind"] for entry in await read(world, ids["taras"])] == ["contact_created"]
    await world.call("DELETE", f"/v1/interactions/{ids['meeting']}", expect=204)
    assert ids["meeting"] not in {entry["id"] for entry in await read(world, ids["olena"])}


async def test_what_is_refused(world: World) -> None:
    contact = (await world.contact())["id"]
    path = f"/v1/contacts/{contact}/timeline"
    for query in ({"kind": "gift,seance"}, {"kind": ""}, {"at[gte]": "yesterday"}, {"limit": "0"}, {"cursor": "x" * 30},
                  {"sort": "kind"}, {"colour": "red"}):  # fmt: skip
        await world.get(path, params=query, expect=422)
    cursor = None
    for _ in range(2):
        await world.post("/v1/interactions", {"kind": "call", "participants": [{"contact_id": contact}]})
    cursor = (await world.get(path, params={"limit": 1}))["next_cursor"]
    said = await world.get(path, params={"limit": 1, "kind": "gift", "cursor": cursor}, expect=422)
    assert said["errors"][0]["code"] == "cursor_mismatch"
    await world.get(f"/v1/contacts/{new_id()}/timeline", expect=404)


async def test_everybody_sees_what_they_may(world: World) -> None:
    ids = await a_year(world)
    olena = ids["olena"]
    secret = await world.post(
        "/v1/interactions",
        {"kind": "visit", "participants": [{"contact_id": olena}], "sensitivity": "beneficiary_sensitive"},
    )
    everything = await read(world, olena)
    assert everything[0]["id"] == secret["id"]
    needs = {source.kind: source.scope for source in SOURCES.by_kind.values()}
    path = f"/v1/contacts/{olena}/timeline"
    for more in ((), ("donations:read",), ("messages:read", "pipelines:read"), ("contacts:read_sensitive",)):
        scopes = ("contacts:read", *more)
        client = await limited(world, *scopes)
        page = (await client.get(path, params={"limit": 200, "include_total": "true"})).json()
        wanted = [
            entry
            for entry in everything
            if needs[entry["kind"]] in scopes and (entry["id"] != secret["id"] or "contacts:read_sensitive" in scopes)
        ]
        assert page["data"] == wanted
        assert page["total"] == len(wanted)
        assert page["omitted"] == sorted(kind for kind, scope in needs.items() if scope not in scopes)
        for kind, scope in needs.items():
            answer = await client.get(path, params={"kind": kind})
            assert answer.status_code == (200 if scope in scopes else 403), kind
            if scope not in scopes:
                assert answer.json()["scope"] == scope
        await client.aclose()
    nobody = await limited(world, "donations:read")
    assert (await nobody.get(path)).status_code == 403
    await nobody.aclose()


async def test_single_kinds_of_interactions_can_be_asked_for(world: World) -> None:
    olena = (await world.contact())["id"]
    for kind in ("call", "visit", "call", "message"):
        await world.post("/v1/interactions", {"kind": kind, "contact_id": olena})
    await world.donation(olena)

    async def kinds(**query: Any) -> list[str]:
        return [entry["details"].get("kind", entry["kind"]) for entry in await read(world, olena, limit=1, **query)]

    assert await kinds(kind="call") == ["call", "call"]
    assert await kinds(**{"kind[in]": "visit,gift"}) == ["gift", "visit"]
    assert await kinds(kind="call,interaction") == ["message", "call", "visit", "call"]
    assert await kinds(**{"kind": "gift,call", "kind[in]": "call,visit"}) == ["call", "call"]
    assert await kinds(**{"kind": "gift", "kind[in]": "visit"}) == []
    page = await world.get(f"/v1/contacts/{olena}/timeline", params={"kind": "call", "include_total": "true"})
    assert page["total"] == 2
    excluding = {"kind": "gift", "kind[in]": "visit", "include_total": "true"}
    assert (await world.get(f"/v1/contacts/{olena}/timeline", params=excluding))["total"] == 0
    await world.get(f"/v1/contacts/{new_id()}/timeline", params=excluding, expect=404)
    problem = await world.get(f"/v1/contacts/{olena}/timeline", params={"kind": "seance"}, expect=422)
    assert "call" in problem["errors"][0]["detail"]


async def test_another_organization_sees_nothing(make_world: Any) -> None:
    mine, theirs = await make_world(), await make_world()
    contact = (await mine.contact())["id"]
    await theirs.get(f"/v1/contacts/{contact}/timeline", expect=404)


async def test_a_retired_contact_answers_with_its_survivor(world: World, owner: asyncpg.Connection) -> None:
    kept, retired = [(await world.contact(emails=[]))["id"] for _ in range(2)]
    async with owner.transaction():
        await owner.execute(f"SET LOCAL crm.organization_id = '{world.id}'")
        await owner.execute("UPDATE contacts SET merged_into = $1 WHERE id = $2", UUID(kept), UUID(retired))
    answer = await world.client.get(f"/v1/contacts/{retired}/timeline?limit=3")
    assert answer.status_code == 301
    assert answer.headers["location"] == f"/v1/contacts/{kept}/timeline?limit=3"
    # What is recorded with the old id is the survivor's.
    made = await world.post("/v1/interactions", {"kind": "call", "participants": [{"contact_id": retired}]})
    assert made["participants"][0]["contact_id"] == kept
    task = await world.post("/v1/tasks", {"title": "x", "contact_id": retired})
    assert task["contact_id"] == kept
    assert {entry["kind"] for entry in await read(world, kept)} == {"interaction", "task", "contact_created"}


# Pages of random timelines


@pytest.fixture
async def crowded(world: World) -> str:
    """A contact with many touches of several kinds, lots of them at the same moment."""
    contact = UUID((await world.contact())["id"])
    chance = random.Random(20260105)

    def moment() -> datetime:
        return START + timedelta(hours=chance.randrange(12), microseconds=chance.choice((0, 0, 1, 999_999)))

    async with world.database.write(world.tenant, bulk="tests") as session:
        await record_interactions(
            session,
            [
                NewInteraction(kind=chance.choice(("call", "note")), body="x", at=moment(), participants=[Participant(contact)])
                for _ in range(120)
            ],
        )  # fmt: skip
    for _ in range(25):
        await world.donation(str(contact), received_at=z(moment()))
    for n in range(25):
        await world.set_clock(moment())
        await world.post("/v1/tasks", {"title": f"{n}", "contact_id": str(contact)})
    return str(contact)


async def test_pages_put_together_are_the_whole_list(world: World, crowded: str) -> None:
    """For random kinds, ranges, directions and page sizes, against one page of everything, filtered and sorted here."""
    everything: list[dict[str, Any]] = []
    for kind in ("interaction", "gift", "task", "contact_created"):
        everything += (await world.get(f"/v1/contacts/{crowded}/timeline", params={"kind": kind, "limit": 200}))["data"]
    assert len(everything) == 171
    place = lambda entry: (datetime.fromisoformat(entry["at"]), UUID(entry["id"]))  # noqa: E731
    everything.sort(key=place, reverse=True)
    moments = sorted({entry["at"] for entry in everything})
    chance = random.Random(7)
    compare: dict[str, Any] = {
        "gt": lambda a, b: a > b, "gte": lambda a, b: a >= b, "lt": lambda a, b: a < b, "lte": lambda a, b: a <= b,
    }  # fmt: skip
    for _ in range(40):
        query: dict[str, Any] = {"limit": chance.choice((1, 2, 7, 50, 170, 171, 200))}
        wanted = everything
        if chance.random() < 0.5:
            kinds = chance.sample(("interaction", "gift", "task", "contact_created", "letter"), chance.randint(1, 3))
            query["kind"] = ",".join(kinds)
            wanted = [entry for entry in wanted if entry["kind"] in kinds]
        for operator in chance.sample(sorted(compare), chance.randint(0, 2)):
            bound = chance.choice(moments)
            query[f"at[{operator}]"] = bound
            limit = datetime.fromisoformat(bound)
            wanted = [e for e in wanted if compare[operator](datetime.fromisoformat(e["at"]), limit)]
        if chance.random() < 0.3:
            query["sort"] = "at"
            wanted = wanted[::-1]
        if query["limit"] < 7 and len(wanted) > 40:
            query["limit"] = 13
        assert await read(world, crowded, **query) == wanted, query
