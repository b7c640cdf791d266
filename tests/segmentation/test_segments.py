"""Segments keep themselves: gifts, tags, merges and time move people in and out, once each, and the reason is at hand."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from crm_api.kit.db import WriteSession, prepare
from crm_api.segmentation import repository
from tests.support.world import World

_SETTINGS = prepare(
    text(
        "SELECT current_setting(n) AS value FROM unnest(CAST(:names AS text[])) n "
        "WHERE CAST(:organization_id AS uuid) IS NOT NULL"
    )
)
T0 = datetime(2026, 11, 22, 9, tzinfo=UTC)


async def segment(world: World, name: str, rule: Any, **more: Any) -> str:
    """A segment, reckoned."""
    made = await world.post("/v1/segments", {"name": name, "rule": rule, **more})
    await world.drain()
    return str(made["id"])


async def members(world: World, segment_id: str, **query: Any) -> list[str]:
    """Names of a segment's members."""
    page = await world.get(f"/v1/segments/{segment_id}/members", params={"limit": 200, **query})
    return sorted(one["display_name"] for one in page["data"])


GENEROUS = {
    "related": "gifts",
    "where": {
        "all": [
            {"field": "counts", "value": True},
            {"field": "amount", "op": "gte", "value": {"amount": 50_000, "currency": "USD"}},
            {"field": "gift_date", "op": "within_last", "value": {"days": 180}},
        ]
    },
    "op": "gte",
    "value": 2,
}


async def test_gifts_bring_somebody_in_a_refund_and_time_take_them_out(world: World) -> None:
    await world.set_clock(T0)
    olena = (await world.contact())["id"]
    await world.contact(given_name="Tamar", family_name="Beridze", emails=[])
    generous = await segment(world, "Generous of late", GENEROUS)
    assert await members(world, generous) == []
    await world.donation(olena, 50_000, received_at="2026-11-20T09:00:00Z")
    await world.drain()
    assert await members(world, generous) == []
    gift = await world.donation(olena, 90_000, received_at="2026-11-21T09:00:00Z")
    await world.drain()
    assert await members(world, generous) == ["Олена Шевченко"]
    read = await world.get(f"/v1/segments/{generous}")
    assert (read["size"], read["state"], read["moves_with_time"], read["reads"]) == (1, "succeeded", True, ["gifts"])
    why = await world.get(f"/v1/segments/{generous}/explain/{olena}")
    assert (why["member"], why["verdict"], why["tree"]["actual"]) == (True, True, 2)
    assert [one["name"] for one in (await world.get(f"/v1/contacts/{olena}/segments"))["data"]] == ["Generous of late"]

    await world.set_clock(T0 + timedelta(hours=1))
    await world.post(f"/v1/donations/{gift['id']}/refunds", {})
    await world.drain()
    assert await members(world, generous) == []
    assert await members(world, generous, as_of="2026-11-22T09:30:00Z") == ["Олена Шевченко"]
    await world.donation(olena, 60_000, received_at="2026-11-22T09:00:00Z")
    await world.drain()
    assert await members(world, generous) == ["Олена Шевченко"]

    await world.set_clock(T0 + timedelta(days=200))  # nothing happens but time
    await world.drain()
    assert await members(world, generous) == []
    changes = (await world.get(f"/v1/segments/{generous}/changes"))["data"]
    assert [one["change"] for one in changes] == ["left", "entered", "left", "entered"]
    assert (await world.get(f"/v1/segments/{generous}/explain/{olena}"))["tree"]["actual"] == 0
    sizes = (await world.get(f"/v1/segments/{generous}/sizes"))["data"]
    assert [one["size"] for one in sizes][-1] == 0


async def test_what_reads_status_tags_and_merges_follows_them(world: World) -> None:
    await world.set_clock(T0)
    first = await world.contact(tags=["board"])
    second = await world.contact(given_name="Olena", emails=[{"address": "o@example.org"}])
    donors = await segment(world, "Donors", {"field": "donor.gift_count", "op": "gte", "value": 1})
    others = await segment(
        world,
        "No board",
        {"all": [{"not": {"field": "tag", "value": "board"}}, {"field": "donor.status", "value": "new"}]},
    )
    await world.donation(second["id"])
    await world.drain()
    assert await members(world, donors) == ["Olena Шевченко"] == await members(world, others)
    await world.patch(f"/v1/contacts/{second['id']}", {"tags": ["board"]})
    await world.drain()
    assert await members(world, others) == []
    merge = await world.post(f"/v1/contacts/{first['id']}/merge", {"from": [second["id"]]})
    await world.drain()
    assert await members(world, donors) == ["Олена Шевченко"]
    await world.post(f"/v1/merges/{merge['id']}/undo", expect=200)
    await world.drain()
    assert await members(world, donors) == ["Olena Шевченко"]
    compared = await world.get(f"/v1/segments/{donors}/compare/{others}")
    assert [compared[name] for name in ("in_both", "only_in_a", "only_in_b")] == [0, 1, 0]


