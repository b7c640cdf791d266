"""Rules, runs and models over HTTP, with the worker doing what follows."""

from __future__ import annotations

import csv
import random
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from crm_api.kit.db import prepare
from crm_api.kit.fiscal import bounds, fiscal_year
from crm_api.kit.ids import new_id
from crm_api.scoring.fiscal import last_complete_year, year_figures
from tests.support.donors import T0, give, go_to, summaries
from tests.support.world import World

DATA = Path(__file__).parents[1] / "fixtures" / "giving"
_COUNT = prepare(text("SELECT count(*) FROM donor_predictions WHERE organization_id = :organization_id"))
_LOAD = prepare(
    text(
        """
        WITH rows AS (
            SELECT r.* FROM jsonb_to_recordset(CAST(:rows AS jsonb))
                AS r(id uuid, contact_id uuid, day date, amount bigint)
        ), people AS (
            INSERT INTO contacts (organization_id, id, kind, display_name, version, created_at, updated_at)
            SELECT DISTINCT CAST(:organization_id AS uuid), contact_id, 'person', 'Donor', 1,
                CAST(:now AS timestamptz), CAST(:now AS timestamptz)
            FROM rows RETURNING id
        )
        INSERT INTO gifts (organization_id, id, contact_id, amount, currency, status, counted, base_amount, base_counted,
            method, received_at, gift_date, created_at, updated_at)
        SELECT CAST(:organization_id AS uuid), r.id, r.contact_id, r.amount, 'USD', 'succeeded', r.amount, r.amount, r.amount,
            'card', r.day + interval '12 hours', r.day, CAST(:now AS timestamptz),
            CAST(:now AS timestamptz)
        FROM rows r JOIN people p ON p.id = r.contact_id
        """
    )
)


async def load(world: World, givings: Iterable[list[tuple[date, int]]]) -> None:
    """Gifts of many donors, (day, minor units) each, straight into the tables."""
    rows = []
    for giving in givings:
        contact = str(new_id())
        rows += [
            {"id": str(new_id()), "contact_id": contact, "day": day.isoformat(), "amount": amount}
            for day, amount in giving
        ]
    async with world.database.write(world.tenant) as session:
        await session.execute(_LOAD, rows=rows, now=session.now)


async def run(world: World, *parts: str, as_of: str | None = None) -> Any:
    """A run, carried out."""
    started = await world.post("/v1/scoring/runs", {"parts": list(parts), "as_of": as_of}, expect=202)
    assert (started["state"], started["progress"]) == ("queued", 0)
    await world.drain()
    done = await world.get(f"/v1/scoring/runs/{started['id']}")
    assert (done["state"], done["progress"], done["reason"]) == ("succeeded", 1, None)
    return done


