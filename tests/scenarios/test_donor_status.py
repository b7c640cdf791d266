"""What a donor is, over the years: statuses, sums and scores as the clock moves, gifts come and money goes back."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from tests.conftest import MakeWorld
from tests.support.donors import CHANGES, SCORES, T0, give, go_to, summaries, transitions
from tests.support.stories import subscription
from tests.support.stripe_events import gift_event, stripe_event
from tests.support.world import World

# Over the years


async def test_a_donor_s_way_from_new_to_lost_and_back_each_step_noted_once(world: World) -> None:
    await world.set_clock(T0)
    contact = await world.contact()
    assert (await world.profile(contact["id"]))["donor_status"] == "prospect"
    await give(world, contact, T0)
    last = T0 + timedelta(days=30)
    await go_to(world, last)
    await give(world, contact, last)
    way = [(365, "regular"), (366, "lapsing"), (730, "lapsing"), (731, "lapsed"), (1095, "lapsed"), (1096, "lost")]
    for days, status in way:
        await go_to(world, last + timedelta(days=days))
        for _ in range(2):
            assert (await summaries(world))[contact["id"]]["donor_status"] == status, days
            profile = await world.profile(contact["id"])
            assert (profile["donor_status"], profile["reasons"][-1]["rule"]) == (status, status)
            await world.drain()
    back = last + timedelta(days=1100)
    await go_to(world, back)
    await give(world, contact, back)
    assert await transitions(world, contact["id"]) == [
        (None, "new"),
        ("new", "regular"),
        ("regular", "lapsing"),
        ("lapsing", "lapsed"),
        ("lapsed", "lost"),
        ("lost", "regular"),
    ]


async def test_a_worker_that_was_away_for_years_catches_up_with_one_transition(world: World) -> None:
    await world.set_clock(T0)
    contact = await world.contact()
    await give(world, contact, T0)
    await go_to(world, T0 + timedelta(days=2000))
    assert await transitions(world, contact["id"]) == [(None, "new"), ("new", "lost")]
    noted = await world.database.read(world.tenant).fetch(CHANGES, contact_id=UUID(contact["id"]))
    assert noted[-1]["reasons"] == (await world.profile(contact["id"]))["reasons"]
    rebuilds = [job for job in await world.jobs(subscriber="scoring.rebuild") if job["fact"] == "ScoringDue"]
    assert [job["state"] for job in rebuilds] == ["done"]


async def test_days_are_counted_in_the_organization_s_own_calendar(make_world: MakeWorld) -> None:
    """A gift at 23:30 UTC is of the next day in Kiritimati, and its donor lapses by that day."""
    world = await make_world(timezone="Pacific/Kiritimati")
    await world.set_clock(T0)
    contact = await world.contact()
    gift = await give(world, contact, datetime(2024, 2, 28, 23, 30, tzinfo=UTC))
    assert gift["gift_date"] == "2024-02-29"
    await go_to(world, datetime(2025, 2, 28, 9, 0, tzinfo=UTC))
    assert (await world.profile(contact["id"]))["donor_status"] == "new"
    await go_to(world, datetime(2025, 2, 28, 23, 30, tzinfo=UTC))
    profile = await world.profile(contact["id"])
    assert (profile["as_of"], profile["donor_status"]) == ("2025-03-01", "lapsing")


async def test_a_major_donor_is_one_for_a_year_of_giving(world: World) -> None:
    await world.set_clock(T0 + timedelta(days=40))
    contact = await world.contact()
    await give(world, contact, T0, 60_000)
    assert (await world.profile(contact["id"]))["donor_status"] == "new"
    await give(world, contact, T0 + timedelta(days=40), 39_999)
    assert (await world.profile(contact["id"]))["donor_status"] == "regular"
    await give(world, contact, T0 + timedelta(days=40), 1)
    profile = await world.profile(contact["id"])
    assert (profile["donor_status"], profile["is_major"]) == ("major", True)
    assert profile["total_last_365_days"] == {"amount": 100_000, "currency": "USD"}
    reason = profile["reasons"][-1]
    assert (reason["rule"], reason["value"]) == ("major", {"amount": 100_000, "currency": "USD"})
    await go_to(world, T0 + timedelta(days=365))
    assert (await world.profile(contact["id"]))["donor_status"] == "major"
    await go_to(world, T0 + timedelta(days=366))
    assert (await world.profile(contact["id"]))["donor_status"] == "regular"
    changes = [(None, "new"), ("new", "regular"), ("regular", "major"), ("major", "regular")]
    assert await transitions(world, contact["id"]) == changes


async def test_a_live_plan_with_a_paid_gift_makes_a_recurring_donor_until_it_ends(world: World) -> None:
    statuses = []
    paid = [event for event in subscription("monthly") if event["type"] != "customer.subscription.updated"]
    later: list[tuple[str, dict[str, Any]]] = [
        ("customer.subscription.updated", {"status": "past_due"}),
        ("customer.subscription.updated", {"status": "paused"}),
        ("customer.subscription.resumed", {"status": "active"}),
        ("customer.subscription.deleted", {}),
    ]
    for event in paid:
        await world.stripe_sends(event)
    await world.drain()
    (gift,) = (await world.get("/v1/donations"))["data"]
    statuses.append((await world.profile(gift["contact_id"]))["donor_status"])
    for number, (kind, changes) in enumerate(later, start=1):
        event = stripe_event(kind, seed="monthly", after=number * 86_400, number=number, **changes)
        await world.stripe_sends(event)
        await world.drain()
        statuses.append((await world.profile(gift["contact_id"]))["donor_status"])
    assert statuses == ["recurring", "recurring", "new", "recurring", "new"]
    noted = [status for _, status in await transitions(world, gift["contact_id"])]
    assert noted[-4:] == ["recurring", "new", "recurring", "new"]


async def test_a_plan_that_never_paid_makes_nobody_recurring(world: World) -> None:
    contact = await world.contact(external_ids=[{"system": "stripe", "id": "cus_unpaid"}])
    await give(world, contact, datetime.now(UTC))
    event = stripe_event("customer.subscription.created", seed="unpaid", customer="cus_unpaid")
    await world.stripe_sends(event)
    await world.drain()
    (plan,) = (await world.get("/v1/recurring-plans", params={"contact_id": contact["id"]}))["data"]
    assert plan["status"] == "active"
    profile = await world.profile(contact["id"])
    assert (profile["donor_status"], profile["is_recurring"]) == ("new", False)


async def test_who_has_all_money_back_is_a_prospect_again_without_scores(world: World) -> None:
    await world.stripe_sends(gift_event("back", email="maria@example.org", name="Maria"))
    await world.drain()
    (gift,) = (await world.get("/v1/donations"))["data"]
    refund: dict[str, Any] = {"amount": 2500, "currency": "usd"}
    await world.stripe_sends(stripe_event("refund.created", seed="back", after=60, status="pending", **refund))
    await world.drain()
    profile = await world.profile(gift["contact_id"])
    assert (profile["donor_status"], profile["gift_count"], profile["rfm"]) == ("prospect", 0, None)
    assert profile["total_given"] == {"amount": 0, "currency": "USD"}
    stored = (await summaries(world))[gift["contact_id"]]
    assert [stored[name] for name in SCORES] == [None, None, None]

    await world.stripe_sends(stripe_event("refund.failed", seed="back", after=600, status="failed", **refund))
    await world.drain()
    assert (await world.profile(gift["contact_id"]))["donor_status"] == "new"
    assert await transitions(world, gift["contact_id"]) == [(None, "new"), ("new", "prospect"), ("prospect", "new")]
    contact = await world.get(f"/v1/contacts/{gift['contact_id']}")
    assert contact["roles"] == ["donor"]


async def test_the_profile_of_another_day_is_as_it_would_have_been_then(world: World) -> None:
    await world.set_clock(T0 + timedelta(days=1000))
    contact = await world.contact()
    await give(world, contact, T0, 1000)
    await give(world, contact, T0 + timedelta(days=100), 3000)
    looks = [
        (T0 - timedelta(days=1), "prospect", 0, 0),
        (T0, "new", 1, 1000),
        (T0 + timedelta(days=99), "new", 1, 1000),
        (T0 + timedelta(days=100), "regular", 2, 4000),
        (T0 + timedelta(days=466), "lapsing", 2, 4000),
        (T0 + timedelta(days=900), "lapsed", 2, 4000),
        (T0 + timedelta(days=5000), "lost", 2, 4000),
    ]
    for moment, status, count, total in looks:
        profile = await world.profile(contact["id"], as_of=moment.date().isoformat())
        assert profile["as_of"] == moment.date().isoformat()
        assert (profile["donor_status"], profile["gift_count"]) == (status, count)
        assert profile["total_given"]["amount"] == total
    assert (await world.profile(contact["id"]))["donor_status"] == "lapsed"


async def test_a_gift_dated_ahead_counts_from_its_day_on(world: World) -> None:
    await world.set_clock(T0)
    contact = await world.contact()
    await give(world, contact, T0 + timedelta(days=10))
    assert (await world.profile(contact["id"]))["donor_status"] == "prospect"
    await go_to(world, T0 + timedelta(days=11))
    assert (await summaries(world))[contact["id"]]["donor_status"] == "new"
    assert (await world.get(f"/v1/contacts/{contact['id']}"))["roles"] == ["donor"]


# Other currencies


async def test_a_gift_without_a_rate_counts_and_its_money_counts_once_a_rate_is_known(world: World) -> None:
    await world.set_clock(T0)
    contact = await world.contact()
    gift = await give(world, contact, T0, 5, "EUR")
    other = await give(world, contact, T0, 90_000, "EUR")
    assert (gift["base_amount"], gift["base_rate"]) == (None, None)
    profile = await world.profile(contact["id"])
    assert (profile["gift_count"], profile["gifts_without_rate"]) == (2, 2)
    assert (profile["total_given"]["amount"], profile["average_gift"], profile["largest_gift"]) == (0, None, None)
    assert profile["donor_status"] == "regular"
    assert "gifts_without_rate" in profile["rfm"]["flags"]

    rate = {"source_currency": "EUR", "target_currency": "USD"}
    await world.post("/v1/exchange-rates", {**rate, "rate": "1.5", "rate_date": "2024-03-02"})
    await world.drain()
    assert (await world.get(f"/v1/donations/{gift['id']}"))["base_amount"] is None, "a later day's rate is not used"
    await world.post("/v1/exchange-rates", {**rate, "rate": "1.3", "rate_date": "2024-02-20"})
    await world.post("/v1/exchange-rates", {**rate, "rate": "1.1", "rate_date": "2024-02-10"})
    await world.drain()
    stamped = await world.get(f"/v1/donations/{gift['id']}")
    assert stamped["base_amount"] == {"amount": 6, "currency": "USD"}, "6.5 is rounded half to even"
    assert (stamped["base_rate"], stamped["base_rate_date"]) == ("1.3", "2024-02-20")
    assert (await world.get(f"/v1/donations/{other['id']}"))["base_amount"]["amount"] == 117_000
    profile = await world.profile(contact["id"])
    assert (profile["gifts_without_rate"], profile["total_given"]["amount"]) == (0, 117_006)
    assert profile["donor_status"] == "major"
    assert await transitions(world, contact["id"]) == [(None, "new"), ("new", "regular"), ("regular", "major")]

    await world.post("/v1/exchange-rates", {**rate, "rate": "1.2", "rate_date": "2024-03-01"})
    await world.drain()
    assert (await world.get(f"/v1/donations/{gift['id']}"))["base_rate"] == "1.3", "what is stamped stays"
    later = await give(world, contact, T0, 1000, "EUR")
    assert (later["base_amount"]["amount"], later["base_rate_date"]) == (1200, "2024-03-01")


async def test_refunds_of_a_stamped_gift_are_reckoned_by_its_own_rate(world: World) -> None:
    await world.set_clock(T0)
    rate = {"source_currency": "JPY", "target_currency": "USD", "rate": "0.0065", "rate_date": "2024-01-01"}
    await world.post("/v1/exchange-rates", rate)
    contact = await world.contact()
    gift = await give(world, contact, T0, 10_000, "JPY")
    assert gift["base_amount"] == {"amount": 6500, "currency": "USD"}
    await world.post(f"/v1/donations/{gift['id']}/refunds", {"amount": {"amount": 4000, "currency": "JPY"}})
    await world.drain()
    profile = await world.profile(contact["id"])
    assert (profile["total_given"]["amount"], profile["largest_gift"]["amount"]) == (3900, 3900)


async def test_the_profile_s_reasons_are_dated_today(world: World) -> None:
    contact = await world.contact()
    await give(world, contact, datetime.now(UTC) - timedelta(days=3))
    profile = await world.profile(contact["id"])
    assert profile["as_of"] == datetime.now(UTC).date().isoformat()
    days = [reason["value"] for reason in profile["reasons"] if reason["field"] == "days_since_last_gift"]
    assert set(days) <= {3, 4}
    assert date.fromisoformat(profile["first_gift_at"][:10]) <= date.fromisoformat(profile["as_of"])
