"""Figures stepped gift by gift are those of a rebuild, also when both happen at once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest

from crm_api.scoring import service as scoring
from crm_api.worker import Worker
from tests.support.donors import SCORES, T0, forget, give, rebuild, summaries, transitions, z
from tests.support.stories import subscription
from tests.support.stripe_events import gift_event, stripe_event
from tests.support.world import World


async def history(world: World, rng: random.Random, donors: int, gifts: int) -> list[str]:
    """Random giving of some donors over four years: sizes, currencies, refunds by hand and through Stripe."""
    contacts = [await world.contact(emails=[{"address": f"donor{n}@example.org"}]) for n in range(donors)]
    connection = await world.stripe_connection()
    assert connection
    for number in range(gifts):
        contact = contacts[min(rng.randrange(donors), rng.randrange(donors))]
        at = T0 - timedelta(days=rng.choice([0, 1, 30, 200, 365, 366, 730, 731, 1095, 1096, rng.randrange(1500)]))
        amount, currency = rng.choice([1, 999, 2500, 33_333, 120_000]), rng.choice(["USD", "USD", "EUR", "UAH"])
        seed, email = f"{world.id}-{number}", contact["emails"][0]["address"]
        if number % 10 == 0:
            state = rng.choice(["active", "past_due", "paused", "canceled"])
            changed = stripe_event(
                "customer.subscription.updated", seed=seed, start=at, after=99, number=2, status=state
            )
            for event in [*subscription(seed, email=email, start=at), changed]:
                await world.stripe_sends(event)
        elif rng.random() < 0.3:
            options: dict[str, Any] = {"amount": amount, "currency": currency.lower(), "start": at}
            events = [gift_event(seed, email=email, name="Somebody", **options)]
            if rng.random() < 0.5:
                back: dict[str, Any] = {"amount": rng.choice([1, amount]), "currency": currency.lower()}
                events.append(stripe_event("refund.created", seed=seed, start=at, status="succeeded", **back))
            rng.shuffle(events)
            for event in events:
                await world.stripe_sends(event)
        else:
            channel = rng.choice([None, "mail", "email", "web"])
            gift = await world.donation(contact["id"], amount, currency, received_at=z(at), channel=channel)
            if rng.random() < 0.3:
                part = {"amount": {"amount": rng.randint(1, amount), "currency": currency}}
                await world.post(f"/v1/donations/{gift['id']}/refunds", part)
        if rng.random() < 0.3:
            await world.drain()
        if number == gifts // 2:
            rate = {"source_currency": "EUR", "target_currency": "USD", "rate": "1.085", "rate_date": "2019-01-01"}
            await world.post("/v1/exchange-rates", rate)
    await world.drain()
    return [contact["id"] for contact in contacts]


@pytest.mark.parametrize(("seed", "donors"), [(1, 3), (2, 7), (3, 12)])
async def test_figures_stepped_gift_by_gift_are_those_of_a_rebuild(world: World, seed: int, donors: int) -> None:
    await world.set_clock(T0)
    contacts = await history(world, random.Random(seed), donors, 40)
    stepped = await summaries(world)
    assert len(stepped) > donors / 2
    assert {row["first_channel"] for row in stepped.values()} - {None}
    assert {row["streak_years"] for row in stepped.values()} - {0, 1}
    await forget(world)  # what stands as it comes out is not written: so nothing stands
    await rebuild(world)
    assert await summaries(world) == stepped
    before = {contact: await transitions(world, contact) for contact in contacts}
    await rebuild(world)
    assert {contact: await transitions(world, contact) for contact in contacts} == before
    for contact, row in stepped.items():
        profile = await world.profile(contact)
        assert profile["donor_status"] == row["donor_status"] == before[contact][-1][1]
        assert (profile["gift_count"], profile["total_given"]["amount"]) == (row["gift_count"], row["total_given"])
        chain = before[contact]
        assert [previous for previous, _ in chain] == [None, *(status for _, status in chain[:-1])]
    check_scores(stepped)


async def test_a_lifetime_of_giving_and_the_largest_sums_come_out_of_a_rebuild_too(world: World) -> None:
    """Years beyond one word of bits with a gap among them, sums beyond what doubles hold, equal best years."""
    await world.set_clock(T0)
    faithful, generous, even = [await world.contact(emails=[]) for _ in range(3)]
    last = T0.year
    given = [(faithful, last - back, 100) for back in range(64) if back != 62]
    given += [(generous, last, 2**53 - 1), (generous, last, 1), (generous, last - 1, 2**53 - 1)]
    given += [(even, last - 5, 700), (even, last - 3, 700), (even, last - 8, 699), (even, 1900, 1)]
    items = [
        {
            "contact_id": contact["id"],
            "amount": {"amount": amount, "currency": "USD"},
            "method": "cash",
            "received_at": f"{year}-01-02T12:00:00Z",
        }
        for contact, year, amount in given
    ]
    answer = await world.post("/v1/donations/batch", {"items": items}, expect=200)
    assert {one["status"] for one in answer["results"]} == {201}
    await world.drain()
    stepped = await summaries(world)
    figures = ("streak_years", "best_year", "best_year_total", "total_given")
    assert [stepped[faithful["id"]][name] for name in figures] == [62, last, 100, 6300]
    assert [stepped[generous["id"]][name] for name in figures] == [2, last, 2**53 - 1, 2**53 - 1]
    assert [stepped[even["id"]][name] for name in figures] == [1, last - 3, 700, 2100]
    await forget(world)
    await rebuild(world)
    assert await summaries(world) == stepped


async def test_with_many_donors_a_step_scores_against_the_borders_of_the_last_rebuild(world: World) -> None:
    await world.set_clock(T0)
    await history(world, random.Random(4), 40, 70)
    await rebuild(world)
    rebuilt = await summaries(world)
    check_scores(rebuilt)
    assert len([row for row in rebuilt.values() if row["gift_count"]]) >= 25
    tenant = await world.worker.tenant(world.id)
    assert tenant is not None
    async with world.database.write(tenant) as session:
        for contact in rebuilt:
            await scoring.refresh_donor(session, UUID(contact))
    assert await summaries(world) == rebuilt
    generous = next(iter(rebuilt))
    await give(world, {"id": generous}, T0, 900_000)
    after = await summaries(world)
    assert after[generous]["rfm_monetary"] == 5
    assert {c: row for c, row in after.items() if c != generous} == {
        c: row for c, row in rebuilt.items() if c != generous
    }


def check_scores(rows: dict[str, dict[str, Any]]) -> None:
    """The stored scores are those of the formula, reckoned here from the figures: 5 x share strictly below, plus 1."""
    measures: list[tuple[str, Callable[[dict[str, Any]], int], bool]] = [
        ("rfm_recency", lambda r: (T0.date() - r["last_gift_date"]).days, True),
        ("rfm_frequency", lambda r: r["gift_count"], False),
        ("rfm_monetary", lambda r: r["total_given"], False),
    ]
    donors = [row for row in rows.values() if row["gift_count"]]
    for row in donors:
        for name, value_of, turned in measures:
            below = sum(value_of(other) < value_of(row) for other in donors)
            score = int(Fraction(5 * below, len(donors))) + 1
            assert row[name] == (6 - score if turned else score), name
    for row in rows.values():
        if not row["gift_count"]:
            assert [row[name] for name in SCORES] == [None, None, None]


async def test_nothing_is_lost_when_donors_are_stepped_while_everything_is_rebuilt(world: World) -> None:
    await world.set_clock(T0)
    contacts = await history(world, random.Random(5), 30, 45)
    await rebuild(world)
    second = Worker(world.settings, world.database)
    going = True

    async def rebuild_on_and_on() -> None:
        while going:
            await rebuild(world)

    rebuilding = asyncio.create_task(rebuild_on_and_on())
    rng = random.Random(6)
    for _ in range(6):
        gifts = [(rng.choice(contacts), rng.choice([500, 70_000])) for _ in range(8)]
        await asyncio.gather(*(world.donation(who, amount, received_at=z(T0)) for who, amount in gifts))
        await asyncio.gather(world.drain(), second._tend(world.id, ensure=False))
        await world.drain()
    going = False
    await rebuilding
    await world.drain()
    undone = [job for job in await world.jobs() if job["state"] != "done"]
    # Asked for later, where a refund was read before its payment: the clock stands still here.
    assert [job for job in undone if job["subscriber"] != "payments.fetch_payment"] == []
    figures = [{k: v for k, v in row.items() if k not in SCORES} for row in (await summaries(world)).values()]
    await rebuild(world)
    rebuilt = [{k: v for k, v in row.items() if k not in SCORES} for row in (await summaries(world)).values()]
    assert figures == rebuilt
    stored = await summaries(world)
    for contact in stored:
        chain = await transitions(world, contact)
        assert all(previous != status for previous, status in chain)
        left: Counter[str | None] = Counter(status for _, status in chain)
        left -= Counter(previous for previous, _ in chain)
        assert left == {stored[contact]["donor_status"]: 1}, "the transitions are no chain"
