"""What a gift can say, how it is changed and corrected, over HTTP."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.api.surface import FIXTURES
from tests.conftest import MakeWorld
from tests.support.world import World

MOST = 2**53 - 1


def usd(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": "USD"}


async def fund(world: World, code: str) -> str:
    made: str = (await world.post("/v1/funds", {"code": code, "name": code}))["id"]
    return made


async def entries(world: World, gift_id: str) -> list[tuple[str, int | None, str | None]]:
    found = (await world.get(f"/v1/donations/{gift_id}/entries"))["data"]
    return [(one["kind"], one["amount"] and one["amount"]["amount"], one["reason"]) for one in found]


async def test_a_plain_gift_says_nothing_more(world: World) -> None:
    gift = await world.donation(None)
    silent = ("appeal_id", "source_code", "channel", "utm", "batch_id", "donor_covered_fee", "method_details", "note")
    assert {name: gift[name] for name in silent} == dict.fromkeys(silent)
    assert (gift["is_split"], gift["allocations"], gift["deductible_amount"]) == (False, [], usd(2500))
    assert await world.get(f"/v1/donations/{gift['id']}") == gift


async def test_everything_a_gift_can_say(world: World) -> None:
    campaign = await world.post("/v1/campaigns", {"code": "winter", "name": "Winter"})
    appeal = await world.post(
        "/v1/appeals", {"campaign_id": campaign["id"], "code": "letter", "name": "Letter", "channel": "mail"}
    )
    said: dict[str, Any] = {
        "method": "cheque",
        "method_details": {"cheque": {"number": "001542", "dated_on": "2026-11-20"}},
        "donor_covered_fee": usd(75),
        "utm": {"source": "facebook", "campaign": "зима"},
        "note": "Дзвонив і питав про звіт",
        "is_anonymous": True,
    }
    gift = await world.donation(None, **said, appeal_id=appeal["id"])
    assert {name: gift[name] for name in said} == said
    assert (gift["campaign_id"], gift["channel"]) == (campaign["id"], "mail")
    named = await world.donation(None, source_code="letter", channel="phone")
    assert (named["appeal_id"], named["campaign_id"], named["channel"]) == (appeal["id"], campaign["id"], "phone")
    free = await world.donation(None, source_code="rented-list-7")
    assert (free["appeal_id"], free["source_code"]) == (None, "rented-list-7")
    for query, found in (({"appeal_id": appeal["id"]}, 2), ({"channel": "mail"}, 1), ({"source_code": "letter"}, 1)):
        assert len((await world.get("/v1/donations", params=query))["data"]) == found

    other = await world.post("/v1/campaigns", {"code": "spring", "name": "Spring"})
    moved = await world.patch(f"/v1/donations/{gift['id']}", {"campaign_id": other["id"]})
    assert (moved["campaign_id"], moved["appeal_id"], moved["version"]) == (other["id"], None, 2)
    back = await world.patch(f"/v1/donations/{gift['id']}", {"appeal_id": appeal["id"], "utm": None, "note": None})
    assert (back["campaign_id"], back["utm"], back["note"]) == (campaign["id"], None, None)
    wrong = {"campaign_id": other["id"], "appeal_id": appeal["id"]}
    problem = await world.patch(f"/v1/donations/{gift['id']}", wrong, expect=422)
    assert problem["errors"][0]["code"] == "appeal_of_other_campaign"


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    (
        {"method": "cash", "method_details": {"cheque": {"number": "1"}}},
        "/method_details/cheque",
        "details_of_other_method",
    ),
    ({"donor_covered_fee": {"amount": 5, "currency": "EUR"}}, "/donor_covered_fee/currency", "currency_mismatch"),
    ({"donor_covered_fee": {"amount": 2501, "currency": "USD"}}, "/donor_covered_fee/amount", "exceeds_amount"),
    ({"amount": {"amount": MOST + 1, "currency": "USD"}}, "/amount/amount", "less_than_equal"),
    ({"amount": {"amount": 0, "currency": "JPY"}}, "/amount/amount", "greater_than"),
    ({"received_at": "2199-01-01T00:00:00Z"}, "/received_at", "in_future"),
    ({"utm": {"medium": ""}}, "/utm/medium", "string_too_short"),
]


async def test_what_does_not_fit_is_refused_where_it_stands(world: World) -> None:
    for body, pointer, code in REFUSED:
        problem = await world.post("/v1/donations", {"amount": usd(2500), **body}, expect=422)
        assert (problem["errors"][0]["pointer"], problem["errors"][0]["code"]) == (pointer, code)


async def test_a_gift_is_given_to_somebody_else(world: World) -> None:
    """Both donors' figures follow; whoever was merged is named by the survivor at once."""
    first, second, retired = [await world.contact(emails=[]) for _ in range(3)]
    gift = await world.donation(first["id"])
    await world.drain()
    await world.post(f"/v1/contacts/{second['id']}/merge", {"from": [retired["id"]]})
    moved = await world.patch(f"/v1/donations/{gift['id']}", {"contact_id": retired["id"]})
    assert moved["contact_id"] == second["id"]
    await world.drain()
    counts = [(await world.profile(one["id"]))["gift_count"] for one in (first, second)]
    assert counts == [0, 1]
    nobody = await world.patch(f"/v1/donations/{gift['id']}", {"contact_id": None})
    assert nobody["contact_id"] is None


