"""All events of one payment and its plan, from PayPal, GoFundMe Pro, Givebutter and the generic source, in any order, any
number of times, with the worker running whenever it likes: one gift and one plan, always the same."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from crm_api.kit.money import Money
from crm_api.payments.outside import OUTSIDE
from crm_api.payments.provider import Delivery
from crm_api.payments.providers import PROVIDERS
from tests.conftest import MakeWorld
from tests.support.gateways import connect, deliver
from tests.support.platforms import NOW, PAYPAL, authority_file, fake_platform, paypal_delivery
from tests.support.world import World

SIGNING = {"secret": "whsec_Zml4dHVyZS1vcGVuLXNlY3JldC0yNGJ5"}
ACCOUNTS = {
    "paypal": PAYPAL,
    "gofundme_pro": SIGNING,
    "givebutter": {"secret": "givebutter-secret"},
    "generic": SIGNING,
}
FAR = NOW + timedelta(days=3)
"""Where the clock stands: behind every event, and not too far for their signatures."""


def told(provider: str, kind: str, seed: str, hours: float, **changes: Any) -> Any:
    """A sample event of that time with another id than its like, its inner part changed."""
    event = PROVIDERS[provider].sample(kind, now=NOW + timedelta(hours=hours), seed=seed)
    if "id" in event:
        event["id"] = f"{event['id']}-{hours:g}".replace(".", "-")
    event["resource" if provider == "paypal" else "data"].update(changes)
    return event


def paypal(seed: str) -> list[Any]:
    def said(kind: str, hours: float, **changes: Any) -> Any:
        return told("paypal", kind, seed, hours, **changes)

    return [
        said("PAYMENT.CAPTURE.DENIED", 0, id="9DECLINED" + seed.upper()),
        said("PAYMENT.CAPTURE.PENDING", 1),
        said("PAYMENT.CAPTURE.COMPLETED", 2),
        said("CUSTOMER.DISPUTE.CREATED", 3),
        said("PAYMENT.CAPTURE.REFUNDED", 4, status="PENDING"),
        said("PAYMENT.CAPTURE.REFUNDED", 5, status="FAILED"),
        said("CUSTOMER.DISPUTE.RESOLVED", 6),
        said("BILLING.SUBSCRIPTION.CREATED", 0),
        said("BILLING.SUBSCRIPTION.ACTIVATED", 1),
        said("BILLING.SUBSCRIPTION.PAYMENT.FAILED", 2),
        said("BILLING.SUBSCRIPTION.CANCELLED", 3),
    ]


def gofundme_pro(seed: str) -> list[Any]:
    made = NOW.isoformat()
    back = (NOW + timedelta(hours=5)).isoformat()
    return [
        told("gofundme_pro", "transaction.created", seed, 0, status="pending"),
        told("gofundme_pro", "transaction.updated", seed, 1, status="success", purchased_at=made, refunded_at=None),
        told("gofundme_pro", "transaction.updated", seed, 5, purchased_at=made, refunded_at=back),
        told("gofundme_pro", "recurring_donation_plan.created", seed, 0),
        told("gofundme_pro", "recurring_donation_plan.updated", seed, 2),
        told("gofundme_pro", "recurring_donation_plan.updated", seed, 4, status="paused"),
    ]


def givebutter(seed: str) -> list[Any]:
    made = NOW.isoformat()
    back = {"created_at": made, "refunded_at": (NOW + timedelta(hours=2)).isoformat()}
    return [
        told("givebutter", "transaction.succeeded", seed, 0, created_at=made),
        told("givebutter", "transaction.refunded", seed, 2, **back),
    ]


def generic(seed: str) -> list[Any]:
    part = {"amount": {"amount": 200, "currency": "USD"}}
    return [
        told("generic", "payment.created", seed, 0),
        told("generic", "payment.failed", seed, 1),
        told("generic", "payment.succeeded", seed, 2),
        told("generic", "payment.refunded", seed, 3, **part),
        told("generic", "payment.refunded", seed, 4, refund_id="R2", **part),
        told("generic", "payment.refunded", seed, 5, refund_id="R2", status="canceled", **part),
        told("generic", "payment.disputed", seed, 6),
        told("generic", "payment.disputed", seed, 7, status="lost"),
        told("generic", "plan.updated", seed, 0),
        told("generic", "plan.updated", seed, 1, status="past_due"),
        told("generic", "plan.updated", seed, 2, status="completed"),
    ]


STORIES: dict[str, Callable[[str], list[Any]]] = {
    "paypal": paypal,
    "gofundme_pro": gofundme_pro,
    "givebutter": givebutter,
    "generic": generic,
}
ENDS = {
    "paypal": ("succeeded", 0, "canceled"),
    "gofundme_pro": ("refunded", None, "paused"),
    "givebutter": ("refunded", None, None),
    "generic": ("charged_back", 200, "completed"),
}


def signed(provider: str, event: Any) -> Delivery:
    if provider == "paypal":
        return paypal_delivery(event, at=FAR)
    return PROVIDERS[provider].signed(event, ACCOUNTS[provider], now=FAR)


async def outcome(world: World, provider: str, seed: str) -> dict[str, Any]:
    """What is known of the seed's payment and plan, without what is different for every seed."""
    events = [
        PROVIDERS[provider].interpret(PROVIDERS[provider].parse(signed(provider, one).body))
        for one in STORIES[provider](seed)
    ]
    refs = {ref for one in events if one.payment and one.payment.creates for ref in one.payment.refs}
    plans = {one.plan.ref for one in events if one.plan}
    gifts = [one for one in await listed(world, "/v1/donations") if one["provider_payment_id"] in refs]
    found = [one for one in await listed(world, "/v1/recurring-plans") if one["provider_plan_id"] in plans]
    assert (len(gifts), len(found)) == (1, len(plans))
    names = ("status", "received_at", "failure_reason", "method", "is_anonymous")
    amount = gifts[0]["amount"]["amount"]
    state: dict[str, Any] = {name: gifts[0][name] for name in names}
    state["refunded"] = (
        gifts[0]["refunded_amount"]["amount"] if gifts[0]["refunded_amount"]["amount"] != amount else "all"
    )
    state["fee"] = gifts[0]["fee_amount"] != Money(0, "USD").as_json()
    for plan in found:
        names = ("status", "frequency_unit", "started_at", "ended_at", "next_date")
        state["plan"] = {name: plan[name] for name in names}
    return state


