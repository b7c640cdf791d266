"""Payouts over HTTP: from clearing to bank, matched with gifts, with everything listed that does not fit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from crm_api.donations.gifts import evidence
from crm_api.donations.gifts.balances import Entry
from crm_api.donations.gifts.service import settle
from crm_api.donations.ledger.payouts import service
from tests.ledger.paying import pay
from tests.ledger.test_books import balances
from tests.support.world import World

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)


def usd(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": "USD"}


def item(ref: str, gross: int, fee: int = 0, kind: str = "payment") -> dict[str, Any]:
    return {"ref": ref, "kind": kind, "gross": usd(gross), "fee": usd(fee)}


async def payout(world: World, ref: str, amount: int, *items: dict[str, Any], **more: Any) -> Any:
    body = {
        "connection_id": await world.stripe_connection(), "payout_ref": ref, "arrived_on": "2026-03-20",
        "amount": usd(amount), "items": list(items), **more,
    }  # fmt: skip
    return await world.post("/v1/payouts", body)


async def states(world: World, made: Any) -> dict[str, str]:
    """What has become of each item, by its ref."""
    await world.drain()
    page = await world.get(f"/v1/payouts/{made['id']}/items")
    return {one["ref"]: one["state"] for one in page["data"]}


async def differences(world: World, **query: Any) -> tuple[dict[str, int], list[dict[str, Any]]]:
    found = await world.get("/v1/payouts/differences", params=query)
    return {one["kind"]: one["count"] for one in found["counts"] if one["count"]}, found["differences"]


async def test_a_payout_that_fits(world: World) -> None:
    await world.set_clock(NOW)
    first = await pay(world, "pi_1", 5000, 175, at=NOW - timedelta(days=2))
    await pay(world, "pi_2", 2000, 88, at=NOW - timedelta(days=2))
    made = await payout(world, "po_1", 6712, item("pi_1", 5000, 175), item("pi_2", 2000, 88), fee=usd(25))
    assert made["state"] == "open"
    assert await states(world, made) == {"pi_1": "matched", "pi_2": "matched"}
    now = await world.get(f"/v1/payouts/{made['id']}")
    assert (now["state"], now["items_count"], now["items_matched"]) == ("reconciled", 2, 2)
    assert now["difference"] == usd(0)
    clearing = f"clearing:{await world.stripe_connection()}"
    assert await balances(world) == {
        ("bank:payouts", "USD"): 6712, ("fees:payments", "USD"): 175 + 88 + 25, ("income:none", "USD"): -7000,
    }  # fmt: skip
    assert await balances(world, as_of="2026-03-19") == {
        (clearing, "USD"): 7000 - 263, ("fees:payments", "USD"): 263, ("income:none", "USD"): -7000,
    }  # fmt: skip
    assert await differences(world, after_days=1) == ({}, [])
    items = await world.get(f"/v1/payouts/{made['id']}/items", params={"state": "matched"})
    assert first in {one["donation_id"] for one in items["data"]}
    assert [one["kind"] for one in (await world.get("/v1/ledger/journals", params={"payout_id": made["id"]}))["data"]]


async def test_what_does_not_fit_is_listed(world: World) -> None:
    await world.set_clock(NOW)
    for ref, amount, fee in (("pi_amount", 5000, 175), ("pi_fee", 2000, 0), ("pi_twice", 300, 0), ("pi_late", 900, 0)):
        await pay(world, ref, amount, fee, at=NOW - timedelta(days=20))
    await pay(world, "pi_before", 100, at=NOW - timedelta(days=90))
    await pay(world, "pi_fresh", 400, at=NOW - timedelta(days=2))
    await pay(world, "pi_eur", 700, currency="EUR", at=NOW - timedelta(days=20))
    await payout(
        world, "po_1", 300, item("pi_twice", 300), arrived_on="2026-03-05"
    )  # what came long before is not missed
    await world.drain()
    made = await payout(
        world, "po_2", 1, item("pi_amount", 4999, 175), item("pi_fee", 2000, 88), item("pi_twice", 300),
        item("pi_unknown", 10), item("pi_eur", 700), item("adj", -5, kind="adjustment"), item("pi_fee", -1, kind="refund"),
    )  # fmt: skip
    found = await world.get(f"/v1/payouts/{made['id']}/items")
    assert {one["state"] for one in found["data"]} == {"unchecked"}
    await world.drain()
    page = await world.get(f"/v1/payouts/{made['id']}/items")
    assert {(one["ref"], one["kind"]): one["state"] for one in page["data"]} == {
        ("pi_amount", "payment"): "amount_differs", ("pi_fee", "payment"): "fee_differs",
        ("pi_twice", "payment"): "paid_twice", ("pi_unknown", "payment"): "missing_gift",
        ("pi_eur", "payment"): "currency_differs", ("adj", "adjustment"): "matched",
        ("pi_fee", "refund"): "amount_differs",
    }  # fmt: skip
    counts, listed = await differences(world, after_days=14)
    assert counts == {
        "amount_differs": 2, "fee_differs": 1, "paid_twice": 1, "missing_gift": 1, "currency_differs": 1,
        "gift_without_payout": 1,
    }  # fmt: skip
    (cost,) = [one for one in listed if one["kind"] == "fee_differs"]
    assert (cost["provider_fee"], cost["our_fee"], cost["our_gross"]) == (usd(88), usd(0), usd(2000))
    (unpaid,) = [one for one in listed if one["kind"] == "gift_without_payout"]
    assert unpaid["ref"] == "pi_late"
    assert (await differences(world, after_days=1))[0]["gift_without_payout"] == 2
    one = await world.get(f"/v1/payouts/{made['id']}")
    assert (one["state"], one["difference"]) == ("open", usd(1 - (4824 + 1912 + 300 + 10 + 700 - 5 - 1)))


async def test_what_comes_later_settles_the_difference(world: World) -> None:
    """The gift after its payout, then its fee, then its refund."""
    await world.set_clock(NOW)
    made = await payout(world, "po_1", 825, item("pi_1", 1000, 75), item("pi_1", -100, kind="refund"))
    page = (await world.get(f"/v1/payouts/{made['id']}/items"))["data"]
    assert await states(world, made) == {"pi_1": "missing_gift"}
    gift = await pay(world, "pi_1", 1000, at=NOW)
    await world.drain()
    page = (await world.get(f"/v1/payouts/{made['id']}/items"))["data"]
    assert [one["state"] for one in page] == ["fee_differs", "amount_differs"]
    await _tell(world, gift, Entry("fee", "fee:1", NOW, 75, ref="txn"))
    await _tell(world, gift, Entry("refund", "refund:1", NOW, 100, ref="re", status="succeeded"))
    assert await states(world, made) == {"pi_1": "matched"}
    assert (await world.get(f"/v1/payouts/{made['id']}"))["state"] == "reconciled"


async def _tell(world: World, gift: str, entry: Entry) -> None:
    async with world.database.write(world.tenant) as session:
        row = await evidence.lock_gift(session, UUID(gift))
        await evidence.add_evidence(session, row["id"], [entry])
        await settle(session, row)


async def test_a_payout_taken_back(world: World) -> None:
    await world.set_clock(NOW)
    await pay(world, "pi_1", 1000, at=NOW)
    made = await payout(world, "po_1", 1000, item("pi_1", 1000))
    await world.drain()
    twice = await world.client.post("/v1/payouts", json={**await _body(world), "payout_ref": "po_1"})
    assert (twice.status_code, twice.json()["code"]) == (409, "payout_recorded")
    canceled = await world.post(f"/v1/payouts/{made['id']}/cancel", {"reason": "Wrong account"}, expect=200)
    assert canceled["state"] == "canceled"
    await world.post(f"/v1/payouts/{made['id']}/cancel", {"reason": "Again"}, expect=409)
    assert ("bank:payouts", "USD") not in await balances(world)
    anew = await payout(world, "po_1", 1000, item("pi_1", 1000))
    assert await states(world, anew) == {"pi_1": "matched"}
    assert (await balances(world))["bank:payouts", "USD"] == 1000


async def _body(world: World) -> dict[str, Any]:
    return {"connection_id": await world.stripe_connection(), "payout_ref": "po_9", "arrived_on": "2026-03-20", "amount": usd(5)}  # fmt: skip


async def test_a_file_of_the_provider(world: World) -> None:
    """Stripe's own columns, main units, signs and all; wrong files say in which row."""
    await world.set_clock(NOW)
    await pay(world, "pi_1", 5000, 175, at=NOW)
    report = (
        "\ufeffbalance_transaction_id,reporting_category,gross,fee,net,currency,charge_id,payment_intent_id\r\n"
        "txn_1,charge,50.00,1.75,48.25,usd,ch_1,pi_1\r\ntxn_2,fee,-0.20,0.00,-0.20,usd,,\r\n"
    )
    form = {
        "connection_id": await world.stripe_connection(), "payout_ref": "po_1", "arrived_on": "2026-03-20", "currency": "USD",
    }  # fmt: skip
    made = await world.call(
        "POST",
        "/v1/payouts/uploads",
        expect=201,
        data=form,
        files={"file": ("report.csv", report.encode(), "text/csv")},
    )
    assert (made["amount"], made["origin"], made["items_count"]) == (usd(4805), "upload", 2)
    assert await states(world, made) == {"pi_1": "matched", "row:3": "matched"}
    assert (await world.get(f"/v1/payouts/{made['id']}"))["state"] == "reconciled"
    for content, code in (
        (b"ref,gross\npi_1,fifty\n", "invalid_amount"), (b"ref,gross\npi_1,1.001\n", "invalid_amount"),
        (b"name,sum\nx,1\n", "missing_column"), (b"ref,gross\n", "out_of_range"), (b"\xff\xfe\x00", "not_text"),
        (b"ref,gross\n,5\n", "invalid_row"), (b"ref,gross\npi_1,1e30\n", "out_of_range"),
    ):  # fmt: skip
        refused = await world.call(
            "POST",
            "/v1/payouts/uploads",
            expect=422,
            data={**form, "payout_ref": "po_2"},
            files={"file": ("x.csv", content)},
        )
        assert refused["errors"][0]["code"] == code, content


