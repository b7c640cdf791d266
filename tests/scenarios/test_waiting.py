"""Events that name a payment nobody has told us of: they wait, are woken, are asked for, are listed, and never lost."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from crm_api.kit.db import WriteSession
from crm_api.outbox.facts import REGISTRY, GiveUp, Job
from crm_api.payments import apply as applying
from crm_api.payments.inbox.service import APPLY
from crm_api.worker import Worker
from tests.conftest import MakeWorld
from tests.support.fake_stripe import API_KEY, FakeStripe
from tests.support.stories import known, subscription
from tests.support.stripe_events import Event, gift_event, ids, stripe_event
from tests.support.world import STRIPE_SECRET, World

FETCH = "payments.fetch_payment"


@pytest.fixture
async def asking(make_world: MakeWorld, stripe: FakeStripe) -> World:
    """An organization that may look up payments at Stripe."""
    world = await make_world(service_urls={"stripe": stripe.url}, job_retry_base_seconds=60)
    await world.stripe_connection(STRIPE_SECRET, api_key=API_KEY)
    return world


def success(seed: str) -> Event:
    return gift_event(seed, email="maria@example.org", name="Maria Silva")


def refund(seed: str, *, amount: int = 1000, after: float = 60) -> Event:
    known_refund: dict[str, Any] = {"amount": amount, "currency": "usd", "status": "succeeded"}
    return stripe_event("refund.created", seed=seed, after=after, **known_refund)


def dispute(seed: str) -> Event:
    return stripe_event("charge.dispute.created", seed=seed, after=120, amount=2500, currency="usd")


async def inbox(world: World, **query: Any) -> list[Any]:
    found: list[Any] = (await world.get("/v1/payments/inbox", params=query))["data"]
    return found


async def event_of(world: World, event: Event) -> Any:
    (found,) = await inbox(world, provider_event_id=event["id"])
    return found


async def gift_of(world: World) -> Any:
    (found,) = (await world.get("/v1/donations"))["data"]
    return found


async def ask_now(world: World) -> None:
    """Let the question to the provider, which is put a second later, be put now."""
    for job in await world.jobs(subscriber=FETCH, state="due"):
        await world.post(f"/v1/jobs/{job['id']}/retry", expect=200)
    await world.drain()


async def test_a_refund_waits_for_its_payment_and_is_woken_by_it(world: World) -> None:
    early = refund("early")
    await world.stripe_sends(early)
    await world.drain()
    event = await event_of(world, early)
    assert (event["state"], event["donation_id"], event["handled_at"]) == ("waiting", None, None)
    assert event["reason"] == f"waits for {ids('early')['pi']}"
    (job,) = await world.jobs(subscriber=APPLY)
    assert job["state"] == "waiting"
    assert job["wait_key"].endswith(ids("early")["pi"])
    deadline = datetime.fromisoformat(job["due_at"]) - datetime.now(UTC)
    assert timedelta(minutes=59) < deadline <= timedelta(hours=1)
    assert await world.drain() == 0, "waiting is not trying again and again"

    await world.stripe_sends(success("early"))
    await world.drain()
    gift = await gift_of(world)
    assert (gift["status"], gift["refunded_amount"]["amount"]) == ("partially_refunded", 1000)
    event = await event_of(world, early)
    assert (event["state"], event["reason"], event["donation_id"]) == ("handled", None, gift["id"])
    assert {job["state"] for job in await world.jobs(subscriber=APPLY)} == {"done"}


async def test_everything_that_waits_for_a_payment_is_woken_and_nothing_else(world: World) -> None:
    for event in (refund("one"), dispute("one"), refund("other")):
        await world.stripe_sends(event)
    await world.drain()
    assert {event["state"] for event in await inbox(world)} == {"waiting"}
    await world.stripe_sends(success("one"))
    await world.drain()
    assert (await gift_of(world))["status"] == "disputed"
    assert [event["provider_event_id"] for event in await inbox(world, state="waiting")] == [refund("other")["id"]]


async def test_a_payment_of_another_connection_wakes_nobody(world: World) -> None:
    await world.stripe_sends(refund("same"))
    await world.drain()
    await world.stripe_sends(success("same"), secret="whsec_second_account")
    await world.drain()
    assert (await gift_of(world))["status"] == "succeeded"
    assert (await event_of(world, refund("same")))["state"] == "waiting"


async def test_a_refund_and_its_payment_at_the_same_moment_always_meet(world: World) -> None:
    await world.stripe_connection()
    second = Worker(world.settings, world.database)
    for number in range(8):
        seed = f"meet{number}"
        await asyncio.gather(*(world.stripe_sends(event) for event in (refund(seed), success(seed))))
        await asyncio.gather(world.drain(), second._tend(world.id, ensure=False))
        await world.drain()
    gifts = (await world.get("/v1/donations"))["data"]
    assert [gift["status"] for gift in gifts] == ["partially_refunded"] * 8
    assert {event["state"] for event in await inbox(world)} == {"handled"}


async def test_after_an_hour_it_is_unmatched_and_a_late_payment_still_revives_it(world: World) -> None:
    orphan = refund("orphan", amount=2500)
    await world.stripe_sends(orphan)
    await world.drain()
    start = datetime.now(UTC)
    await world.set_clock(start + timedelta(minutes=55))
    await world.drain()
    assert (await event_of(world, orphan))["state"] == "waiting"
    await world.set_clock(start + timedelta(minutes=61))
    await world.drain()
    (event,) = await inbox(world, state="unmatched")
    assert event["provider_event_id"] == orphan["id"]
    assert event["reason"] == "the payment it names has not arrived"
    assert {job["state"] for job in await world.jobs(subscriber=APPLY)} == {"done"}
    assert (await world.get("/v1/donations"))["data"] == []

    await world.set_clock(start + timedelta(days=3))
    await world.stripe_sends(success("orphan"))
    await world.drain()
    gift = await gift_of(world)
    assert (gift["status"], gift["refunded_amount"]["amount"]) == ("refunded", 2500)
    event = await event_of(world, orphan)
    assert (event["state"], event["donation_id"]) == ("handled", gift["id"])
    assert await inbox(world, state="unmatched") == []


async def test_a_waiting_event_may_be_tried_by_hand_at_any_time(world: World) -> None:
    await world.stripe_sends(refund("hand"))
    await world.drain()
    (job,) = await world.jobs(subscriber=APPLY)
    await world.post(f"/v1/jobs/{job['id']}/retry", expect=200)
    await world.drain()
    assert (await event_of(world, refund("hand")))["state"] == "waiting"
    await world.stripe_sends(success("hand"))
    await world.drain()
    assert (await gift_of(world))["status"] == "partially_refunded"


# Asking Stripe


async def test_with_an_api_key_stripe_is_asked_and_the_gift_appears_without_any_event(
    asking: World, stripe: FakeStripe
) -> None:
    charge = success("asked")["data"]["object"]
    intent = stripe_event(
        "payment_intent.succeeded", seed="asked", amount=2500, amount_received=2500, currency="usd", customer=None
    )["data"]["object"]
    stripe.knows({**intent, "metadata": {}, "latest_charge": charge}, charge)
    await asking.stripe_sends(refund("asked"))
    await asking.drain()
    assert stripe.asked == [], "events of the same payment get a moment to arrive by themselves"
    await ask_now(asking)
    assert f"/v1/payment_intents/{intent['id']}" in stripe.asked
    gift = await gift_of(asking)
    assert (gift["status"], gift["refunded_amount"]["amount"]) == ("partially_refunded", 1000)
    assert gift["provider_payment_id"] == intent["id"]
    contact = await asking.get(f"/v1/contacts/{gift['contact_id']}")
    assert contact["display_name"] == "Maria Silva"
    assert asking.letter_kinds().count("refund_confirmed") == 1
    assert {job["state"] for job in await asking.jobs()} == {"done"}

    before = await known(asking)
    await asking.stripe_sends(success("asked"))
    await asking.stripe_sends(refund("asked", after=61) | {"id": "evt_again"})
    await asking.drain()
    after = await known(asking)
    assert len(after["gifts"]) == 1
    assert after["gifts"][0]["refs"] == before["gifts"][0]["refs"]
    assert after["gifts"][0]["refunded_amount"]["amount"] == 1000


async def test_what_stripe_knows_of_a_plan_s_payment_becomes_the_invoice_s_gift(
    asking: World, stripe: FakeStripe
) -> None:
    events = {event["type"]: event["data"]["object"] for event in subscription("plan")}
    stripe.knows(
        {**events["payment_intent.succeeded"], "latest_charge": events["charge.succeeded"]}, events["invoice.paid"]
    )
    stripe.invoice_payments.append(events["invoice_payment.paid"])
    await asking.stripe_sends(refund("plan"))
    await asking.drain()
    await ask_now(asking)
    gift = await gift_of(asking)
    assert gift["provider_payment_id"] == ids("plan")["in"]
    (plan,) = (await asking.get("/v1/recurring-plans"))["data"]
    assert gift["recurring_plan_id"] == plan["id"]
    assert gift["refunded_amount"]["amount"] == 1000

    for event in subscription("plan"):
        await asking.stripe_sends(event)
    await asking.drain()
    assert (await gift_of(asking))["id"] == gift["id"]


async def test_trouble_at_stripe_is_tried_again_and_ignorance_is_not(asking: World, stripe: FakeStripe) -> None:
    stripe.trouble += [500, 429]
    await asking.stripe_sends(refund("trouble"))
    await asking.drain()
    for left in (1, 0):
        await ask_now(asking)
        (job,) = await asking.jobs(subscriber=FETCH)
        assert (job["state"], len(stripe.trouble)) == ("due", left)
        assert job["last_error"]
        assert API_KEY not in job["last_error"]
    await ask_now(asking)
    (job,) = await asking.jobs(subscriber=FETCH)
    assert (job["state"], len(stripe.asked)) == ("done", 3)
    assert (await event_of(asking, refund("trouble")))["state"] == "waiting"
    await asking.set_clock(datetime.now(UTC) + timedelta(minutes=61))
    await asking.drain()
    assert (await event_of(asking, refund("trouble")))["state"] == "unmatched"


async def test_nobody_is_asked_once_the_payment_has_come_by_itself(asking: World, stripe: FakeStripe) -> None:
    await asking.stripe_sends(refund("itself"))
    await asking.drain()
    await asking.stripe_sends(success("itself"))
    await asking.drain()
    await ask_now(asking)
    assert stripe.asked == []
    assert {job["state"] for job in await asking.jobs()} == {"done"}


async def test_nobody_is_asked_without_a_key(make_world: MakeWorld, stripe: FakeStripe) -> None:
    world = await make_world(service_urls={"stripe": stripe.url})
    await world.stripe_sends(refund("keyless"))
    await world.drain()
    await ask_now(world)
    assert stripe.asked == []
    assert [job["state"] for job in await world.jobs(subscriber=FETCH)] == ["done"]
    assert (await event_of(world, refund("keyless")))["state"] == "waiting"


async def test_an_unmatched_event_asks_again_when_it_is_replayed(asking: World, stripe: FakeStripe) -> None:
    orphan = refund("later")
    await asking.stripe_sends(orphan)
    await asking.drain()
    await ask_now(asking)
    await asking.set_clock(datetime.now(UTC) + timedelta(minutes=61))
    await asking.drain()
    unmatched = await event_of(asking, orphan)
    assert unmatched["state"] == "unmatched"
    charge = success("later")["data"]["object"]
    intent: dict[str, Any] = {"amount": 2500, "amount_received": 2500, "currency": "usd", "latest_charge": charge}
    stripe.knows(stripe_event("payment_intent.succeeded", seed="later", **intent)["data"]["object"])
    await asking.post(f"/v1/payments/inbox/{unmatched['id']}/replay", expect=202)
    await asking.drain()
    await ask_now(asking)
    assert (await event_of(asking, orphan))["state"] == "handled"
    assert (await gift_of(asking))["status"] == "partially_refunded"


# Replays and poison


async def test_a_replay_changes_nothing_that_is_known(world: World) -> None:
    events = [success("again"), refund("again"), dispute("again")]
    ignored = {**success("again"), "id": "evt_ignored", "type": "customer.tax_id.created"}
    for event in [*events, ignored]:
        await world.stripe_sends(event)
        await world.drain()
    before, letters = await known(world), world.letter_kinds()
    version = (await gift_of(world))["version"]
    for _ in range(2):
        for stored in await inbox(world):
            shown = await world.post(f"/v1/payments/inbox/{stored['id']}/replay", expect=202)
            assert shown["state"] == "received"
        await world.drain()
    assert await known(world) == before
    assert (await gift_of(world))["version"] == version
    assert world.letter_kinds() == letters
    assert {event["event_type"]: event["state"] for event in await inbox(world)} == {
        "charge.succeeded": "handled",
        "refund.created": "handled",
        "charge.dispute.created": "handled",
        "customer.tax_id.created": "ignored",
    }


async def test_a_replay_of_what_waits_does_not_double_it(world: World) -> None:
    await world.stripe_sends(refund("twice"))
    await world.drain()
    stored = await event_of(world, refund("twice"))
    for _ in range(2):
        await world.post(f"/v1/payments/inbox/{stored['id']}/replay", expect=202)
        await world.drain()
    await world.stripe_sends(success("twice"))
    await world.drain()
    assert (await gift_of(world))["refunded_amount"]["amount"] == 1000
    assert {job["state"] for job in await world.jobs(subscriber=APPLY)} == {"done"}


async def test_a_poison_event_fails_visibly_beside_the_others_and_can_be_replayed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply = applying.apply
    poison, sound = success("poison"), success("sound")
    tries = 0

    async def breaks(session: WriteSession, *rest: Any) -> Any:
        nonlocal tries
        if ids("poison")["pi"] in rest[2].payment.refs:
            tries += 1
            raise RuntimeError("a defect of ours, over maria@example.org")
        return await apply(session, *rest)

    subscribers = {**REGISTRY.subscribers, APPLY: replace(REGISTRY.subscribers[APPLY], max_attempts=3)}
    with monkeypatch.context() as patch:
        patch.setattr(REGISTRY, "subscribers", subscribers)
        patch.setattr(applying, "apply", breaks)
        await world.stripe_sends(poison)
        await world.stripe_sends(sound)
        async with asyncio.timeout(10):
            while not await world.jobs(state="dead"):
                await world.drain()
                await asyncio.sleep(0.01)
    assert tries == 3
    assert (await event_of(world, sound))["state"] == "handled"
    failed = await event_of(world, poison)
    assert (failed["state"], failed["reason"]) == ("failed", "see the job's last_error, then replay")
    (job,) = await world.jobs(state="dead")
    assert job["last_error"].startswith("RuntimeError")
    assert "maria" not in job["last_error"]
    assert len((await world.get("/v1/donations"))["data"]) == 1

    await world.post(f"/v1/payments/inbox/{failed['id']}/replay", expect=202)
    await world.drain()
    assert (await event_of(world, poison))["state"] == "handled"
    assert len((await world.get("/v1/donations"))["data"]) == 2
    await world.post(f"/v1/jobs/{job['id']}/retry", expect=200)
    await world.drain()
    assert len((await world.get("/v1/donations"))["data"]) == 2
    assert await world.jobs(state="dead") == []


async def test_a_handler_that_gives_up_is_not_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Job] = []

    async def gives_up(session: WriteSession, job: Job) -> None:
        calls.append(job)
        raise GiveUp("No retry can help: the account was closed. Reconnect it, then replay.")

    subscribers = {**REGISTRY.subscribers, APPLY: replace(REGISTRY.subscribers[APPLY], handle=gives_up)}
    with monkeypatch.context() as patch:
        patch.setattr(REGISTRY, "subscribers", subscribers)
        await world.stripe_sends(success("hopeless"))
        await world.drain()
        await world.drain()
    assert len(calls) == 1
    (job,) = await world.jobs(state="dead")
    assert job["last_error"] == "No retry can help: the account was closed. Reconnect it, then replay."
    assert (await event_of(world, success("hopeless")))["state"] == "failed"
