"""Bulk sessions: the same verbs, one batch fact instead of a fact per record."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from crm_api.contacts.schemas import ContactCreate
from crm_api.contacts.service import create_contact
from crm_api.donations.gifts.schemas import DonationCreate
from crm_api.donations.gifts.service import record_by_hand
from crm_api.kit.db import SYSTEM, WriteSession
from crm_api.organizations.rates.schemas import ExchangeRateCreate
from crm_api.organizations.rates.service import newest_rate, put_rate
from tests.support.world import World

LONG_AGO = datetime(2020, 2, 3, 4, 5, tzinfo=UTC)


async def give(session: WriteSession, currency: str = "USD") -> None:
    contact = await create_contact(session, ContactCreate.model_validate({"emails": [{"address": "a@example.org"}]}))
    body = {"contact_id": contact["id"], "amount": {"amount": 500, "currency": currency}, "received_at": LONG_AGO}
    await record_by_hand(session, DonationCreate.model_validate(body))


async def fail(session: WriteSession) -> None:
    async with session.savepoint():
        await give(session)
        raise RuntimeError


async def put(session: WriteSession, rate: str) -> None:
    await put_rate(
        session,
        ExchangeRateCreate(
            source_currency="EUR", target_currency="USD", rate=rate, rate_date=LONG_AGO.date(), origin=None
        ),
    )


async def test_many_gifts_bring_one_rebuild_and_no_letters(world: World) -> None:
    async with world.database.write(world.tenant, SYSTEM, bulk="import 7") as session:
        session.now = LONG_AGO
        for _ in range(5):
            await give(session)
    told = {(job["fact"], str(job["payload"])) for job in await world.jobs()}
    assert told == {("GiftsRestated", "{'reason': 'import 7'}"), ("ContactsLoaded", "{'what': 'import 7'}")}
    await world.drain()
    contacts = (await world.get("/v1/contacts"))["data"]
    assert [contact["roles"] for contact in contacts] == [["donor"]] * 5
    assert contacts[0]["created_at"] == "2020-02-03T04:05:00Z"
    assert (await world.profile(contacts[0]["id"]))["donor_status"] == "lost"
    assert world.letters() == []


async def test_a_part_that_fails_takes_its_batch_fact_with_it(world: World) -> None:
    async with world.database.write(world.tenant, SYSTEM, bulk="import 8") as session:
        with pytest.raises(RuntimeError):
            await fail(session)
        assert not session.told
    assert await world.jobs() == []


async def test_a_part_that_fails_keeps_the_batch_fact_of_those_before(world: World) -> None:
    async with world.database.write(world.tenant, SYSTEM, bulk="import 9") as session:
        await give(session)
        with pytest.raises(RuntimeError):
            await fail(session)
    assert {job["fact"] for job in await world.jobs()} == {"GiftsRestated", "ContactsLoaded"}


async def test_rates_are_asked_for_once_and_known_at_once(world: World) -> None:
    async with world.database.write(world.tenant, SYSTEM, bulk="rates") as session:
        assert await newest_rate(session, "EUR", "USD", LONG_AGO.date()) is None
        await put(session, "1.10")
        await put(session, "1.20")
        found = await newest_rate(session, "EUR", "USD", LONG_AGO.date())
        assert found is not None
        assert str(found[0].normalize()) == "1.2"
        await give(session, "EUR")
    assert {job["fact"] for job in await world.jobs()} == {"GiftsRestated", "RatesAdded", "ContactsLoaded"}
    (gift,) = (await world.get("/v1/donations"))["data"]
    assert gift["base_amount"] == {"amount": 600, "currency": "USD"}
    await world.drain()
    assert {job["state"] for job in await world.jobs()} == {"done"}


async def test_an_ordinary_session_tells_each(world: World) -> None:
    async with world.database.write(world.tenant) as session:
        await give(session)
    assert {job["fact"] for job in await world.jobs()} == {"GiftRecorded", "ContactCreated"}
