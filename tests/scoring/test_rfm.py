"""RFM: the exact formula, its border form, the SQL form, the 125 names and their override."""

from __future__ import annotations

import csv
import hashlib
import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction
from importlib import resources
from itertools import product
from math import floor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_api.scoring import rfm
from crm_api.scoring.rfm import OverrideInvalid, RfmBorders, RfmValues
from crm_api.scoring.summary import DonorSummary

TODAY = date(2026, 11, 22)
amounts = st.lists(st.integers(0, 12) | st.integers(-(2**60), 2**60), min_size=1, max_size=60)
donors = st.lists(
    st.builds(RfmValues, st.integers(0, 30), st.integers(1, 6), st.integers(0, 40) | st.integers(0, 2**53)),
    min_size=1,
    max_size=40,
)


def by_definition(values: list[int]) -> list[int]:
    """The formula of `scoring.md` §3, letter by letter."""
    n = len(values)
    return [floor(Fraction(5 * sum(other < value for other in values), n)) + 1 for value in values]


@pytest.fixture(scope="module")
def cdnow() -> list[RfmValues]:
    path = Path(__file__).parent / "data" / "cdnow_every_eighth.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        RfmValues(int(row["days_since_last_gift"]), int(row["gift_count"]), int(row["monetary_value"])) for row in rows
    ]


@settings(deadline=None)
@given(amounts)
def test_score_is_the_definition(values: list[int]) -> None:
    assert rfm.score(values) == by_definition(values)


@settings(deadline=None)
@given(amounts)
def test_borders_give_the_same_scores(values: list[int]) -> None:
    four = rfm.borders(values)
    assert [rfm.score_against(value, four) for value in values] == rfm.score(values)
    assert list(four) == sorted(four)


@settings(deadline=None)
@given(amounts, st.randoms(use_true_random=False))
def test_row_order_never_matters(values: list[int], shuffler: random.Random) -> None:
    order = list(range(len(values)))
    shuffler.shuffle(order)
    points = rfm.score(values)
    assert rfm.score([values[place] for place in order]) == [points[place] for place in order]
    assert rfm.borders([values[place] for place in order]) == rfm.borders(values)


@settings(deadline=None)
@given(amounts)
def test_scores_rise_with_values_and_ties_share(values: list[int]) -> None:
    pairs = sorted(zip(values, rfm.score(values), strict=True))
    assert [points for _, points in pairs] == sorted(points for _, points in pairs)
    assert len(dict(pairs)) == len(set(pairs))
    assert pairs[0][1] == 1


@pytest.mark.parametrize(
    ("values", "points"),
    [
        ([], []),
        ([7], [1]),
        ([1, 2], [1, 3]),
        ([1, 2, 3, 4, 5], [1, 2, 3, 4, 5]),
        ([1, 2, 3, 4, 5, 6], [1, 1, 2, 3, 4, 5]),
        ([1, 1, 1, 1, 2], [1, 1, 1, 1, 5]),
        ([3, 3, 3], [1, 1, 1]),
    ],
)
def test_worked_scores(values: list[int], points: list[int]) -> None:
    """Among them bins that stay empty."""
    assert rfm.score(values) == points


def test_borders_are_the_ceiling_ranks() -> None:
    assert rfm.borders([10, 20, 30, 40, 50, 60]) == (20, 30, 40, 50)
    assert rfm.borders([5]) == (5, 5, 5, 5)
    with pytest.raises(ValueError, match="no donors"):
        rfm.borders([])


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(0, 4000), st.integers(1, 50), st.integers(0, 10**9))
def test_all_equal_gives_511(n: int, days: int, count: int, money: int) -> None:
    stored = rfm.borders_of([RfmValues(days, count, money)] * n)
    assert stored is not None
    assert rfm.cell(days, count, money, stored).code == "511"
    assert rfm.recency_scores([days] * n) == [5] * n


@settings(deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=60))
def test_one_gift_donors_get_frequency_one(counts: list[int]) -> None:
    assert all(points == 1 for count, points in zip(counts, rfm.score(counts), strict=True) if count == 1)


