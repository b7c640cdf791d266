"""The donation report over HTTP: gap-free, in the organization's days, never two currencies in one sum."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from crm_api.kit.formulas import guard
from crm_api.reports.donations import repository
from crm_api.reports.forms import OFFERS
from crm_api.reports.negotiation import chosen
from crm_api.reports.report import Column, Report, as_csv
from tests.conftest import MakeWorld
from tests.ledger.paying import pay
from tests.support.world import World

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)


@pytest.fixture
async def kyiv(make_world: MakeWorld) -> World:
    """An organization in Kyiv that counts in hryvnias."""
    world = await make_world(currency="UAH", timezone="Europe/Kyiv")
    await world.set_clock(NOW)
    return world


async def report(world: World, **query: Any) -> Any:
    await world.drain()
    return await world.get("/v1/reports/donations", params=query)


def figures(group: Any) -> dict[str, tuple[Any, ...]]:
    names = ("count", "gross", "refunded", "fee", "net")
    return {one["currency"]: tuple(one[name] for name in names) for one in group["currencies"]}


async def test_by_day_in_the_organizations_zone_without_gaps(kyiv: World) -> None:
    await kyiv.donation(None, 100, "UAH", received_at="2026-03-17T22:30:00Z")  # half past midnight on the 18th
    gift = await kyiv.donation(None, 1000, "UAH", received_at="2026-03-20T09:00:00Z")
    await kyiv.post(f"/v1/donations/{gift['id']}/refunds", {"amount": {"amount": 300, "currency": "UAH"}})
    await pay(kyiv, "pi_1", 5000, 175, currency="USD", at=NOW)
    found = await report(kyiv, group_by="day", **{"from": "2026-03-17", "to": "2026-03-20"})
    assert [one["key"] for one in found["groups"]] == ["2026-03-17", "2026-03-18", "2026-03-19", "2026-03-20"]
    assert [one["count"] for one in found["groups"]] == [0, 1, 0, 2]
    assert figures(found["groups"][3]) == {"UAH": (1, 1000, 300, 0, 700), "USD": (1, 5000, 0, 175, 4825)}
    assert found["groups"][3]["base"] == {
        "currency": "UAH", "gifts_without_rate": 1, "gross": 1000, "refunded": 300, "fee": 0, "net": 700,
    }  # fmt: skip

    rate = {"source_currency": "USD", "target_currency": "UAH", "rate": "41.30", "rate_date": "2026-03-01"}
    await kyiv.post("/v1/exchange-rates", rate)
    found = await report(kyiv, group_by="day", **{"from": "2026-03-17", "to": "2026-03-20"})
    fee = 7228  # 175 x 41.30 = 7227.5, to the even
    assert found["totals"]["base"] == {
        "currency": "UAH", "gifts_without_rate": 0, "gross": 1100 + 206500, "refunded": 300, "fee": fee,
        "net": 800 + 206500 - fee,
    }  # fmt: skip
    assert found["totals"]["count"] == 3


async def test_by_month_and_its_defaults(kyiv: World) -> None:
    await kyiv.donation(None, 100, "UAH", received_at="2025-12-31T23:00:00Z")
    await kyiv.donation(None, 100, "UAH", received_at="2025-03-31T12:00:00Z")
    found = await report(kyiv)
    assert (found["from_date"], found["to_date"], len(found["groups"])) == ("2025-04-01", "2026-03-20", 12)
    assert {one["key"]: one["count"] for one in found["groups"] if one["count"]} == {"2026-01": 1}
    assert len((await report(kyiv, group_by="day"))["groups"]) == 30


async def test_by_what_gifts_are_for(kyiv: World) -> None:
    funds = [await kyiv.post("/v1/funds", {"code": code, "name": code.upper()}) for code in "ab"]
    campaign = await kyiv.post("/v1/campaigns", {"code": "winter", "name": "Winter"})
    split = [{"fund_id": fund["id"], "percent": "50"} for fund in funds]
    gift = await kyiv.donation(None, 7, "UAH", allocations=split, method="cash")
    await kyiv.post(f"/v1/donations/{gift['id']}/refunds", {"amount": {"amount": 2, "currency": "UAH"}})
    await kyiv.donation(None, 10, "UAH", fund_id=funds[1]["id"], campaign_id=campaign["id"])
    await kyiv.donation(None, 3, "JPY")

    found = await report(kyiv, group_by="fund")
    assert {one["label"]: figures(one) for one in found["groups"]} == {
        "A": {"UAH": (1, 4, 1, 0, 3)}, "B": {"UAH": (2, 13, 1, 0, 12)}, None: {"JPY": (1, 3, 0, 0, 3)},
    }  # fmt: skip
    assert found["totals"]["count"] == 3  # the split one once
    assert figures(found["totals"]) == {"JPY": (1, 3, 0, 0, 3), "UAH": (2, 17, 2, 0, 15)}
    assert found["totals"]["base"]["gifts_without_rate"] == 1
    assert found["groups"][-1]["key"] is None
    for group_by, keys in (
        ("campaign", ["Winter", None]), ("method", ["bank_transfer", "cash"]), ("currency", ["UAH", "JPY"]),
    ):  # fmt: skip
        groups = (await report(kyiv, group_by=group_by))["groups"]
        assert [one["label"] if group_by == "campaign" else one["key"] for one in groups] == keys
    assert [one["key"] for one in (await report(kyiv, group_by="currency", currency="JPY"))["groups"]] == ["JPY"]
    assert [one["key"] for one in (await report(kyiv, group_by="channel"))["groups"]] == [None]


async def test_as_csv(kyiv: World) -> None:
    campaign = await kyiv.post("/v1/campaigns", {"code": "w", "name": "=1+1"})
    await kyiv.donation(None, 1250, "KWD", campaign_id=campaign["id"])
    answer = await kyiv.client.get(
        "/v1/reports/donations", params={"group_by": "campaign"}, headers={"Accept": "text/csv"}
    )
    assert answer.headers["content-type"].startswith("text/csv")
    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert row == {
        "key": campaign["id"], "label": guard("=1+1"), "currency": "KWD", "count": "1", "gross": "1.250", "refunded": "0.000",
        "charged_back": "0.000", "fee": "0.000", "net": "1.250",
    }  # fmt: skip
    month = await kyiv.client.get("/v1/reports/donations", headers={"Accept": "text/csv"})
    assert month.text.splitlines()[1] == "2025-04,,,0,,,,,"


@pytest.mark.parametrize(
    "query",
    [
        {"from": "2026-03-02", "to": "2026-03-01"}, {"from": "1899-12-31"}, {"group_by": "weather"}, {"currency": "XXY"},
        {"group_by": "day", "from": "2010-01-01", "to": "2026-01-01"}, {"from": "20260101"}, {"form": "2026-01-01"},
    ],
)  # fmt: skip
async def test_what_is_refused(world: World, query: dict[str, str]) -> None:
    await world.get("/v1/reports/donations", params=query, expect=422)


async def test_sums_beyond_what_a_number_can_hold(world: World) -> None:
    for _ in range(2):
        await world.donation(None, 2**53 - 1)
    found = await report(world, group_by="currency")
    assert found["totals"]["currencies"][0]["gross"] == str(2 * (2**53 - 1))


async def test_an_index_finds_the_days(service_role: asyncpg.Connection) -> None:
    await service_role.execute("SET enable_seqscan = off")
    for group_by, statement in repository._STATEMENTS.items():
        values = {
            "first": NOW.date(), "last": NOW.date(), "from_time": NOW, "to_time": NOW, "currency": None,
            "organization_id": "01938d6e-5a00-7000-8000-000000000001",
        }  # fmt: skip
        plan = await service_role.fetch(f"EXPLAIN {statement.sql}", *[values[name] for name in statement.names])
        text = "\n".join(row[0] for row in plan)
        assert re.search(r"Index Cond: .*received_at >= ", text), f"{group_by}:\n{text}"
        assert "Seq Scan on gifts" not in text, f"{group_by}:\n{text}"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "application/json"), ("*/*", "application/json"), ("text/csv", "text/csv"), ("text/*", "text/csv"),
        ("application/json;q=0.5, text/csv", "text/csv"), ("text/csv;q=0.1, */*;q=0.5", "application/json"),
        ("image/png", "image/png"), ("image/*", "image/svg+xml"), ("application/xml", None), ("*/*;q=0", None), ("text/csv;q=x", None), ("TEXT/CSV", "text/csv"),
    ],
)  # fmt: skip
def test_which_form_is_chosen(accept: str | None, expected: str | None) -> None:
    assert chosen(accept, OFFERS) == expected


def test_a_table_as_csv() -> None:
    columns = (Column("on", "date", "On"), Column("name", "text", "Name"), Column("c", "text", "Currency"),
               Column("sum", "money", "Sum", "c"))  # fmt: skip
    table = Report("T", columns, [(NOW.date(), "@x", "JPY", 5), (None, None, "USD", "12345678901234567890")])
    assert as_csv(table).decode().splitlines()[1:] == ["2026-03-20,'@x,JPY,5", ",,USD,123456789012345678.90"]