async def test_the_right_amount_is_an_adjustment(world: World) -> None:
    """Nothing is overwritten: what was entered first, and each correction, stay as entries."""
    contact = await world.contact()
    gift = await world.donation(contact["id"], 1000, received_at="2026-03-01T12:00:00Z")
    path = f"/v1/donations/{gift['id']}"
    more = await world.post(f"{path}/adjustments", {"amount": usd(1500)})
    assert (more["amount"], more["status"], more["base_amount"]) == (usd(1500), "succeeded", usd(1500))
    less = await world.post(
        f"{path}/adjustments",
        {"amount": usd(900), "received_at": "2026-02-27T12:00:00Z", "reason": "bank_correction"},
    )
    assert (less["amount"], less["gift_date"]) == (usd(900), "2026-02-27")
    assert sorted(await entries(world, gift["id"])) == [
        ("adjustment", -600, "bank_correction"), ("adjustment", 500, "entered_in_error"), ("charge", 1000, None)
    ]  # fmt: skip
    same = await world.post(f"{path}/adjustments", {"amount": usd(900)})
    assert same["version"] == less["version"]
    await world.post(f"{path}/refunds", {"amount": usd(400), "reason": "duplicate"})
    assert ("refund", 400, "duplicate") in await entries(world, gift["id"])
    await world.post(f"{path}/refunds", {"reason": "Because Ivan asked"}, expect=422)
    problem = await world.post(f"{path}/adjustments", {"amount": usd(399)}, expect=422)
    assert problem["errors"][0]["code"] == "below_refunded"
    whole = await world.post(f"{path}/adjustments", {"amount": usd(400)})
    assert (whole["status"], whole["net_amount"]) == ("refunded", usd(0))
    await world.drain()
    assert (await world.profile(contact["id"]))["gift_count"] == 0


async def test_the_right_day_brings_the_right_rate(world: World) -> None:
    for day, rate in (("2026-01-10", "1.10"), ("2026-02-10", "1.20")):
        known = {"source_currency": "EUR", "target_currency": "USD", "rate": rate, "rate_date": day}
        await world.post("/v1/exchange-rates", known)
    gift = await world.donation(None, 1000, "EUR", received_at="2026-02-20T09:00:00Z")
    assert gift["base_amount"] == usd(1200)
    earlier = {"received_at": "2026-01-20T09:00:00Z"}
    moved = await world.post(f"/v1/donations/{gift['id']}/adjustments", earlier)
    assert (moved["base_amount"], moved["base_rate_date"]) == (usd(1100), "2026-01-10")


async def test_a_refund_that_did_not_arrive(world: World) -> None:
    gift = await world.donation(None)
    path = f"/v1/donations/{gift['id']}"
    await world.post(f"{path}/refunds", {"amount": usd(1000)})
    refund = next(one for one in (await world.get(f"{path}/entries"))["data"] if one["kind"] == "refund")
    restored = await world.post(f"{path}/refund-failures", {"refund_id": refund["ref"]})
    assert (restored["status"], restored["refunded_amount"]) == ("succeeded", usd(0))
    again = await world.post(f"{path}/refund-failures", {"refund_id": refund["ref"]}, expect=409)
    assert again["code"] == "refund_failed_already"
    unknown = await world.post(f"{path}/refund-failures", {"refund_id": gift["id"]}, expect=404)
    assert unknown["errors"][0]["pointer"] == "/refund_id"
    assert (await world.post(f"{path}/refunds", {}))["status"] == "refunded"


