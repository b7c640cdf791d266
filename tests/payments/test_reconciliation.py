"""A provider's own list against ours: what differs is said, and on request applied, by the way its events take."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from crm_api.kit import clock
from crm_api.payments.providers.stripe.listing import listed
from crm_api.payments.reconciliation import work
from tests.conftest import MakeWorld
from tests.support.fake_stripe import FakeStripe
from tests.support.gateways import FakeGateway, connect, fake_gateway
from tests.support.stripe_events import Event, ids, stripe_event
from tests.support.world import STRIPE_SECRET, World

AMOUNT = 2500
MADE = clock.utc_now().replace(microsecond=0) - timedelta(days=1)
SINCE = (MADE - timedelta(hours=5)).isoformat()


def charge(seed: str, *, after: float = 0, fee: int | None = 100, **changes: Any) -> dict[str, Any]:
    """A charge as Stripe has it now, its fee expanded."""
    known: dict[str, Any] = {"email": f"{seed}@example.org", "name": seed, "phone": None, "address": None}
    plain: dict[str, Any] = {
        "amount": AMOUNT, "amount_captured": AMOUNT, "currency": "usd", "customer": None, "metadata": {},
        "billing_details": known, "disputed": False,
        "balance_transaction": None
        if fee is None
        else {"id": f"txn_{seed}", "fee": fee, "currency": "usd", "created": int(MADE.timestamp())},
    }  # fmt: skip
    made = MADE + timedelta(seconds=after)
    found: dict[str, Any] = stripe_event("charge.succeeded", seed=seed, start=made, **{**plain, **changes})["data"][
        "object"
    ]
    return found


def intent_of(obj: dict[str, Any]) -> dict[str, Any]:
    """The intent of a charge, as fetched with its newest charge."""
    name = str(obj["payment_intent"])
    status = "succeeded" if obj["status"] == "succeeded" else "requires_payment_method"
    return {
        "id": name, "object": "payment_intent", "amount": obj["amount"], "currency": obj["currency"],
        "amount_received": obj["amount_captured"], "status": status, "created": obj["created"], "latest_charge": obj,
        "customer": None, "metadata": {}, "payment_method_types": ["card"], "last_payment_error": None,
    }  # fmt: skip


def told(obj: dict[str, Any], kind: str = "charge.updated", *, after: float = 60, **previous: Any) -> Event:
    """An event about a charge as it was then."""
    event = stripe_event(kind, seed="x", start=MADE, after=after, previous=previous)
    return {**event, "id": f"evt_{obj['id']}_{kind}_{after}", "data": {"object": obj, "previous_attributes": previous}}


def has(stripe: FakeStripe, *charges: dict[str, Any]) -> None:
    for obj in charges:
        stripe.knows(obj, intent_of(obj))


async def reconcile(world: World, *, apply: bool = False, since: str = SINCE, expect: str = "succeeded") -> Any:
    connection = await world.stripe_connection()
    path = f"/v1/payment-connections/{connection}/reconciliations"
    started = await world.post(path, {"since": since, "apply": apply}, expect=202)
    assert (started["state"], started["progress"]) == ("queued", 0)
    await world.drain()
    found = await world.get(f"/v1/reconciliations/{started['id']}")
    assert found["state"] == expect, found["reason"]
    assert found["progress"] == 1 or expect != "succeeded"
    return found


async def items(world: World, reconciliation: Any, **query: Any) -> list[Any]:
    found: list[Any] = (await world.get(f"/v1/reconciliations/{reconciliation['id']}/items", params=query))["data"]
    return found


def differing(stripe: FakeStripe) -> tuple[list[Event], dict[str, set[str]]]:
    """Payments of which we were told something else, or nothing; and what is wrong with each."""
    same, missing, refunded, disputed = charge("same"), charge("missing"), charge("refunded"), charge("disputed")
    lost, fee, failed = charge("lost"), charge("fee", fee=None), charge("failed", status="failed", fee=None)
    retried = charge("retried", id="ch_first", status="failed", paid=False, fee=None, after=-60)
    events = [told(one) for one in (same, refunded, disputed, lost, fee)]
    events.append(told(retried, "charge.failed"))
    now = {**charge("retried"), "payment_intent": retried["payment_intent"]}
    dispute = stripe_event(
        "charge.dispute.created", seed="disputed", start=MADE, charge=disputed["id"], amount=AMOUNT, currency="usd"
    )["data"]["object"]
    has(stripe, same, missing, failed, {**charge("fee"), "id": fee["id"]})
    has(stripe, retried, now, {**refunded, "amount_refunded": 500}, {**disputed, "disputed": True})
    stripe.knows(dispute)
    intents = {
        name: ids(name)["pi"] for name in ("missing", "failed", "refunded", "disputed", "lost", "fee", "retried")
    }
    return events, {
        "missing_here": {intents["missing"], intents["failed"]},
        "missing_there": {intents["lost"]},
        "refunded_differs": {intents["refunded"]},
        "status_differs": {intents["disputed"], intents["retried"]},
        "fee_differs": {intents["fee"], intents["retried"]},
        "amount_differs": set(),
    }


async def test_what_differs_is_said_and_applied(books: World, stripe: FakeStripe) -> None:
    """First the report, which changes nothing; then everything that can be put right is, and a third time all agrees."""
    stripe.page_size = 3  # several pages
    events, wrong = differing(stripe)
    for event in events:
        await books.stripe_sends(event)
    await books.drain()
    before = (await books.get("/v1/donations", params={"sort": "id"}))["data"]
    report = await reconcile(books)
    assert {kind: report["totals"][kind] for kind in wrong} == {kind: len(found) for kind, found in wrong.items()}
    assert (report["totals"]["listed"], report["totals"]["matched"]) == (7, 1)
    for kind, found in wrong.items():
        shown = await items(books, report, kind=kind)
        assert {one["provider_payment_id"] for one in shown} == found, kind
        assert not any(one["resolved"] for one in shown)
    (one,) = await items(books, report, kind="refunded_differs")
    assert (one["provider"]["refunded_amount"]["amount"], one["ours"]["refunded_amount"]["amount"]) == (500, 0)
    assert (await books.get("/v1/donations", params={"sort": "id"}))["data"] == before

    applied = await reconcile(books, apply=True)
    assert applied["totals"]["missing_there"] == 1
    assert applied["totals"]["resolved"] == sum(map(len, wrong.values())) - 1
    assert {one["resolved"] for one in await items(books, applied) if one["kind"] != "missing_there"} == {True}
    gifts = {gift["provider_payment_id"]: gift for gift in (await books.get("/v1/donations"))["data"]}
    states = {
        name: gifts[ids(name)["pi"]]["status"] for name in ("missing", "failed", "refunded", "disputed", "retried")
    }
    assert states == {
        "missing": "succeeded", "failed": "failed", "refunded": "partially_refunded", "disputed": "disputed",
        "retried": "succeeded",
    }  # fmt: skip
    assert gifts[ids("missing")["pi"]]["contact_id"] is not None
    assert len(gifts) == len(before) + 2

    again = await reconcile(books, apply=True)
    assert {**again["totals"], "listed": 0, "matched": 0} == {
        **dict.fromkeys(again["totals"], 0), "missing_there": 1
    }  # fmt: skip
    assert await items(books, again, resolved="true") == []


async def test_events_after_a_reconciliation_change_nothing(books: World, stripe: FakeStripe) -> None:
    events, _ = differing(stripe)
    late = told(charge("missing"))
    await reconcile(books, apply=True)
    for event in (*events, late):
        await books.stripe_sends(event)
    await books.drain()
    gifts = (await books.get("/v1/donations"))["data"]
    assert len(gifts) == len({gift["provider_payment_id"] for gift in gifts}) == 8
    (gift,) = [one for one in gifts if one["provider_payment_id"] == ids("refunded")["pi"]]
    assert (gift["status"], gift["refunded_amount"]["amount"]) == ("partially_refunded", 500)


async def test_a_worker_dies_and_another_goes_on(
    books: World, stripe: FakeStripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was listed is kept page by page."""
    stripe.page_size = 2
    has(stripe, *(charge(f"p{number}", after=number) for number in range(6)))
    real, calls = work._reached, iter(range(100))

    def dies(*arguments: Any) -> Any:
        if next(calls) == 1:
            raise RuntimeError("killed")
        return real(*arguments)

    monkeypatch.setattr(work, "_reached", dies)
    found = await reconcile(books, apply=True)
    assert (found["totals"]["listed"], found["totals"]["resolved"]) == (6, 6)
    assert stripe.asked.count("/v1/charges") == 4, "one page twice, none from the beginning"
    assert len((await books.get("/v1/donations"))["data"]) == 6


