"""Two workers at one moment, made to happen: the second one looks while the first has not committed yet."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from crm_api.communications.deliveries.service import decide_letter
from crm_api.contacts.service import add_role, set_email_status
from crm_api.kit.db import Tenant, WriteSession, prepare
from crm_api.payments.apply import apply
from crm_api.payments.providers import PROVIDERS
from crm_api.scoring import service as scoring
from tests.support.stories import subscription
from tests.support.stripe_events import Event, gift_event, stripe_event
from tests.support.world import World

Work = Callable[[WriteSession], Awaitable[Any]]


async def overlapping(world: World, first: Work, second: Work) -> None:
    """Do both in transactions of their own, the second begun before the first commits. It must wait, and then see."""

    async def do(work: Work, done: asyncio.Event | None = None) -> None:
        async with world.database.write(await tenant_of(world)) as session:
            await work(session)
            await session.flush()
            if done is not None:
                done.set()
                await asyncio.sleep(0.15)
                assert not other.done(), "it did not wait"

    done = asyncio.Event()
    one = asyncio.create_task(do(first, done))
    await done.wait()
    other = asyncio.create_task(do(second))
    await asyncio.gather(one, other)


async def tenant_of(world: World) -> Tenant:
    tenant = await world.worker.tenant(world.id)
    assert tenant is not None
    return tenant


def applying(connection: str, event: Event) -> Work:
    said = PROVIDERS["stripe"].interpret(event)
    return lambda session: apply(session, UUID(connection), "stripe", said)


STORY = {event["type"]: event for event in subscription("meet")}
STORY["payment_intent.succeeded"]["data"]["object"]["receipt_email"] = "olena@example.org"
REFUND = stripe_event("refund.created", seed="meet", after=60, amount=1000, currency="usd", status="succeeded")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (STORY["payment_intent.succeeded"], STORY["charge.succeeded"]),
        (STORY["payment_intent.succeeded"], STORY["invoice.paid"]),
        (STORY["invoice.paid"], STORY["payment_intent.succeeded"]),
        (STORY["payment_intent.succeeded"], REFUND),
        (STORY["invoice.paid"], STORY["customer.subscription.updated"]),
        (STORY["customer.subscription.updated"], STORY["invoice.paid"]),
    ],
    ids=lambda event: event["type"],
)
async def test_two_events_of_one_payment(world: World, first: Event, second: Event) -> None:
    connection = await world.stripe_connection()
    await overlapping(world, applying(connection, first), applying(connection, second))
    await world.drain()
    (gift,) = (await world.get("/v1/donations"))["data"]
    assert gift["status"] == ("partially_refunded" if second is REFUND else "succeeded")
    assert len((await world.get("/v1/contacts"))["data"]) == 1
    plans = (await world.get("/v1/recurring-plans"))["data"]
    assert [plan["contact_id"] for plan in plans] == [gift["contact_id"]] * (
        "invoice.paid" in (first["type"], second["type"])
    )


async def test_two_gifts_of_one_new_donor_are_of_one_contact(world: World) -> None:
    connection = await world.stripe_connection()
    gifts = [gift_event(seed, email="Maria@example.org", name="Maria Silva") for seed in ("one", "two")]
    gifts[1]["data"]["object"]["billing_details"]["email"] = "maria@example.org"
    await overlapping(world, *(applying(connection, gift) for gift in gifts))
    await world.drain()
    (contact,) = (await world.get("/v1/contacts"))["data"]
    assert (await world.profile(contact["id"]))["gift_count"] == 2


async def test_a_second_first_gift_sees_the_welcome_that_is_being_written(world: World) -> None:
    """Also where the second gift is the older one, so that by their dates both would be the first."""
    contact = await world.contact()
    now = datetime.now(UTC)
    ids = []
    for days in (1, 2):
        at = (now - timedelta(days=days)).isoformat().replace("+00:00", "Z")
        ids.append(UUID((await world.donation(contact["id"], received_at=at))["id"]))
    newer, older = ids

    await overlapping(
        world,
        lambda session: decide_letter(session, newer, "thanks"),
        lambda session: decide_letter(session, older, "thanks"),
    )
    await world.drain()
    assert Counter(world.letter_kinds()) == {"welcome": 1, "thank_you": 1}


_STATUSES = prepare(
    text(
        "SELECT status FROM donor_status_changes WHERE organization_id = :organization_id "
        "AND contact_id = :contact_id ORDER BY id"
    )
)


async def test_a_step_and_a_rebuild_that_overlap_note_a_transition_once(world: World) -> None:
    contacts = [await world.contact(emails=[{"address": f"d{n}@example.org"}]) for n in range(26)]
    for contact in contacts:
        await world.donation(contact["id"])
    await world.drain()
    donors = [UUID(contact["id"]) for contact in contacts[:2]]
    for donor in donors:
        await world.donation(str(donor))
    await overlapping(world, scoring.rebuild, lambda session: scoring.refresh_donor(session, donors[0]))
    await world.donation(str(donors[1]), 100_000)
    await overlapping(world, lambda session: scoring.refresh_donor(session, donors[1]), scoring.rebuild)
    await world.drain()
    noted = [
        [row["status"] for row in await world.database.read(world.tenant).fetch(_STATUSES, contact_id=donor)]
        for donor in donors
    ]
    assert noted == [["new", "regular"], ["new", "regular", "major"]]


async def test_several_changes_of_a_contact_in_one_transaction(world: World) -> None:
    contact = await world.contact()
    async with world.database.write(await tenant_of(world)) as session:
        for role in ("volunteer", "member"):
            await add_role(session, UUID(contact["id"]), role)
        await set_email_status(session, UUID(contact["id"]), "olena@example.org", "invalid")
    found = (await world.get("/v1/contacts", params={"role": "member", "email": "olena@example.org"}))["data"]
    assert [one["roles"] for one in found] == [["volunteer", "member"]]
    assert found[0]["emails"][0]["status"] == "invalid"
