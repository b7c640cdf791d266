"""RFM drawn the organization's own way: the report, the moves, a run that looks back and each donor's profile agree."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from tests.support.world import World

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TODAY, EARLIER = NOW.date(), date(2026, 3, 31)
LOOK_BACK = 500
POINTS = {"recency": [30, 90, 180, 365], "frequency": [1, 2, 3, 4], "monetary": [1_000, 3_000, 6_000, 20_000]}
Gifts = dict[str, list[tuple[date, int]]]


def own_names() -> dict[str, list[str]]:
    """Three names, by what R and F come to."""
    names: dict[str, list[str]] = {"Friends": [], "Guests": [], "Away": []}
    for r in range(1, 6):
        for f in range(1, 6):
            name = "Away" if r == 1 else "Friends" if r + f > 6 else "Guests"
            names[name] += [f"{r}{f}{m}" for m in range(1, 6)]
    return names


async def history(world: World, donors: int) -> Gifts:
    """Donors with one to five gifts of some years."""
    rng = random.Random(5)
    await world.set_clock(NOW)
    given: Gifts = {}
    for number in range(donors):
        who = (await world.contact(given_name=f"D{number}", emails=[]))["id"]
        for _ in range(rng.randint(1, 5)):
            day = TODAY - timedelta(days=rng.choice([3, 40, 120, 250, 300, 400, 600, 900]) + rng.randrange(20))
            amount = rng.choice([500, 2_501, 4_000, 30_000])
            await world.donation(who, amount, received_at=f"{day}T09:00:00Z")
            given.setdefault(who, []).append((day, amount))
    await world.drain()
    return given


def cells(given: Gifts, as_of: date, points: dict[str, list[int]] | None) -> dict[str, str]:
    """Each donor's cell by the words of the definition: average gift of the look-back, quintiles or cut-points."""
    values: dict[str, tuple[int, int, int]] = {}
    for who, gifts in given.items():
        seen = [(day, amount) for day, amount in gifts if 0 <= (as_of - day).days <= LOOK_BACK]
        if seen:
            mean = round(sum(amount for _, amount in seen) / len(seen))
            values[who] = (as_of - max(day for day, _ in seen)).days, len(seen), mean
    if points is not None:
        fours = [points[name] for name in ("recency", "frequency", "monetary")]
        scored = {
            w: [1 + sum(v > p for p in four) for v, four in zip(vs, fours, strict=True)] for w, vs in values.items()
        }
    else:
        scored = {
            who: [5 * sum(other[k] < own[k] for other in values.values()) // len(values) + 1 for k in range(3)]
            for who, own in values.items()
        }
    return {who: f"{6 - r}{f}{m}" for who, (r, f, m) in scored.items()}


async def compared(world: World, given: Gifts, as_of: date, points: dict[str, list[int]] | None) -> dict[str, str]:
    """The report of a day equals the definition; each donor's cell."""
    expected = cells(given, as_of, points)
    name_of = {cell: name for name, them in own_names().items() for cell in them}
    found = await world.get("/v1/reports/rfm", params={"as_of": as_of.isoformat()})
    assert {one["code"]: one["donors"] for one in found["cells"]} == dict(Counter(expected.values()))
    assert {one["code"]: one["name"] for one in found["cells"]} == {c: name_of[c] for c in set(expected.values())}
    assert {one["name"]: one["donors"] for one in found["names"]} == {
        name: sum(name_of[cell] == name for cell in expected.values()) for name in own_names()
    }
    within = [a for w in expected for day, a in given[w] if 0 <= (as_of - day).days <= LOOK_BACK]
    assert found["total"] == sum(within), "what was given within the look-back, whatever M is"
    return expected


@pytest.mark.parametrize("donors", [30, 12])
async def test_report_profile_and_run_agree_on_rfm_of_ones_own(world: World, donors: int) -> None:
    given = await history(world, donors)
    settings = {"look_back_days": LOOK_BACK, "monetary": "average", "names": own_names(), "cut_points": POINTS}
    await world.put("/v1/scoring/rfm-settings", settings)
    await world.drain()
    points = POINTS if donors < 25 else None
    expected = await compared(world, given, TODAY, points)
    name_of = {cell: name for name, them in own_names().items() for cell in them}
    for who in given:
        rfm = (await world.profile(who))["rfm"]
        assert (rfm and (rfm["code"], rfm["name"])) == (
            (expected[who], name_of[expected[who]]) if who in expected else None
        )
    assert (await world.get("/v1/reports/rfm"))["flags"] == [], "enough donors, or cut-points of one's own"
    before = await compared(world, given, EARLIER, points if len(cells(given, EARLIER, None)) < 25 else None)
    moved = await world.get("/v1/reports/rfm-migration", params={"from": EARLIER.isoformat()})
    moves = Counter(
        (
            name_of[before[who]] if who in before else "prospect",
            name_of[expected[who]] if who in expected else "prospect",
        )
        for who in {*before, *expected}
    )
    assert {(one["from_name"], one["to_name"]): one["donors"] for one in moved["moves"]} == dict(moves)
    assert moved["names"] == [*dict.fromkeys(name_of[c] for c in sorted(name_of, reverse=True)), "prospect"]
    started = await world.post("/v1/scoring/runs", {"parts": ["rfm"], "as_of": EARLIER.isoformat()}, expect=202)
    await world.drain()
    done: Any = await world.get(f"/v1/scoring/runs/{started['id']}")
    assert done["totals"]["rfm_cells"] == dict(Counter(before.values()))


async def test_between_rebuilds_the_report_says_what_profiles_say(world: World) -> None:
    given = await history(world, 26)
    await world.post("/v1/scoring/runs", {"parts": ["rfm"]}, expect=202)
    await world.drain()
    for who in list(given)[:8]:  # scored against the stored borders, which a rebuild would move
        await world.donation(who, 90_000, received_at="2026-11-22T10:00:00Z")
    await world.drain()
    codes = Counter([(await world.profile(who))["rfm"]["code"] for who in given])
    for as_of in ({}, {"as_of": TODAY.isoformat()}):
        found = await world.get("/v1/reports/rfm", params=as_of)
        assert {one["code"]: one["donors"] for one in found["cells"]} == dict(codes)
    start: Any = await world.get("/v1/reports/rfm", params={"as_of": EARLIER.isoformat()})
    await world.put("/v1/scoring/rfm-settings", {"monetary": "average"})  # stored borders of sums score no averages
    await world.set_clock(NOW + timedelta(days=3))
    await world.drain()
    then = {"as_of": TODAY.isoformat()}
    found = await world.get("/v1/reports/rfm", params=then)
    profiles = [await world.get(f"/v1/contacts/{who}/donor-profile", params=then) for who in given]
    assert {one["code"]: one["donors"] for one in found["cells"]} == Counter(one["rfm"]["code"] for one in profiles)
    assert start["donors"] == (await world.get("/v1/reports/rfm", params={"as_of": EARLIER.isoformat()}))["donors"]