async def test_the_edges_of_the_window(books: World, stripe: FakeStripe) -> None:
    """The two sides may date a payment some seconds apart: at an edge that is no difference."""
    edge = charge("edge")
    has(stripe, edge, charge("before", after=-7200))
    await books.stripe_sends(told({**edge, "created": edge["created"] + 30}))
    await books.drain()
    found = await reconcile(books, since=(MADE + timedelta(seconds=10)).isoformat())
    assert found["totals"]["missing_there"] == found["totals"]["missing_here"] == 0


async def test_every_night(books: World, stripe: FakeStripe) -> None:
    has(stripe, charge("quiet"))
    other = {"provider": "stripe", "name": "No key", "credentials": {"webhook_secret": "whsec_other"}}
    await books.post("/v1/payment-connections", other)
    await books.set_clock(clock.utc_now() + timedelta(days=1))
    await books.drain()
    (night,) = (await books.get("/v1/reconciliations"))["data"]
    assert (night["origin"], night["state"], night["apply"]) == ("nightly", "succeeded", False)
    assert night["totals"]["missing_here"] == 1
    await books.set_clock(clock.utc_now() + timedelta(days=70))
    await books.drain()
    left = (await books.get("/v1/reconciliations"))["data"]
    assert night["id"] not in {one["id"] for one in left}, "old nights go"


