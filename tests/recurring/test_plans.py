"""Plans of our own over HTTP: what can be done with them when, and what the log says; a provider's plans are not ours."""

from __future__ import annotations

import json
from typing import Any

from tests.api.surface import FIXTURES
from tests.recurring.stories import at, card_plan, periods, plan, settle, shown
from tests.support.gateways import FakeGateway
from tests.support.world import World


async def test_upgrades_and_downgrades_are_logged_by_their_value_in_a_year(fund: World) -> None:
    await at(fund, "2026-03-31")
    who = await fund.contact()
    made = await plan(fund, who["id"], start_date="2026-04-01", anchor_day=31)
    path = f"/v1/recurring-plans/{made['id']}"
    assert (made["status"], made["next_date"]) == ("pending", "2026-04-30")
    await fund.patch(path, {"amount": {"amount": 30000, "currency": "UAH"}, "reason": "Підвищила"})
    await fund.patch(path, {"frequency_interval": 3})
    await fund.patch(path, {"amount": {"amount": 1000, "currency": "USD"}})
    await fund.patch(path, {"note": "Просить не дзвонити"})
    log = (await fund.get(f"{path}/changes"))["data"]
    assert [one["kind"] for one in log] == ["change", "downgrade", "upgrade"]
    assert log[2]["previous"]["annual_value"] == {"amount": 240000, "currency": "UAH"}
    assert log[2]["current"]["annual_value"] == {"amount": 360000, "currency": "UAH"}
    assert (log[2]["reason"], log[2]["actor_kind"]) == ("Підвищила", "api_key")
    assert log[1]["current"]["annual_value"]["amount"] == 120000


async def test_dates_change_without_two_payments_in_a_month(fund: World) -> None:
    await at(fund, "2026-05-10")
    who = await fund.contact()
    made = await plan(fund, who["id"], anchor_day=10)
    path = f"/v1/recurring-plans/{made['id']}"
    await settle(fund)
    assert await periods(fund, made["id"]) == [("2026-05-10", "expected")]
    assert (await fund.patch(path, {"anchor_day": 25}))["next_date"] == "2026-06-25"
    assert (await fund.patch(path, {"anchor_day": 31}))["next_date"] == "2026-06-30"
    assert (await fund.patch(path, {"frequency_unit": "week", "frequency_interval": 2}))["next_date"] == "2026-06-30"
    await at(fund, "2026-06-30")
    assert (await shown(fund, made["id"]))["next_date"] == "2026-07-14"
    refused = await fund.patch(path, {"anchor_day": 3}, expect=422)
    assert refused["errors"][0]["pointer"] == "/anchor_day"


async def test_pause_until_a_day_skip_and_end(fund: World, bank: FakeGateway) -> None:
    await at(fund, "2026-05-04")
    who = await fund.contact()
    made = await card_plan(fund, who["id"], start_date="2026-05-20")
    path = f"/v1/recurring-plans/{made['id']}"
    paused = await fund.post(f"{path}/pause", {"reason": "Відпустка", "resume_on": "2026-06-25"}, expect=200)
    assert (paused["status"], paused["resume_on"]) == ("paused", "2026-06-25")
    await at(fund, "2026-06-21")
    assert await periods(fund, made["id"]) == []
    await at(fund, "2026-06-25")
    known = await shown(fund, made["id"])
    assert (known["status"], known["next_date"], known["pause_reason"]) == ("active", "2026-07-20", None)
    skipped = await fund.post(f"{path}/skip", {}, expect=200)
    assert skipped["next_date"] == "2026-08-20"
    await at(fund, "2026-08-20")
    assert await periods(fund, made["id"]) == [("2026-07-20", "skipped"), ("2026-08-20", "paid")]
    canceled = await fund.post(f"{path}/cancel", {"reason": "Переїзд"}, expect=200)
    assert (canceled["status"], canceled["next_date"], canceled["cancel_reason"]) == ("canceled", None, "Переїзд")
    for verb, body in (("pause", {"reason": "x"}), ("resume", {}), ("skip", {}), ("cancel", {"reason": "x"})):
        assert (await fund.post(f"{path}/{verb}", body, expect=409))["code"] == "plan_canceled"
    assert (await fund.patch(path, {"amount": {"amount": 1, "currency": "UAH"}}, expect=409))["code"] == "plan_canceled"
    assert (await fund.post(f"{path}/reactivate", {}, expect=200))["next_date"] == "2026-09-20"
    log = [one["kind"] for one in (await fund.get(f"{path}/changes"))["data"]]
    assert log == ["reactivate", "cancel", "skip", "resume", "pause"]
    profile = await fund.profile(who["id"])
    assert profile["is_recurring"]


