"""The reports on giving against a slow oracle that reads the same gifts one by one, and the identities they promise."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from datetime import UTC, date, datetime
from fractions import Fraction
from typing import Any

import pytest

from tests.support.world import World

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
Gifts = list[tuple[str, date, int]]


async def history(world: World, rng: random.Random, donors: int) -> Gifts:
    """Gifts of some donors over five years; some given back, some without a rate. What counts of them."""
    await world.patch("/v1/organization", {"fiscal_year_start_month": 7})
    await world.set_clock(NOW)
    counted: Gifts = []
    for number in range(donors):
        who = (await world.contact(given_name=f"D{number}", emails=[]))["id"]
        for _ in range(rng.choice([1, 1, 2, 4])):
            day = date(rng.choice([2022, 2023, 2024, 2025, 2026]), rng.choice([2, 6, 7, 10]), rng.randrange(1, 28))
            amount = rng.choice([500, 2_500, 30_000, 1_000_000])
            currency = "GEL" if rng.random() < 0.1 else "USD"
            gift = await world.donation(who, amount, currency, received_at=f"{day}T09:00:00Z")
            if rng.random() < 0.15:
                await world.post(f"/v1/donations/{gift['id']}/refunds", {})
            else:
                counted.append((who, day, amount if currency == "USD" else 0))
    await world.drain()
    return counted


def fiscal(day: date) -> int:
    return day.year + (day.month >= 7)


def yearly(gifts: Gifts, as_of: date) -> dict[str, dict[int, int]]:
    found: defaultdict[str, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
    for who, day, amount in gifts:
        if day <= as_of:
            found[who][fiscal(day)] += amount
    return {who: dict(years) for who, years in found.items()}


def share(part: int, whole: int) -> str | None:
    return None if not whole else f"{Fraction(round(Fraction(part * 10_000, whole)), 10_000).__float__():.4f}"


def state(years: dict[int, int], year: int) -> str:
    """By the words of the definition."""
    now, before, first = years.get(year), years.get(year - 1), min(years)
    if now is not None:
        if first == year:
            return "new"
        if before is None:
            return "recapture"
        return "upgrade" if now > before else "same" if now == before else "downgrade"
    if before is not None:
        return "lapsed_new" if first == year - 1 else "lapsed_repeat"
    return "lapsed_multiple_years"


@pytest.mark.parametrize("seed", [1])
async def test_against_an_oracle_as_of_several_days(world: World, seed: int) -> None:
    gifts = await history(world, random.Random(seed), 24)
    for as_of in (date(2026, 11, 22), date(2025, 6, 30), date(2022, 3, 1)):
        donors = yearly(gifts, as_of)
        year = fiscal(as_of)
        query = {"as_of": as_of.isoformat()}
        states = Counter(state(years, year) for years in donors.values())
        found = await world.get("/v1/reports/gain-loss", params=query)
        assert {one["state"]: one["donors"] for one in found["states"] if one["donors"]} == dict(states)
        total = sum(years.get(year, 0) for years in donors.values())
        before = sum(years.get(year - 1, 0) for years in donors.values())
        assert (found["total"], found["previous_total"]) == (total, before)
        assert found["gains"] - found["losses"] == found["net"] == total - before

        kept = await world.get("/v1/reports/retention", params={**query, "years": 3})
        for one in kept["years"]:
            y = one["year"]
            gave = [years for years in donors.values() if y - 1 in years]
            both = [years for years in gave if y in years]
            firsts = [years for years in gave if min(years) == y - 1]
            away = [years for years in donors.values() if min(years) < y - 1 and y - 1 not in years]
            assert one["retention_rate"] == share(len(both), len(gave))
            assert one["new_donor_retention_rate"] == share(sum(y in years for years in firsts), len(firsts))
            repeat = [years for years in gave if min(years) < y - 1]
            assert one["repeat_donor_retention_rate"] == share(sum(y in years for years in repeat), len(repeat))
            assert one["recapture_rate"] == share(sum(y in years for years in away), len(away))

        lybunt = {who for who, years in donors.items() if year not in years and year - 1 in years}
        earlier = {who for who, years in donors.items() if year not in years and year - 1 not in years}
        assert {one["contact_id"] for one in (await world.get("/v1/reports/lybunt", params=query))["data"]} == lybunt
        assert {one["contact_id"] for one in (await world.get("/v1/reports/sybunt", params=query))["data"]} == earlier
        both_lists = await world.get("/v1/reports/sybunt", params={**query, "include_last_year": "true", "limit": 200})
        assert {one["contact_id"] for one in both_lists["data"]} == lybunt | earlier
        assert len(lybunt) == states["lapsed_new"] + states["lapsed_repeat"]

        rows = (await world.get("/v1/reports/cohorts", params={**query, "most": 40}))["cohorts"]
        assert sum(one["donors"] for one in rows) == len(donors)
        for one in rows:
            cohort = [years for years in donors.values() if min(years) == int(one["cohort"])]
            for part in one["periods"]:
                assert part["donors"] == sum(int(one["cohort"]) + part["period"] in years for years in cohort)


async def test_the_pyramid_stands_on_its_numbers_and_concentration_warns(world: World) -> None:
    gifts = await history(world, random.Random(5), 14)
    totals: Counter[str] = Counter()
    for who, _, amount in gifts:
        totals[who] += amount
    found = await world.get("/v1/reports/giving-pyramid", params={"span": "all"})
    assert (found["donors"], found["total"]) == (len(totals), sum(totals.values()))
    for level in found["levels"]:
        inside = [t for t in totals.values() if level["from_amount"] <= t < (level["below_amount"] or 10**12)]
        assert (level["donors"], level["amount"]) == (len(inside), sum(inside))
    told = await world.get("/v1/reports/concentration", params={"span": "all"})
    ranked = sorted(totals.values(), reverse=True)
    assert told["top_ten_share"] == share(sum(ranked[:10]), sum(ranked))
    assert told["largest_donor_share"] == share(ranked[0], sum(ranked))
    gini = Fraction(sum(abs(a - b) for a in ranked for b in ranked), 2 * len(ranked) * sum(ranked))
    assert abs(float(told["gini"]) - float(gini)) < 1e-4
    assert told["warning"] == ("ten_donors_carry_half" if len(ranked) > 10 else None)
    by_percent = {one["top_percent"]: one for one in told["shares"]}
    assert by_percent[50]["donors"] == len(ranked) // 2


async def test_rfm_of_a_past_day_is_what_a_rebuild_of_that_day_would_say(world: World) -> None:
    gifts = await history(world, random.Random(8), 26)
    for as_of in (date(2026, 11, 22), date(2025, 1, 31)):
        past = [one for one in gifts if one[1] <= as_of]
        last = {who: max(day for one, day, _ in past if one == who) for who, _, _ in past}
        count = Counter(who for who, _, _ in past)
        money: Counter[str] = Counter()
        for who, _, amount in past:
            money[who] += amount
        codes: Counter[str] = Counter()

        def score(values: dict[str, int], who: str) -> int:
            below = sum(other < values[who] for other in values.values())
            return 5 * below // len(values) + 1

        days = {who: (as_of - day).days for who, day in last.items()}
        for who in last:
            codes[f"{6 - score(days, who)}{score(dict(count), who)}{score(dict(money), who)}"] += 1
        found = await world.get("/v1/reports/rfm", params={"as_of": as_of.isoformat()})
        assert {one["code"]: one["donors"] for one in found["cells"]} == dict(codes)
        assert sum(one["donors"] for one in found["names"]) == found["donors"] == len(last)
    moved = await world.get("/v1/reports/rfm-migration", params={"from": "2025-01-31"})
    assert sum(one["donors"] for one in moved["moves"]) == len({who for who, _, _ in gifts})
    new = len({who for who, _, _ in gifts}) - len({who for who, day, _ in gifts if day <= date(2025, 1, 31)})
    assert sum(one["donors"] for one in moved["moves"] if one["from_name"] == "prospect") == new


NAMES = (
    "gain-loss",
    "retention",
    "lybunt",
    "sybunt",
    "cohorts",
    "giving-pyramid",
    "concentration",
    "rfm",
    "rfm-migration",
)


@pytest.mark.parametrize("name", NAMES)
async def test_nobody_gave_yet_and_every_report_comes_as_a_file(world: World, name: str) -> None:
    empty: Any = await world.get(f"/v1/reports/{name}")
    assert (empty["report"], empty["gifts_without_rate"]) == (name, 0)
    answer = await world.client.get(f"/v1/reports/{name}", headers={"Accept": "text/csv"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.text.count(",") >= 2


async def test_pages_of_absent_donors_go_on(world: World) -> None:
    await history(world, random.Random(2), 10)
    whole = (await world.get("/v1/reports/sybunt", params={"include_last_year": "true", "limit": 200}))["data"]
    seen: list[Any] = []
    query = {"include_last_year": "true", "limit": "2"}
    while True:
        page = await world.get("/v1/reports/sybunt", params=query)
        seen += page["data"]
        if not page["has_more"]:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == whole
    late = await world.get("/v1/reports/gain-loss", params={"year": 2031}, expect=422)
    assert late["errors"][0]["code"] == "after_as_of"
