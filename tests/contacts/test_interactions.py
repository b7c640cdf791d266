"""Interactions over the API: what took place, with whom, once; notes that call somebody in; rows for few eyes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from crm_api.contacts.interactions.facts import InteractionRecorded, InteractionsRecorded, MemberMentioned
from crm_api.contacts.interactions.recording import (
    NewInteraction,
    Participant,
    record_interaction,
    record_interactions,
)
from crm_api.kit.ids import new_id
from crm_api.kit.problems import NotFound
from crm_api.outbox.facts import REGISTRY, Job, Subscriber
from tests.support.world import World

AT = "2026-03-01T10:00:00Z"


@asynccontextmanager
async def heard(*facts: Any) -> AsyncIterator[list[dict[str, Any]]]:
    """What a subscriber to these facts is told, once the worker has run."""
    told: list[dict[str, Any]] = []

    async def listen(session: Any, job: Job) -> None:
        told.append(job.payload)

    subscriber = Subscriber(f"tests.{new_id()}", facts, handle=listen)
    REGISTRY.subscribe(subscriber)
    try:
        yield told
    finally:
        del REGISTRY.subscribers[subscriber.name]
        for fact in facts:
            REGISTRY.by_fact[fact].remove(subscriber)


def limited(world: World, *scopes: str) -> Any:
    """A client of the same organization with fewer rights."""

    async def make() -> httpx.AsyncClient:
        key = await world.post("/v1/api-keys", {"name": "Limited", "scopes": list(scopes)})
        transport = world.client._transport
        headers = {"Authorization": f"Bearer {key['key']}"}
        return httpx.AsyncClient(transport=transport, base_url="http://crm.test", headers=headers)

    return make()


async def member(world: World, name: str) -> str:
    made: str = (await world.post("/v1/members", {"email": f"{name}@fund.example", "role": "fundraiser"}))["id"]
    return made


async def call(world: World, contact: str, **changes: Any) -> Any:
    body = {
        "kind": "call",
        "direction": "inbound",
        "channel": "phone",
        "at": AT,
        "participants": [{"contact_id": contact}],
    }
    return await world.post("/v1/interactions", {**body, **changes})


async def ids(world: World, **query: Any) -> list[str]:
    return [row["id"] for row in (await world.get("/v1/interactions", params=query))["data"]]


async def test_a_call_from_first_ring_to_removal(world: World) -> None:
    olena = (await world.contact())["id"]
    taras = (await world.contact(given_name="Тарас", emails=[]))["id"]
    nadia = await member(world, "nadia")
    made = await call(
        world,
        olena,
        subject="Питає про звіт",
        body="ნახვამდის, до побачення 👋",
        outcome="answered",
        duration_seconds=340,
        participants=[{"contact_id": olena, "role": "caller"}, {"member_id": nadia, "role": "callee"}],
    )
    assert made["participants"] == [
        {"contact_id": olena, "member_id": None, "role": "caller"},
        {"contact_id": None, "member_id": nadia, "role": "callee"},
    ]
    assert made["actor_kind"] == "api_key"
    assert await world.get(f"/v1/interactions/{made['id']}") == made
    assert await ids(world, contact_id=olena) == await ids(world, member_id=nadia) == [made["id"]]
    assert await ids(world, contact_id=taras) == []

    path = f"/v1/interactions/{made['id']}"
    later = "2026-03-02T08:00:00Z"
    patched = await world.patch(path, {"at": later, "participants": [{"contact_id": taras}], "outcome": None})
    assert (patched["version"], patched["at"], patched["outcome"]) == (2, later, None)
    assert await world.get(path) == patched
    assert await ids(world, contact_id=olena) == []
    assert await ids(world, contact_id=taras) == [made["id"]]
    assert (await world.patch(path, {"participants": [{"contact_id": taras}]}))["version"] == 2
    assert await ids(world, contact_id=taras, **{"at[gte]": later}) == [made["id"]]

    await world.call("DELETE", path, expect=412, headers={"If-Match": '"1"'})
    await world.call("DELETE", path, expect=204, headers={"If-Match": '"2"'})
    await world.get(path, expect=404)
    await world.call("DELETE", path, expect=404)
    assert await ids(world, contact_id=taras) == []


async def test_delivered_many_times_at_once_it_is_one_row(world: World) -> None:
    olena = (await world.contact())["id"]
    body = {
        "kind": "message", "direction": "inbound", "channel": "telegram", "at": AT, "body": "Дякую!",
        "participants": [{"contact_id": olena, "role": "sender"}], "external_ref": {"system": "telegram", "id": "7:1"},
    }  # fmt: skip
    async with heard(InteractionRecorded) as told:
        answers = await asyncio.gather(*(world.client.post("/v1/interactions", json=body) for _ in range(8)))
        await world.drain()
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert [fact["contact_ids"] for fact in told] == [[olena]]
    changed = await world.client.post("/v1/interactions", json={**body, "body": "Інше"})
    assert (changed.status_code, changed.json()["body"]) == (200, "Дякую!")
    assert len(await ids(world, contact_id=olena)) == 1


async def test_a_note_calls_each_member_once(world: World) -> None:
    olena = (await world.contact())["id"]
    nadia, petro, iryna = [await member(world, name) for name in ("nadia", "petro", "iryna")]
    async with heard(MemberMentioned) as told:
        note = await world.post(
            "/v1/interactions",
            {
                "kind": "note",
                "body": f"Хоче стати волонтеркою, @[{nadia}] і ще раз @[{nadia}]",
                "participants": [{"contact_id": olena, "role": "about"}],
                "mentions": [petro, petro],
            },
        )
        assert note["mentions"] == [petro, nadia]
        path = f"/v1/interactions/{note['id']}"
        changed = await world.patch(path, {"body": f"Подзвонити: @[{iryna}]"})
        assert changed["mentions"] == [petro, iryna], "the one in the old body is gone, the one beside it stays"
        again = await world.patch(path, {"mentions": [nadia], "body": "Готово"})
        assert again["mentions"] == [nadia]
        await world.drain()
    assert sorted(fact["member_id"] for fact in told) == sorted([petro, nadia, iryna])
    assert {fact["interaction_id"] for fact in told} == {note["id"]}
    assert await ids(world, mentions=petro) == [note["id"]], "whom a note has called in finds it later too"

    said = await world.post(
        "/v1/interactions",
        {"kind": "note", "body": f"@[{new_id()}]", "participants": [{"contact_id": olena}]},
        expect=404,
    )
    assert said["errors"][0]["pointer"] == "/mentions"
    written = await call(world, olena, body=f"a stranger's @[{nadia}] calls nobody")
    assert written["mentions"] == []


async def test_one_contact_is_named_without_a_list(world: World) -> None:
    olena, nadia = (await world.contact())["id"], await member(world, "nadia")
    made = await world.post("/v1/interactions", {"kind": "call", "contact_id": olena})
    assert [one["contact_id"] for one in made["participants"]] == [olena]
    both = {"kind": "visit", "contact_id": olena, "participants": [{"member_id": nadia, "role": "organizer"}]}
    made = await world.post("/v1/interactions", both)
    assert [(one["contact_id"], one["member_id"]) for one in made["participants"]] == [(None, nadia), (olena, None)]
    twice = {"kind": "visit", "contact_id": olena, "participants": [{"contact_id": olena, "role": "about"}]}
    made = await world.post("/v1/interactions", twice)
    assert [one["role"] for one in made["participants"]] == ["about"]
    assert len(await ids(world, contact_id=olena)) == 3


async def test_what_is_refused(world: World) -> None:
    olena, nadia = (await world.contact())["id"], await member(world, "nadia")
    both = {"contact_id": olena, "member_id": nadia}
    for changes, status, pointer in (
        ({"participants": []}, 422, "/participants"),
        ({"participants": [both]}, 422, "/participants/0"),
        ({"participants": [{"member_id": nadia}]}, 422, ""),
        ({"participants": [{"contact_id": olena}, {"contact_id": str(new_id())}]}, 404, "/participants/1/contact_id"),
        ({"participants": [{"contact_id": olena}, {"member_id": str(new_id())}]}, 404, "/participants/1/member_id"),
        ({"campaign_id": str(new_id())}, 404, "/campaign_id"),
        ({"participants": None}, 422, ""),
        ({"contact_id": str(new_id())}, 404, "/contact_id"),
        ({"participants": None, "contact_id": str(new_id())}, 404, "/contact_id"),
        ({"kind": "note"}, 422, ""),
        ({"duration_seconds": -1}, 422, "/duration_seconds"),
        ({"kind": "seance"}, 422, "/kind"),
        ({"outcome": "зателефонує"}, 422, "/outcome"),
    ):
        body = {"kind": "call", "participants": [{"contact_id": olena}], **changes}
        said = await world.post("/v1/interactions", body, expect=status)
        assert said["errors"][0]["pointer"] == pointer, changes
    note = await world.post(
        "/v1/interactions", {"kind": "note", "subject": "x", "participants": [{"contact_id": olena}]}
    )
    await world.patch(f"/v1/interactions/{note['id']}", {"subject": None}, expect=422)
    assert await ids(world) == [note["id"]], "nothing of what was refused is there"


async def test_rows_for_few_eyes(world: World) -> None:
    """Without contacts:read_sensitive they are in no list, under no id, and nobody makes or uncovers one."""
    olena = (await world.contact())["id"]
    secret = await call(world, olena, sensitivity="beneficiary_sensitive", external_ref={"system": "pbx", "id": "1"})
    plain = await call(world, olena)
    assert set(await ids(world, contact_id=olena)) == {secret["id"], plain["id"]}
    assert await ids(world, sensitivity="beneficiary_sensitive") == [secret["id"]]
    client = await limited(world, "contacts:read", "contacts:write")
    path = f"/v1/interactions/{secret['id']}"

    async def status(method: str, url: str, **options: Any) -> int:
        answered: int = (await client.request(method, url, **options)).status_code
        return answered

    page = (await client.get("/v1/interactions", params={"include_total": "true"})).json()
    assert ([row["id"] for row in page["data"]], page["total"]) == ([plain["id"]], 1)
    assert await status("GET", "/v1/interactions?sensitivity=donor_sensitive") == 200
    for query in ("sensitivity=beneficiary_sensitive", "sensitivity[ne]=donor_sensitive",
                  "sensitivity[in]=donor_sensitive,beneficiary_sensitive"):  # fmt: skip
        said = await client.get(f"/v1/interactions?{query}")
        assert (said.status_code, said.json()["scope"]) == (403, "contacts:read_sensitive")
    for method, options in (("GET", {}), ("PATCH", {"json": {"subject": "x"}}), ("DELETE", {})):
        assert await status(method, path, **options) == 404
    body = {"kind": "call", "participants": [{"contact_id": olena}]}
    assert await status("POST", "/v1/interactions", json={**body, "sensitivity": "beneficiary_sensitive"}) == 403
    assert (
        await status("PATCH", f"/v1/interactions/{plain['id']}", json={"sensitivity": "beneficiary_sensitive"}) == 403
    )
    twin = await client.post("/v1/interactions", json={**body, "external_ref": {"system": "pbx", "id": "1"}})
    assert (twin.status_code, twin.json()["code"]) == (409, "external_ref_taken")
    assert secret["id"] not in twin.text
    await client.aclose()


# The verbs for other packages


async def test_the_bulk_verb_records_each_once_and_tells_once(world: World) -> None:
    contacts = [UUID((await world.contact(given_name=f"N{n}", emails=[]))["id"]) for n in range(3)]
    start = datetime(2026, 1, 1, tzinfo=UTC)

    def one(number: int) -> NewInteraction:
        return NewInteraction(
            kind="message",
            direction="inbound",
            channel="viber",
            body=f"№ {number}",
            at=start + timedelta(hours=number),
            participants=[Participant(contact_id=contacts[number % 3], role="sender")],
            external=("viber", str(number)),
        )

    async with heard(InteractionRecorded, InteractionsRecorded) as told:
        async with world.database.write(world.tenant, bulk="import") as session:
            first = await record_interactions(session, [one(n) for n in range(30)])
        async with world.database.write(world.tenant, bulk="import") as session:
            second = await record_interactions(session, [one(n) for n in (*range(20, 40), 39)])
        async with world.database.write(world.tenant) as session:
            single = await record_interaction(session, one(5))
            assert await record_interactions(session, []) == []
        await world.drain()
    assert [item.is_new for item in first] == [True] * 30
    assert [item.is_new for item in second] == [False] * 10 + [True] * 10 + [False]
    assert [item.interaction_id for item in second[:10]] == [item.interaction_id for item in first[20:]]
    assert second[-1].interaction_id == second[-2].interaction_id
    assert (single.interaction_id, single.is_new) == (first[5].interaction_id, False)
    assert told == [{"reason": "import"}] * 2
    assert (await world.get("/v1/interactions", params={"include_total": "true"}))["total"] == 40


async def test_a_contact_of_the_same_transaction_and_a_missing_one(world: World) -> None:
    from crm_api.contacts.schemas import ContactCreate
    from crm_api.contacts.service import create_contact

    async with world.database.write(world.tenant) as session:
        made: Any = await create_contact(session, ContactCreate(given_name="Нова"))
        made = await made if asyncio.iscoroutine(made) else made
        recorded = await record_interaction(
            session, NewInteraction(kind="call", participants=[Participant(contact_id=made["id"])])
        )
    assert await ids(world, contact_id=str(made["id"])) == [str(recorded.interaction_id)]
    with pytest.raises(NotFound):
        async with world.database.write(world.tenant) as session:
            await record_interaction(
                session, NewInteraction(kind="call", participants=[Participant(contact_id=new_id())])
            )