def cohort_of_1995() -> list[list[tuple[date, int]]]:
    """The donors of 1995 with a gift in each year they are said to have given in."""
    found = []
    with (DATA / "bgbb_donors_1995_calibration.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            x, last, donors = int(row["frequency"]), int(row["recency"]), int(row["donors"])
            years = [0, *range(1, x), last] if x else [0]
            found += [[(date(1995 + year, 6, 1), 5000) for year in years]] * donors
    return found


def cdnow() -> list[list[tuple[date, int]]]:
    """Purchases of CDNOW's customers."""
    bought: defaultdict[str, list[tuple[date, int]]] = defaultdict(list)
    with (DATA / "cdnow_sample_transactions.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            amount = round(float(row["amount"]) * 100)
            bought[row["customer_id"]].append((date.fromisoformat(row["date"]), max(amount, 1)))
    return list(bought.values())


async def test_the_published_fits_come_out_of_gifts(world: World, owner: asyncpg.Connection) -> None:
    await load(world, cohort_of_1995())
    await owner.execute("ANALYZE gifts, contacts")  # or ten thousand donors are read as if they were ten
    await world.set_clock(datetime(2002, 6, 30, 12, tzinfo=UTC))
    done = await run(world, "predictions", as_of="2001-12-31")
    (fit,) = (await world.get("/v1/scoring/models", params={"kind": "bg_bb"}))["data"]
    assert (fit["sample_size"], fit["reason"], fit["is_current"]) == (11_104, None, False)
    assert fit["log_likelihood"] == pytest.approx(-33225.58, abs=0.01)
    published = {"alpha": 1.2035, "beta": 0.7497, "gamma": 0.6568, "delta": 2.7838}
    assert fit["parameters"] == pytest.approx(published, abs=1e-3)
    assert [one["kind"] for one in done["totals"]["models"]] == ["bg_bb", "bg_nbd", "gamma_gamma"]
    assert done["totals"]["statuses"] is None


async def test_the_published_fit_of_weeks_comes_out_of_purchases(world: World) -> None:
    await load(world, cdnow())
    await world.set_clock(datetime(1998, 6, 30, 12, tzinfo=UTC))
    await run(world, "predictions", as_of="1997-09-30")
    (fit,) = (await world.get("/v1/scoring/models", params={"kind": "bg_nbd", "is_current": "false"}))["data"]
    assert (fit["sample_size"], fit["as_of"]) == (2_357, "1997-09-30")
    assert fit["log_likelihood"] == pytest.approx(-9582.429, abs=0.01)
    assert fit["parameters"] == pytest.approx({"r": 0.2426, "alpha": 4.4137, "a": 0.7930, "b": 2.4262}, abs=1e-3)
    (fit,) = (await world.get("/v1/scoring/models", params={"kind": "gamma_gamma", "is_current": "false"}))["data"]
    assert (fit["sample_size"], fit["reason"]) == (946, None), (
        "customers with a repeat purchase; its mean, not the first"
    )
    assert fit["parameters"] == pytest.approx({"p": 6.2499, "q": 3.7443, "v": 15.4472}, rel=1e-3)
    assert await world.database.read(world.tenant).fetch_val(_COUNT) == 0, "a look back leaves today's alone"


async def test_each_donor_is_foreseen_or_told_why_not(world: World) -> None:
    await load(world, cdnow()[:300])
    await world.set_clock(datetime(1998, 6, 30, 12, tzinfo=UTC))
    read = world.database.read(world.tenant)
    done = await run(world, "summary", "rfm", "predictions")
    assert done["totals"]["donors"] == sum(done["totals"]["statuses"].values()) == 300
    assert sum(done["totals"]["rfm_cells"].values()) == await read.fetch_val(_COUNT) == 300
    rows = await read.fetch(
        prepare(
            text(
                "SELECT p.*, s.gift_count FROM donor_predictions p JOIN donor_summaries s USING (organization_id, "
                "contact_id) WHERE p.organization_id = :organization_id ORDER BY p.expected_gifts DESC, s.contact_id"
            )
        )
    )
    loyal, once = rows[0], next(row for row in rows if row["gift_count"] == 1)
    profile = await world.profile(str(loyal["contact_id"]))
    seen = profile["prediction"]
    assert 0 < seen["p_alive"] <= 1 and seen["expected_gifts"] > 1 and seen["reasons"].get("p_alive") is None
    value = seen["expected_gifts"] * seen["expected_average"]["amount"]
    assert seen["expected_value"]["amount"] == pytest.approx(value, abs=1 + seen["expected_gifts"])
    assert profile["ltv"]["predicted"] == seen["expected_value"] and profile["ltv"]["method"] == "predicted_giving"
    assert seen["churn_risk"] is None and seen["reasons"]["churn_risk"]  # no year of theirs was followed by another
    single = (await world.profile(str(once["contact_id"])))["prediction"]
    assert single["p_alive"] is None and single["reasons"]["p_alive"] == "no_repeat_gift"
    assert single["expected_gifts"] is not None
    past = await world.profile(str(loyal["contact_id"]), as_of="1997-09-30")
    assert past["prediction"]["expected_gifts"] is None
    assert past["ltv"]["reason"] == "of_a_past_day"


async def test_too_few_donors_get_reasons_instead_of_numbers(world: World) -> None:
    contact = await world.contact()
    await give(world, contact, T0)
    profile = await world.profile(contact["id"])
    assert (profile["ltv"]["predicted"], profile["ltv"]["reason"]) == (None, "not_computed_yet")
    done = await run(world, "predictions")
    assert {(one["parameters"], one["reason"]) for one in done["totals"]["models"]} == {(None, "too_few_donors")}
    prediction = (await world.profile(contact["id"]))["prediction"]
    assert set(prediction["reasons"].values()) == {"too_few_donors"}
    assert prediction["expected_value"] is None
    nobody = await world.contact(emails=[])
    assert (await world.profile(nobody["id"]))["ltv"]["reason"] == "no_gift"


async def test_other_rules_are_previewed_then_put_in_force_for_everybody(world: World) -> None:
    await world.set_clock(T0)
    people = [await world.contact(emails=[{"address": f"d{n}@example.org"}]) for n in range(4)]
    for number, (days, amount) in enumerate([(10, 60_000), (10, 70_000), (400, 5_000), (20, 100)]):
        await give(world, people[number], T0 - timedelta(days=days), amount)
    in_force = await world.get("/v1/scoring/donor-status-rules")
    assert (in_force["version"], in_force["major_gift_threshold"]) == (1, {"amount": 100_000, "currency": "USD"})
    asked = {"major_gift_threshold": {"amount": 50_000, "currency": "USD"}, "lapsing_after_days": 500}
    preview = await world.post("/v1/scoring/donor-status-rules/preview", asked, expect=200)
    assert (preview["now"]["new"], preview["now"]["lapsing"], preview["then"]["major"]) == (3, 1, 2)
    assert [(m["previous_status"], m["status"], m["donors"]) for m in preview["moves"]] == [
        ("new", "major", 2),
        ("lapsing", "new", 1),
    ]
    assert preview["moves"][0]["text"] == "2 donors would become major"
    assert (await world.get("/v1/scoring/donor-status-rules"))["version"] == 1
    changed = await world.put("/v1/scoring/donor-status-rules", asked, headers={"If-Match": '"1"'})
    assert (changed["version"], changed["lapsing_after_days"], changed["lost_after_days"]) == (2, 500, 1095)
    assert (await world.put("/v1/scoring/donor-status-rules", asked))["version"] == 2, "the same rules again"
    await world.put("/v1/scoring/donor-status-rules", asked, expect=412, headers={"If-Match": '"1"'})
    await world.drain()
    stored = await summaries(world)
    assert [stored[one["id"]]["donor_status"] for one in people] == ["major", "major", "new", "new"]
    assert {row["rules_version"] for row in stored.values()} == {2}
    profile = await world.profile(people[0]["id"])
    assert (profile["donor_status"], profile["rules_version"]) == ("major", 2)
    await give(world, people[3], T0, 60_000)
    assert (await summaries(world))[people[3]["id"]]["donor_status"] == "major", "a gift is judged by them too"
    off = await world.put("/v1/scoring/donor-status-rules", {"major_gift_threshold": None})
    assert off["major_gift_threshold"] is None
    await world.drain()
    assert (await world.profile(people[3]["id"]))["donor_status"] == "regular"


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"lapsed_after_days": 365}, "/lapsed_after_days"),
        ({"major_gift_threshold": {"amount": 1, "currency": "EUR"}}, "/major_gift_threshold/currency"),
        ({"major_gift_threshold": {"amount": 0, "currency": "USD"}}, "/major_gift_threshold/amount"),
        ({"sponsor_after_days": 1}, "/sponsor_after_days"),
    ],
)
async def test_rules_that_cannot_be_are_refused(world: World, change: Any, pointer: str) -> None:
    problem = await world.put("/v1/scoring/donor-status-rules", change, expect=422)
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


