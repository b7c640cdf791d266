"""Kept runs: a published figure can be shown again, and what has changed since is said."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from crm_api.reports.runs.difference import differences
from crm_api.reports.runs.kinds import KINDS
from crm_api.reports.runs.models import REPORTS
from tests.reports.test_giving import history
from tests.support.effort import examples
from tests.support.world import World

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


async def test_a_back_dated_gift_shows_in_the_difference_and_not_in_the_run(world: World) -> None:
    await world.set_clock(NOW)
    who = (await world.contact(given_name="Леся", emails=[]))["id"]
    await world.donation(who, 5_000, received_at="2025-03-01T09:00:00Z")
    await world.drain()
    asked = {"label": "Annual report 2025", "parameters": {"as_of": "2025-12-31"}}
    run = await world.post("/v1/reports/gain-loss/runs", asked)
    assert run["parameters"] == {"as_of": "2025-12-31", "fund_id": None, "campaign_id": None, "year": None}
    assert (run["label"], run["as_of"], run["state"], run["result"]["total"]) == (
        "Annual report 2025",
        "2025-12-31",
        "succeeded",
        5_000,
    )
    shown = await world.get("/v1/reports/gain-loss", params={"as_of": "2025-12-31"})
    assert run["result"] == shown
    path = f"/v1/reports/runs/{run['id']}"
    assert (await world.get(f"{path}/difference"))["same"]

    late = (await world.contact(given_name="Late", emails=[]))["id"]
    await world.donation(late, 700, received_at="2025-06-01T09:00:00Z")
    assert await world.get(path) == run
    found = await world.get(f"{path}/difference")
    changes = {tuple(one["path"]): (one["then"], one["now"], one["change"]) for one in found["changes"]}
    assert changes == {
        ("states", "new", "donors"): (1, 2, "1"), ("states", "new", "amount"): (5_000, 5_700, "700"),
        ("gains",): (5_000, 5_700, "700"), ("net",): (5_000, 5_700, "700"), ("total",): (5_000, 5_700, "700"),
    }  # fmt: skip
    assert not found["same"]
    items = (await world.get("/v1/reports/runs", params={"report": "gain-loss"}))["data"]
    assert [one["id"] for one in items] == [run["id"]]
    assert "result" not in items[0]
    drawn = await world.client.get(path, headers={"Accept": "image/svg+xml"})
    assert "50" in drawn.text
    assert (await world.client.get(path, headers={"Accept": "text/csv"})).text.startswith("state,donors")


async def test_every_report_can_be_kept_and_holds_no_name(world: World) -> None:
    assert tuple(KINDS) == REPORTS
    await history(world, random.Random(4), 6)
    await world.post(
        "/v1/giving-levels", {"program": "Friends", "name": "Any", "min_amount": {"amount": 1, "currency": "USD"}}
    )
    people = [one["display_name"] for one in (await world.get("/v1/contacts"))["data"]]
    for name in REPORTS:
        run = await world.post(f"/v1/reports/{name}/runs", {})
        assert not any(f'"{person}"' in str(run["result"]).replace("'", '"') for person in people), name
        assert run["result"].get("data", []) == []
        assert (await world.get(f"/v1/reports/runs/{run['id']}/difference"))["changes"] == [], name
        if name in ("lybunt", "donations", "income-forecast", "giving-levels"):
            drawn = await world.client.get(f"/v1/reports/runs/{run['id']}", headers={"Accept": "image/svg+xml"})
            assert drawn.content.startswith(b"<svg"), name
    moved = await world.post("/v1/reports/rfm-migration/runs", {"parameters": {"from": "2025-01-31"}})
    assert (moved["parameters"]["from"], moved["parameters"]["as_of"]) == ("2025-01-31", "2026-11-22")


async def test_what_is_refused(world: World) -> None:
    await world.post("/v1/reports/weather/runs", {}, expect=404)
    for parameters, pointer in (
        ({"year": "2025"}, "/parameters/year"), ({"span": "all"}, "/parameters/span"),
        ({"year": 2199}, "/parameters/year"), ({"as_of": "1066-10-14"}, "/parameters/as_of"),
    ):  # fmt: skip
        said = await world.post("/v1/reports/gain-loss/runs", {"parameters": parameters}, expect=422)
        assert said["errors"][0]["pointer"] == pointer
    key = (await world.post("/v1/api-keys", {"name": "K", "scopes": ["scoring:read", "reports:write"]}))["key"]
    headers = {"Authorization": f"Bearer {key}"}
    said = await world.post("/v1/reports/donations/runs", {}, headers=headers, expect=403)
    assert said["scope"] == "donations:read"
    run = await world.post("/v1/reports/donations/runs", {"parameters": {"group_by": "method"}})
    await world.get(f"/v1/reports/runs/{run['id']}", headers=headers, expect=403)
    for name in ("lybunt", "prospects"):
        said = await world.get(f"/v1/reports/{name}", headers=headers, expect=403)
        assert said["scope"] == "contacts:read"


FIGURE = st.one_of(st.none(), st.integers(-5, 5), st.just("0.5000"))


@st.composite
def answers(draw: st.DrawFn) -> dict[str, Any]:
    """An answer with rows that are named by their key."""
    keys = draw(st.lists(st.sampled_from("abcd"), unique=True))
    figures = st.dictionaries(st.sampled_from(["donors", "amount", "rate"]), FIGURE)
    return {"total": draw(st.integers(-3, 3)), "rows": [{"key": key, **draw(figures)} for key in keys]}


@settings(max_examples=examples(60))
@given(answers(), answers())
def test_applying_the_changes_to_the_one_gives_the_other(then: dict[str, Any], now: dict[str, Any]) -> None:
    def flat(answer: dict[str, Any]) -> dict[tuple[str, ...], Any]:
        rows: dict[tuple[str, ...], Any] = {
            ("rows", row["key"], name): value for row in answer["rows"] for name, value in row.items()
        }
        return {("total",): answer["total"], **rows}

    changed = flat(then)
    found = differences(then, now)
    for one in found:
        if one.path in flat(now):
            changed[one.path] = one.now
        else:
            del changed[one.path]
        if isinstance(one.then, int) and isinstance(one.now, int):
            assert one.by == str(one.now - one.then)
    assert changed == flat(now)
    assert bool(found) == (flat(then) != flat(now))
    shuffled = {**now, "rows": list(reversed(now["rows"]))}
    assert differences(now, shuffled) == []


def test_rows_that_are_named_alike_are_told_apart() -> None:
    then = {"rows": [{"key": "a", "n": 1}, {"key": "a", "n": 2}]}
    now = {"rows": [{"key": "a", "n": 1}, {"key": "a", "n": 3}]}
    (one,) = differences(then, now)
    assert (one.path, one.by) == (("rows", "a #2", "n"), "1")