async def test_a_providers_list_any_number_of_times(world: World) -> None:
    await world.set_clock(NOW)
    connection = UUID(await world.stripe_connection())
    said = service.Statement("po_1", NOW.date(), "USD", 925, [service.Item("pi_1", 1000, 75)])
    restated = service.Statement("po_1", NOW.date(), "USD", 900, [service.Item("pi_1", 1000, 100)])
    changed = []
    for one in (said, said, restated, restated):
        async with world.database.write(world.tenant) as session:
            changed.append(await service.state_payout(session, connection, one))
    assert changed == [True, False, True, False]
    page = await world.get("/v1/payouts", params={"sort": "created_at"})
    assert [one["state"] for one in page["data"]] == ["canceled", "open"]
    assert (await balances(world))["bank:payouts", "USD"] == 900


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"fee": {"amount": 1, "currency": "EUR"}}, 422), ({"items": [{"ref": "a", "gross": {"amount": 1, "currency": "EUR"}}]}, 422),
        ({"items": [item("a", 2**53 - 1), item("b", 2**53 - 1)]}, 422), ({"connection_id": str(UUID(int=1))}, 404),
    ],
)  # fmt: skip
async def test_what_is_refused(world: World, changes: dict[str, Any], status: int) -> None:
    await world.post("/v1/payouts", {**await _body(world), **changes}, expect=status)