async def test_a_run_looks_back_without_touching_today(world: World) -> None:
    await world.set_clock(T0)
    contact = await world.contact()
    await give(world, contact, T0 - timedelta(days=800), 4_000)
    await give(world, contact, T0 - timedelta(days=5), 1_000)
    before = await summaries(world)
    done = await run(world, "summary", "status", "rfm", as_of=(T0 - timedelta(days=700)).date().isoformat())
    assert done["totals"]["statuses"] == {"new": 1}
    assert (done["totals"]["total_given"], done["totals"]["rfm_cells"]) == (4_000, {"511": 1})
    assert await summaries(world) == before
    today = await run(world, "summary", "status", "rfm")
    assert (today["totals"]["statuses"], today["totals"]["total_given"]) == ({"regular": 1}, 5_000)
    problem = await world.post("/v1/scoring/runs", {"as_of": "2030-01-01"}, expect=422)
    assert problem["errors"][0]["pointer"] == "/as_of"
    assert len((await world.get("/v1/scoring/runs"))["data"]) == 2


async def test_fiscal_years_are_shown_as_the_gifts_say(world: World) -> None:
    await world.set_clock(T0)  # 2024-03-01
    await world.patch("/v1/organization", {"fiscal_year_start_month": 7})
    contact = await world.contact()
    for day, amount in [("2019-12-31", 900), ("2022-06-30", 100), ("2022-07-01", 500), ("2024-02-01", 500)]:
        await give(world, contact, datetime.fromisoformat(f"{day}T12:00:00+00:00"), amount)
    years = (await world.profile(contact["id"]))["fiscal_years"]
    assert {name: value["amount"] if isinstance(value, dict) else value for name, value in years.items()} == {
        "fiscal_year": 2024,
        "this_year": 500,
        "last_year": 500,
        "previous_year": 100,
        "streak_years": 3,
        "best_year": 2020,
        "best_year_total": 900,
    }
    stepped = await summaries(world)
    await go_to(world, T0)
    await run(world, "summary")
    assert await summaries(world) == stepped


