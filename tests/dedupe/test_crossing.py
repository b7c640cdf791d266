"""What meets a merge on its way: erasures, other merges, payments and answers for the contact that is retired."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from crm_api.contacts import bulk, newcomers, repository, service
from crm_api.contacts.dedupe import batches, merging, queue
from crm_api.contacts.newcomers import Newcomer
from crm_api.contacts.payers import resolve_payer
from crm_api.contacts.persons import Person
from crm_api.kit.problems import Conflict
from tests.support.world import World


async def _merged(world: World) -> tuple[str, str]:
    """A survivor and who was merged into it."""
    survivor = (await world.contact(given_name="A"))["id"]
    retired = (await world.contact(given_name="B", emails=[{"address": "b@example.org"}]))["id"]
    await world.post(f"/v1/contacts/{survivor}/merge", {"from": [retired]})
    await world.drain()
    return survivor, retired


async def _held(world: World, *ids: str) -> str:
    session = world.worker.database.read(world.tenant)
    return str([dict(row) for one in ids for row in await session.fetch(repository.GET, id=UUID(one))])


async def test_an_erasure_reaches_who_the_person_was_merged_into_meanwhile(world: World) -> None:
    survivor = (await world.contact(given_name="A", emails=[]))["id"]
    marked = (await world.contact(given_name="Zqmarker", emails=[]))["id"]
    erasure = await world.post(f"/v1/contacts/{marked}/erasure", {"confirm": True}, expect=202)
    await world.post(f"/v1/contacts/{survivor}/merge", {"from": [marked]})  # before the worker comes to it
    assert "Zqmarker" in await _held(world, survivor, marked)
    await world.drain()
    assert (await world.get(f"/v1/erasures/{erasure['id']}"))["state"] == "succeeded"
    assert "Zqmarker" not in await _held(world, survivor, marked)
    assert (await world.get("/v1/contacts", params={"q": "Zqmarker"}))["data"] == []


async def test_an_erasure_waits_for_a_merge_that_is_under_way(world: World) -> None:
    survivor = (await world.contact(given_name="A", emails=[]))["id"]
    marked = (await world.contact(given_name="Zqmarker", emails=[]))["id"]
    await world.post(f"/v1/contacts/{survivor}/erasure", {"confirm": True}, expect=202)
    database = world.worker.database
    async with database.write(world.tenant) as session:
        await merging.merge_contacts(session, UUID(survivor), [UUID(marked)])
        await session.flush()
        working = asyncio.create_task(world.drain())
        await asyncio.sleep(0.5)  # the erasure has found whom to erase, and waits for the lock
    await working
    assert "Zqmarker" not in await _held(world, survivor, marked)


async def test_what_is_learnt_of_a_retired_contact_is_the_survivors(world: World) -> None:
    survivor, retired = await _merged(world)
    own, old = UUID(survivor), UUID(retired)
    database = world.worker.database
    before = await database.read(world.tenant).fetch_row(repository.GET, id=old)
    async with database.write(world.tenant) as session:
        await service.add_role(session, old, "volunteer")
        await service.set_email_status(session, old, "b@example.org", "bouncing")
    async with database.write(world.tenant) as session:
        assert await service.add_role_to_many(session, [old], "partner") == 1
        paid, _ = await resolve_payer(
            session, Person(language="ka"), contact_id=old, customer=None, source="test", emails=[]
        )
        met, is_new = await newcomers.welcome(session, Newcomer(given_name="B", tags=["met"]), contact_id=old)
    assert (paid, met, is_new) == (own, own, False)
    contact = await world.get(f"/v1/contacts/{survivor}")
    assert {"volunteer", "partner"} <= set(contact["roles"])
    assert [item["status"] for item in contact["emails"] if item["address"] == "b@example.org"] == ["bouncing"]
    assert (contact["language"], contact["tags"]) == ("ka", ["met"])
    assert await database.read(world.tenant).fetch_row(repository.GET, id=old) == before


async def test_whoever_was_found_before_a_merge_is_the_survivor_after_it(world: World) -> None:
    """A payment and an upsert find a contact, wait for the merge that retires it, and go on with who it is then."""
    survivor = (await world.contact(given_name="A", emails=[]))["id"]
    retired = (await world.contact(given_name="B", external_ids=[{"system": "shop", "id": "9"}]))["id"]
    database = world.worker.database

    named = {"given_name": "B", "timezone": "Asia/Tbilisi"}

    async def pays() -> Any:
        async with database.write(world.tenant) as session:
            person = Person(language="ka")
            return await resolve_payer(
                session, person, contact_id=None, customer=("shop", "9"), source="test", emails=[]
            )

    async with database.write(world.tenant) as session:
        await merging.merge_contacts(session, UUID(survivor), [UUID(retired)])
        await session.flush()
        paying = asyncio.create_task(pays())
        await asyncio.sleep(0.3)
        putting = asyncio.create_task(world.put("/v1/contacts/by-external-id/shop/9", named))
        await asyncio.sleep(0.3)
    paid, _ = await paying
    await putting
    assert str(paid) == survivor
    contact = await world.get(f"/v1/contacts/{survivor}")
    assert (contact["language"], contact["timezone"]) == ("ka", "Asia/Tbilisi")


async def test_merging_a_pair_of_the_queue_does_not_end_in_a_deadlock(world: World) -> None:
    one, other = (await world.contact())["id"], (await world.contact())["id"]
    await world.post("/v1/duplicates/sweeps", expect=202)
    await world.drain()
    (pair,) = (await world.get("/v1/duplicates"))["data"]
    database = world.worker.database

    async def from_queue() -> Any:
        async with database.write(world.tenant) as session:
            return await queue.merge_pair(session, UUID(pair["id"]), None)

    async with database.write(world.tenant) as session:
        await merging.lock_all(session, [UUID(one), UUID(other)])
        meanwhile = asyncio.create_task(from_queue())
        await asyncio.sleep(0.3)
        await merging.merge_contacts(session, UUID(one), [UUID(other)])  # touches the pair too
    with pytest.raises(Conflict) as refused:
        await meanwhile
    assert refused.value.code == "pair_merged"


async def test_a_batch_locks_in_the_order_of_ids(world: World) -> None:
    ids = [UUID((await world.contact(emails=[]))["id"]) for _ in range(4)]
    database = world.worker.database
    async with database.write(world.tenant) as session:
        batch = batches.start_batch(session, [(ids[2], ids[3]), (ids[0], ids[1])])

    async def batched() -> None:
        async with database.write(world.tenant) as session:
            await batches.continue_batch(session, batch["id"], 0)

    async with database.write(world.tenant) as session:
        await bulk.lock_many(session, [ids[0]])
        meanwhile = asyncio.create_task(batched())
        await asyncio.sleep(0.3)
        await bulk.lock_many(session, [ids[2]])  # a later id: the batch must not hold it by now
    await meanwhile
    assert (await world.get(f"/v1/merge-batches/{batch['id']}"))["merged"] == 2


async def test_a_deal_names_who_the_contact_is_now(world: World) -> None:
    survivor, retired = await _merged(world)
    pipeline = await world.post("/v1/pipelines", {"name": "Grants", "stages": [{"name": "New"}, {"name": "Second"}]})
    deal = await world.post("/v1/deals", {"title": "A", "contact_id": retired, "pipeline_id": pipeline["id"]})
    assert deal["contact_id"] == survivor
    other = await world.contact(given_name="C", emails=[])
    moved = await world.patch(f"/v1/deals/{deal['id']}", {"contact_id": other["id"]})
    assert moved["contact_id"] == other["id"]
    assert (await world.patch(f"/v1/deals/{deal['id']}", {"contact_id": retired}))["contact_id"] == survivor


async def test_what_waited_for_a_merge_is_gathered_after_it(world: World) -> None:
    """A gift for the contact that is being retired is written when the merge has committed, by its old id."""
    survivor = (await world.contact(given_name="A", emails=[]))["id"]
    retired = (await world.contact(given_name="B", emails=[]))["id"]
    database = world.worker.database
    async with database.write(world.tenant) as waiting:
        await waiting.fetch(repository.TO_NAME, id=UUID(retired))  # as a foreign key looks, before the merge
        merging_now = asyncio.create_task(world.post(f"/v1/contacts/{survivor}/merge", {"from": [retired]}))
        await asyncio.sleep(0.3)
    merge = await merging_now
    async with database.write(world.tenant) as late:
        await late.fetch(repository.TO_NAME, id=UUID(retired))
        gathering = asyncio.create_task(_gather(world, merge["id"]))
        await asyncio.sleep(0.3)
        assert not gathering.done(), "somebody may be writing a row for the retired contact"
    await gathering


async def _gather(world: World, merge_id: str) -> None:
    async with world.worker.database.write(world.tenant) as session:
        await merging.gather_strays(session, UUID(merge_id))


async def test_a_role_for_many_locks_in_the_order_of_ids(world: World) -> None:
    ids = [UUID((await world.contact(emails=[]))["id"]) for _ in range(4)]
    database = world.worker.database

    async def many() -> int:
        async with database.write(world.tenant) as session:
            return await service.add_role_to_many(session, ids[::-1], "donor")

    async with database.write(world.tenant) as session:
        await bulk.lock_many(session, ids[:1])
        meanwhile = asyncio.create_task(many())
        await asyncio.sleep(0.3)
        await bulk.lock_many(session, ids[1:])  # the other waits for the first, and holds none of these
    assert await meanwhile == 4
