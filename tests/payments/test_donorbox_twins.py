"""A donation of Donorbox and the event of the same charge from our own Stripe or PayPal connection are one gift."""

from __future__ import annotations

import asyncio
import itertools
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from crm_api.payments import twins
from crm_api.payments.outside import OUTSIDE
from crm_api.payments.providers import PROVIDERS
from crm_api.worker import Worker
from tests.conftest import MakeWorld
from tests.support.gateways import connect, deliver
from tests.support.platforms import (
    DONORBOX,
    NOW,
    PAYPAL,
    authority_file,
    fake_platform,
    paypal_delivery,
)
from tests.support.stripe_events import stripe_event
from tests.support.world import World

BOX = PROVIDERS["donorbox"]
LATER = timedelta(days=1)


class Two:
    """An organization with both connections, its clock at NOW."""

    def __init__(self, world: World, donorbox: str) -> None:
        self.world, self.donorbox = world, donorbox

    async def box(self, kind: str = "donation.new", **changes: Any) -> None:
        """A donation of Donorbox's."""
        event = {**BOX.sample(kind, now=NOW, seed="twins"), "amount": "50.0", "processing_fee": "1.62", **changes}
        now = NOW if kind == "donation.new" else NOW + LATER
        await self.world.set_clock(now)
        await deliver(self.world, "donorbox", self.donorbox, BOX.signed(event, DONORBOX, now=now), expect=202)

    async def stripe(self, kind: str, *, after: float = 0, **changes: Any) -> None:
        """An event of the charge behind it."""
        event = stripe_event(kind, seed="twins", start=NOW, after=after, currency="usd", metadata={}, **changes)
        await self.world.stripe_sends(event)

    async def state(self) -> dict[str, Any]:
        """The one gift, without what every gift has of its own."""
        gifts = (await self.world.get("/v1/donations"))["data"]
        assert len(gifts) == 1, [(one["provider"], one["provider_payment_id"]) for one in gifts]
        (gift,) = gifts
        contact = await self.world.get(f"/v1/contacts/{gift['contact_id']}")
        assert {job["state"] for job in await self.world.jobs()} <= {"done", "due"}
        assert (await self.world.get("/v1/contacts", params={"include_total": "true"}))["total"] == 1
        names = ("amount", "status", "refunded_amount", "fee_amount", "method", "provider", "provider_payment_id")
        return {
            **{name: gift[name] for name in names},
            "received_at": gift["received_at"],
            "emails": sorted(one["address"] for one in contact["emails"]),
            "utm": gift["utm"],
        }


ACCOUNT = {"secret": DONORBOX["secret"]}
CHARGE = str(BOX.sample("donation.new", now=NOW, seed="twins")["stripe_charge_id"])
WHO = {"email": BOX.sample("donation.new", now=NOW, seed="twins")["donor"]["email"], "name": "O. K.", "phone": None}
PAID: dict[str, Any] = {"id": CHARGE, "payment_intent": "pi_twins", "amount": 5000, "amount_captured": 5000}
FEE = {"id": "txn_1", "fee": 175, "currency": "usd", "created": int(NOW.timestamp())}


@pytest.fixture
async def two(world: World) -> Two:
    await world.stripe_connection()
    donorbox = await connect(world, "donorbox", ACCOUNT)
    await world.set_clock(NOW)
    return Two(world, donorbox)


def story(two: Two) -> list[Any]:
    """Everything that is told of the donation, in the order in which it happens."""
    half = {"amount_refunded": 2000}
    refund = {"amount": 2000, "charge": CHARGE, "payment_intent": "pi_twins", "status": "succeeded"}
    return [
        lambda: two.stripe(
            "payment_intent.succeeded",
            id="pi_twins",
            amount=5000,
            amount_received=5000,
            latest_charge=None,
            payment_method_types=["card"],
        ),
        lambda: two.box(),
        lambda: two.stripe(
            "charge.succeeded", **PAID, billing_details={**WHO, "address": None}, balance_transaction=FEE
        ),
        lambda: two.stripe("refund.created", after=3600, id="re_1", created=int(NOW.timestamp()) + 3600, **refund),
        lambda: two.stripe(
            "charge.refunded",
            after=3600,
            **PAID,
            **half,
            billing_details={**WHO, "address": None},
            balance_transaction=FEE,
            previous={"amount_refunded": 0},
        ),
        lambda: two.box("donation.update", amount_refunded="20.0"),
    ]


async def test_in_order_it_is_one_gift_of_the_processor_with_what_the_platform_knows(two: Two) -> None:
    for step in story(two):
        await step()
        await two.world.drain()
    found = await two.state()
    assert found == {
        "amount": {"amount": 5000, "currency": "USD"},
        "status": "partially_refunded",
        "refunded_amount": {"amount": 2000, "currency": "USD"},
        "fee_amount": {"amount": 175, "currency": "USD"},
        "method": "wallet",
        "provider": "stripe",
        "provider_payment_id": "pi_twins",
        "received_at": found["received_at"],
        "emails": [WHO["email"]],
        "utm": {"source": "newsletter"},
    }
    (gift,) = (await two.world.get("/v1/donations", params={"provider_payment_id": "pi_twins"}))["data"]
    inbox = (await two.world.get("/v1/payments/inbox"))["data"]
    assert {(one["state"], one["donation_id"]) for one in inbox} == {("handled", gift["id"])}


async def test_in_any_order_it_ends_the_same(make_world: MakeWorld) -> None:
    found = []
    for order in (range(6), (2, 5, 1, 4, 0, 3)):
        world = await make_world()
        await world.stripe_connection()
        two = Two(world, await connect(world, "donorbox", ACCOUNT))
        await world.set_clock(NOW)
        steps = story(two)
        for number in order:
            await steps[number]()
            await world.drain()
        found.append(await two.state())
    assert found[0] == found[1]