def test_years_of_a_streak_end_with_the_newest() -> None:
    rng = random.Random(7)
    for _ in range(200):
        start = rng.randint(1, 12)
        day = date(2024, 1, 1) + timedelta(days=rng.randrange(1500))
        year = fiscal_year(day, start)
        assert bounds(year, start)[0] <= day <= bounds(year, start)[1]
        over = last_complete_year(day, start)
        assert bounds(over, start)[1] <= day < bounds(over + 1, start)[1]
        given = {y: rng.choice([None, 5, 9]) for y in rng.sample(range(2015, 2026), rng.randint(0, 8))}
        figures = year_figures(given, 2024)
        streak = 0
        for y in range(max(given, default=0), 2000, -1):
            if y not in given:
                break
            streak += 1
        assert figures.streak_years == streak
        best = max((v for v in given.values() if v is not None), default=None)
        assert figures.best_year_total == best
        assert figures.best_year == max((y for y, v in given.items() if v == best and best is not None), default=None)


async def test_lifetime_values_follow_the_settings(world: World) -> None:
    await world.set_clock(T0)
    contact = await world.contact()
    await give(world, contact, T0 - timedelta(days=730), 12_000)
    await give(world, contact, T0 - timedelta(days=20), 12_000)
    default = await world.get("/v1/ltv/settings")
    assert (default["version"], default["method"], default["bands"][0]) == (
        1,
        "predicted_giving",
        {"name": "loss", "below": "1"},
    )
    cost = {"amount": 1_000, "currency": "USD"}
    asked = {"method": "margin_churn", "margin": "0.5", "churn": "0.2", "service_cost_per_year": cost}
    assert (await world.put("/v1/ltv/settings", asked))["version"] == 2
    ltv = (await world.profile(contact["id"]))["ltv"]
    assert ltv["predicted"] == {"amount": 30_000, "currency": "USD"}  # 12,000 a year x 0.5 / 0.2
    assert (ltv["net"]["amount"], ltv["method"], ltv["reason"]) == (25_000, "margin_churn", None)
    for method, value in [("arpu_lifetime", 60_000), ("multiplicative", 60_000), ("npv", 16_136)]:
        body = {**asked, "status_methods": {"regular": method}}
        await world.put("/v1/ltv/settings", body)
        found = (await world.profile(contact["id"]))["ltv"]
        assert (found["method"], found["predicted"]["amount"]) == (method, value)
    bands = [{"name": "poor", "below": "2.5"}, {"name": "fine"}]
    await world.put("/v1/ltv/settings", {**asked, "bands": bands})
    reckoned = {"method": "arpu_lifetime", "arpu": "30", "lifetime": "24", "cac": "360"}
    assert (await world.post("/v1/ltv/calculate", reckoned, expect=200))["band"] == "poor"
    for wrong, pointer in [
        ({"bands": bands[:1]}, "/bands"),
        ({"discount_rate": "-1"}, "/discount_rate"),
        ({"churn": "0"}, "/churn"),
        ({"service_cost_per_year": {"amount": 1, "currency": "EUR"}}, "/service_cost_per_year"),
    ]:
        problem = await world.put("/v1/ltv/settings", wrong, expect=422)
        assert problem["errors"][0]["pointer"] == pointer


