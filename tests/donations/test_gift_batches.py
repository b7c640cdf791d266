"""Gifts entered together count only once their number and sum are what was counted beforehand."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.support.world import World


def usd(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": "USD"}


async def opened(world: World, count: int, amount: int, currency: str = "USD") -> str:
    control = {"control_count": count, "control_amount": {"amount": amount, "currency": currency}}
    made = await world.post("/v1/gift-batches", {"name": "Скринька", **control})
    return f"/v1/gift-batches/{made['id']}"


async def test_nothing_counts_until_everything_fits(world: World) -> None:
    donor = await world.contact()
    path = await opened(world, 3, 600)
    gift = await world.post(f"{path}/donations", {"amount": usd(100), "contact_id": donor["id"], "method": "cash"})
    assert (gift["status"], gift["amount"], gift["net_amount"]) == ("pending", usd(100), usd(100))
    assert (gift["deductible_amount"], gift["batch_id"]) == (usd(0), path.rpartition("/")[2])
    items = [{"amount": usd(200), "contact_id": donor["id"]}, {"amount": usd(250)}, {"amount": usd(50)}]
    answer = await world.post(f"{path}/donations/batch", {"items": items}, expect=200)
    assert (answer["succeeded"], answer["failed"]) == (3, 0)
    await world.drain()
    assert (await world.profile(donor["id"]))["gift_count"] == 0
    assert world.letters() == []

    problem = await world.post(f"{path}/post", expect=409)
    assert problem["code"] == "batch_does_not_balance"
    assert (problem["entered_count"], problem["entered_amount"]) == (4, usd(600))
    wrong = answer["results"][1]["id"]
    await world.post(f"/v1/donations/{answer['results'][2]['id']}/cancel", {"reason": "duplicate"}, expect=200)
    right = await world.post(f"/v1/donations/{wrong}/adjustments", {"amount": usd(300)})
    assert (right["status"], right["amount"]) == ("pending", usd(300))
    batch = await world.get(path)
    assert (batch["entered_count"], batch["entered_amount"]) == (3, usd(600))

    posted = await world.post(f"{path}/post", expect=200, headers={"If-Match": f'"{batch["version"]}"'})
    assert (posted["status"], posted["entered_count"]) == ("posted", 3)
    await world.drain()
    page = await world.get("/v1/donations", params={"batch_id": posted["id"]})
    assert sorted(one["status"] for one in page["data"]) == ["canceled", "succeeded", "succeeded", "succeeded"]
    profile = await world.profile(donor["id"])
    assert (profile["gift_count"], profile["total_given"]) == (2, usd(300))
    assert sorted(world.letter_kinds()) == ["thank_you", "welcome"]
    entries = (await world.get(f"/v1/donations/{wrong}/entries"))["data"]
    assert [(one["kind"], one["amount"]) for one in entries] == [("pending", usd(250)), ("charge", usd(300))]
    for verb in ("post", "cancel"):
        assert (await world.post(f"{path}/{verb}", expect=409))["code"] == "batch_closed"
    assert (await world.post(f"{path}/donations", {"amount": usd(1)}, expect=409))["code"] == "batch_closed"
    assert (await world.patch(path, {"name": "x"}, expect=409))["code"] == "batch_closed"


async def test_posting_derives_what_the_entries_say(world: World) -> None:
    """The set-wise statement leaves every gift as its entries have it: deriving them anew changes nothing."""
    fund = [(await world.post("/v1/funds", {"code": code, "name": code}))["id"] for code in "ab"]
    path = await opened(world, 2, 300, "EUR")
    parts = [{"fund_id": one, "percent": "50"} for one in fund]
    bodies = [
        {"amount": {"amount": 101, "currency": "EUR"}, "allocations": parts, "received_at": "2026-02-01T12:00:00Z"},
        {"amount": {"amount": 199, "currency": "EUR"}, "received_at": "2026-03-01T12:00:00Z"},
    ]
    rate = {"source_currency": "EUR", "target_currency": "USD", "rate": "2", "rate_date": "2026-02-10"}
    await world.post("/v1/exchange-rates", rate)
    gifts = [await world.post(f"{path}/donations", body) for body in bodies]
    await world.post(f"{path}/post", expect=200)
    for gift, base in zip(gifts, (None, usd(398)), strict=True):
        shown = await world.get(f"/v1/donations/{gift['id']}")
        assert (shown["status"], shown["base_amount"], shown["received_at"]) == ("succeeded", base, gift["received_at"])
        same = await world.patch(f"/v1/donations/{gift['id']}", {})
        assert same == shown
    split = await world.get(f"/v1/donations/{gifts[0]['id']}")
    assert [part["counted_amount"]["amount"] for part in split["allocations"]] == [51, 50]


async def test_a_batch_is_given_up(world: World) -> None:
    path = await opened(world, 2, 300)
    gift = await world.post(f"{path}/donations", {"amount": usd(300)})
    canceled = await world.post(f"{path}/cancel", expect=200)
    assert (canceled["status"], canceled["entered_count"]) == ("canceled", 0)
    shown = await world.get(f"/v1/donations/{gift['id']}")
    assert (shown["status"], shown["failure_reason"]) == ("canceled", "batch_canceled")
    assert await world.patch(f"/v1/donations/{gift['id']}", {}) == shown


async def test_each_gift_of_many_stands_for_itself(world: World) -> None:
    survivor, retired = await world.contact(), await world.contact(emails=[])
    await world.post(f"/v1/contacts/{survivor['id']}/merge", {"from": [retired["id"]]})
    campaign = await world.post("/v1/campaigns", {"code": "w", "name": "W"})
    appeal = {"campaign_id": campaign["id"], "code": "letter", "name": "L", "channel": "mail"}
    appeal = await world.post("/v1/appeals", appeal)
    path = await opened(world, 9, 900)
    nobody, external = "01989c5e-0f5a-7c3e-9a53-6f1d2b7c8e90", [{"system": "bank", "id": "T1"}]
    items = [
        {"amount": usd(100), "contact_id": retired["id"], "source_code": "letter", "external_ids": external},
        {"amount": {"amount": 100, "currency": "EUR"}},
        {"amount": usd(100), "contact_id": nobody},
        {"op": "create", "body": {"amount": usd(100), "fund_id": nobody}},
        {"amount": usd(100), "external_ids": external},
        {"op": "remove", "body": {}},
        {"amount": usd(100), "method": "cash", "method_details": {"crypto": {"asset": "BTC"}}},
        {"amount": usd(0)},
        {"amount": usd(100), "allocations": [{"fund_id": nobody, "percent": "100"}]},
    ]
    answer = await world.post(f"{path}/donations/batch", {"items": items}, expect=200)
    said = [(one["status"], one["problem"] and one["problem"]["errors"][:1]) for one in answer["results"]]
    assert [status for status, _ in said] == [201, 422, 404, 404, 409, 422, 422, 422, 404]
    assert [errors[0]["pointer"] for _, errors in said[1:] if errors] == [
        "/amount/currency", "/contact_id", "/body/fund_id", "/op", "/method_details/crypto", "/amount/amount",
        "/allocations/0/fund_id",
    ]  # fmt: skip
    gift = await world.get(f"/v1/donations/{answer['results'][0]['id']}")
    assert (gift["contact_id"], gift["appeal_id"], gift["channel"]) == (survivor["id"], appeal["id"], "mail")
    refused = await world.post(f"{path}/donations/batch", {"items": items, "atomic": True}, expect=422)
    assert (refused["code"], refused["errors"][0]["pointer"]) == ("batch_refused", "/items/5/op")
    assert (await world.get(path))["entered_count"] == 1
    plain = await world.post("/v1/donations/batch", {"items": [{"amount": usd(5)}], "atomic": True}, expect=200)
    assert (await world.get(f"/v1/donations/{plain['results'][0]['id']}"))["status"] == "succeeded"


async def test_one_of_two_posts_wins_and_no_late_gift_slips_in(world: World) -> None:
    path = await opened(world, 1, 100)
    await world.post(f"{path}/donations", {"amount": usd(100)})
    posts = [world.client.post(f"{path}/post") for _ in range(4)]
    adds = [world.client.post(f"{path}/donations", json={"amount": usd(100)}) for _ in range(4)]
    answers = await asyncio.gather(*posts, *adds)
    codes = [answer.status_code for answer in answers]
    batch = await world.get(path)
    statuses = [one["status"] for one in (await world.get("/v1/donations"))["data"]]
    if batch["status"] == "posted":
        assert codes.count(200) == 1
        assert statuses == ["succeeded"]
    else:
        assert set(codes[:4]) == {409}
        assert statuses == ["pending"] * (1 + codes[4:].count(201))


async def test_many_gifts_at_once(world: World) -> None:
    path = await opened(world, 500, 50_000)
    items = [{"amount": usd(100), "method": "cash"} for _ in range(500)]
    answer = await world.post(f"{path}/donations/batch", {"items": items, "atomic": True}, expect=200)
    assert answer["succeeded"] == 500
    posted = await world.post(f"{path}/post", expect=200)
    assert posted["entered_amount"] == usd(50_000)
    page = await world.get("/v1/donations", params={"status": "succeeded", "include_total": "true", "limit": 1})
    assert page["total"] == 500
    answer = await world.client.post(f"{path}/donations/batch", json={"items": [*items, *items, items[0]]})
    assert answer.status_code == 422
