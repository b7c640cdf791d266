"""Splitting gifts over funds: exact for every amount, in Python and in Postgres alike, whatever becomes of the gift."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_api.donations.allocations import service
from crm_api.donations.allocations.schemas import Allocation, problem_of
from crm_api.donations.allocations.shares import divide, remaining
from crm_api.kit.money import MAX_MINOR
from tests.support.world import World

TOTALS = st.integers(0, 12) | st.integers(0, MAX_MINOR)
WEIGHTS = st.lists(st.integers(0, 9) | st.integers(0, MAX_MINOR), min_size=1, max_size=8).filter(any)


@given(TOTALS, WEIGHTS)
def test_a_division_is_exact_and_fair(total: int, weights: list[int]) -> None:
    parts = divide(total, weights)
    assert sum(parts) == total
    whole = sum(weights)
    for part, weight in zip(parts, weights, strict=True):
        assert total * weight // whole <= part <= -(-total * weight // whole), "within one unit of its proportion"
        assert total > whole or part <= weight
    remainders = [
        (total * weight % whole, part - total * weight // whole) for part, weight in zip(parts, weights, strict=True)
    ]
    served = [remainder for remainder, extra in remainders if extra]
    left = [remainder for remainder, extra in remainders if not extra]
    assert not served or not left or min(served) >= max(left), "the largest remainders are served"


@given(WEIGHTS, st.data())
def test_refunds_are_borne_in_proportion(weights: list[int], data: st.DataObject) -> None:
    gross = data.draw(TOTALS)
    parts = divide(gross, weights)
    counted = data.draw(st.integers(0, gross))
    left = remaining(parts, counted)
    assert sum(left) == counted
    assert all(0 <= kept <= part for kept, part in zip(left, parts, strict=True))
    assert remaining(parts, gross) == parts
    assert not any(remaining(parts, 0))


def test_one_minor_unit_over_three_funds() -> None:
    assert divide(1, [333333, 333333, 333334]) == [0, 0, 1]
    assert divide(1, [1, 1, 1]) == [1, 0, 0]
    assert divide(MAX_MINOR, [1, 1, 1]) == [MAX_MINOR // 3 + (place < MAX_MINOR % 3) for place in range(3)]
    for total, weights in ((1, [0, 0]), (-1, [1]), (1, [2, -1]), (1, [])):
        with pytest.raises(ValueError, match="divided"):
            divide(total, weights)


def percent(fund: UUID, share: str) -> Allocation:
    return Allocation(fund_id=fund, percent=share)


# Over HTTP


async def funds(world: World, count: int) -> list[str]:
    made = [await world.post("/v1/funds", {"code": f"f{number}", "name": f"F{number}"}) for number in range(count)]
    return [one["id"] for one in made]


def money(amount: int, currency: str = "USD") -> dict[str, Any]:
    return {"amount": amount, "currency": currency}


def figures(gift: Any, member: str = "amount") -> list[int]:
    return [part[member]["amount"] for part in gift["allocations"]]


async def test_a_split_follows_the_gift(world: World) -> None:
    ids = await funds(world, 3)
    parts = [{"fund_id": one, "percent": share} for one, share in zip(ids, ("50", "30", "20"), strict=True)]
    gift = await world.donation(None, 1001, allocations=parts)
    path = f"/v1/donations/{gift['id']}"
    assert (gift["fund_id"], gift["is_split"], figures(gift)) == (None, True, [501, 300, 200])
    assert [part["percent"] for part in gift["allocations"]] == ["50", "30", "20"]
    assert (await world.get(path)) == gift
    refunded = await world.post(f"{path}/refunds", {"amount": money(501)})
    assert (figures(refunded), figures(refunded, "counted_amount")) == ([501, 300, 200], [250, 150, 100])
    more = await world.post(f"{path}/adjustments", {"amount": money(2000)})
    assert (figures(more), sum(figures(more, "counted_amount"))) == ([1000, 600, 400], 1499)
    gone = await world.post(f"{path}/reversals", {"reason": "transfer_returned"})
    assert figures(gone, "counted_amount") == [0, 0, 0]
    listed = await world.get("/v1/donations", params={"expand": "allocations", "is_split": "true"})
    assert listed["data"][0]["allocations"] == gone["allocations"]


async def test_a_gift_is_split_anew(world: World) -> None:
    ids = await funds(world, 3)
    gift = await world.donation(None, 1000, fund_id=ids[0])
    path = f"/v1/donations/{gift['id']}"
    assert gift["allocations"] == [
        {"fund_id": ids[0], "percent": "100", "amount": money(1000), "counted_amount": money(1000)}
    ]
    parts = [{"fund_id": ids[0], "amount": money(1)}, {"fund_id": ids[1], "amount": money(999)}]
    split = await world.patch(path, {"allocations": parts})
    assert (split["fund_id"], split["is_split"], figures(split), split["version"]) == (None, True, [1, 999], 2)
    assert [part["percent"] for part in split["allocations"]] == [None, None]
    again = await world.patch(path, {"allocations": [{"fund_id": one, "percent": "50"} for one in ids[1:]]})
    assert (figures(again), again["version"]) == ([500, 500], 3)
    assert [part["fund_id"] for part in again["allocations"]] == ids[1:]
    whole = await world.patch(path, {"allocations": [{"fund_id": ids[2], "percent": "100"}]})
    assert (whole["fund_id"], whole["is_split"]) == (ids[2], False)
    await world.patch(path, {"allocations": [{"fund_id": one, "percent": "50"} for one in ids[:2]]})
    assert (await world.patch(path, {"fund_id": ids[0]}))["is_split"] is False
    none = await world.patch(path, {"allocations": None})
    assert (none["fund_id"], none["allocations"]) == (None, [])
    assert await world.get(path) == none


REFUSED: list[tuple[Any, str, str]] = [
    ([("0", "percent", "60"), ("1", "percent", "41")], "/allocations", "percent_sum"),
    ([("0", "percent", "50"), ("1", "amount", money(500))], "/allocations", "mixed_allocations"),
    ([("0", "percent", "50"), ("0", "percent", "50")], "/allocations", "fund_repeated"),
    ([("0", "amount", money(500)), ("1", "amount", money(499))], "/allocations", "amount_sum"),
    ([("0", "amount", money(1000, "EUR"))], "/allocations/0/amount/currency", "currency_mismatch"),
    ([("0", "percent", "100.5")], "/allocations/0/percent", "string_pattern_mismatch"),
    ([("0", "percent", "0")], "/allocations/0/percent", "string_pattern_mismatch"),
    ([("0", "amount", money(0))], "/allocations/0/amount/amount", "greater_than"),
]


async def test_splits_that_do_not_add_up(world: World) -> None:
    ids = await funds(world, 2)
    gift = await world.donation(None, 1000)
    for shares, pointer, code in REFUSED:
        parts = [{"fund_id": ids[int(place)], name: value} for place, name, value in shares]
        body = {"amount": money(1000), "allocations": parts}
        for problem in (
            await world.post("/v1/donations", body, expect=422),
            await world.patch(f"/v1/donations/{gift['id']}", {"allocations": parts}, expect=422),
        ):
            assert (problem["errors"][0]["pointer"], problem["errors"][0]["code"]) == (pointer, code)


async def test_parts_get_their_rate_when_it_arrives(world: World) -> None:
    ids = await funds(world, 3)
    parts = [{"fund_id": one, "percent": share} for one, share in zip(ids, ("33.33", "33.33", "33.34"), strict=True)]
    gift = await world.donation(None, 1000, "EUR", allocations=parts)
    assert gift["base_amount"] is None
    rate = {"source_currency": "EUR", "target_currency": "USD", "rate": "1.0001", "rate_date": "2020-01-01"}
    await world.post("/v1/exchange-rates", rate)
    await world.drain()
    assert (await world.get(f"/v1/donations/{gift['id']}"))["base_amount"] == money(1000)
    async with world.database.write(world.tenant) as session:
        found = await session.fetch(service._OF, ids=[UUID(gift["id"])])
    assert [row["base_counted"] for row in found] == [333, 333, 334]


async def test_postgres_divides_as_python_does(world: World) -> None:
    """Restated by the statement, the parts are those the pure function makes, at every size."""
    ids = [UUID(one) for one in await funds(world, 5)]

    @settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.data())
    def cases(data: st.DataObject) -> None:
        some = ids[: data.draw(st.integers(2, 5))]
        cuts = sorted(data.draw(st.lists(st.integers(1, 10**6 - 1), min_size=len(some) - 1, max_size=len(some) - 1,
                                         unique=True)))  # fmt: skip
        shares = [high - low for low, high in zip([0, *cuts], [*cuts, 10**6], strict=True)]
        parts = [percent(fund, format(Decimal(share) / 10_000, "f")) for fund, share in zip(some, shares, strict=True)]
        assert problem_of(parts, 1, "USD") is None
        amount = data.draw(st.integers(1, 9) | st.integers(1, MAX_MINOR))
        counted = data.draw(st.integers(0, amount))
        drawn.append((parts, amount, counted, data.draw(st.none() | st.integers(0, MAX_MINOR)) if counted else 0))

    drawn: list[Any] = []
    cases()
    gift_ids = [(await world.donation(None, 1))["id"] for _ in drawn]
    async with world.database.write(world.tenant) as session:
        for gift_id, (parts, amount, counted, base) in zip(gift_ids, drawn, strict=True):
            await session._begun()
            await session._connection.execute(
                "UPDATE gifts SET amount = $2, counted = $3, base_counted = $4, is_split = true WHERE id = $1",
                UUID(gift_id), amount, counted, base,
            )  # fmt: skip
            blank = {"id": UUID(gift_id), "amount": amount, "counted": amount, "base_counted": None, "currency": "USD"}
            service.add(session, blank, parts)
        await session.flush()
        await service.restate(session, [UUID(one) for one in gift_ids])
        for gift_id, (parts, amount, counted, base) in zip(gift_ids, drawn, strict=True):
            expected = service.parts_of(parts, amount=amount, counted=counted, base_counted=base)
            found = await session.fetch(service._OF, ids=[UUID(gift_id)])
            names = ("fund_id", "amount", "counted", "base_counted")
            assert [{name: row[name] for name in names} for row in found] == [
                {name: row[name] for name in names} for row in expected
            ]
        assert await service.restate(session, [UUID(one) for one in gift_ids]) == 0