async def test_a_plan_of_some_installments_is_complete_when_they_are_paid(fund: World, bank: FakeGateway) -> None:
    """A skipped payment and one that failed do not count; nothing is charged beyond."""
    await at(fund, "2026-01-05")
    who = await fund.contact()
    made = await card_plan(fund, who["id"], installments=2)
    await settle(fund)
    await fund.post(f"/v1/recurring-plans/{made['id']}/skip", {}, expect=200)
    for date in ("2026-02-05", "2026-03-05", "2026-04-05"):
        await at(fund, date)
    assert await periods(fund, made["id"]) == [
        ("2026-01-05", "paid"), ("2026-02-05", "skipped"), ("2026-03-05", "paid")]  # fmt: skip
    known = await shown(fund, made["id"])
    assert (known["status"], known["next_date"]) == ("completed", None)


async def test_nobody_is_charged_for_two_periods_at_once(fund: World, bank: FakeGateway) -> None:
    """The workers were away for a quarter: the newest payment is charged, those before are missed."""
    await at(fund, "2026-01-05")
    who = await fund.contact()
    made = await card_plan(fund, who["id"], start_date="2026-01-10")
    await at(fund, "2026-04-12")
    assert await periods(fund, made["id"]) == [
        ("2026-01-10", "missed"), ("2026-02-10", "missed"), ("2026-03-10", "missed"), ("2026-04-10", "paid")]  # fmt: skip
    assert bank.paths().count("/api/merchant/wallet/payment") == 1


async def test_a_providers_plan_is_changed_there(world: World) -> None:
    fixture = json.loads((FIXTURES / "customer_subscription_created.json").read_text())
    await world.stripe_sends(json.loads(fixture["request"]["body_raw"]))
    await world.drain()
    (made,) = (await world.get("/v1/recurring-plans"))["data"]
    path = f"/v1/recurring-plans/{made['id']}"
    assert made["method"] == "provider"
    why: dict[str, Any] = {"reason": "x"}
    for verb, body in (("pause", why), ("resume", {}), ("skip", {}), ("cancel", why), ("reactivate", {})):
        refused = await world.post(f"{path}/{verb}", body, expect=409)
        assert refused["code"] == "managed_by_provider"
        assert "stripe" in refused["detail"]
    refused = await world.patch(path, {"amount": {"amount": 5, "currency": "USD"}}, expect=409)
    assert refused["code"] == "managed_by_provider"
    who = await world.contact()
    fund = await world.post("/v1/funds", {"code": "winter", "name": "Winter"})
    known = await world.patch(path, {"note": "VIP", "contact_id": who["id"], "fund_id": fund["id"]})
    assert (known["note"], known["contact_id"], known["fund_id"]) == ("VIP", who["id"], fund["id"])
    event = json.loads(fixture["request"]["body_raw"])
    event |= {"id": "evt_upgrade", "type": "customer.subscription.updated", "created": event["created"] + 60}
    price = event["data"]["object"]["items"]["data"][0]["price"]
    price["unit_amount"] *= 2
    event["data"]["object"]["items"]["data"][0].get("plan", {})["amount"] = price["unit_amount"]
    await world.stripe_sends(event)
    await world.drain()
    log = (await world.get(f"{path}/changes"))["data"]
    assert [one["kind"] for one in log] == ["upgrade"]
    assert log[0]["actor_kind"] == "system"


REFUSED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"end_date": "2026-01-01"}, "/end_date"),
    ({"installments": 3, "end_date": "2027-01-01"}, ""),
    ({"frequency_unit": "week", "anchor_day": 3}, ""),
    ({"method": "monobank"}, ""),
    ({"anchor_day": 32}, "/anchor_day"),
    ({"amount": {"amount": 0, "currency": "UAH"}}, "/amount/amount"),
)


async def test_what_is_refused(fund: World) -> None:
    await at(fund, "2026-05-04")
    who = await fund.contact()
    for changes, pointer in REFUSED:
        body = {"contact_id": who["id"], "method": "manual", "amount": {"amount": 100, "currency": "UAH"}, **changes}
        refused = await fund.post("/v1/recurring-plans", body, expect=422)
        assert refused["errors"][0]["pointer"] == pointer, changes
    stripe = {"connection_id": await fund.stripe_connection(), "card": {"token": "x"}}
    body = {"contact_id": who["id"], "method": "monobank", "amount": {"amount": 100, "currency": "UAH"}, **stripe}
    refused = await fund.post("/v1/recurring-plans", body, expect=422)
    assert refused["errors"][0]["code"] == "wrong_provider"


async def test_expiring_cards_are_told_of_once(fund: World, bank: FakeGateway) -> None:
    await at(fund, "2027-07-20")
    who = await fund.contact()
    made = await card_plan(fund, who["id"], start_date="2027-08-25")
    written = []
    for date in ("2027-07-21", "2027-07-31", "2027-08-01", "2027-08-20"):
        await at(fund, date)
        written.append(len(fund.letters()))
    assert written == [0, 0, 1, 1]
    (letter,) = fund.letters()
    assert letter["X-CRM-Letter"] == "card_expiring"
    said = letter.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert "31 серпня 2027" in said
    assert "444403******1902" in said
    new = {"card": {"token": "other", "expires": "2029-03"}}
    assert (await fund.patch(f"/v1/recurring-plans/{made['id']}", new))["card_expires_on"] == "2029-03-31"
    await at(fund, "2029-03-05")
    assert fund.letter_kinds().count("card_expiring") == 2