async def test_a_cheque_bounces(world: World) -> None:
    contact = await world.contact()
    gift = await world.donation(contact["id"], method="cheque")
    path = f"/v1/donations/{gift['id']}"
    await world.post(f"{path}/refunds", {"amount": usd(500)})
    taken = await world.post(f"{path}/reversals", {"reason": "cheque_bounced"})
    assert (taken["status"], taken["net_amount"], taken["deductible_amount"]) == ("charged_back", usd(0), usd(0))
    assert (await world.post(f"{path}/reversals", {"reason": "other"}, expect=409))["code"] == "not_reversible"
    assert (await world.post(f"{path}/refunds", {}, expect=409))["code"] == "not_refundable"
    assert (await world.post(f"{path}/cancel", {}, expect=409))["code"] == "not_cancelable"
    await world.drain()
    assert (await world.profile(contact["id"]))["total_given"] == usd(0)


async def test_what_a_provider_told_is_corrected_there(world: World) -> None:
    fixture = (FIXTURES / "payment_intent_succeeded_usd.json").read_text()
    await world.stripe_sends(json.loads(json.loads(fixture)["request"]["body_raw"]))
    await world.drain()
    (gift,) = (await world.get("/v1/donations"))["data"]
    path = f"/v1/donations/{gift['id']}"
    for verb, body in (
        ("adjustments", {"amount": usd(1)}),
        ("reversals", {"reason": "other"}),
        ("cancel", {}),
        ("refund-failures", {"refund_id": gift["id"]}),
    ):
        assert (await world.post(f"{path}/{verb}", body, expect=409))["code"] == "correct_at_provider"
    assert (await world.post(f"{path}/refunds", {}, expect=409))["code"] == "refund_at_provider"
    assert (await world.patch(path, {"method": "cash"}, expect=409))["code"] == "correct_at_provider"
    target = await fund(world, "winter")
    assert (await world.patch(path, {"fund_id": target, "note": "Gala"}))["fund_id"] == target


async def test_written_from_another_system(world: World) -> None:
    """The same statement twice is one gift; another amount is an adjustment; what is not sent stays."""
    contact, target = await world.contact(), await fund(world, "winter")
    path = "/v1/donations/by-external-id/old-crm/G-7"
    body = {"amount": usd(1000), "method": "cash", "contact_id": contact["id"], "received_at": "2026-03-01T12:00:00Z"}
    await world.get(path, expect=404)
    made = await world.put(path, body, expect=201)
    assert await world.put(path, body) == made == await world.get(path)
    await world.patch(f"/v1/donations/{made['id']}", {"fund_id": target, "note": "ours"})
    changed = await world.put(path, {"amount": usd(1200), "external_ids": [{"system": "bank", "id": "T1"}]})
    assert (changed["id"], changed["amount"]) == (made["id"], usd(1200))
    assert (changed["fund_id"], changed["note"], changed["method"]) == (target, "ours", "cash")
    ids = [{"system": "old-crm", "id": "G-7"}, {"system": "bank", "id": "T1"}]
    assert changed["external_ids"] == ids
    assert [kind for kind, _, _ in await entries(world, made["id"])].count("adjustment") == 1
    assert (await world.get("/v1/donations/by-external-id/bank/T1"))["id"] == made["id"]
    problem = await world.put(path, {"amount": {"amount": 1, "currency": "EUR"}}, expect=422)
    assert problem["errors"][0]["code"] == "currency_mismatch"
    many = [world.client.put("/v1/donations/by-external-id/bank/T9", json=body) for _ in range(12)]
    answers = await asyncio.gather(*many)
    assert sorted(answer.status_code for answer in answers) == [200] * 11 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_fifty_at_once(make_world: MakeWorld) -> None:
    """One key makes one gift; fifty refunds never give back more than there is."""
    world = await make_world()
    body = {"amount": usd(1000), "method": "cash"}
    headers = {"Idempotency-Key": "one-gift"}
    answers = await asyncio.gather(*(world.client.post("/v1/donations", json=body, headers=headers) for _ in range(50)))
    good = [answer for answer in answers if answer.status_code == 201]
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert good
    assert len({answer.json()["id"] for answer in good}) == 1
    (gift,) = (await world.get("/v1/donations"))["data"]
    path = f"/v1/donations/{gift['id']}/refunds"
    answers = await asyncio.gather(*(world.client.post(path, json={"amount": usd(70)}) for _ in range(50)))
    assert sorted(answer.status_code for answer in answers) == [201] * 14 + [422] * 36
    left = await world.get(f"/v1/donations/{gift['id']}")
    assert (left["refunded_amount"], left["net_amount"]) == (usd(980), usd(20))


