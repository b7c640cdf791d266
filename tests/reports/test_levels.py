"""Giving levels against an oracle that reads gifts one by one, and how they are kept."""

from __future__ import annotations

import random
from collections import Counter
from datetime import date, timedelta
from typing import Any

from tests.reports.test_giving import Gifts, fiscal, history
from tests.support.world import World

STEPS = (("Bronze", 2_500), ("Silver", 30_000), ("Diamond", 1_000_000))
AS_OF = date(2026, 11, 22)


async def define(world: World, program: str = "Circle", steps: Any = STEPS) -> list[Any]:
    return [
        await world.post(
            "/v1/giving-levels", {"program": program, "name": name, "min_amount": {"amount": amount, "currency": "USD"}}
        )
        for name, amount in steps
    ]


def level(total: int) -> str | None:
    return next((name for name, amount in reversed(STEPS) if total >= amount), None)


def totals(gifts: Gifts, keep: Any) -> Counter[str]:
    found: Counter[str] = Counter()
    for who, day, amount in gifts:
        if day <= AS_OF and keep(day):
            found[who] += amount
    return found


async def test_levels_before_and_now_against_an_oracle(world: World) -> None:
    gifts = await history(world, random.Random(11), 12)
    await define(world)
    await define(world, "Tiny", [("One", 1)])
    year, since = fiscal(AS_OF), AS_OF - timedelta(days=365)
    spans: dict[str, Any] = {
        "fiscal_year": (lambda d: fiscal(d) == year, lambda d: fiscal(d) == year - 1),
        "last_365_days": (lambda d: d >= since, lambda d: since - timedelta(days=365) <= d < since),
        "all": (lambda d: True, lambda d: d <= since),
    }
    for span, (now, before) in spans.items():
        late, early = totals(gifts, now), totals(gifts, before)
        found = await world.get("/v1/reports/giving-levels", params={"span": span})
        circle, tiny = found["programs"]
        moves = Counter((level(early[who]), level(late[who])) for who in {*late, *early})
        moves.pop((None, None), None)
        assert {(one["from_level"], one["to_level"]): one["donors"] for one in circle["moves"]} == dict(moves)
        rank: dict[str | None, int] = {None: -1, **{name: place for place, (name, _) in enumerate(STEPS)}}
        for one in circle["levels"]:
            here = {pair: count for pair, count in moves.items() if pair[1] == one["name"]}
            assert one["amount"] == sum(t for t in late.values() if level(t) == one["name"])
            assert one["donors"] == sum(here.values()) == one["stayed"] + one["risen"] + one["fallen"]
            assert one["risen"] == sum(n for (a, b), n in here.items() if rank[a] < rank[b])
            assert one["left"] == sum(n for (a, b), n in moves.items() if a == one["name"] and rank[b] < rank[a])
        assert circle["below_amount"] == sum(t for t in late.values() if level(t) is None)
        assert circle["below_donors"] + sum(one["donors"] for one in circle["levels"]) == circle["donors"]
        assert tiny["levels"][0]["amount"] == circle["total"] == sum(late.values())

        query, listed = {"span": span, "program": "Circle", "limit": "3"}, []
        while True:
            page = await world.get("/v1/reports/giving-levels/donors", params=query)
            listed += page["data"]
            if not page["has_more"]:
                break
            query["cursor"] = page["next_cursor"]
        wanted = {who: (level(early[who]), level(late[who])) for who in {*late, *early}}
        shown = {one["contact_id"]: (one["previous_level"], one["level"]) for one in listed}
        assert shown == {who: pair for who, pair in wanted.items() if pair != (None, None)}
        assert len(listed) == len(shown)
        assert [one["total"] for one in listed] == sorted((one["total"] for one in listed), reverse=True)


async def test_defining_levels(world: World) -> None:
    bronze, silver, _ = await define(world)
    path = f"/v1/giving-levels/{silver['id']}"
    said = await world.post(
        "/v1/giving-levels",
        {"program": "Circle", "name": "Silver", "min_amount": {"amount": 7, "currency": "USD"}},
        expect=409,
    )
    assert said["code"]
    await world.post(
        "/v1/giving-levels",
        {"program": "Circle", "name": "Other", "min_amount": {"amount": 2_500, "currency": "USD"}},
        expect=409,
    )
    said = await world.post(
        "/v1/giving-levels", {"program": "C", "name": "N", "min_amount": {"amount": 7, "currency": "EUR"}}, expect=422
    )
    assert said["errors"][0]["pointer"] == "/min_amount/currency"
    await world.patch(path, {"min_amount": None}, expect=422)
    await world.patch(path, {"name": "X"}, headers={"If-Match": '"7"'}, expect=412)
    changed = await world.patch(path, {"min_amount": {"amount": 40_000, "currency": "USD"}})
    assert (changed["version"], changed["min_amount"]["amount"], changed["name"]) == (2, 40_000, "Silver")
    listed = await world.get("/v1/giving-levels", params={"sort": "min_amount", "program": "Circle"})
    assert [one["name"] for one in listed["data"]] == ["Bronze", "Silver", "Diamond"]
    await world.call("DELETE", f"/v1/giving-levels/{bronze['id']}", expect=204)
    await world.get(f"/v1/giving-levels/{bronze['id']}", expect=404)
    await world.get("/v1/reports/giving-levels/donors", params={"program": "None"}, expect=422)
    assert (await world.get("/v1/reports/giving-levels", params={"program": "None"}))["programs"] == []
