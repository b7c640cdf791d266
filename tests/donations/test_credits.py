"""Soft credits, matching gifts, tributes and premiums: recognition that never becomes money."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from crm_api.donations.tributes.facts import TributeNoticeDue
from crm_api.outbox.facts import REGISTRY, Job, Subscriber
from tests.support.world import World


def usd(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": "USD"}


async def person(world: World, name: str) -> str:
    made: str = (await world.contact(given_name=name, emails=[]))["id"]
    return made


async def test_soft_credits_stand_apart_from_what_was_given(world: World) -> None:
    donor, friend = await person(world, "Олена"), await person(world, "Іван")
    gift = await world.donation(donor, 1000)
    path = f"/v1/donations/{gift['id']}/soft-credits"
    full = await world.post(path, {"contact_id": friend, "type": "solicitor"})
    part = await world.post(path, {"contact_id": friend, "type": "influencer", "amount": usd(300)})
    assert (full["is_full"], full["amount"], part["amount"]) == (True, usd(1000), usd(300))
    await world.drain()
    profile = await world.profile(friend)
    assert profile["soft_credits"] == {"gift_count": 1, "total": usd(1000), "gifts_without_rate": 0}
    assert (profile["gift_count"], profile["total_given"], profile["donor_status"]) == (0, usd(0), "prospect")
    assert (await world.profile(donor))["soft_credits"]["gift_count"] == 0

    await world.post(f"/v1/donations/{gift['id']}/refunds", {"amount": usd(500)})
    listed = (await world.get(f"/v1/contacts/{friend}/soft-credits"))["data"]
    assert [one["counted_amount"] for one in listed] == [usd(150), usd(500)]
    assert listed == (await world.get(path))["data"]
    assert (await world.profile(friend))["soft_credits"]["total"] == usd(500)
    typed = await world.get(f"/v1/contacts/{friend}/soft-credits", params={"type": "influencer"})
    assert [one["id"] for one in typed["data"]] == [part["id"]]
    await world.call("DELETE", f"{path}/{full['id']}", expect=204)
    await world.call("DELETE", f"{path}/{full['id']}", expect=404)
    assert (await world.profile(friend))["soft_credits"]["total"] == usd(150)

    foreign = await world.donation(donor, 700, "EUR")
    await world.post(f"/v1/donations/{foreign['id']}/soft-credits", {"contact_id": friend, "type": "employer"})
    assert (await world.profile(friend))["soft_credits"] == {
        "gift_count": 2, "total": usd(150), "gifts_without_rate": 1
    }  # fmt: skip


async def test_a_credit_of_ones_own_gift_counts_for_nothing(world: World) -> None:
    """Refused when it is made; not counted when a merge or a change of the donor brings it about."""
    donor, friend = await person(world, "Олена"), await person(world, "Іван")
    gift = await world.donation(donor, 1000)
    path = f"/v1/donations/{gift['id']}/soft-credits"
    problem = await world.post(path, {"contact_id": donor, "type": "other"}, expect=422)
    assert problem["errors"][0]["code"] == "credit_of_own_gift"
    await world.post(path, {"contact_id": friend, "type": "household_member"})
    twice = await world.post(path, {"contact_id": friend, "type": "household_member"}, expect=409)
    assert twice["code"] == "already_exists"
    for body in ({"amount": usd(1001)}, {"amount": {"amount": 1, "currency": "EUR"}}):
        await world.post(path, {"contact_id": friend, "type": "other", **body}, expect=422)
    await world.post(f"/v1/contacts/{donor}/merge", {"from": [friend]})
    await world.drain()
    profile = await world.profile(donor)
    assert (profile["gift_count"], profile["soft_credits"]["gift_count"]) == (1, 0)


async def test_an_employer_matches(world: World) -> None:
    """The employee is credited with the company's gift once, in the part that matches; and no longer when it does not."""
    first, second = await person(world, "Олена"), await person(world, "Іван")
    company = (await world.contact(kind="organization", organization_name="Acme", emails=[]))["id"]
    gifts = [await world.donation(first, 300), await world.donation(second, 500)]
    matches = [
        await world.post(f"/v1/donations/{gift['id']}/matching-gifts", {"company_contact_id": company, **more})
        for gift, more in zip(gifts, ({}, {"expected_amount": usd(500), "status": "submitted"}), strict=True)
    ]
    assert [one["status"] for one in matches] == ["potential", "submitted"]
    brought = await world.donation(company, 800)
    path = f"/v1/donations/{brought['id']}/soft-credits"
    first_match, second_match = [f"/v1/matching-gifts/{one['id']}" for one in matches]
    assert (await world.patch(first_match, {"status": "received"}, expect=422))["errors"][0]["code"] == "missing"
    not_theirs = {"matching_donation_id": gifts[1]["id"]}
    assert (await world.patch(first_match, not_theirs, expect=422))["errors"][0]["code"] == "gift_of_another"

    named = {"matching_donation_id": brought["id"]}
    received = await world.patch(second_match, named)
    assert (received["status"], received["received_amount"]) == ("received", usd(500))
    over = {**named, "received_amount": usd(301)}
    assert (await world.patch(first_match, over, expect=422))["errors"][0]["code"] == "exceeds_amount"
    assert (await world.patch(first_match, named))["received_amount"] == usd(300)
    await world.patch(first_match, named)
    credits = (await world.get(path))["data"]
    assert sorted(
        (one["contact_id"], one["amount"]["amount"], one["type"], one["origin"]) for one in credits
    ) == sorted([(first, 300, "matched_gift", "matching"), (second, 500, "matched_gift", "matching")])
    gone = await world.client.delete(f"{path}/{credits[0]['id']}")
    assert gone.json()["code"] == "credit_of_match"

    third = await person(world, "Марія")
    await world.patch(f"/v1/donations/{gifts[0]['id']}", {"contact_id": third})
    await world.drain()
    assert (await world.profile(third))["soft_credits"]["total"] == usd(300)
    assert (await world.profile(first))["soft_credits"]["gift_count"] == 0
    back = await world.patch(second_match, {"status": "submitted"})
    assert (back["status"], back["matching_donation_id"], back["received_amount"]) == ("submitted", None, None)
    assert [one["contact_id"] for one in (await world.get(path))["data"]] == [third]
    listed = await world.get("/v1/matching-gifts", params={"status": "received", "company_contact_id": company})
    assert [one["id"] for one in listed["data"]] == [matches[0]["id"]]


