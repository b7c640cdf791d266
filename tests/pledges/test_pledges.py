"""Pledges over HTTP: promised, paid by gifts, refunded, written off, reminded of."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.conftest import MakeWorld
from tests.recurring.stories import at, settle
from tests.support.world import World


@pytest.fixture
async def fund(make_world: MakeWorld) -> World:
    """A charity in hryvnias."""
    return await make_world(currency="UAH", timezone="Europe/Kyiv", language="uk")


def uah(amount: int) -> dict[str, Any]:
    """Money."""
    return {"amount": amount, "currency": "UAH"}


async def pledge(world: World, contact_id: str, amount: int = 100_001, **changes: Any) -> Any:
    """Three installments, the 31st of each month, unless something else is said."""
    money = {"amount": amount, "currency": changes.pop("currency", "UAH")}
    body: dict[str, Any] = {"contact_id": contact_id, "amount": money}
    if not changes.keys() & {"due_date", "installments", "schedule"}:
        body["schedule"] = {"count": 3, "start_date": "2026-01-31"}
    return await world.post("/v1/pledges", {**body, **changes})


async def figures(world: World, pledge_id: str) -> tuple[str, int, int, int, int]:
    """Status, paid, written off, open, overpaid."""
    row = await world.get(f"/v1/pledges/{pledge_id}")
    names = ("paid_amount", "written_off_amount", "open_amount", "overpaid_amount")
    return (row["status"], *(row[name]["amount"] for name in names))


async def parts(world: World, pledge_id: str) -> list[tuple[str, int, int]]:
    """Due date, paid and open of each installment."""
    rows = (await world.get(f"/v1/pledges/{pledge_id}/installments"))["data"]
    return [(row["due_on"], row["paid_amount"]["amount"], row["open_amount"]["amount"]) for row in rows]


async def test_gifts_fulfil_it_in_order(fund: World) -> None:
    await at(fund, "2026-01-10")
    who = await fund.contact()
    made = await pledge(fund, who["id"])
    assert (made["status"], made["next_due_on"]) == ("pending", "2026-01-31")
    assert await parts(fund, made["id"]) == [
        ("2026-01-31", 0, 33_334), ("2026-02-28", 0, 33_334), ("2026-03-31", 0, 33_333)]  # fmt: skip
    await fund.donation(who["id"], 40_000, "UAH")
    await fund.donation(who["id"], 500, "USD")
    await settle(fund)
    assert await figures(fund, made["id"]) == ("active", 40_000, 0, 60_001, 0)
    assert [one[1:] for one in await parts(fund, made["id"])] == [(33_334, 0), (6_666, 26_668), (0, 33_333)]
    gift = await fund.donation(who["id"], 60_001, "UAH")
    await settle(fund)
    assert await figures(fund, made["id"]) == ("fulfilled", 100_001, 0, 0, 0)
    await fund.post(f"/v1/donations/{gift['id']}/refunds", {"amount": uah(30_001)})
    await settle(fund)
    assert await figures(fund, made["id"]) == ("active", 70_000, 0, 30_001, 0)
    listed = (await fund.get(f"/v1/pledges/{made['id']}/payments"))["data"]
    assert [one["counted_amount"]["amount"] for one in listed] == [40_000, 30_000]
    await at(fund, "2026-04-01")
    assert (await figures(fund, made["id"]))[0] == "overdue"


async def test_a_gift_pays_the_oldest_pledges_as_far_as_they_are_open(fund: World) -> None:
    await at(fund, "2026-01-10")
    who = await fund.contact()
    later = await pledge(fund, who["id"], 50_000, due_date="2026-06-01")
    first = await pledge(fund, who["id"], 20_000, due_date="2026-02-01")
    dollars = await pledge(fund, who["id"], 900, currency="USD", due_date="2026-01-20")
    alone = await pledge(fund, who["id"], 70_000, due_date="2026-01-15", auto_apply=False)
    gift = await fund.donation(who["id"], 30_000, "UAH")
    await settle(fund)
    assert await figures(fund, first["id"]) == ("fulfilled", 20_000, 0, 0, 0)
    assert await figures(fund, later["id"]) == ("active", 10_000, 0, 40_000, 0)
    assert (await figures(fund, dollars["id"]))[1] == (await figures(fund, alone["id"]))[1] == 0
    await fund.call("DELETE", f"/v1/pledges/{later['id']}/payments/{gift['id']}", expect=200)
    moved = await fund.post(f"/v1/pledges/{alone['id']}/payments", {"donation_id": gift["id"]}, expect=200)
    assert moved["paid_amount"] == uah(10_000)
    more = {"donation_id": gift["id"], "amount": uah(1)}
    taken = await fund.post(f"/v1/pledges/{later['id']}/payments", more, expect=409)
    assert taken["code"] == "gift_taken"
    other = await fund.contact(emails=[])
    await fund.patch(f"/v1/donations/{gift['id']}", {"contact_id": other["id"]})
    await settle(fund)
    assert (await figures(fund, first["id"]))[1] == 0
    assert (await figures(fund, alone["id"]))[1] == 10_000  # staff's word stands


async def test_over_and_write_off(fund: World) -> None:
    await at(fund, "2026-01-10")
    who = await fund.contact()
    made = await pledge(fund, who["id"], 1_000, due_date="2026-02-01")
    gift = await fund.donation(who["id"], 1_500, "UAH")
    await fund.post(f"/v1/pledges/{made['id']}/payments", {"donation_id": gift["id"]}, expect=200)
    assert await figures(fund, made["id"]) == ("fulfilled", 1_000, 0, 0, 500)
    second = await pledge(fund, who["id"], 90_000)
    rows = (await fund.get(f"/v1/pledges/{second['id']}/installments"))["data"]
    path = f"/v1/pledges/{second['id']}/write-off"
    await fund.post(path, {"reason": "Криза", "installment_id": rows[1]["id"]}, expect=200)
    assert await figures(fund, second["id"]) == ("pending", 0, 30_000, 60_000, 0)
    await fund.donation(who["id"], 30_000, "UAH")
    await settle(fund)
    await fund.post(path, {"reason": "Закрилась"}, expect=200)
    assert await figures(fund, second["id"]) == ("written_off", 30_000, 60_000, 0, 0)
    assert (await fund.post(path, {"reason": "x"}, expect=409))["code"] == "nothing_open"
    late = await fund.donation(who["id"], 45_000, "UAH")
    await fund.post(f"/v1/pledges/{second['id']}/payments", {"donation_id": late["id"]}, expect=200)
    assert await figures(fund, second["id"]) == ("written_off", 75_000, 15_000, 0, 0)


async def test_in_kind_has_no_figures(fund: World) -> None:
    await at(fund, "2026-01-10")
    who = await fund.contact()
    body = {"contact_id": who["id"], "kind": "in_kind", "description": "20 спальників", "due_date": "2026-01-20"}
    made = await fund.post("/v1/pledges", body)
    assert [made[name] for name in ("amount", "paid_amount", "open_amount")] == [None] * 3
    await fund.donation(who["id"], 1_000, "UAH")
    await at(fund, "2026-01-22")
    assert (await fund.get(f"/v1/pledges/{made['id']}"))["status"] == "overdue"
    gift = await fund.donation(who["id"], 5_000, "UAH", method="in_kind")
    paid = await fund.post(f"/v1/pledges/{made['id']}/payments", {"donation_id": gift["id"]}, expect=200)
    assert (paid["status"], paid["paid_amount"]) == ("fulfilled", None)


async def test_reminders_and_a_task(fund: World) -> None:
    await at(fund, "2026-01-10")
    who = await fund.contact()
    member = await fund.post("/v1/members", {"email": "n@fund.example", "role": "fundraiser"})
    made = await pledge(fund, who["id"], due_date="2026-02-01", reminder_days=[2, 10], owner_member_id=member["id"])
    reminded = []
    for date in ("2026-02-02", "2026-02-03", "2026-02-04", "2026-02-11", "2026-03-31"):
        await at(fund, date)
        (row,) = (await fund.get(f"/v1/pledges/{made['id']}/installments"))["data"]
        reminded.append(row["reminded_on"])
    assert reminded == [None, "2026-02-03", "2026-02-03", "2026-02-11", "2026-02-11"]
    (task,) = (await fund.get("/v1/tasks"))["data"]
    assert (task["assignee_id"], task["contact_id"], task["due_on"]) == (member["id"], who["id"], "2026-02-03")
    await fund.post(f"/v1/pledges/{made['id']}/cancel", {"reason": "Помилка"}, expect=200)
    refused = await fund.post(f"/v1/pledges/{made['id']}/write-off", {"reason": "x"}, expect=409)
    assert refused["code"] == "pledge_canceled"


async def test_new_installments_take_the_place_of_all(fund: World) -> None:
    await at(fund, "2026-01-10")
    who = await fund.contact()
    made = await pledge(fund, who["id"], 90_000)
    await fund.donation(who["id"], 35_000, "UAH")
    await settle(fund)
    new = [{"due_on": "2026-05-01", "amount": uah(20_000)}, {"due_on": "2026-03-01", "amount": uah(20_000)}]
    path = f"/v1/pledges/{made['id']}"
    refused = await fund.patch(path, {"installments": new}, expect=422)
    assert refused["errors"][0]["code"] == "sum_mismatch"
    known = await fund.patch(path, {"amount": uah(40_000), "installments": new})
    assert (known["status"], known["next_due_on"], known["open_amount"]) == ("active", "2026-05-01", uah(5_000))
    assert await parts(fund, made["id"]) == [("2026-03-01", 20_000, 0), ("2026-05-01", 15_000, 5_000)]


async def test_balances_hold_whatever_happens(fund: World) -> None:
    """Gifts, refunds, write-offs and changes of donors in any order: paid, written off and open always add up, and what
    is paid is what stands of the gifts."""
    await at(fund, "2026-01-10")
    steps = st.lists(
        st.tuples(st.sampled_from(["give", "give", "refund", "write_off", "work"]), st.integers(1, 60_000)),
        min_size=4, max_size=9,
    )  # fmt: skip
    told: list[list[tuple[str, int]]] = []

    @settings(max_examples=6, database=None, derandomize=True, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(steps)
    def collect(drawn: list[tuple[str, int]]) -> None:
        told.append(drawn)

    collect()
    for drawn in told:
        who = await fund.contact(emails=[])
        made = await pledge(fund, who["id"], 100_001)
        recorded: dict[str, int] = {}
        for step, amount in drawn:
            if step == "give":
                recorded[(await fund.donation(who["id"], amount, "UAH"))["id"]] = amount
            elif step == "refund" and (left := {one: rest for one, rest in recorded.items() if rest}):
                one = next(iter(left))
                back = min(left[one], amount)
                await fund.post(f"/v1/donations/{one}/refunds", {"amount": uah(back)})
                recorded[one] -= back
            elif step == "write_off" and (await figures(fund, made["id"]))[3]:
                await fund.post(f"/v1/pledges/{made['id']}/write-off", {"reason": "x"}, expect=200)
            elif step == "work":
                await settle(fund)
        await settle(fund)
        _, paid, gone, left_open, over = await figures(fund, made["id"])
        assert paid + gone + left_open == 100_001
        assert over == 0
        rows = (await fund.get(f"/v1/pledges/{made['id']}/payments"))["data"]
        assert paid == sum(row["counted_amount"]["amount"] for row in rows) <= sum(recorded.values())
        assert all(row["counted_amount"]["amount"] <= recorded[row["donation_id"]] for row in rows)