async def test_what_cannot_be_asked(books: World, stripe: FakeStripe) -> None:
    connection = await books.stripe_connection()
    path = f"/v1/payment-connections/{connection}/reconciliations"
    said = await books.post(path, {"since": SINCE, "until": SINCE}, expect=422)
    assert said["errors"][0]["code"] == "before_since"
    said = await books.post(path, {"since": "2020-01-01T00:00:00Z"}, expect=422)
    assert said["errors"][0]["code"] == "too_long"
    no_key = {"provider": "stripe", "name": "No key", "credentials": {"webhook_secret": "whsec_other"}}
    other = (await books.post("/v1/payment-connections", no_key))["id"]
    said = await books.post(f"/v1/payment-connections/{other}/reconciliations", {"since": SINCE}, expect=409)
    assert said["code"] == "cannot_list"
    wrong = {**no_key, "credentials": {"webhook_secret": "whsec_wrong", "api_key": "rk_test_wrong"}}
    books.connections[STRIPE_SECRET] = (await books.post("/v1/payment-connections", wrong))["id"]
    failed = await reconcile(books, expect="failed")
    assert "not_readable" in failed["reason"]


def subscription(seed: str, **changes: Any) -> dict[str, Any]:
    """A subscription as it is at Stripe."""
    event = stripe_event("customer.subscription.created", seed=seed, start=MADE - timedelta(days=40))
    found: dict[str, Any] = {**event["data"]["object"], **changes}
    return found


async def plans_of(world: World) -> dict[str, Any]:
    """Our plans by the provider's id."""
    return {one["provider_plan_id"]: one for one in (await world.get("/v1/recurring-plans"))["data"]}