async def test_two_employees_who_are_one_keep_the_whole_credit(world: World) -> None:
    first, second = await person(world, "Олена"), await person(world, "Олена")
    company = (await world.contact(kind="organization", organization_name="Acme", emails=[]))["id"]
    brought = await world.donation(company, 800)
    for donor, amount in ((first, 300), (second, 500)):
        gift = await world.donation(donor, amount)
        path = f"/v1/donations/{gift['id']}/matching-gifts"
        match = await world.post(path, {"company_contact_id": company, "expected_amount": usd(amount)})
        await world.patch(f"/v1/matching-gifts/{match['id']}", {"matching_donation_id": brought["id"]})
    await world.post(f"/v1/contacts/{first}/merge", {"from": [second]})
    await world.drain()
    (credit,) = (await world.get(f"/v1/donations/{brought['id']}/soft-credits"))["data"]
    assert (credit["contact_id"], credit["amount"]) == (first, usd(800))


@pytest.fixture
def told() -> Any:
    """What those who tell people of tributes hear."""
    heard: list[dict[str, Any]] = []

    async def hear(session: Any, job: Job) -> None:
        heard.append(job.payload)

    REGISTRY.subscribe(Subscriber("tests.hear_of_tributes", (TributeNoticeDue,), handle=hear))
    yield heard
    REGISTRY.by_fact[TributeNoticeDue].clear()
    del REGISTRY.subscribers["tests.hear_of_tributes"]