def test_cdnow_sample(cdnow: list[RfmValues]) -> None:
    """Real purchases: both forms agree, order does not matter, nobody has F = 2."""
    stored = rfm.borders_of(cdnow)
    assert stored == rfm.borders_of(cdnow[::-1])
    assert stored is not None
    scored = [rfm.cell(one.days_since_last_gift, one.gift_count, one.monetary_value, stored) for one in cdnow]
    assert [one.recency for one in scored] == rfm.recency_scores([one.days_since_last_gift for one in cdnow])
    assert [one.frequency for one in scored] == by_definition([one.gift_count for one in cdnow])
    assert [one.monetary for one in scored] == by_definition([one.monetary_value for one in cdnow])
    assert {one.frequency for one, values in zip(scored, cdnow, strict=True) if values.gift_count == 1} == {1}
    assert not any(one.flags for one in scored)
    assert stored.frequency == (1, 1, 2, 4)
    assert Counter(one.frequency for one in scored) == {1: 147, 3: 47, 4: 46, 5: 55}
    assert Counter(one.recency for one in scored) == dict.fromkeys(range(1, 6), 59)


def test_too_few_for_quintiles() -> None:
    few = rfm.borders_of([RfmValues(day, 1, day) for day in range(24)])
    enough = rfm.borders_of([RfmValues(day, 1, day) for day in range(25)])
    assert few is not None
    assert enough is not None
    assert rfm.cell(3, 1, 3, few).flags == ("too_few_for_quintiles",)
    assert rfm.cell(3, 1, 3, enough).flags == ()


def test_fixed_cut_points() -> None:
    fixed = rfm.fixed_borders(recency=(90, 180, 365, 730), frequency=(1, 2, 5, 11), monetary=(0, 5000, 10**5, 10**6))
    best = rfm.cell(90, 12, 10**6 + 1, fixed)
    assert (best.code, best.name, best.flags) == ("555", "Champions", ())
    assert rfm.cell(731, 1, 0, fixed).code == "111"
    assert rfm.cell(91, 2, 1, fixed).code == "422"


@pytest.mark.parametrize("four", [(1, 2, 3), (4, 3, 2, 1), (1, 2, 3, 4, 5)])
def test_borders_must_ascend(four: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="ascending"):
        RfmBorders(30, four, (1, 1, 1, 1), (1, 1, 1, 1))


def test_nobody_to_score() -> None:
    assert rfm.borders_of([]) is None


def test_values_of_a_summary() -> None:
    day = TODAY - timedelta(days=12)
    summary = DonorSummary(3, "USD", 1000, 333, 500, None, None, day, day, 1000, 0, False, TODAY)
    assert rfm.values_of(summary) == RfmValues(12, 3, 1000)
    assert rfm.values_of(summary, monetary_basis="average") == RfmValues(12, 3, 333)
    unrated = replace(summary, total_given=0, average_gift=None, gifts_without_rate=3)
    assert rfm.values_of(unrated, monetary_basis="average") == RfmValues(12, 3, 0)
    stored = rfm.borders_of([RfmValues(12, 3, 0)] * 30)
    assert stored is not None
    assert rfm.cell(12, 3, 0, stored, gifts_without_rate=3).flags == ("gifts_without_rate",)
    assert rfm.values_of(replace(summary, last_gift_date=None, gift_count=0)) is None


# The same in SQL


@pytest.fixture(scope="module")
def in_sql() -> Iterator[Callable[..., list[sqlite3.Row]]]:
    """Runs a statement over donors standing in as ``rfm_values``, numbered from 0 in the order given."""
    database = sqlite3.connect(":memory:")
    database.row_factory = sqlite3.Row
    table = "(contact_id, days_since_last_gift, gift_count, monetary_value)"
    database.execute(f"CREATE TABLE rfm_values {table}")

    def run(statement: str, people: list[RfmValues], params: dict[str, int] | None = None) -> list[sqlite3.Row]:
        database.execute("DELETE FROM rfm_values")
        rows = [(place, x.days_since_last_gift, x.gift_count, x.monetary_value) for place, x in enumerate(people)]
        database.executemany("INSERT INTO rfm_values VALUES (?, ?, ?, ?)", rows)
        return database.execute(statement, params or {}).fetchall()

    yield run
    database.close()


def test_sql_equals_python(in_sql: Callable[..., list[sqlite3.Row]]) -> None:
    @settings(deadline=None)
    @given(donors)
    def check(people: list[RfmValues]) -> None:
        stored = rfm.borders_of(people)
        assert stored is not None
        cells = [rfm.cell(one.days_since_last_gift, one.gift_count, one.monetary_value, stored) for one in people]
        expected = [(place, one.recency, one.frequency, one.monetary) for place, one in enumerate(cells)]
        assert sorted(map(tuple, in_sql(rfm.RFM_SCORES_SQL, people))) == expected
        (row,) = in_sql(rfm.RFM_BORDERS_SQL, people)
        assert rfm.borders_from_row(dict(row)) == stored
        against = in_sql(rfm.RFM_AGAINST_BORDERS_SQL, people, stored.sql_params())
        assert sorted(map(tuple, against)) == expected

    check()


