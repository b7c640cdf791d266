"""The demo in the database: derived figures hold, scores are right at once, no work is left, no letter goes out."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from crm_api.demo import DemoTrouble, load, load_demo
from crm_api.demo.rates import CURRENCIES
from crm_api.donations.gifts.balances import Entry, derive
from crm_api.donations.gifts.models import STATUSES
from crm_api.kit.db import Row, prepare
from crm_api.kit.ids import new_id
from crm_api.kit.problems import Conflict
from crm_api.scoring.rfm import default_names
from crm_api.scoring.service import rebuild
from tests.conftest import MakeWorld
from tests.demo.conftest import NOW, demo_world
from tests.support.services import Services
from tests.support.world import World

SUMMARIES = """SELECT contact_id, gift_count, gifts_without_rate, total_given, average_gift, largest_gift,
    total_last_365_days, first_gift_at, last_gift_at, donor_status, is_new, is_major, is_recurring, rfm_recency,
    rfm_frequency, rfm_monetary FROM donor_summaries WHERE organization_id = :organization_id ORDER BY contact_id"""


async def rows(world: World, sql: str) -> list[Row]:
    return await world.database.read(world.tenant).fetch(prepare(text(sql)))


async def figures(world: World) -> list[tuple[Any, ...]]:
    """Everything that counts, without ids."""
    found = await rows(
        world,
        """SELECT c.display_name, c.created_at, s.gift_count, s.total_given, s.donor_status, s.rfm_recency,
            (SELECT count(*) FROM recurring_plans p WHERE p.organization_id = :organization_id
                AND p.contact_id = c.id AND p.status = 'active') AS plans,
            (SELECT coalesce(sum(g.fee + g.refunded + g.charged_back), 0) FROM gifts g
                WHERE g.organization_id = :organization_id AND g.contact_id = c.id) AS lost
        FROM contacts c LEFT JOIN donor_summaries s
            ON s.organization_id = :organization_id AND s.contact_id = c.id
        WHERE c.organization_id = :organization_id ORDER BY c.created_at, c.display_name""",
    )
    return [tuple(row) for row in found]


async def test_the_same_seed_gives_the_same_figures(
    demo: World, database_url: str, services: Services, tmp_path: Path
) -> None:
    twin = await demo_world(database_url, services, tmp_path)
    assert await figures(twin) == await figures(demo)
    await twin.close()


async def test_every_status_currency_and_name_occurs(demo: World) -> None:
    gifts = await rows(demo, "SELECT status, currency FROM gifts WHERE organization_id = :organization_id")
    assert {row["status"] for row in gifts} == set(STATUSES)
    assert {row["currency"] for row in gifts} == set(CURRENCIES)
    donors = await rows(demo, SUMMARIES)
    assert {row["donor_status"] for row in donors} >= {
        "lost", "lapsed", "lapsing", "major", "recurring", "new", "regular",
    }  # fmt: skip
    cells = {f"{row['rfm_recency']}{row['rfm_frequency']}{row['rfm_monetary']}" for row in donors if row["gift_count"]}
    assert len({default_names()[cell] for cell in cells}) >= 10
    plans = await rows(demo, "SELECT status FROM recurring_plans WHERE organization_id = :organization_id")
    assert {row["status"] for row in plans} >= {"active", "past_due", "paused", "canceled"}


async def test_who_never_gave_is_a_prospect(demo: World) -> None:
    found = await rows(
        demo,
        "SELECT id FROM contacts c WHERE organization_id = :organization_id AND NOT EXISTS (SELECT 1 FROM gifts g "
        "WHERE g.organization_id = :organization_id AND g.contact_id = c.id) LIMIT 1",
    )
    assert (await demo.profile(found[0]["id"]))["donor_status"] == "prospect"


async def test_the_balances_of_every_gift_follow_from_its_entries(demo: World) -> None:
    entries: defaultdict[Any, list[Entry]] = defaultdict(list)
    for row in await rows(demo, "SELECT * FROM payment_entries WHERE organization_id = :organization_id"):
        entries[row["gift_id"]].append(
            Entry(
                kind=row["kind"],
                key=row["entry_key"],
                occurred_at=row["occurred_at"],
                amount=row["amount"],
                ref=row["ref"],
                status=row["status"],
                reason=row["reason"],
                started_at=row["started_at"],
            )
        )
    gifts = await rows(demo, "SELECT * FROM gifts WHERE organization_id = :organization_id")
    assert len(gifts) == len(entries) > 2_500
    for gift in gifts:
        balance = derive(entries[gift["id"]])
        stored = tuple(gift[name] for name in ("status", "refunded", "fee", "charged_back", "counted"))
        assert stored == (balance.status, balance.refunded, balance.fee, balance.charged_back, balance.counted)
        assert gift["base_amount"] is not None
        assert gift["received_at"] < NOW


async def test_the_scores_are_those_of_a_rebuild_and_of_each_profile(demo: World) -> None:
    stored = [tuple(row) for row in await rows(demo, SUMMARIES)]
    async with demo.database.write(demo.tenant) as session:
        session.now = NOW
        await rebuild(session)
    assert [tuple(row) for row in await rows(demo, SUMMARIES)] == stored
    for row in (await rows(demo, SUMMARIES))[::25]:
        profile = await demo.profile(row["contact_id"])
        assert profile["donor_status"] == row["donor_status"]
        assert profile["gift_count"] == row["gift_count"]
        assert profile["total_given"]["amount"] == row["total_given"]
        assert profile["rfm"]["code"] == f"{row['rfm_recency']}{row['rfm_frequency']}{row['rfm_monetary']}"


async def test_donors_can_be_listed_as_donors(demo: World) -> None:
    page = await demo.get("/v1/contacts", params={"role": "donor", "include_total": "true", "limit": 1})
    counted = [row for row in await rows(demo, SUMMARIES) if row["gift_count"]]
    assert page["total"] == len(counted)
    assert "donor" in page["data"][0]["roles"]


async def test_batch_facts_are_all_that_is_left_and_no_letter_goes_out(demo: World) -> None:
    jobs = await demo.jobs()
    batch = {"GiftsRestated", "RatesAdded", "ContactsLoaded", "InteractionsRecorded", "ScoringRebuilt"}
    assert {"GiftsRestated", "ContactsLoaded"} <= {job["fact"] for job in jobs} <= batch
    assert all(job["payload"] == {"reason": "demo data"} for job in jobs if job["fact"] == "GiftsRestated")
    await demo.drain()
    assert {job["state"] for job in await demo.jobs()} == {"done"}
    assert (await demo.get("/v1/messages"))["data"] == []
    assert demo.letters() == []


async def test_records_keep_the_time_they_were_made(demo: World) -> None:
    oldest = (await demo.get("/v1/donations", params={"sort": "received_at", "limit": 1}))["data"][0]
    assert oldest["created_at"][:10] <= "2022-12-31"
    deals = (await demo.get("/v1/deals", params={"limit": 200}))["data"]
    assert {deal["status"] for deal in deals} == {"open", "won", "lost"}
    assert all(deal["created_at"] < deal["entered_stage_at"] or deal["status"] == "open" for deal in deals)
    members = (await demo.get("/v1/members"))["data"]
    assert {member["role"] for member in members} >= {"owner", "fundraiser", "finance", "viewer"}


async def test_it_goes_only_into_an_empty_test_organization(demo: World, make_world: MakeWorld) -> None:
    async def refused(world: World, **changes: Any) -> str:
        settings = world.settings.model_copy(update=changes)
        with pytest.raises(DemoTrouble) as trouble:
            await load_demo(world.database, settings, world.id, seed=1)
        return str(trouble.value)

    assert "live organization" in await refused(await make_world(mode="live"))
    assert "loaded already" in await refused(demo)
    assert "JPY" in await refused(await make_world(currency="JPY"))
    world = await make_world()
    assert "CRM_SECRET_KEYS" in await refused(world, secret_keys=[])
    await world.contact()
    assert "not empty: it has 1 contacts" in await refused(world)
    with pytest.raises(DemoTrouble, match="no such organization"):
        await load_demo(world.database, world.settings, new_id(), seed=1)


async def test_all_of_it_or_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any) -> None:
        raise Conflict("There is already such a thing.")

    monkeypatch.setattr(load, "make_payment", fail)
    with pytest.raises(DemoTrouble, match=r"Nothing was loaded\. There is already"):
        await load_demo(world.database, world.settings, world.id, seed=1)
    assert (await world.get("/v1/contacts", params={"include_total": "true"}))["total"] == 0
    lines = capsys.readouterr().err
    assert "\x1b" not in lines
    assert lines.splitlines()[:2] == ["  The fund …", "  Contacts …"]
