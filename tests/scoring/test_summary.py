"""`summarize`: what counts, what the sums leave out, and the exact average."""

from __future__ import annotations

import random
import sqlite3
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_api.scoring.summary import (
    AVERAGE_GIFT_SQL,
    CountedGift,
    DonorSummary,
    days_between,
    half_even_mean,
    summarize,
)

TODAY = date(2026, 11, 22)
PLAN, OTHER_PLAN = UUID(int=1001), UUID(int=1002)


def gift(
    number: int, days_ago: int, amount: int = 1000, currency: str = "USD", base: int | None = None, **more: UUID
) -> CountedGift:
    day = TODAY - timedelta(days=days_ago)
    return CountedGift(
        gift_id=UUID(int=number),
        gift_date=day,
        received_at=datetime(day.year, day.month, day.day, 9, tzinfo=UTC),
        amount=amount,
        currency=currency,
        base_amount=amount if currency == "USD" and base is None else base,
        plan_id=more.get("plan_id"),
    )


gifts = st.builds(
    gift,
    number=st.integers(1, 10**9),
    days_ago=st.integers(-3, 1500),
    amount=st.integers(0, 10**7),
    currency=st.sampled_from(["USD", "UAH", "JPY"]),
    base=st.none() | st.integers(0, 10**7),
)
histories = st.lists(gifts, max_size=12, unique_by=lambda one: one.gift_id)


def test_no_gift() -> None:
    summary = summarize([], as_of=TODAY, currency="USD")
    assert summary == DonorSummary(0, "USD", 0, None, None, None, None, None, None, 0, 0, False, TODAY)
    assert summary.days_since_last_gift is None
    assert summary.days_since_first_gift is None


def test_sums_average_and_dates() -> None:
    summary = summarize([gift(1, 10, 500), gift(2, 400, 2000), gift(3, 30, 1001)], as_of=TODAY, currency="USD")
    assert (summary.gift_count, summary.total_given, summary.average_gift, summary.largest_gift) == (
        3,
        3501,
        1167,
        2000,
    )
    assert summary.total_last_365_days == 1501
    assert (summary.days_since_last_gift, summary.days_since_first_gift) == (10, 400)
    assert summary.first_gift_at == datetime(2025, 10, 18, 9, tzinfo=UTC)
    assert summary.last_gift_date == date(2026, 11, 12)


@pytest.mark.parametrize(("days_ago", "inside"), [(0, True), (364, True), (365, True), (366, False)])
def test_the_border_of_the_year(days_ago: int, inside: bool) -> None:
    summary = summarize([gift(1, days_ago, 700)], as_of=TODAY, currency="USD")
    assert summary.total_last_365_days == (700 if inside else 0)
    assert summary.total_given == 700


def test_refunded_and_later_gifts_do_not_count() -> None:
    """A refund to zero or a lost dispute leaves nothing; ``as_of`` in the past does not know later gifts."""
    kept = gift(1, 5)
    refunded = gift(2, 4, 0)
    negative = gift(3, 3, -100)
    tomorrow = gift(4, -1)
    assert summarize([kept, refunded, negative, tomorrow], as_of=TODAY, currency="USD") == summarize(
        [kept], as_of=TODAY, currency="USD"
    )


def test_gift_without_rate_counts_but_is_not_summed() -> None:
    summary = summarize([gift(1, 9, 1000), gift(2, 1, 99_999, "UAH")], as_of=TODAY, currency="USD")
    assert (summary.gift_count, summary.gifts_without_rate) == (2, 1)
    assert (summary.total_given, summary.average_gift, summary.largest_gift) == (1000, 1000, 1000)
    assert summary.total_last_365_days == 1000
    assert summary.days_since_last_gift == 1


def test_only_gifts_without_rate() -> None:
    summary = summarize([gift(1, 9, 1000, "UAH")], as_of=TODAY, currency="USD")
    assert (summary.gift_count, summary.gifts_without_rate, summary.total_given) == (1, 1, 0)
    assert summary.average_gift is None
    assert summary.largest_gift is None


