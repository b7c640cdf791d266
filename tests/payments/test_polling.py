"""Payments under way are asked about, with growing pauses, until they are over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from crm_api.kit import clock
from tests.conftest import MakeWorld
from tests.support.fake_stripe import API_KEY, FakeStripe
from tests.support.gateways import FakeGateway, connect, fake_gateway, send
from tests.support.stripe_events import Event, ids, stripe_event
from tests.support.world import STRIPE_SECRET, World

AMOUNT = 2500


@pytest.fixture
async def asking(make_world: MakeWorld, stripe: FakeStripe) -> World:
    world = await make_world(service_urls={"stripe": stripe.url}, job_retry_base_seconds=0.001)
    await world.stripe_connection(STRIPE_SECRET, api_key=API_KEY)
    return world


def told(event_type: str, seed: str, **changes: Any) -> Event:
    start = clock.utc_now().replace(microsecond=0)
    plain: dict[str, Any] = {"currency": "usd", "customer": None, "metadata": {}}
    return stripe_event(event_type, seed=seed, start=start, **{**plain, **changes})


async def only_gift(world: World) -> Any:
    (gift,) = (await world.get("/v1/donations"))["data"]
    return gift


async def test_a_lost_webhook_is_made_up_for(asking: World, stripe: FakeStripe) -> None:
    """A bank debit is under way; Stripe's last word never comes, and we ask: soon, then later and later."""
    start = clock.utc_now()
    await asking.set_clock(start)
    await asking.stripe_sends(told("payment_intent.processing", "debit", amount=AMOUNT))
    await asking.drain()
    intent = {**told("payment_intent.processing", "debit", amount=AMOUNT)["data"]["object"], "status": "processing"}
    stripe.knows(intent)
    asked_at = []
    for minute in (1, 2, 3, 6, 7, 8, 20, 22, 23, 80, 82, 83, 199):
        before = len(stripe.asked)
        await asking.set_clock(start + timedelta(minutes=minute))
        await asking.drain()
        if len(stripe.asked) > before:
            asked_at.append(minute)
    assert asked_at == [2, 7, 22, 82], "after 2 minutes, then 5, 15, 60, and next 180 later"
    paid = told("payment_intent.succeeded", "debit", amount=AMOUNT, amount_received=AMOUNT)["data"]["object"]
    stripe.knows({**paid, "latest_charge": None})
    await asking.set_clock(start + timedelta(minutes=263))
    await asking.drain()
    assert (await only_gift(asking))["status"] == "succeeded"
    before = len(stripe.asked)
    await asking.set_clock(start + timedelta(days=3))
    await asking.drain()
    assert [path for path in stripe.asked[before:] if "payment_intents" in path] == [], (
        "what is over is not asked about"
    )


async def test_a_paid_page_whose_events_were_all_lost(asking: World, stripe: FakeStripe) -> None:
    start = clock.utc_now()
    await asking.set_clock(start)
    checkout = await asking.post(
        "/v1/donations/checkout",
        {
            "amount": {"amount": AMOUNT, "currency": "USD"},
            "success_url": "https://example.org/",
            "cancel_url": "https://example.org/",
        },
    )
    ((_, (_, session)),) = stripe.pages.items()
    person = {"email": "olena@example.org", "name": "Olena", "phone": None, "address": None}
    done = told("checkout.session.completed", "lost", id=session["id"], amount_total=AMOUNT, customer_details=person)
    stripe.knows(done["data"]["object"])
    await asking.set_clock(start + timedelta(minutes=3))
    await asking.drain()
    gift = await only_gift(asking)
    assert (gift["id"], gift["status"]) == (checkout["donation_id"], "succeeded")
    assert gift["provider_payment_id"] == ids("lost")["pi"]
    assert gift["contact_id"] is not None


async def test_a_provider_in_trouble_is_asked_again(asking: World, stripe: FakeStripe) -> None:
    """A page still closes when its provider cannot be asked at all."""
    start = clock.utc_now()
    await asking.set_clock(start)
    urls = {"success_url": "https://example.org/", "cancel_url": "https://example.org/"}
    await asking.post("/v1/donations/checkout", {"amount": {"amount": AMOUNT, "currency": "USD"}, **urls})
    stripe.trouble += [500] * 40
    await asking.set_clock(start + timedelta(minutes=70))
    for _ in range(500):
        await asking.drain()
        if dead := await asking.jobs(state="dead"):
            break
        await asyncio.sleep(0.01)
    assert {job["subscriber"] for job in dead} == {"payments.ask"}
    assert (await only_gift(asking))["status"] == "canceled"


@pytest.fixture
async def bank() -> AsyncIterator[FakeGateway]:
    async with fake_gateway() as found:
        yield found


async def test_monobank_says_expired_only_when_asked(make_world: MakeWorld, bank: FakeGateway) -> None:
    """An invoice of somebody's own integration: no page of ours, and the bank sends nothing when it expires."""
    world = await make_world(service_urls=bank.urls, currency="UAH")
    connection = await connect(world, "monobank")
    start = clock.utc_now()
    await world.set_clock(start)
    await send(world, "monobank", connection, "invoice.processing", at=start, seed="inv", reference="shop-1")
    await world.drain()
    gift = await only_gift(world)
    assert gift["status"] == "pending"
    bank.invoices[gift["provider_payment_id"]] = {
        "invoiceId": gift["provider_payment_id"],
        "status": "expired",
        "amount": gift["amount"]["amount"],
        "ccy": 980,
        "createdDate": (start - timedelta(minutes=1)).isoformat(),
        "modifiedDate": (start + timedelta(hours=24)).isoformat(),
        "reference": "shop-1",
    }
    await world.set_clock(start + timedelta(hours=25))
    await world.drain()
    assert (await only_gift(world))["status"] == "canceled"