async def test_what_a_gift_refers_to_stands_beside_it(world: World) -> None:
    contact, friend = await world.contact(), await world.contact(given_name="Іван", emails=[])
    target = await fund(world, "winter")
    gift = await world.donation(contact["id"], fund_id=target)
    await world.donation(None)
    await world.post(f"/v1/donations/{gift['id']}/soft-credits", {"contact_id": friend["id"], "type": "solicitor"})
    names = "contact,fund,campaign,allocations,soft_credits"
    page = await world.get("/v1/donations", params={"expand": names, "limit": 5})
    bare, full = sorted(page["data"], key=lambda one: one["contact_id"] is not None)
    assert (bare["contact"], bare["fund"], bare["allocations"], bare["soft_credits"]) == (None, None, [], [])
    assert full["contact"] == {"id": contact["id"], "kind": "person", "display_name": contact["display_name"]}
    assert (full["fund"]["code"], full["campaign"]) == ("winter", None)
    assert full["soft_credits"][0]["amount"] == usd(2500)
    single = await world.get(f"/v1/donations/{gift['id']}", params={"expand": names})
    assert single == full
    assert "contact" not in (await world.get("/v1/donations"))["data"][0]
    for path in ("/v1/donations", f"/v1/donations/{gift['id']}"):
        problem = await world.get(path, params={"expand": "payer"}, expect=422)
        assert problem["errors"][0]["pointer"] == "?expand"
    key = (await world.post("/v1/api-keys", {"name": "Finance", "scopes": ["donations:read"]}))["key"]
    headers = {"Authorization": f"Bearer {key}"}
    refused = await world.get("/v1/donations", params={"expand": "contact"}, headers=headers, expect=403)
    assert refused["scope"] == "contacts:read"


async def test_currencies_of_other_exponents(world: World) -> None:
    """Whole minor units to the last one, at the largest amount too, in parts and credits as well."""
    funds = [await fund(world, code) for code in ("a", "b", "c")]
    for currency in ("JPY", "HUF", "ISK", "KWD"):
        await _at_the_largest(world, currency, funds)


async def _at_the_largest(world: World, currency: str, funds: list[str]) -> None:
    shares = ("33.3333", "33.3333", "33.3334")
    parts = [{"fund_id": one, "percent": percent} for one, percent in zip(funds, shares, strict=True)]
    most = {"amount": MOST, "currency": currency}
    gift = await world.post("/v1/donations", {"amount": most, "allocations": parts})
    assert sum(part["amount"]["amount"] for part in gift["allocations"]) == MOST
    friend = await world.contact()
    path = f"/v1/donations/{gift['id']}/soft-credits"
    credit = await world.post(path, {"contact_id": friend["id"], "type": "other", "amount": most})
    assert credit["counted_amount"] == most
    beyond = {"contact_id": friend["id"], "type": "employer", "amount": {**most, "amount": MOST + 1}}
    assert (await world.post(path, beyond, expect=422))["errors"][0]["pointer"] == "/amount/amount"
    over = [{"fund_id": funds[0], "amount": {**most, "amount": MOST + 1}}]
    problem = await world.post("/v1/donations", {"amount": most, "allocations": over}, expect=422)
    assert problem["errors"][0]["pointer"] == "/allocations/0/amount/amount"
