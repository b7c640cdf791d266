"""Money that comes by itself: standing orders and donors who pay by hand, matched by contact, amount and day."""

from __future__ import annotations

from typing import Any

from tests.recurring.stories import at, periods, plan, settle, shown
from tests.support.world import World


async def transfer(world: World, contact_id: str | None, day: str, amount: int = 20000, **more: Any) -> Any:
    """Money on the charity's account."""
    gift = await world.donation(contact_id, amount, "UAH", received_at=f"{day}T09:00:00Z", **more)
    await settle(world)
    return gift


async def test_a_transfer_pays_its_period_early_or_late(fund: World) -> None:
    await at(fund, "2026-05-01")
    who, other = await fund.contact(), await fund.contact(emails=[])
    made = await plan(fund, who["id"], method="bank_standing_order", start_date="2026-05-05")
    await at(fund, "2026-05-02")
    await transfer(fund, other["id"], "2026-05-02")
    await transfer(fund, who["id"], "2026-05-02", 19999)
    assert await periods(fund, made["id"]) == []
    early = await transfer(fund, who["id"], "2026-05-02")
    assert await periods(fund, made["id"]) == [("2026-05-05", "paid")]
    assert (await fund.get(f"/v1/donations/{early['id']}"))["recurring_plan_id"] == made["id"]
    await at(fund, "2026-06-05")
    assert await periods(fund, made["id"]) == [("2026-05-05", "paid"), ("2026-06-05", "expected")]
    await at(fund, "2026-06-12")
    late = await transfer(fund, who["id"], "2026-06-12")
    again = await transfer(fund, who["id"], "2026-06-12")  # a single gift: June is paid
    page = await fund.get("/v1/recurring-periods", params={"plan_id": made["id"], "state": "paid"})
    assert page["data"][0]["donation_id"] == late["id"]
    assert (await fund.get(f"/v1/donations/{again['id']}"))["recurring_plan_id"] is None


async def test_money_that_does_not_come_is_missed(fund: World) -> None:
    await at(fund, "2026-05-01")
    who = await fund.contact()
    made = await plan(fund, who["id"], method="bank_standing_order", start_date="2026-05-05")
    await at(fund, "2026-05-15")
    assert await periods(fund, made["id"]) == [("2026-05-05", "expected")]
    await at(fund, "2026-05-16")
    assert await periods(fund, made["id"]) == [("2026-05-05", "missed")]
    known = await shown(fund, made["id"])
    assert (known["status"], known["failures"], known["next_date"]) == ("past_due", 1, "2026-06-05")
    (task,) = (await fund.get("/v1/tasks"))["data"]
    assert (task["contact_id"], task["due_on"]) == (who["id"], "2026-05-16")
    await at(fund, "2026-06-06")
    await transfer(fund, who["id"], "2026-06-06")
    known = await shown(fund, made["id"])
    assert (known["status"], known["failures"]) == ("active", 0)
    assert await periods(fund, made["id"]) == [("2026-05-05", "missed"), ("2026-06-05", "paid")]


async def test_staff_may_say_what_a_gift_pays(fund: World) -> None:
    await at(fund, "2026-05-05")
    who = await fund.contact()
    made = await plan(fund, who["id"])
    await settle(fund)
    gift = await transfer(fund, None, "2026-05-05", 35000)
    path = f"/v1/recurring-plans/{made['id']}/payments"
    paid = await fund.post(path, {"donation_id": gift["id"]}, expect=200)
    assert (paid["state"], paid["due_on"], paid["donation_id"]) == ("paid", "2026-05-05", gift["id"])
    assert await fund.post(path, {"donation_id": gift["id"]}, expect=200) == paid
    other = await plan(fund, who["id"])
    taken = await fund.post(f"/v1/recurring-plans/{other['id']}/payments", {"donation_id": gift["id"]}, expect=409)
    assert taken["code"] == "gift_taken"
    dollars = await fund.donation(who["id"], 100, "USD")
    refused = await fund.post(path, {"donation_id": dollars["id"]}, expect=422)
    assert refused["errors"][0]["code"] == "currency_mismatch"


async def test_a_gift_that_was_somebody_elses_pays_nothing_any_more(fund: World) -> None:
    await at(fund, "2026-05-05")
    who, other = await fund.contact(), await fund.contact(emails=[])
    made = await plan(fund, who["id"], method="bank_standing_order")
    await settle(fund)
    gift = await transfer(fund, who["id"], "2026-05-05")
    assert await periods(fund, made["id"]) == [("2026-05-05", "paid")]
    await fund.patch(f"/v1/donations/{gift['id']}", {"contact_id": other["id"]})
    await settle(fund)
    assert await periods(fund, made["id"]) == [("2026-05-05", "expected")]
    assert (await fund.get(f"/v1/donations/{gift['id']}"))["recurring_plan_id"] is None
