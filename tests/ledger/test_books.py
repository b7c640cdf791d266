"""The books over HTTP: what gifts, refunds, disputes and splits post, periods that are closed, the chart, the export."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.world import World

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


async def balances(world: World, **query: Any) -> dict[tuple[str, str], int]:
    """Balance by account and currency, once the worker has got to everything and debits equal credits."""
    await world.drain()
    found = await world.get("/v1/ledger/trial-balance", params=query)
    assert found["unposted"] == 0
    assert all(int(total["debit"]) == int(total["credit"]) for total in found["totals"])
    return {(one["account"], one["currency"]): int(one["balance"]) for one in found["accounts"] if int(one["balance"])}


async def journals(world: World, **query: Any) -> list[dict[str, Any]]:
    """Postings, oldest first."""
    page = await world.get("/v1/ledger/journals", params={"limit": 200, "sort": "id", **query})
    return list(page["data"])


async def test_a_gift_and_its_refund(world: World) -> None:
    await world.set_clock(NOON)
    fund = await world.post("/v1/funds", {"code": "winter", "name": "Winter"})
    gift = await world.donation(None, 12550, "UAH", fund_id=fund["id"], method="cash")
    income = f"income:{fund['id']}"
    assert await balances(world) == {("received:cash", "UAH"): 12550, (income, "UAH"): -12550}

    await world.set_clock(NOON.replace(day=20))
    await world.post(f"/v1/donations/{gift['id']}/refunds", {"amount": {"amount": 2500, "currency": "UAH"}})
    now = await balances(world)
    assert now == {
        ("received:cash", "UAH"): 10050, (income, "UAH"): -12550, (f"refunds:{fund['id']}", "UAH"): 2500,
    }  # fmt: skip
    assert await balances(world, as_of="2026-03-19") == {("received:cash", "UAH"): 12550, (income, "UAH"): -12550}
    assert await balances(world, as_of="2026-03-09") == {}

    posted = await journals(world, donation_id=gift["id"])
    assert [(one["kind"], one["journal_date"], one["relates_to"]) for one in posted] == [
        ("gift", "2026-03-10", None), ("refund", "2026-03-20", None),
    ]  # fmt: skip
    funds = (await world.get("/v1/ledger/trial-balance"))["funds"]
    assert funds == [
        {"fund_id": fund["id"], "currency": "UAH", "income": 12550, "refunds": 2500, "chargebacks": 0, "fees": 0, "pledged": 0,
         "net": 10050}
    ]  # fmt: skip
    refunds = await journals(world, account=f"refunds:{fund['id']}")
    assert [one["kind"] for one in refunds] == ["refund"]


async def test_posting_again_writes_nothing(world: World) -> None:
    gift = await world.donation(None, 500)
    await world.drain()
    for _ in range(2):
        answer = await world.post(f"/v1/donations/{gift['id']}/postings", expect=200)
        assert answer == {"donation_id": gift["id"], "posted": 0}
    assert len(await journals(world)) == 1


async def test_a_gift_over_several_funds_is_posted_to_the_last_unit(world: World) -> None:
    funds = [await world.post("/v1/funds", {"code": code, "name": code}) for code in ("a", "b", "c")]
    percents = zip(funds, ("33.33", "33.33", "33.34"), strict=True)
    split = [{"fund_id": fund["id"], "percent": percent} for fund, percent in percents]
    gift = await world.donation(None, 1, "JPY", allocations=split)
    assert sum(amount for (account, _), amount in (await balances(world)).items() if account.startswith("income")) == -1

    body = {"allocations": [{"fund_id": funds[0]["id"], "percent": "100"}]}
    await world.patch(f"/v1/donations/{gift['id']}", body)
    assert await balances(world) == {
        ("received:bank_transfer", "JPY"): 1, (f"income:{funds[0]['id']}", "JPY"): -1,
    }  # fmt: skip


async def test_a_closed_period_stays_as_it_was(world: World) -> None:
    await world.set_clock(NOON)
    gift = await world.donation(None, 1000)
    await world.drain()
    early = await world.post("/v1/ledger/periods", {"through": "2026-03-10"}, expect=409)
    assert early["code"] == "period_not_over"
    await world.set_clock(NOON.replace(month=4))
    period = await world.post("/v1/ledger/periods", {"through": "2026-03-31"})
    closed = await balances(world, as_of="2026-03-31")

    late = await world.donation(None, 700, received_at="2026-03-15T10:00:00Z")
    await world.post(f"/v1/donations/{gift['id']}/refunds", {"refunded_at": "2026-03-20T10:00:00Z"})
    await world.drain()
    assert await balances(world, as_of="2026-03-31") == closed
    posted = await journals(world, **{"journal_date[gte]": "2026-04-01"})
    assert {(one["donation_id"], one["journal_date"], one["relates_to"]) for one in posted} == {
        (late["id"], "2026-04-01", "2026-03-15"), (gift["id"], "2026-04-01", "2026-03-20"),
    }  # fmt: skip
    again = await world.post("/v1/ledger/periods", {"through": "2026-03-31"}, expect=409)
    assert again["code"] == "period_closed"

    reopened = await world.post(f"/v1/ledger/periods/{period['id']}/reopen", {"reason": "Audit"}, expect=200)
    assert (reopened["state"], reopened["reason"]) == ("reopened", "Audit")
    await world.post(f"/v1/ledger/periods/{period['id']}/reopen", {"reason": "Audit"}, expect=409)
    other = await world.donation(None, 300, received_at="2026-03-16T10:00:00Z")
    await world.drain()
    (one,) = await journals(world, donation_id=other["id"])
    assert (one["journal_date"], one["relates_to"]) == ("2026-03-16", None)
    actions = [one["action"] for one in (await world.get("/v1/audit-events", params={"limit": 200}))["data"]]
    assert {"ledger_period.closed", "ledger_period.reopened"} <= set(actions)


async def test_later_periods_are_reopened_with_an_earlier_one(world: World) -> None:
    first, second, third = [await world.post("/v1/ledger/periods", {"through": f"202{n}-12-31"}) for n in (3, 4, 5)]
    answer = await world.post(f"/v1/ledger/periods/{second['id']}/reopen", {"reason": "x"}, expect=200)
    assert (answer["id"], answer["state"]) == (second["id"], "reopened")
    page = await world.get("/v1/ledger/periods")
    states = {one["id"]: one["state"] for one in page["data"]}
    assert states == {first["id"]: "closed", second["id"]: "reopened", third["id"]: "reopened"}
    assert (await world.get("/v1/ledger/trial-balance"))["closed_through"] == "2023-12-31"


async def test_the_chart_and_the_export(world: World) -> None:
    await world.set_clock(NOON)
    fund = await world.post("/v1/funds", {"code": "=cmd", "name": "=HYPERLINK(1)"}, expect=422)
    fund = await world.post("/v1/funds", {"code": "winter", "name": "=HYPERLINK(1)"})
    await world.donation(None, 1250, "KWD", fund_id=fund["id"])
    await world.drain()
    await world.donation(None, 700, "JPY")
    await world.drain()
    answer = await world.put(
        "/v1/ledger/accounts",
        {"accounts": [{"account": "income:*", "code": "481"}, {"account": "income:none", "code": "482", "name": "Free"}]},
    )  # fmt: skip
    assert [(one["account"], one["code"]) for one in answer["data"]] == [("income:*", "481"), ("income:none", "482")]
    await world.put("/v1/ledger/accounts", {"accounts": [{"account": "income:nothing", "code": "1"}]}, expect=422)
    accounts = {one["account"]: one for one in (await world.get("/v1/ledger/accounts"))["data"]}
    income = f"income:{fund['id']}"
    assert accounts[income]["code"] is None
    assert accounts[income]["effective_code"] == "481"
    assert accounts["income:none"]["name"] == "Free"

    answer = await world.client.get("/v1/ledger/export", params={"from": "2026-03-01", "to": "2026-03-31"})
    assert answer.headers["content-type"].startswith("text/csv")
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(one["account"], one["debit"], one["credit"], one["code"]) for one in lines] == [
        ("received:bank_transfer", "1.250", "", ""), (income, "", "1.250", "481"),
        ("received:bank_transfer", "700", "", ""), ("income:none", "", "700", "482"),
    ]  # fmt: skip
    assert lines[1]["name"] == "Donations: =HYPERLINK(1)"
    assert (lines[1]["fund"], lines[1]["currency"]) == ("winter", "KWD")
    nothing = await world.client.get("/v1/ledger/export", params={"to": "2026-03-09"})
    assert len(nothing.text.splitlines()) == 1
    await world.get("/v1/ledger/export", params={"from": "2026-03-02", "to": "2026-03-01"}, expect=422)


async def test_sums_beyond_what_a_number_can_hold(world: World) -> None:
    most = 2**53 - 1
    for _ in range(2):
        await world.donation(None, most, "JPY")
    await world.drain()
    found = await world.get("/v1/ledger/trial-balance")
    assert found["totals"] == [{"currency": "JPY", "debit": str(2 * most), "credit": str(2 * most)}]
    assert {one["balance"] for one in found["accounts"]} == {str(2 * most), str(-2 * most)}


async def test_a_bulk_of_gifts_is_posted_by_one_statement(world: World) -> None:
    """As an import does it: one fact for all of them."""
    from crm_api.donations.gifts.facts import GiftsRestated
    from crm_api.donations.ledger import posting
    from crm_api.outbox.service import emit

    await world.donation(None, 500, "KWD", method="in_kind")
    refunded = await world.donation(None, 700)
    await world.post(f"/v1/donations/{refunded['id']}/refunds", {"amount": {"amount": 1, "currency": "USD"}})
    async with world.database.write(world.tenant) as session:
        assert await posting.post_next(session) == (2, None)
    wanted = await balances(world)
    assert wanted == {
        ("in_kind:goods", "KWD"): 500, ("in_kind_income:none", "KWD"): -500,
        ("received:bank_transfer", "USD"): 699, ("income:none", "USD"): -700, ("refunds:none", "USD"): 1,
    }  # fmt: skip
    async with world.database.write(world.tenant) as session:
        emit(session, GiftsRestated(reason="test"))
    assert await balances(world) == wanted
    assert len(await journals(world)) == 3


@pytest.mark.parametrize("scope", ["ledger:read", "donations:read"])
async def test_who_may(world: World, scope: str) -> None:
    key = (await world.post("/v1/api-keys", {"name": "k", "scopes": [scope]}))["key"]
    headers = {"Authorization": f"Bearer {key}"}
    await world.get("/v1/ledger/trial-balance", headers=headers, expect=200 if scope == "ledger:read" else 403)
    await world.post("/v1/ledger/periods", {"through": "2024-12-31"}, headers=headers, expect=403)


async def test_a_pledge_is_receivable_until_it_is_given(world: World) -> None:
    await world.set_clock(NOON)
    donor = await world.contact()
    fund = await world.post("/v1/funds", {"code": "winter", "name": "Winter"})
    body = {"contact_id": donor["id"], "amount": {"amount": 1000, "currency": "USD"}, "fund_id": fund["id"],
            "installments": [{"due_on": "2026-04-01", "amount": {"amount": 1000, "currency": "USD"}}]}  # fmt: skip
    pledge = await world.post("/v1/pledges", body)
    promised = f"pledge_income:{fund['id']}"
    assert await balances(world) == {("receivable:pledges", "USD"): 1000, (promised, "USD"): -1000}
    gift = await world.donation(donor["id"], 600, fund_id=fund["id"])
    income = f"income:{fund['id']}"
    assert await balances(world) == {
        ("receivable:pledges", "USD"): 400, (promised, "USD"): -400, ("received:bank_transfer", "USD"): 600,
        (income, "USD"): -600,
    }  # fmt: skip
    (one,) = (await world.get("/v1/ledger/trial-balance"))["funds"]
    assert (one["income"], one["pledged"], one["net"]) == (600, 400, 600)
    await world.post(f"/v1/donations/{gift['id']}/refunds", {"amount": {"amount": 100, "currency": "USD"}})
    assert (await balances(world))["receivable:pledges", "USD"] == 500
    await world.post(f"/v1/pledges/{pledge['id']}/write-off", {"reason": "Moved away"}, expect=200)
    now = await balances(world)
    assert (now.get(("receivable:pledges", "USD")), now[promised, "USD"], now[f"write_offs:{fund['id']}", "USD"]) == (
        None,
        -500,
        500,
    )
    posted = await journals(world, pledge_id=pledge["id"])
    assert [one["kind"] for one in posted] == ["pledge", "pledge_payment", "pledge_payment", "write_off"]
