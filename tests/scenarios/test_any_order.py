"""All events of one payment, in any order, any number of times, with the worker running whenever it likes: one gift,
always the same."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from crm_api.payments.providers import STRIPE
from crm_api.worker import Worker
from tests.support.services import Services
from tests.support.stories import AMOUNT, FAR, FIRST, known, letters_of_gifts, one_off, settle, subscription
from tests.support.stripe_events import Event
from tests.support.world import STRIPE_SECRET, World, open_world

STORIES: dict[str, Callable[[str], list[Event]]] = {
    "won": lambda seed: one_off(seed),
    "lost": lambda seed: one_off(seed, verdict="lost"),
    "subscription": lambda seed: subscription(seed),
    "unjoined": lambda seed: subscription(seed, joined=False),
    "refused": lambda seed: subscription(seed, refused=True),
    "refused, unjoined": lambda seed: subscription(seed, refused=True, joined=False),
}
_canonical: dict[str, dict[str, Any]] = {}
_numbers = itertools.count()


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any-order")


async def new_world(database_url: str, services: Services, folder: Path) -> World:
    """A fresh organization; every example has its own."""
    world = await open_world(database_url, services, folder / f"mail{next(_numbers)}", job_retry_base_seconds=0.001)
    await world.set_clock(FAR)
    return world


async def send(world: World, event: Event) -> None:
    """Deliver an event, signed for the clock that every world here has; the answer is 2xx."""
    body = json.dumps(event).encode()
    headers = STRIPE.sign(body, secret=STRIPE_SECRET, now=FAR)
    await world.deliver(await world.stripe_connection(), body, headers)


async def canonical(story: str, database_url: str, services: Services, folder: Path) -> dict[str, Any]:
    """What is known when every event comes once, in its order, and is handled at once."""
    if story not in _canonical:
        world = await new_world(database_url, services, folder)
        for event in STORIES[story]("story"):
            await send(world, event)
            await world.drain()
        await settle(world)
        _canonical[story] = await known(world)
        await check(world)
        await world.close()
    return _canonical[story]


async def check(world: World) -> None:
    """One gift, at most one letter of each kind for it, every event accounted for."""
    assert len((await world.get("/v1/donations"))["data"]) == 1
    letters = await letters_of_gifts(world)
    assert max(Counter(letters).values(), default=0) <= 1
    kinds = Counter(kind for _, kind in letters)
    assert kinds["welcome"] + kinds["thank_you"] <= 1
    assert kinds["payment_failed"] <= 1
    assert kinds["refund_confirmed"] <= 1
    events = (await world.get("/v1/payments/inbox", params={"limit": 200}))["data"]
    assert {event["state"] for event in events} == {"handled"}
    assert {job["state"] for job in await world.jobs() if job["subscriber"] != "payments.fetch_payment"} == {"done"}


@pytest.mark.parametrize("story", STORIES)
async def test_in_order(story: str, database_url: str, services: Services, folder: Path) -> None:
    state = await canonical(story, database_url, services, folder)
    (gift,) = state["gifts"]
    assert gift["amount"] == {"amount": AMOUNT, "currency": "USD"}
    (donor,) = state["contacts"]
    assert gift["donor"] == donor
    if story in {"won", "lost"}:
        assert gift["status"] == {"won": "partially_refunded", "lost": "charged_back"}[story]
        assert gift["refunded_amount"]["amount"] == FIRST
        assert gift["fee_amount"]["amount"] == 320
        assert gift["method"] == "wallet"
        assert donor["display_name"] == "Олена Ковальчук"
        assert donor["language"] == "uk"
        assert [phone["number"] for phone in donor["phones"]] == ["+380501234567"]
        assert [(one["city"], one["country"]) for one in donor["addresses"]] == [("Львів", "UA")]
        addresses = {one["address"]: one["is_primary"] for one in donor["emails"]}
        assert addresses == {
            "olena.kovalchuk@example.org": True,
            "olena@example.org": False,
            "post@example.org": False,
        }
    else:
        (plan,) = state["plans"]
        assert (plan["status"], plan["amount"]) == ("active", {"amount": AMOUNT, "currency": "USD"})
        assert plan["donor"] == donor
        assert gift["plan"] == plan["provider_plan_id"]
        assert gift["provider_payment_id"].startswith("in_")
        assert gift["status"] == "succeeded"
        assert state["profiles"][0]["donor_status"] == "recurring"


def deliveries(count: int) -> st.SearchStrategy[list[tuple[int, bool]]]:
    """An order of all events with some of them repeated, and whether the worker runs after each."""
    every = st.permutations(range(count))
    again = st.lists(st.integers(0, count - 1), max_size=4)

    def mix(order: list[int], repeated: list[int], places: list[int], runs: list[bool]) -> list[tuple[int, bool]]:
        mixed = list(order)
        for number, place in zip(repeated, places, strict=False):
            mixed.insert(place % (len(mixed) + 1), number)
        return list(zip(mixed, itertools.cycle(runs), strict=False))

    return st.builds(
        mix,
        every,
        again,
        st.lists(st.integers(0, 30), min_size=4, max_size=4),
        st.lists(st.sampled_from([True, False, False]), min_size=7, max_size=7),
    )


@st.composite
def examples(draw: st.DrawFn) -> tuple[str, list[tuple[int, bool]]]:
    """A story and a way to deliver it."""
    story = draw(st.sampled_from(sorted(STORIES)))
    return story, draw(deliveries(len(STORIES[story]("story"))))


@settings(
    max_examples=8,
    phases=(Phase.generate,),  # shrinking an example of a whole story takes minutes; the seed is fixed anyway
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(example=examples())
async def test_in_any_order_any_number_of_times(
    example: tuple[str, list[tuple[int, bool]]], database_url: str, services: Services, folder: Path
) -> None:
    story, order = example
    expected = await canonical(story, database_url, services, folder)
    events = STORIES[story]("story")
    world = await new_world(database_url, services, folder)
    try:
        for number, run in order:
            await send(world, events[number])
            if run:
                await world.drain()
        await settle(world)
        assert await known(world) == expected
        await check(world)
    finally:
        await world.close()


@pytest.mark.parametrize("story", STORIES)
async def test_all_at_once_with_two_workers(story: str, database_url: str, services: Services, folder: Path) -> None:
    expected = await canonical(story, database_url, services, folder)
    events = STORIES[story]("story")
    world = await new_world(database_url, services, folder)
    second = Worker(world.settings, world.database)
    await world.stripe_connection()
    try:
        sent = asyncio.gather(*(send(world, event) for event in [*events, *events]))
        while not sent.done():
            await asyncio.gather(world.drain(), second._tend(world.id, ensure=False))
        await sent
        await settle(world)
        assert await known(world) == expected
        await check(world)
    finally:
        await world.close()
