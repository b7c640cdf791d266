"""`evaluate`: the table of `scoring.md` §1, its borders, its order, its reasons, and the same rules in SQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from crm_api.scoring.status import (
    IS_MAJOR_SQL,
    IS_NEW_SQL,
    IS_RECURRING_SQL,
    STATUS_SQL,
    STATUSES,
    Reason,
    StatusResult,
    StatusRules,
    default_rules,
    evaluate,
)
from crm_api.scoring.summary import DonorSummary

TODAY = date(2026, 11, 22)
RULES = default_rules("USD")


def donor(
    last: int | None = None,
    first: int | None = None,
    *,
    count: int = 1,
    year: int = 0,
    recurring: bool = False,
    currency: str = "USD",
) -> DonorSummary:
    """A summary by days since the last and first gift; ``year`` is the giving of the last 365 days."""
    if last is None:
        return DonorSummary(0, currency, 0, None, None, None, None, None, None, 0, 0, False, TODAY)
    dates = (TODAY - timedelta(days=last if first is None else first), TODAY - timedelta(days=last))
    return DonorSummary(count, currency, year, None, None, None, None, *dates, year, 0, recurring, TODAY)


def judge(summary: DonorSummary, rules: StatusRules = RULES, live: bool = False) -> StatusResult:
    return evaluate(summary, rules=rules, as_of=TODAY, has_live_plan=live)


@pytest.mark.parametrize(
    ("days", "status"),
    [
        (0, "new"),
        (365, "new"),
        (366, "lapsing"),
        (730, "lapsing"),
        (731, "lapsed"),
        (1095, "lapsed"),
        (1096, "lost"),
        (20_000, "lost"),
    ],
)
def test_borders_of_the_time_rules(days: int, status: str) -> None:
    assert judge(donor(days)).status == status


def test_prospect() -> None:
    result = judge(donor(), live=True)
    assert result == StatusResult("prospect", False, False, False, (Reason("prospect", "gift_count", 0, True),))


def test_first_match_wins_but_flags_stay() -> None:
    """A donor who is many things at once: the status is the first in the table, the flags tell the rest."""
    rich = donor(10, 300, count=1, year=100_000, recurring=True)
    result = judge(rich, live=True)
    assert (result.status, result.is_new, result.is_major, result.is_recurring) == ("major", True, True, True)
    assert judge(replace(rich, total_last_365_days=99_999), live=True).status == "recurring"
    assert judge(replace(rich, total_last_365_days=99_999), live=False).status == "new"
    assert judge(donor(10, 900, count=2)).status == "regular"


def test_lapsing_comes_before_recurring() -> None:
    result = judge(donor(400, 900, count=3, recurring=True), live=True)
    assert (result.status, result.is_recurring) == ("lapsing", True)


def test_live_plan_without_a_gift_is_not_recurring() -> None:
    result = judge(donor(10, 900, count=4, recurring=False), live=True)
    assert (result.status, result.is_recurring) == ("regular", False)


@pytest.mark.parametrize(("days", "new"), [(365, True), (366, False)])
def test_is_new_looks_at_the_first_gift(days: int, new: bool) -> None:
    result = judge(donor(3, days, count=7))
    assert (result.status, result.is_new) == ("regular", new)


def test_reasons_up_to_and_including_the_match() -> None:
    assert judge(donor(400, 900, count=2)).reasons == (
        Reason("prospect", "gift_count", 2, False),
        Reason("lost", "days_since_last_gift", 400, False),
        Reason("lapsed", "days_since_last_gift", 400, False),
        Reason("lapsing", "days_since_last_gift", 400, True),
    )
    assert judge(donor(1, 900, count=2, year=7)).reasons[4:] == (
        Reason("major", "total_last_365_days", {"amount": 7, "currency": "USD"}, False),
        Reason("recurring", "is_recurring", False, False),
        Reason("new", "gift_count", 2, False),
        Reason("regular", "gift_count", 2, True),
    )


def test_no_threshold_means_no_major_rule() -> None:
    rules = StatusRules(major_gift_threshold=None)
    result = judge(donor(1, count=2, year=10**12), rules)
    assert (result.status, result.is_major) == ("regular", False)
    assert "major" not in {reason.rule for reason in result.reasons}


def test_summary_of_another_day_is_refused() -> None:
    with pytest.raises(ValueError, match="another date"):
        evaluate(donor(1), rules=RULES, as_of=TODAY + timedelta(days=1), has_live_plan=False)


@pytest.mark.parametrize(("currency", "threshold"), [("UAH", 100_000), ("JPY", 1000), ("KWD", 1_000_000)])
def test_default_rules_follow_the_exponent(currency: str, threshold: int) -> None:
    rules = default_rules(currency)
    assert rules.major_gift_threshold == threshold
    assert (rules.lost_after_days, rules.lapsed_after_days, rules.lapsing_after_days) == (1095, 730, 365)
    assert (rules.new_within_days, rules.version) == (365, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"lapsed_after_days": 365},
        {"lapsed_after_days": 1095},
        {"lapsing_after_days": 0},
        {"lost_after_days": 36_501},
        {"lost_after_days": 1095.0},
        {"lost_after_days": True},
        {"major_gift_threshold": 0},
        {"major_gift_threshold": 2**53},
        {"version": 0},
        {"unknown": 1},
    ],
)
def test_senseless_rules_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        StatusRules.model_validate({**RULES.model_dump(), **change})


def test_rules_survive_json() -> None:
    assert StatusRules.model_validate_json(RULES.model_dump_json()) == RULES


@st.composite
def cases(draw: st.DrawFn) -> tuple[DonorSummary, StatusRules, bool]:
    """Donors and rules close to each other's borders."""
    lapsing, lapsed, lost = sorted(draw(st.sets(st.integers(1, 40), min_size=3, max_size=3)))
    rules = StatusRules(
        lost_after_days=lost,
        lapsed_after_days=lapsed,
        lapsing_after_days=lapsing,
        new_within_days=draw(st.integers(1, 40)),
        major_gift_threshold=draw(st.none() | st.integers(1, 10)),
    )
    if draw(st.integers(0, 9)) == 0:
        return donor(), rules, draw(st.booleans())
    last = draw(st.integers(0, 45))
    first = draw(st.integers(last, 45))
    summary = donor(
        last, first, count=draw(st.integers(1, 3)), year=draw(st.integers(0, 12)), recurring=draw(st.booleans())
    )
    return summary, rules, draw(st.booleans())