async def test_two_workers_at_once_make_one_gift(two: Two) -> None:
    second = Worker(two.world.settings, two.world.database)
    await two.box()
    await two.stripe("charge.succeeded", **PAID, billing_details={**WHO, "address": None})
    await asyncio.gather(two.world.drain(), second._tend(two.world.id, ensure=False))
    found = await two.state()
    assert (found["provider"], found["provider_payment_id"]) == ("stripe", "pi_twins")


async def test_without_the_processor_s_connection_it_is_donorbox_s(world: World) -> None:
    two = Two(world, await connect(world, "donorbox", ACCOUNT))
    await world.set_clock(NOW)
    await two.box()
    await two.box("donation.update", amount_refunded="0.0", comment="changed")
    await world.drain()
    found = await two.state()
    number = str(BOX.sample("donation.new", now=NOW, seed="twins")["id"])
    assert (found["provider"], found["provider_payment_id"]) == ("donorbox", number)
    assert found["fee_amount"]["amount"] == 162


async def test_another_charge_is_another_gift(two: Two) -> None:
    await two.box()
    await two.stripe("charge.succeeded", **{**PAID, "id": "ch_another"})
    await two.world.drain()
    assert len((await two.world.get("/v1/donations"))["data"]) == 2


async def test_with_paypal_the_fee_is_counted_once(make_world: MakeWorld, tmp_path: Path) -> None:
    OUTSIDE.forget()
    async with fake_platform() as outside:
        for order in itertools.permutations(("box", "paypal")):
            world = await make_world(service_urls=outside.urls, paypal_ca_file=authority_file(tmp_path))
            two = Two(world, await connect(world, "donorbox", ACCOUNT))
            paypal = await connect(world, "paypal", PAYPAL)
            await world.set_clock(NOW)
            capture = PROVIDERS["paypal"].sample("PAYMENT.CAPTURE.COMPLETED", now=NOW, seed="twins")
            money = {"currency_code": "USD", "value": "50.00"}
            breakdown = {"paypal_fee": {"currency_code": "USD", "value": "1.62"}}
            capture["resource"] |= {"amount": money, "seller_receivable_breakdown": breakdown}
            subject = capture["resource"]["id"]
            for what in order:
                if what == "box":
                    await two.box(stripe_charge_id=None, paypal_transaction_id=subject, donation_type="paypal")
                else:
                    await deliver(world, "paypal", paypal, paypal_delivery(capture), expect=202)
                await world.drain()
            found = await two.state()
            assert (found["provider"], found["provider_payment_id"]) == ("paypal", subject)
            assert (found["fee_amount"]["amount"], found["method"]) == (162, "wallet")
    OUTSIDE.forget()


async def test_an_organization_without_a_platform_pays_nothing_for_it(
    world: World, service_role: asyncpg.Connection
) -> None:
    """The ids of payments are read by their key for our own connection, and for platforms' not at all."""
    values = {
        "organization_id": world.id,
        "connection_id": UUID(await world.stripe_connection()),
        "refs": ["ch_1", "pi_1"],
        "providers": list(twins.PLATFORMS),
        "twins": ["stripe:ch_1", "stripe:pi_1"],
    }
    statement = twins._NAMED
    async with service_role.transaction():
        await service_role.execute(f"SET LOCAL crm.organization_id = '{world.id}'")
        sql = f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) {statement.sql}"
        rows = await service_role.fetch(sql, *statement.arguments(values))
    plan = "\n".join(row[0] for row in rows)
    reads = [line for line in plan.splitlines() if "on gift_payment_refs" in line]
    assert len(reads) == 2, plan
    assert all("Index" in line for line in reads), plan
    assert sum("never executed" in line for line in reads) == 1, plan


async def test_donorbox_lists_its_donations_for_reconciliation(world: World) -> None:
    from crm_api.kit import http
    from crm_api.payments.abilities import ListsPayments, Refused

    assert isinstance(BOX, ListsPayments)
    async with fake_platform() as outside:
        http.configure(outside.urls)
        new = BOX.sample("donation.new", now=NOW, seed="one")
        outside.donations = [
            {**BOX.sample("donation.new", now=NOW - timedelta(days=9), seed="old")},
            new,
            {**BOX.sample("donation.update", now=NOW, seed="two"), "amount": "9.0", "amount_refunded": "4.0"},
            {**BOX.sample("donation.new", now=NOW, seed="three"), "status": "who_knows"},
        ]
        async with http.client("donorbox") as client:
            page = await BOX.list_payments(client, DONORBOX, NOW - LATER, NOW + LATER, None)
            with pytest.raises(Refused, match="login and api_key"):
                await BOX.list_payments(client, {"secret": "s"}, NOW, NOW + LATER, None)
            with pytest.raises(Refused, match="credentials"):
                await BOX.list_payments(client, {**DONORBOX, "api_key": "wrong"}, NOW, NOW + LATER, None)
            outside.trouble = [500]
            with pytest.raises(httpx.HTTPStatusError):
                await BOX.list_payments(client, DONORBOX, NOW, NOW + LATER, None)
        http.configure({})
    found = {one.ref: (one.status, one.refunded, one.fee) for one in page.items}
    numbers = [str(one["id"]) for one in outside.donations]
    assert found == {numbers[1]: ("succeeded", 0, 59), numbers[2]: ("partially_refunded", 400, 59)}
    assert page.next_cursor is None