def test_sql_against_borders_of_others(in_sql: Callable[..., list[sqlite3.Row]]) -> None:
    """Between rebuilds: new values against old borders, in SQL as in Python."""

    @settings(deadline=None)
    @given(donors, donors)
    def check(rebuilt: list[RfmValues], changed: list[RfmValues]) -> None:
        stored = rfm.borders_of(rebuilt)
        assert stored is not None
        cells = [rfm.cell(one.days_since_last_gift, one.gift_count, one.monetary_value, stored) for one in changed]
        against = in_sql(rfm.RFM_AGAINST_BORDERS_SQL, changed, stored.sql_params())
        assert sorted(map(tuple, against)) == [
            (place, one.recency, one.frequency, one.monetary) for place, one in enumerate(cells)
        ]

    check()


def test_sql_borders_of_nobody(in_sql: Callable[..., list[sqlite3.Row]]) -> None:
    (row,) = in_sql(rfm.RFM_BORDERS_SQL, [])
    assert rfm.borders_from_row(dict(row)) is None


# Names


def test_the_table_is_the_enumerated_list() -> None:
    data = resources.files("crm_api.scoring").joinpath("rfm_cells.csv").read_bytes()
    assert hashlib.sha256(data).hexdigest() == "fe90db9ad6f4e9bfae8fe77c655e4badb862496299ac345fcedd396d66bee8cc"
    names = rfm.default_names()
    assert list(names) == ["".join(digits) for digits in product("12345", repeat=3)]
    assert Counter(names.values()) == {
        "Champions": 7,
        "Loyal": 8,
        "Potential Loyalist": 24,
        "New": 7,
        "Promising": 16,
        "Need Attention": 8,
        "About To Sleep": 8,
        "At Risk": 22,
        "Can't Lose": 8,
        "Hibernating": 11,
        "Lost": 6,
    }
    assert (names["545"], names["111"], names["144"]) == ("Champions", "Lost", "Can't Lose")


def test_cells() -> None:
    everything = rfm.cells()
    assert len(everything) == 125
    assert everything[0] == rfm.Cell("111", 1, 1, 1, "Lost")
    assert everything[-1] == rfm.Cell("555", 5, 5, 5, "Champions")


def by_name(names: dict[str, str]) -> dict[str, list[str]]:
    override: dict[str, list[str]] = {}
    for code, name in names.items():
        override.setdefault(name, []).append(code)
    return override


def test_override_round_trip() -> None:
    names = dict(rfm.default_names())
    assert rfm.validate_override(by_name(names)) == names
    mine = rfm.validate_override({"Друзі": list(names)})
    stored = rfm.borders_of([RfmValues(1, 1, 1)] * 25)
    assert stored is not None
    assert rfm.cell(1, 1, 1, stored, names=mine).name == "Друзі"


@settings(deadline=None)
@given(st.sets(st.sampled_from(sorted(rfm.default_names())), max_size=5), st.sets(st.integers(0, 124), max_size=5))
def test_override_says_what_is_missing_or_double(missing: set[str], doubled: set[int]) -> None:
    codes = [code for code in rfm.default_names() if code not in missing]
    again = sorted({codes[place % len(codes)] for place in doubled})
    override = {"One": codes, "Two": again}
    if not missing and not again:
        assert len(rfm.validate_override(override)) == 125
        return
    with pytest.raises(OverrideInvalid) as caught:
        rfm.validate_override(override)
    assert caught.value.missing == tuple(sorted(missing))
    assert caught.value.double == tuple(again)
    assert all(code in str(caught.value) for code in [*missing, *again])


@pytest.mark.parametrize(
    "override",
    [
        {"Secret": ["611"]},
        {"Secret": ["11"]},
        {"Secret": ["1111"]},
        {"Secret": ["١١١"]},
        {"Secret": ["111\n"]},
        {"Secret": [111]},
        {"Secret": "111"},
        {"Secret": None},
        {"Secret" * 11: ["111"]},
        {"": ["111"]},
        {" Secret": ["111"]},
        {"Secret\0": ["111"]},
        {"Secret\ud800": ["111"]},
        {7: ["111"]},
        [("Secret", ["111"])],
    ],
)
def test_malformed_override_is_refused_without_echo(override: dict[str, list[str]]) -> None:
    with pytest.raises(OverrideInvalid) as caught:
        rfm.validate_override(override)
    assert "Secret" not in str(caught.value)
    assert "111" not in str(caught.value)
    assert caught.value.missing == ()