@pytest.fixture(scope="module")
def database() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    yield connection
    connection.close()


def test_sql_equals_python(database: sqlite3.Connection) -> None:
    query = (
        f"SELECT {STATUS_SQL}, {IS_NEW_SQL}, {IS_MAJOR_SQL}, {IS_RECURRING_SQL} FROM (SELECT :count AS gift_count, "
        ":last AS days_since_last_gift, :first AS days_since_first_gift, :year AS total_last_365_days, "
        ":live AS is_live_recurring)"
    )
    seen: set[str] = set()

    @settings(max_examples=100, derandomize=True)
    @given(cases())
    def check(case: tuple[DonorSummary, StatusRules, bool]) -> None:
        summary, rules, live = case
        expected = judge(summary, rules, live)
        row = {
            "count": summary.gift_count,
            "last": summary.days_since_last_gift,
            "first": summary.days_since_first_gift,
            "year": summary.total_last_365_days,
            "live": expected.is_recurring,
        }
        answer = database.execute(query, row | rules.sql_params()).fetchone()
        assert answer == (expected.status, expected.is_new, expected.is_major, expected.is_recurring)
        seen.add(expected.status)

    check()
    assert len(seen) >= 6, "the cases reach too few of the statuses"


def test_sql_takes_a_contact_without_a_summary_row_as_prospect(database: sqlite3.Connection) -> None:
    query = (
        f"SELECT {STATUS_SQL}, {IS_NEW_SQL}, {IS_MAJOR_SQL}, {IS_RECURRING_SQL} FROM (SELECT NULL AS gift_count, "
        "NULL AS days_since_last_gift, NULL AS days_since_first_gift, NULL AS total_last_365_days, "
        "NULL AS is_live_recurring)"
    )
    assert database.execute(query, RULES.sql_params()).fetchone() == ("prospect", 0, 0, 0)


@settings(deadline=None)
@given(cases())
def test_reasons_explain_the_status(case: tuple[DonorSummary, StatusRules, bool]) -> None:
    """Exactly one verdict is true, the last; the rules come in the table's order; the values are plain JSON."""
    result = judge(*case)
    assert [reason.verdict for reason in result.reasons] == [False] * (len(result.reasons) - 1) + [True]
    assert result.reasons[-1].rule == result.status
    tried = [STATUSES.index(reason.rule) for reason in result.reasons]
    assert tried == sorted(set(tried))
    assert all(isinstance(reason.value, (int, dict)) for reason in result.reasons)


def test_recurring_needs_the_plan_itself() -> None:
    """How a caller states the live plan: only plans that have a counted gift vouch for it."""
    paid, unpaid = UUID(int=1), UUID(int=2)
    summary = replace(donor(10, 900, count=2, recurring=True), recurring_plan_ids=frozenset({paid}))
    assert judge(summary, live=summary.has_gift_of({unpaid})).status == "regular"
    assert judge(summary, live=summary.has_gift_of({paid, unpaid})).status == "recurring"
