"""The nightly proof: it finds books that were tampered with, names the gifts, and turns health to degraded."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from crm_api.donations.ledger.proofs import service
from tests.ledger.paying import pay
from tests.support.world import World

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)


async def prove(world: World) -> Any:
    """A proof, carried out once everything is posted."""
    await world.drain()
    asked = await world.post("/v1/ledger/proofs", expect=202)
    assert asked["state"] == "queued"
    assert (await world.post("/v1/ledger/proofs", expect=202))["id"] == asked["id"]
    await world.drain()
    return await world.get(f"/v1/ledger/proofs/{asked['id']}")


async def tamper(owner: asyncpg.Connection, world: World, statement: str, *values: Any) -> None:
    """Change rows behind the back of everything, as the owner of the schema can."""
    async with owner.transaction():
        await owner.execute(f"SET LOCAL crm.organization_id = '{world.id}'")
        assert await owner.execute(statement, *values) != "UPDATE 0"


async def books(world: World) -> tuple[str, str]:
    health = await world.get("/health/ready", headers={"Authorization": ""})
    return health["status"], health["checks"]["books"]


async def test_books_in_order(world: World, monkeypatch: Any) -> None:
    monkeypatch.setattr(service, "AT_ONCE", 2)
    await world.set_clock(NOW)
    funds = [await world.post("/v1/funds", {"code": code, "name": code}) for code in ("a", "b")]
    split = [{"fund_id": fund["id"], "percent": "50"} for fund in funds]
    gift = await world.donation(None, 7, allocations=split)
    await world.post(f"/v1/donations/{gift['id']}/refunds", {"amount": {"amount": 2, "currency": "USD"}})
    await pay(world, "pi_1", 5000, 175, at=NOW)
    await world.donation(None, 900, "JPY", method="in_kind")
    body = {"connection_id": await world.stripe_connection(), "payout_ref": "po_1", "arrived_on": "2026-03-20",
            "amount": {"amount": 4825, "currency": "USD"}}  # fmt: skip
    await world.post("/v1/payouts", body)
    proof = await prove(world)
    assert (proof["state"], proof["progress"], proof["verdict"]) == ("succeeded", 1.0, "balanced")
    assert (proof["gifts_checked"], proof["gifts_unposted"], proof["discrepancies"]) == (3, 0, [])
    assert {(one["account"], one["posted"]) for one in proof["totals"] if one["account"].startswith("income")} == {
        (f"income:{funds[0]['id']}", -4), (f"income:{funds[1]['id']}", -3), ("income:none", -5000),
    }  # fmt: skip
    assert all(one["posted"] == one["replayed"] for one in proof["totals"])


async def test_a_new_time_zone_moves_days_and_the_books_stay_in_order(world: World) -> None:
    """One gift was given shortly before midnight, another given back then: both are of the next day in Kyiv."""
    await world.set_clock(datetime(2026, 3, 20, 22, 30, tzinfo=UTC))
    noon, late = "2026-03-18T12:00:00Z", "2026-03-19T22:30:00Z"
    refunded, given = [await world.donation(None, 500, received_at=at) for at in (noon, late)]
    await world.post(f"/v1/donations/{refunded['id']}/refunds", {"amount": {"amount": 500, "currency": "USD"}})
    assert (await prove(world))["verdict"] == "balanced"
    await world.patch("/v1/organization", {"timezone": "Europe/Kyiv"})
    await world.drain()
    back = await world.get("/v1/ledger/journals", params={"donation_id": refunded["id"]})
    days: Counter[tuple[str, str]] = Counter()
    for one in back["data"]:
        sign = 1 if one["kind"] == "refund" and one["credit_account"].startswith("received") else -1
        days[one["kind"], one["journal_date"]] += sign * one["amount"]["amount"]
    assert days["refund", "2026-03-20"] == 0, "posted, and taken back"
    assert days["refund", "2026-03-21"] == 500
    assert (await prove(world))["verdict"] == "balanced"
    for gift, day in ((refunded, "2026-03-18"), (given, "2026-03-20")):
        now = await world.get(f"/v1/donations/{gift['id']}")
        assert now["gift_date"] == now["base_rate_date"] == day
        again = await world.patch(f"/v1/donations/{gift['id']}", {})
        assert again["version"] == now["version"]


async def test_what_was_tampered_with_is_named_and_turns_health(world: World, owner: asyncpg.Connection) -> None:
    await world.set_clock(NOW)
    posted, stated, fine = [await world.donation(None, 500) for _ in range(3)]
    await world.drain()
    await tamper(owner, world, "UPDATE ledger_journals SET amount = 501 WHERE gift_id = $1", posted["id"])
    await tamper(owner, world, "UPDATE gifts SET fee = 9 WHERE id = $1", stated["id"])
    proof = await prove(world)
    assert (proof["state"], proof["verdict"], proof["discrepancies_count"]) == ("succeeded", "discrepancies", 3)
    found = {(one["donation_id"], one["kind"], one["expected"], one["found"]) for one in proof["discrepancies"]}
    assert found == {
        (posted["id"], "journals_differ", -500, -501), (stated["id"], "journals_differ", 9, 0),
        (stated["id"], "balance_differs", 0, 9),
    }  # fmt: skip
    assert fine["id"] not in str(proof)
    status, said = await books(world)
    assert (status, "GET /v1/ledger/proofs" in said) == ("degraded", True)

    await tamper(owner, world, "UPDATE gifts SET fee = 0 WHERE id = $1", stated["id"])
    answer = await world.post(f"/v1/donations/{posted['id']}/postings", expect=200)
    assert answer["posted"] == 1  # a correction, beside what stands
    assert (await prove(world))["verdict"] == "balanced"
    assert (await books(world))[1] == "ok"


async def test_it_comes_every_night(world: World) -> None:
    await world.set_clock(NOW)
    await world.donation(None, 500)
    await world.drain()
    await world.set_clock(NOW + timedelta(days=1))
    await world.drain()
    page = await world.get("/v1/ledger/proofs", params={"state": "succeeded"})
    assert [(one["origin"], one["verdict"]) for one in page["data"]] == [("schedule", "balanced")]


async def test_evidence_that_comes_late_moves_the_day_and_nothing_else(world: World) -> None:
    """The same charge, told again with an earlier day: the gift itself does not change for another of its fee's."""
    from uuid import UUID

    from crm_api.donations.gifts import evidence
    from crm_api.donations.gifts.balances import Entry
    from crm_api.donations.gifts.service import settle

    await world.set_clock(NOW)
    gift = await pay(world, "pi_1", 5000, 175, at=NOW)
    await world.drain()
    async with world.database.write(world.tenant) as session:
        row = await evidence.lock_gift(session, UUID(gift))
        earlier = Entry("fee", "fee:again", NOW - timedelta(days=3), 175, ref="txn_pi_1")
        await evidence.add_evidence(session, row["id"], [earlier])
        await settle(session, row)
    assert (await prove(world))["verdict"] == "balanced"
    early = await world.get("/v1/ledger/trial-balance", params={"as_of": "2026-03-17"})
    assert {one["account"].partition(":")[0]: one["balance"] for one in early["accounts"]} == {
        "fees": 175,
        "clearing": -175,
    }