async def listed(world: World, path: str) -> list[Any]:
    found: list[Any] = (await world.get(path, params={"limit": 200}))["data"]
    return found


async def test_in_any_order_any_number_of_times(make_world: MakeWorld, tmp_path: Path) -> None:
    OUTSIDE.forget()
    chance = random.Random(20260504)
    async with fake_platform() as outside:
        world = await make_world(service_urls=outside.urls, paypal_ca_file=authority_file(tmp_path))
        await world.set_clock(FAR)
        for provider, story in STORIES.items():
            connection = await connect(world, provider, ACCOUNTS[provider])
            ends = []
            for turn in range(3):
                events = story(f"t{turn}")
                order = events if turn == 0 else chance.sample(events, len(events)) + chance.choices(events, k=3)
                for event in order:
                    await deliver(world, provider, connection, signed(provider, event), expect=202)
                    if turn == 0 or chance.random() < 0.4:
                        await world.drain()
                await world.drain()
                ends.append(await outcome(world, provider, f"t{turn}"))
            for one in ends:
                assert one == ends[0], provider
            status, refunded, plan = ENDS[provider]
            assert ends[0]["status"] == status
            assert refunded is None or ends[0]["refunded"] == refunded
            assert ends[0].get("plan", {}).get("status") == plan
        states = {one["state"] for one in await listed(world, "/v1/payments/inbox")}
        assert states == {"handled"}
    OUTSIDE.forget()


@pytest.mark.parametrize("provider", ["gofundme_pro", "generic"])
async def test_a_replaced_secret_stays_good_for_what_is_in_flight(world: World, provider: str) -> None:
    connection = await connect(world, provider, SIGNING)
    sent = PROVIDERS[provider].signed(STORIES[provider]("flight")[0], SIGNING, now=NOW)
    await world.set_clock(NOW)
    fresh = {"credentials": {"secret": "whsec_bmV3LXNlY3JldC1vZi10aGUtdGVzdHMtMQ=="}}
    await world.patch(f"/v1/payment-connections/{connection}", fresh)
    await deliver(world, provider, connection, sent, expect=202)