async def test_own_fields_static_lists_and_a_preview(world: World) -> None:
    await world.post(
        "/v1/custom-fields",
        {
            "key": "size",
            "type": "choice",
            "label": "T-shirt",
            "filterable": True,
            "choices": [{"code": "s", "label": "S"}, {"code": "m", "label": "M"}],
        },
    )
    await world.drain()
    anna = await world.contact(given_name="Anna", custom={"size": "m"})
    await world.contact(given_name="Boris", emails=[], custom={"size": "s"})
    names = {one["name"] for one in (await world.get("/v1/segments/fields"))["fields"]}
    assert {"custom.size", "tag", "donor.status", "language"} <= names
    rule = {"any": [{"field": "custom.size", "value": "m"}, {"field": "email", "op": "is_null", "value": True}]}
    seen = await world.post("/v1/segments/preview", {"rule": rule}, expect=200)
    assert (seen["count"], seen["reads"]) == (2, ["contact", "email"])
    assert seen["cost"]["planned"] > 0
    assert {one["display_name"] for one in seen["sample"]} == {"Anna Шевченко", "Boris Шевченко"}

    listed = (await world.post("/v1/segments", {"name": "Gala 2026"}))["id"]
    add, take = f"/v1/segments/{listed}/members", f"/v1/segments/{listed}/members/remove"
    assert (await world.post(add, {"contact_ids": [anna["id"]]}, expect=200))["changed"] == 1
    assert (await world.post(add, {"contact_ids": [anna["id"]]}, expect=200))["changed"] == 0
    assert (await world.get(f"/v1/segments/{listed}"))["size"] == 1
    assert (await world.post(take, {"contact_ids": [anna["id"]]}, expect=200))["changed"] == 1
    unknown = await world.post(add, {"contact_ids": [listed]}, expect=422)
    assert unknown["errors"][0]["pointer"] == "/contact_ids/0"
    dynamic = await segment(world, "M", rule)
    refused = await world.post(f"/v1/segments/{dynamic}/members", {"contact_ids": [anna["id"]]}, expect=409)
    assert refused["code"] == "dynamic_segment"


WRONG: list[tuple[Any, str, str]] = [
    ({"field": "langage", "value": "uk"}, "/rule/field", "unknown_field"),
    ({"all": []}, "/rule/all", "not_a_list"),
    ({"all": [{"not": {"field": "language", "op": "gt", "value": "uk"}}]}, "/rule/all/0/not/op", "unknown_operator"),
    ({"field": "donor.status", "op": "in", "value": ["new", "old"]}, "/rule/value/1", "unknown_choice"),
    ({"field": "donor.total_given", "op": "gte", "value": {"amount": 1, "currency": "EUR"}}, "/rule/value/currency", "currency_mismatch"),
    ({"related": "gifts", "aggregate": "sum", "op": "gte", "value": 1}, "/rule/field", "unknown_field"),
    ({"related": "gifts", "where": {"field": "gift_date", "op": "gte", "value": {"ago": {"day": 3}}}}, "/rule/where/value/ago", "not_a_span"),
    ({"field": "tag", "value": "a", "or": 1}, "/rule/or", "unknown_member"),
    ({"field": "created_at", "op": "between", "value": ["2026-01-01", "2026-01-01T00:00:00Z"]}, "/rule/value", "mixed_ends"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "pointer", "code"), WRONG)
async def test_a_wrong_rule_is_told_where(world: World, rule: Any, pointer: str, code: str) -> None:
    problem = await world.post("/v1/segments/preview", {"rule": rule}, expect=422)
    assert [(one["pointer"], one["code"]) for one in problem["errors"]] == [(pointer, code)]


async def test_a_rule_may_not_be_bottomless(world: World) -> None:
    deep: Any = {"field": "tag", "value": "a"}
    for _ in range(8):
        deep = {"not": deep}
    assert (await world.post("/v1/segments/preview", {"rule": deep}, expect=422))["errors"][0]["code"] == "too_deep"
    broad = {"any": [{"related": "gifts"}] * 21}
    assert (await world.post("/v1/segments/preview", {"rule": broad}, expect=422))["errors"][0]["code"] == "too_costly"


