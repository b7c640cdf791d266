"""Streams of events of many payments and plans at several providers: in any interleaving, repeated at will, with the
worker running whenever it likes, and with some of them lost for good until a reconciliation. The books end up the same.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from crm_api.payments.providers import PROVIDERS
from tests.support.fake_stripe import API_KEY, FakeStripe, fake_stripe
from tests.support.gateways import ACCOUNTS, FakeGateway, connect, deliver, fake_gateway
from tests.support.services import Services
from tests.support.stories import FAR, FIRST, one_off, settle, subscription
from tests.support.stripe_events import START, Event
from tests.support.world import STRIPE_SECRET, World, open_world

SINCE = (START - timedelta(days=1)).isoformat()
_numbers = itertools.count()


@dataclass(frozen=True)
class Sent:
    """An event of a provider; `losable`: its provider's list makes up for it."""

    provider: str
    event: dict[str, Any]
    losable: bool = True


def _stripe(seed: str, events: list[Event]) -> Iterator[Sent]:
    for told in events:
        text = json.dumps(told)
        for name in ("ch_refused", "re_1", "re_2", "txn_1", "si_1"):  # told by every story
            text = text.replace(f'"{name}"', f'"{name}{seed}"')
        event = json.loads(text)
        plans = event["type"].startswith("customer.subscription.")  # no list of payments tells of those
        yield Sent("stripe", {**event, "id": f"{event['id']}_{seed}"}, losable=not plans)


def _samples(provider: str, seed: str, *kinds: str, losable: bool) -> Iterator[Sent]:
    for number, kind in enumerate(kinds):
        at = START + timedelta(minutes=number)
        yield Sent(provider, PROVIDERS[provider].sample(kind, now=at, seed=seed), losable)


STREAM = [
    *_stripe("a", one_off("a")),
    *_stripe("b", one_off("b", verdict="lost")),
    *_stripe("c", subscription("c", refused=True, email="c@example.org")),
    *_samples("liqpay", "e", "pay.processing", "pay.success", "pay.partially_refunded", losable=True),
    *_samples("liqpay", "f", "pay.processing", "pay.failure", losable=True),
    *_samples(
        "monobank", "g", "invoice.created", "invoice.processing", "invoice.success", "invoice.partially_refunded",
        losable=False,
    ),
]  # fmt: skip
EXAMPLES = int(os.environ.get("CRM_STREAM_EXAMPLES", "2"))
"""A long hunt: ``CRM_STREAM_EXAMPLES=100 make test ARGS="-k streams"``."""
LOSABLE = [number for number, sent in enumerate(STREAM) if sent.losable]


def remember(stripe: FakeStripe, gateway: FakeGateway) -> None:
    """What the providers know in the end."""
    stripe.now = FAR
    fees: dict[str, Any] = {}
    for sent in STREAM:
        if sent.provider == "stripe":
            obj = sent.event["data"]["object"]
            if isinstance(obj.get("balance_transaction"), dict):
                fees[obj["id"]] = obj["balance_transaction"]
            if obj["object"] == "invoice_payment":
                stripe.invoice_payments.append(obj)
            stripe.knows({**stripe.objects.get(obj["id"], {}), **obj})
        elif sent.provider == "liqpay":
            gateway.payments[sent.event["order_id"]] = sent.event
    for obj in list(stripe.objects.values()):
        if obj["object"] == "charge" and obj["status"] == "succeeded":
            disputed = any(
                one.get("charge") == obj["id"] for one in stripe.objects.values() if one["object"] == "dispute"
            )
            refunded = {"amount_refunded": FIRST} if disputed else {}  # the second refund failed in the end
            fee = fees.get(obj["id"], obj["balance_transaction"])  # expanded, as the list asks for it
            stripe.knows({**obj, **refunded, "disputed": disputed, "balance_transaction": fee})
    for obj in list(stripe.objects.values()):
        if obj["object"] == "payment_intent":
            charges = [one for one in stripe.objects.values() if one.get("payment_intent") == obj["id"]]
            (paid,) = [one for one in charges if one["object"] == "charge" and one["status"] == "succeeded"]
            stripe.knows({**obj, "status": "succeeded", "latest_charge": paid})


async def books(world: World) -> dict[str, Any]:
    """Every gift and plan as accounting sees them, without ids and times of our own making."""
    gifts = (await world.get("/v1/donations", params={"limit": 200}))["data"]
    plans = (await world.get("/v1/recurring-plans"))["data"]
    names = {plan["id"]: plan["provider_plan_id"] for plan in plans}
    figures = ("provider", "provider_payment_id", "status", "amount", "refunded_amount", "fee_amount", "net_amount")
    shown = [
        {
            **{name: gift[name] for name in figures},
            "plan": names.get(gift["recurring_plan_id"]),
            "has_donor": gift["contact_id"] is not None,
        }
        for gift in gifts
    ]
    return {
        "gifts": sorted(shown, key=str),
        "plans": sorted((plan["provider_plan_id"], plan["status"], str(plan["amount"])) for plan in plans),
    }