def test_own_currency_needs_no_rate() -> None:
    unstamped = replace(gift(1, 9, 1000), base_amount=None)
    assert summarize([unstamped], as_of=TODAY, currency="USD").total_given == 1000
    assert summarize([unstamped], as_of=TODAY, currency="EUR").gifts_without_rate == 1


def test_converted_gift_is_summed_in_base() -> None:
    summary = summarize([gift(1, 9, 41_000, "UAH", 1000), gift(2, 8, 500)], as_of=TODAY, currency="USD")
    assert (summary.total_given, summary.average_gift, summary.largest_gift) == (1500, 750, 1000)


def test_plans_with_a_counted_gift() -> None:
    """A live plan without a gift is not vouched for by an ended plan's gift, nor by a refunded instalment."""
    history = [gift(1, 40, plan_id=PLAN), gift(2, 10, 0, plan_id=OTHER_PLAN)]
    summary = summarize(history, as_of=TODAY, currency="USD")
    assert summary.has_counted_recurring_gift
    assert summary.has_gift_of({PLAN})
    assert not summary.has_gift_of({OTHER_PLAN})
    assert not summary.has_gift_of(())


def test_look_back() -> None:
    history = [gift(1, 800), gift(2, 730), gift(3, 5)]
    assert summarize(history, as_of=TODAY, currency="USD", look_back_days=730).gift_count == 2
    assert summarize(history, as_of=TODAY, currency="USD").gift_count == 3


def test_gift_listed_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        summarize([gift(1, 5), gift(1, 5)], as_of=TODAY, currency="USD")


def test_timestamps_are_refused() -> None:
    moment: date = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)
    with pytest.raises(TypeError):
        days_between(TODAY, moment)
    with pytest.raises(TypeError):
        summarize([gift(1, 5)], as_of=moment, currency="USD")


@settings(deadline=None)
@given(histories, st.randoms(use_true_random=False))
def test_order_never_matters(history: list[CountedGift], shuffler: random.Random) -> None:
    shuffled = history.copy()
    shuffler.shuffle(shuffled)
    assert summarize(shuffled, as_of=TODAY, currency="USD") == summarize(history, as_of=TODAY, currency="USD")


@settings(deadline=None)
@given(histories)
def test_totals_add_up(history: list[CountedGift]) -> None:
    """Of any history: the parts of the summary agree with each other and with the gifts."""
    summary = summarize(history, as_of=TODAY, currency="USD")
    counted = [one for one in history if one.amount > 0 and one.gift_date <= TODAY]
    assert summary.gift_count == len(counted)
    assert 0 <= summary.gifts_without_rate <= summary.gift_count
    assert 0 <= summary.total_last_365_days <= summary.total_given
    assert (summary.average_gift is None) == (summary.gifts_without_rate == summary.gift_count)
    assert (summary.largest_gift or 0) <= summary.total_given
    with_rate = summary.gift_count - summary.gifts_without_rate
    if with_rate and summary.average_gift is not None:
        assert 2 * abs(summary.average_gift * with_rate - summary.total_given) <= with_rate


@settings(deadline=None)
@given(st.integers(0, 2**53), st.integers(0, 5000))
def test_average_is_half_even_in_python_and_sql(total: int, count: int) -> None:
    expected = int((Decimal(total) / count).to_integral_value(ROUND_HALF_EVEN)) if count else None
    assert half_even_mean(total, count) == expected
    with sqlite3.connect(":memory:") as database:
        query = f"SELECT {AVERAGE_GIFT_SQL} FROM (SELECT ? AS total_given, ? AS gifts_with_rate)"
        (in_sql,) = database.execute(query, (total, count)).fetchone()
    database.close()
    assert in_sql == expected


@pytest.mark.parametrize(("total", "count", "mean"), [(1, 2, 0), (3, 2, 2), (5, 2, 2), (7, 2, 4), (2, 3, 1), (1, 3, 0)])
def test_halves_go_to_the_even_number(total: int, count: int, mean: int) -> None:
    assert half_even_mean(total, count) == mean