async def test_rfm_is_drawn_as_the_organization_says(world: World) -> None:
    await world.set_clock(T0)
    people = [await world.contact(emails=[{"address": f"r{n}@example.org"}]) for n in range(3)]
    gifts = [[(900, 90_000), (5, 1_000)], [(10, 2_000), (9, 2_000)], [(900, 500)]]
    for person, given in zip(people, gifts, strict=True):
        for days, amount in given:
            await give(world, person, T0 - timedelta(days=days), amount)
    assert (await world.profile(people[0]["id"]))["rfm"]["monetary"] == 4
    points = {"recency": [7, 30, 90, 365], "frequency": [1, 2, 3, 4], "monetary": [1_000, 1_500, 5_000, 9_000]}
    asked = {"look_back_days": 400, "monetary": "average", "cut_points": points}
    changed = await world.put("/v1/scoring/rfm-settings", asked)
    assert (changed["version"], changed["names"], changed["monetary"]) == (2, None, "average")
    await world.drain()
    codes = [(await world.profile(person["id"]))["rfm"] for person in people]
    assert [one and (one["code"], one["flags"]) for one in codes] == [("511", []), ("423", []), None]
    stored = await summaries(world)
    kept = [tuple(stored[p["id"]][f"rfm_{n}"] for n in ("recency", "frequency", "monetary")) for p in people]
    assert kept == [(5, 1, 1), (4, 2, 3), (None, None, None)]
    await give(world, people[2], T0, 20_000)
    assert (await summaries(world))[people[2]["id"]]["rfm_monetary"] == 5
    whole = {"Friends": [f"{r}{f}{m}" for r in range(1, 6) for f in range(1, 6) for m in range(1, 6)]}
    await world.put("/v1/scoring/rfm-settings", {"names": whole})
    assert (await world.profile(people[0]["id"]))["rfm"]["name"] == "Friends"
    for wrong, pointer in [
        ({"names": {"Friends": whole["Friends"][1:]}}, "/names"),
        ({"cut_points": {**points, "frequency": [4, 3, 2, 1]}}, "/cut_points/frequency"),
    ]:
        problem = await world.put("/v1/scoring/rfm-settings", wrong, expect=422)
        assert problem["errors"][0]["pointer"] == pointer