async def test_members_kept_step_by_step_are_those_of_a_reckoning(world: World) -> None:
    await world.set_clock(T0)
    rng = random.Random(11)
    rules: list[Any] = [
        GENEROUS,
        {"not": GENEROUS},
        {"field": "donor.status", "op": "in", "value": ["new", "major"]},
        {"any": [{"field": "tag", "value": "a"}, {"field": "donor.recency", "op": "gte", "value": 4}]},
        {"all": [{"field": "language", "op": "ne", "value": "uk"}, {"not": {"field": "tag", "op": "in", "value": ["b"]}}]},
        {"related": "gifts", "aggregate": "sum", "field": "counted", "op": "lt", "value": {"amount": 60_000, "currency": "USD"}},
        {"related": "letters", "op": "eq", "value": 0},
        {"field": "consents", "value": 1} if False else {"related": "consents", "op": "gte", "value": 1},
    ]  # fmt: skip
    ids = [await segment(world, f"S{place}", rule) for place, rule in enumerate(rules)]
    people = [(await world.contact(given_name=f"P{n}", emails=[]))["id"] for n in range(7)]
    gifts: list[str] = []
    for step in range(40):
        who = rng.choice(people)
        match rng.randrange(6):
            case 0 | 1 | 2:
                when = (T0 - timedelta(days=rng.choice([0, 30, 170, 300, 800]))).isoformat()
                gifts.append((await world.donation(who, rng.choice([500, 50_000, 120_000]), received_at=when))["id"])
            case 3 if gifts:
                await world.post(f"/v1/donations/{gifts.pop(rng.randrange(len(gifts)))}/refunds", {})
            case 4:
                await world.patch(f"/v1/contacts/{who}", {"tags": rng.choice([[], ["a"], ["a", "b"]])})
            case _:
                body = {"purpose": "newsletter", "channel": "email", "status": "withdrawn", "source": "call"}
                await world.post(f"/v1/contacts/{who}/consents", body)
        if step % 4 == 3:
            await world.drain()
    await world.drain()
    stepped = {one: await members(world, one) for one in ids}
    before = {one: len((await world.get(f"/v1/segments/{one}/changes", params={"limit": 200}))["data"]) for one in ids}
    for one in ids:
        await world.post(f"/v1/segments/{one}/reckonings", expect=202)
    await world.drain()
    assert {one: await members(world, one) for one in ids} == stepped
    for one in ids:
        changes = (await world.get(f"/v1/segments/{one}/changes", params={"limit": 200}))["data"]
        assert len(changes) == before[one], "the reckoning found what the steps had missed"
        for who in people:
            chain = [c["change"] for c in reversed(changes) if c["contact_id"] == who]
            assert chain == ["entered", "left"] * (len(chain) // 2) + ["entered"] * (len(chain) % 2)
    assert sum(map(len, stepped.values())) > 10
    assert all(UUID(one) for one in ids)


async def test_looking_at_everybody_leaves_the_transaction_as_it_was(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nested loops are off meanwhile: with stale statistics they compared everybody with everybody."""
    names = ("enable_nestloop", "statement_timeout", "work_mem")

    async def settings(session: WriteSession) -> list[str]:
        rows = await session.fetch(_SETTINGS, names=list(names))
        return [row["value"] for row in rows]

    async with world.database.write(world.tenant) as session:
        before = await settings(session)
        assert before[:2] == ["on", "30s"]
        async with repository.over_everybody(session, seconds=7):
            assert await settings(session) == ["off", "7s", "64MB"]
        assert await settings(session) == before

    entered: list[int] = []
    whole = repository.over_everybody

    def counted(session: WriteSession, *, seconds: int) -> Any:
        entered.append(seconds)
        return whole(session, seconds=seconds)

    monkeypatch.setattr(repository, "over_everybody", counted)
    await segment(world, "Generous", GENEROUS)
    await world.post("/v1/segments/preview", {"rule": GENEROUS}, expect=200)
    assert entered == [900, 30]


async def test_searching_by_a_rule_pages_through_contacts_and_gifts(world: World) -> None:
    ids = [(await world.contact(given_name=f"P{n}", emails=[], tags=["a"] if n % 2 else []))["id"] for n in range(5)]
    for amount in (500, 700, 90_000):
        await world.donation(ids[0], amount, received_at=f"2026-03-0{amount // 500 % 9 + 1}T09:00:00Z")
    body: dict[str, Any] = {"where": {"not": {"field": "tag", "value": "a"}}, "limit": 2, "include_total": True}
    first = await world.post("/v1/contacts/search", {**body, "sort": "created_at"}, expect=200)
    assert ([one["id"] for one in first["data"]], first["total"]) == ([ids[0], ids[2]], 3)
    rest = {**body, "sort": "created_at", "cursor": first["next_cursor"]}
    assert [one["id"] for one in (await world.post("/v1/contacts/search", rest, expect=200))["data"]] == [ids[4]]
    other = {**rest, "where": {"field": "tag", "value": "a"}}
    assert (await world.post("/v1/contacts/search", other, expect=422))["errors"][0]["code"] == "cursor_mismatch"
    small = {"where": {"field": "amount", "op": "lt", "value": {"amount": 1000, "currency": "USD"}}, "limit": 1}
    gifts = await world.post("/v1/donations/search", small, expect=200)
    assert gifts["has_more"]
    more = await world.post("/v1/donations/search", {**small, "cursor": gifts["next_cursor"]}, expect=200)
    assert {gifts["data"][0]["amount"]["amount"], more["data"][0]["amount"]["amount"]} == {500, 700}
    wrong = {"where": {"field": "language", "value": "uk"}}
    assert (await world.post("/v1/donations/search", wrong, expect=422))["errors"][0]["pointer"] == "/where/field"