@dataclass
class Stage:
    """Where the streams play: the providers, and an organization for each run."""

    database_url: str
    services: Services
    folder: Path
    stripe: FakeStripe
    gateway: FakeGateway
    expected: dict[str, Any] = field(default_factory=dict)
    world: World | None = None
    connections: dict[str, str] = field(default_factory=dict)
    lost: set[int] = field(default_factory=set)
    sent: set[int] = field(default_factory=set)

    @property
    def here(self) -> World:
        assert self.world is not None
        return self.world

    async def begin(self) -> None:
        """A fresh organization, connected to everything."""
        urls = {"stripe": self.stripe.url, **self.gateway.urls}
        self.world = await open_world(
            self.database_url, self.services, self.folder / f"mail{next(_numbers)}", service_urls=urls,
            job_retry_base_seconds=0.001,
        )  # fmt: skip
        await self.world.set_clock(FAR)
        self.connections = {name: await connect(self.world, name) for name in ("liqpay", "monobank")}
        self.connections["stripe"] = await self.world.stripe_connection(STRIPE_SECRET, api_key=API_KEY)
        self.lost, self.sent = set(), set()

    async def send(self, number: int) -> None:
        """Deliver an event, signed by its provider, unless it was lost."""
        if number in self.lost:
            return
        self.sent.add(number)
        one = STREAM[number]
        if one.provider == "stripe":
            await self.here.stripe_sends(one.event)
            return
        account = ACCOUNTS[one.provider]
        signed = PROVIDERS[one.provider].signed(one.event, account, now=FAR)
        status = PROVIDERS[one.provider].answer(signed, account, now=FAR).status
        await deliver(self.here, one.provider, self.connections[one.provider], signed, expect=status)

    async def end(self) -> None:
        """What is under way arrives; then every provider's list is compared, which makes up for what was lost."""
        if self.world is None:
            return
        for number in range(len(STREAM)):
            if number not in self.sent:
                await self.send(number)
        await self._drained()
        for name in ("stripe", "liqpay"):
            path = f"/v1/payment-connections/{self.connections[name]}/reconciliations"
            body = {"since": SINCE, "until": FAR.isoformat(), "apply": True}
            started = await self.here.post(path, body, expect=202)
            await self._drained()
            found = await self.here.get(f"/v1/reconciliations/{started['id']}")
            counts = {**found["totals"], "listed": 0, "matched": 0, "resolved": 0}
            assert (found["state"], set(counts.values())) == ("succeeded", {0}), counts
            if not self.lost:
                assert found["totals"]["resolved"] == 0, "whoever heard everything knows everything"
        known = await books(self.here)
        self.expected = self.expected or known
        assert known == self.expected
        await self.here.close()
        self.world = None

    async def _drained(self) -> None:
        if self.lost:  # what waits for a lost payment goes on waiting
            await self.here.drain()
        else:
            await settle(self.here)


def machine(stage: Stage, loop: asyncio.AbstractEventLoop) -> type[RuleBasedStateMachine]:
    """What can happen, in whatever order."""

    def do(doing: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(doing, loop).result(120)

    class Streams(RuleBasedStateMachine):
        @initialize(lost=st.sets(st.sampled_from(LOSABLE), max_size=25) | st.just(set()))
        def begin(self, lost: set[int]) -> None:
            do(stage.begin())
            stage.lost = lost

        @rule(numbers=st.lists(st.integers(0, len(STREAM) - 1), min_size=1, max_size=12))
        def events_come(self, numbers: list[int]) -> None:
            for number in numbers:
                do(stage.send(number))

        @rule()
        def the_worker_runs(self) -> None:
            do(stage.here.drain())

        def teardown(self) -> None:
            do(stage.end())

    return Streams


@pytest.fixture(scope="module")
async def stage(
    database_url: str, services: Services, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    async with fake_stripe() as stripe, fake_gateway() as gateway:
        remember(stripe, gateway)
        found = Stage(database_url, services, tmp_path_factory.mktemp("streams"), stripe, gateway)
        await found.begin()
        await found.end()  # once in order, nothing lost: what is expected
        yield found
        if found.world is not None:
            await found.world.close()


async def test_what_is_expected(stage: Stage) -> None:
    """Figures told by hand, so that the streams do not merely agree in an error."""
    money = {"amount": 10_000, "currency": "USD"}
    by_status: dict[str, list[Any]] = {}
    for gift in stage.expected["gifts"]:
        by_status.setdefault(gift["status"], []).append(gift)
    assert {status: len(found) for status, found in by_status.items()} == {
        "partially_refunded": 3, "charged_back": 1, "succeeded": 1, "failed": 1,
    }  # fmt: skip
    assert [gift["amount"] for gift in by_status["succeeded"]] == [money]
    assert all(gift["plan"] for gift in by_status["succeeded"])
    (stripe,) = [gift for gift in by_status["partially_refunded"] if gift["provider"] == "stripe"]
    assert (stripe["refunded_amount"]["amount"], stripe["fee_amount"]["amount"]) == (FIRST, 320)
    assert [status for _, status, _ in stage.expected["plans"]] == ["active"]


async def test_any_stream_with_any_loss_ends_in_the_same_books(stage: Stage) -> None:
    limits = settings(
        max_examples=EXAMPLES, stateful_step_count=8, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    streams = machine(stage, asyncio.get_running_loop())
    await asyncio.to_thread(run_state_machine_as_test, streams, settings=limits)
