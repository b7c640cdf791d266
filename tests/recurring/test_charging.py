"""Charging stored cards through Monobank's documented protocol: what follows each answer, and each silence."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from sqlalchemy import text

from crm_api.kit.clock import rfc3339, utc_now
from crm_api.kit.db import prepare
from tests.recurring.stories import at, attempts, card_plan, day, gifts, periods, promises_worker, settle, shown
from tests.support.gateways import FakeGateway
from tests.support.world import World


def charges(bank: FakeGateway) -> int:
    """How often a card was to be charged."""
    return bank.paths().count("/api/merchant/wallet/payment")


async def test_a_card_is_charged_each_month(fund: World, bank: FakeGateway) -> None:
    await at(fund, "2026-01-31")
    who = await fund.contact()
    campaign = await fund.post("/v1/campaigns", {"code": "winter", "name": "Winter"})
    made = await card_plan(fund, who["id"], campaign_id=campaign["id"])
    assert (made["status"], made["next_date"], made["anchor_day"]) == ("active", "2026-01-31", 31)
    assert "67XZtXdR4NpKU3" not in str(made)
    assert (made["card_mask"], made["card_expires_on"]) == ("444403******1902", "2027-08-31")
    await settle(fund)
    for month in ("2026-02-28", "2026-03-31"):
        await at(fund, month)
    assert await periods(fund, made["id"]) == [
        ("2026-01-31", "paid"), ("2026-02-28", "paid"), ("2026-03-31", "paid")]  # fmt: skip
    assert charges(bank) == 3
    sent = [said for _, target, said in bank.asked if target.endswith("/wallet/payment")]
    assert {(one["cardToken"], one["amount"], one["ccy"]) for one in sent} == {("67XZtXdR4NpKU3", 20000, 980)}
    known = await attempts(fund, made["id"])
    assert [one["merchantPaymInfo"]["reference"] for one in sent] == [one["id"] for one in known]
    found = await gifts(fund, made["id"])
    assert {(one["contact_id"], one["status"], one["campaign_id"]) for one in found} == {
        (who["id"], "succeeded", campaign["id"])
    }
    assert (await shown(fund, made["id"]))["next_date"] == "2026-04-30"


async def test_a_decline_is_tried_again_and_failing_is_not_failed(fund: World, bank: FakeGateway) -> None:
    """Dates that follow do not move with retries, and money makes the plan active again."""
    await at(fund, "2026-05-04")
    who = await fund.contact()
    made = await card_plan(fund, who["id"])
    bank.charge_as = {"status": "failure", "errCode": "59", "failureReason": "Недостатньо коштів"}
    await settle(fund)
    known = await shown(fund, made["id"])
    assert (known["status"], known["failures"], known["next_date"]) == ("past_due", 1, "2026-06-04")
    assert await periods(fund, made["id"]) == [("2026-05-04", "retrying")]
    await at(fund, "2026-05-06")
    assert charges(bank) == 1
    await at(fund, "2026-05-09")  # two days late; the third day was the 7th
    assert charges(bank) == 2
    page = await fund.get("/v1/recurring-periods", params={"plan_id": made["id"]})
    (period,) = page["data"]
    assert (period["retry_on"], period["attempts"], period["decline_class"]) == ("2026-05-11", 2, "insufficient_funds")
    bank.charge_as = {"status": "success"}
    await at(fund, "2026-05-11")
    known = await shown(fund, made["id"])
    assert (known["status"], known["failures"], known["next_date"]) == ("active", 0, "2026-06-04")
    assert [one["state"] for one in await attempts(fund, made["id"])] == ["declined", "declined", "succeeded"]
    assert sorted(one["status"] for one in await gifts(fund, made["id"])) == ["failed", "failed", "succeeded"]
    await at(fund, "2026-05-30")
    assert charges(bank) == 3
    # The default policy writes after the first failure of a period, and after the third.
    assert fund.letter_kinds().count("payment_failed") == 1


async def test_a_card_that_is_gone_is_given_up_until_staff_brings_another(fund: World, bank: FakeGateway) -> None:
    await at(fund, "2026-05-04")
    who = await fund.contact()
    made = await card_plan(fund, who["id"])
    bank.charge_as = {"status": "failure", "errCode": "41"}
    await settle(fund)
    known = await shown(fund, made["id"])
    assert (known["status"], known["pause_reason"]) == ("paused", "given_up:lost_or_stolen")
    await at(fund, "2026-06-10")
    assert charges(bank) == 1
    bank.charge_as = {"status": "success"}
    path = f"/v1/recurring-plans/{made['id']}/reactivate"
    card = {"token": "newToken", "expires": "2029-01"}
    again = await fund.post(path, {"reason": "Нова картка", "card": card, "retry": True}, expect=200)
    assert (again["status"], again["next_date"], again["failures"]) == ("active", "2026-07-04", 0)
    await settle(fund)
    assert bank.asked[-1][2]["cardToken"] == "newToken"
    assert await periods(fund, made["id"]) == [("2026-05-04", "paid")]
    kinds = [one["kind"] for one in (await fund.get(f"/v1/recurring-plans/{made['id']}/changes"))["data"]]
    assert kinds == ["reactivate", "pause"]


async def test_silence_is_never_answered_by_charging_again(fund: World, bank: FakeGateway) -> None:
    """The bank takes the charge and hangs up. It is asked what became of it; the event of the charge tells."""
    await at(fund, "2026-05-04")
    who = await fund.contact()
    made = await card_plan(fund, who["id"])
    bank.trouble = [0]
    await settle(fund)
    assert (charges(bank), [one["state"] for one in await attempts(fund, made["id"])]) == (1, ["unknown"])
    for hour in (11, 12, 18):
        await at(fund, "2026-05-04", hour)
    assert charges(bank) == 1
    assert bank.paths().count("/api/merchant/statement") == 3
    tasks = (await fund.get("/v1/tasks"))["data"]
    assert [task["contact_id"] for task in tasks] == [who["id"]]
    invoice = bank.invoices["p2_fake0"]
    bank.statement.append({"invoiceId": "p2_fake0", "reference": invoice["reference"], "date": rfc3339(utc_now() - timedelta(minutes=1)),
                           "status": "success", "amount": 20000, "ccy": 980})  # fmt: skip
    await at(fund, "2026-05-05")
    assert await periods(fund, made["id"]) == [("2026-05-04", "paid")]
    assert charges(bank) == 1
    assert [one["status"] for one in await gifts(fund, made["id"])] == ["succeeded"]


async def test_nobody_home_is_tried_again_soon(fund: World, bank: FakeGateway) -> None:
    """Throttled: the bank has not looked at the charge. It is made anew, under a new attempt."""
    await at(fund, "2026-05-04")
    who = await fund.contact()
    made = await card_plan(fund, who["id"])
    bank.trouble = [429]
    await settle(fund)
    assert [one["state"] for one in await attempts(fund, made["id"])] == ["not_made"]
    await at(fund, "2026-05-04", 11)
    assert [one["state"] for one in await attempts(fund, made["id"])] == ["not_made", "succeeded"]
    assert (await shown(fund, made["id"]))["failures"] == 0


async def test_a_person_can_say_what_became_of_a_charge(fund: World, bank: FakeGateway) -> None:
    await at(fund, "2026-05-04")
    who = await fund.contact()
    made = await card_plan(fund, who["id"])
    bank.trouble = [500]
    await settle(fund)
    (attempt,) = await attempts(fund, made["id"])
    path = f"/v1/charge-attempts/{attempt['id']}/resolve"
    refused = await fund.post(
        f"/v1/recurring-plans/{made['id']}/payments", {"donation_id": (await fund.donation(who["id"], 20000, "UAH"))["id"]},
        expect=409,
    )  # fmt: skip
    assert refused["code"] == "charge_under_way"
    resolved = await fund.post(path, {"outcome": "not_charged"}, expect=200)
    assert resolved["state"] == "not_made"
    assert (await fund.post(path, {"outcome": "not_charged"}, expect=409))["code"] == "attempt_settled"
    await settle(fund)
    assert [one["state"] for one in await attempts(fund, made["id"])] == ["not_made", "succeeded"]


async def test_nobody_is_charged_who_should_not_be(fund: World, bank: FakeGateway) -> None:
    await at(fund, "2026-05-04")
    expected = {"pause": "paused", "cancel": "canceled", "deceased": "paused", "erased": "canceled", "end": "completed"}
    plans = {}
    for how in expected:
        who = await fund.contact(emails=[])
        made = await card_plan(fund, who["id"], **({"end_date": "2026-06-03"} if how == "end" else {}))
        bank.charge_as = {"status": "failure", "errCode": "59"} if how != "end" else {"status": "success"}
        await settle(fund)
        if how in {"pause", "cancel"}:
            await fund.post(f"/v1/recurring-plans/{made['id']}/{how}", {"reason": "Просила"}, expect=200)
        elif how == "deceased":
            await fund.patch(f"/v1/contacts/{who['id']}", {"deceased": True})
        elif how == "erased":
            await fund.post(f"/v1/contacts/{who['id']}/erasure", {"confirm": True}, expect=202)
        plans[how] = made["id"]
    bank.charge_as = {"status": "success"}
    for date in ("2026-05-07", "2026-06-04", "2026-08-09"):
        await at(fund, date)
    assert charges(bank) == len(expected)
    assert {how: (await shown(fund, plan_id))["status"] for how, plan_id in plans.items()} == expected
    sealed = await fund.database.read(fund.tenant).fetch_val(_TOKEN, id=plans["erased"])
    assert sealed is None


_TOKEN = prepare(text("SELECT card_token FROM recurring_plans WHERE organization_id = :organization_id AND id = :id"))


async def test_two_workers_charge_once(fund: World, bank: FakeGateway) -> None:
    await at(fund, "2026-05-04")
    who = await fund.contact()
    made = [await card_plan(fund, who["id"]) for _ in range(5)]
    await fund.set_clock(day("2026-05-04", 12))
    workers = [promises_worker(fund) for _ in range(4)]
    for _ in range(3):
        await asyncio.gather(*(worker._tend(fund.id, ensure=False) for worker in workers))
    assert charges(bank) == 5
    for one in made:
        assert await periods(fund, one["id"]) == [("2026-05-04", "paid")]