async def test_a_gift_in_memory_of_somebody(world: World, told: list[dict[str, Any]]) -> None:
    donor, widow = await person(world, "Олена"), await person(world, "Марія")
    gift = await world.donation(donor)
    body = {
        "type": "memorial",
        "honoree_name": "Іван Франко",
        "message": "Світла пам’ять",
        "notify": [{"contact_id": widow}, {"name": "Театр", "postal_address": {"city": "Львів", "country": "UA"}}],
    }
    tribute = await world.post(f"/v1/donations/{gift['id']}/tributes", body)
    assert [one["status"] for one in tribute["notices"]] == ["pending", "pending"]
    await world.drain()
    assert {one["notice_id"] for one in told} == {one["id"] for one in tribute["notices"]}
    notice = f"/v1/tribute-notices/{tribute['notices'][0]['id']}"
    sent = await world.patch(notice, {"status": "sent", "notified_at": "2026-11-22T09:00:00Z"})
    assert (sent["status"], sent["notified_at"]) == ("sent", "2026-11-22T09:00:00Z")
    unsent = await world.patch(notice, {"status": "failed"})
    assert unsent["notified_at"] is None
    wrong = {"status": "not_needed", "notified_at": "2026-11-22T09:00:00Z"}
    assert (await world.patch(notice, wrong, expect=422))["errors"][0]["code"] == "not_sent"
    waiting = await world.get("/v1/tribute-notices", params={"status": "pending"})
    assert [one["name"] for one in waiting["data"]] == ["Театр"]
    changed = await world.patch(f"/v1/tributes/{tribute['id']}", {"type": "honor", "message": None})
    assert (changed["type"], changed["message"], len(changed["notices"])) == ("honor", None, 2)
    listed = (await world.get(f"/v1/donations/{gift['id']}/tributes"))["data"]
    assert listed == [await world.get(f"/v1/tributes/{tribute['id']}")]
    missing = {"type": "honor", "honoree_contact_id": gift["id"]}
    problem = await world.post(f"/v1/donations/{gift['id']}/tributes", missing, expect=404)
    assert problem["errors"][0]["pointer"] == "/honoree_contact_id"
    await world.call("DELETE", f"/v1/tributes/{tribute['id']}", expect=204)
    await world.get(notice, expect=404)


async def test_nobody_is_told_of_a_gift_that_has_not_arrived(world: World, told: list[dict[str, Any]]) -> None:
    batch = await world.post("/v1/gift-batches", {"name": "B", "control_count": 1, "control_amount": usd(500)})
    gift = await world.post(f"/v1/gift-batches/{batch['id']}/donations", {"amount": usd(500)})
    body = {"type": "honor", "honoree_name": "Леся", "notify": [{"name": "Сестра"}]}
    await world.post(f"/v1/donations/{gift['id']}/tributes", body)
    await world.drain()
    assert told == []
    await world.post(f"/v1/gift-batches/{batch['id']}/post", expect=200)
    await world.drain()
    assert [one["gift_id"] for one in told] == [gift["id"]]


async def test_a_premium_lowers_what_can_be_deducted(world: World) -> None:
    gift = await world.donation(None, 1000)
    path = f"/v1/donations/{gift['id']}/premiums"
    calendar = {"name": "Календар", "quantity": 2, "fair_market_value": usd(150)}
    premium = await world.post(path, calendar)
    assert (premium["total_value"], premium["quantity"]) == (usd(300), 2)
    dinner = await world.post(path, {"name": "Вечеря", "fair_market_value": usd(900)})
    assert (await world.get(f"/v1/donations/{gift['id']}"))["deductible_amount"] == usd(0), "never below zero"
    await world.call("DELETE", f"{path}/{dinner['id']}", expect=204)
    shown = await world.get(f"/v1/donations/{gift['id']}")
    assert (shown["deductible_amount"], shown["amount"]) == (usd(700), usd(1000))
    await world.post(f"/v1/donations/{gift['id']}/refunds", {"amount": usd(600)})
    assert (await world.get(f"/v1/donations/{gift['id']}"))["deductible_amount"] == usd(100)
    assert [one["id"] for one in (await world.get(path))["data"]] == [premium["id"]]
    too_much = {"name": "X", "quantity": 2, "fair_market_value": usd(2**53 - 1)}
    assert (await world.post(path, too_much, expect=422))["errors"][0]["code"] == "exceeds_amount"
    both = [world.client.post(path, json=calendar) for _ in range(2)]
    assert [one.status_code for one in await asyncio.gather(*both)] == [201, 201]
    assert (await world.get(f"/v1/donations/{gift['id']}"))["deductible_amount"] == usd(0)