async def test_plans_are_brought_to_where_they_stand(books: World, stripe: FakeStripe) -> None:
    """Every event after the first was lost: a plan was canceled, another paused, a third raised, a fourth begun."""
    stripe.page_size = 2
    stripe.now = clock.utc_now().replace(microsecond=0)
    ended = MADE - timedelta(days=3)
    names = ("same", "canceled", "paused", "raised", "begun", "never")
    refs = {name: str(subscription(name)["id"]) for name in names}
    for name in names[:4]:
        event = stripe_event("customer.subscription.created", seed=name, start=MADE - timedelta(days=40))
        await books.stripe_sends(event)
    await books.drain()
    before = await plans_of(books)
    assert {one["status"] for one in before.values()} == {"active"}
    more = subscription("raised")
    price = more["items"]["data"][0]["price"]
    price["unit_amount"] *= 2
    over = {"status": "canceled", "ended_at": int(ended.timestamp()), "canceled_at": int(ended.timestamp())}
    stripe.knows(
        subscription("same"), subscription("canceled", **over), more, subscription("begun"),
        subscription("paused", pause_collection={"behavior": "void", "resumes_at": None}),
        subscription("never", **over),
    )  # fmt: skip

    report = await reconcile(books)
    assert (report["totals"]["plan_differs"], report["totals"]["plan_missing_here"]) == (3, 1)
    assert await plans_of(books) == before, "a report changes nothing"
    (one,) = [one for one in await items(books, report) if one["provider_payment_id"] == refs["canceled"]]
    assert (one["provider"]["status"], one["ours"]["status"]) == ("canceled", "active")
    assert (one["recurring_plan_id"], one["donation_id"]) == (before[refs["canceled"]]["id"], None)

    applied = await reconcile(books, apply=True)
    totals = applied["totals"]
    assert (totals["resolved"], totals["plan_differs"], totals["plan_missing_here"]) == (4, 0, 0)
    after = await plans_of(books)
    assert {name: after[refs[name]]["status"] for name in names[:5]} == {
        "same": "active", "canceled": "canceled", "paused": "paused", "raised": "active", "begun": "active",
    }  # fmt: skip
    assert refs["never"] not in after
    assert after[refs["canceled"]]["ended_at"].startswith(ended.isoformat()[:19])
    assert after[refs["raised"]]["amount"]["amount"] == 2 * before[refs["raised"]]["amount"]["amount"]
    assert after[refs["same"]] == before[refs["same"]]

    # What was under way all the time changes nothing: the list was asked later.
    late = stripe_event("customer.subscription.updated", seed="paused", start=MADE - timedelta(days=40), after=60)
    await books.stripe_sends(late)
    await books.drain()
    assert (await plans_of(books))[refs["paused"]]["status"] == "paused"
    again = await reconcile(books, apply=True)
    assert await items(books, again) == []

    stripe.forbidden.add("/v1/subscriptions")
    refused = await reconcile(books)
    assert "only payments were compared" in refused["reason"]


@pytest.fixture
async def bank() -> AsyncIterator[FakeGateway]:
    async with fake_gateway() as found:
        yield found


async def test_a_jar_is_read_from_its_statement(make_world: MakeWorld, bank: FakeGateway) -> None:
    """The list carries the payments themselves: nothing need be fetched one by one."""
    world = await make_world(service_urls=bank.urls, currency="UAH", job_retry_base_seconds=0.001)
    connection = await connect(world, "monobank_personal")
    bank.personal.append(
        {
            "id": "row-1", "time": int(MADE.timestamp()), "description": "Від: Олена Ш.", "amount": 50_000, "mcc": 4829,
            "operationAmount": 50_000, "currencyCode": 980, "comment": "На дрони", "balance": 1, "hold": False,
        }
    )  # fmt: skip
    path = f"/v1/payment-connections/{connection}/reconciliations"
    started = await world.post(path, {"since": SINCE, "apply": True}, expect=202)
    await world.drain()
    found = await world.get(f"/v1/reconciliations/{started['id']}")
    assert (found["state"], found["totals"]["resolved"]) == ("succeeded", 1)
    (waiting,) = (await world.get("/v1/payments/unmatched"))["data"]
    assert "На дрони" in waiting["hint"]
    await connect(world, "monobank_personal", {"secret": "a-jar-without-a-token"})
    await world.set_clock(clock.utc_now() + timedelta(days=1))
    await world.drain()
    nights = (await world.get("/v1/reconciliations", params={"origin": "nightly"}))["data"]
    assert {one["connection_id"] for one in nights} == {connection}, "what can never be asked is not told every night"
    assert await world.jobs(state="dead") == []


@pytest.mark.parametrize(
    ("changes", "status", "refunded", "fee"),
    [
        ({}, "succeeded", 0, 100),
        ({"amount_refunded": 500}, "partially_refunded", 500, 100),
        ({"amount_refunded": AMOUNT}, "refunded", AMOUNT, 100),
        ({"disputed": True}, "disputed", 0, 100),
        ({"status": "failed"}, "failed", 0, 100),
        ({"status": "pending"}, "pending", 0, 100),
        ({"captured": False}, "pending", 0, 100),
        ({"captured": False, "refunded": True, "amount_refunded": AMOUNT}, "canceled", 0, 100),
        ({"balance_transaction": "txn_1"}, "succeeded", 0, None),
    ],
)
def test_what_a_charge_is_listed_as(changes: dict[str, Any], status: str, refunded: int, fee: int | None) -> None:
    found = listed(charge("one", **changes))
    assert found is not None
    assert (found.status, found.refunded, found.fee) == (status, refunded, fee)
    assert (found.ref, found.amount.amount, found.occurred_at) == (ids("one")["pi"], AMOUNT, MADE)
