"""Whatever a row says of a payment that is there, its entries lead to just that, or the row is refused; and what a row
says of a new gift is the same whichever way its entries are made."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_api.donations.gifts.balances import derive
from crm_api.transfers.imports import gift_values
from crm_api.transfers.imports.gift_money import ARRIVED, Money, Unreachable, opening, steps
from tests.support.effort import examples

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAYS = st.integers(0, 3000).map(lambda days: NOW - timedelta(days=days))


@st.composite
def moneys(draw: st.DrawFn) -> Money:
    """What a row may say."""
    amount = draw(st.integers(2, 1_000_000))
    status = draw(st.sampled_from(("succeeded", "succeeded", "pending", "failed", "canceled", "refunded",
                                   "partially_refunded", "disputed", "charged_back")))  # fmt: skip
    refunded = {"refunded": amount, "partially_refunded": draw(st.integers(1, amount - 1))}.get(status, 0)
    fee = draw(st.none() | st.integers(0, 500)) if status in ARRIVED else None
    return Money(status, amount, draw(DAYS), refunded, None, fee)


@given(moneys())
@settings(max_examples=examples(150))
def test_a_new_gift_is_what_its_row_says(money: Money) -> None:
    entries, balance = opening(money)
    assert balance == derive(entries), "the short way to the figures is the same as the rule"
    assert (balance.status, balance.fee) == (money.status, money.fee or 0)
    if money.status in ARRIVED:
        assert (balance.gross, balance.received_at) == (money.amount, money.received_at)
    assert balance.refunded == (money.refunded if money.status in {"refunded", "partially_refunded"} else 0)
    assert len({entry.key for entry in entries}) == len(entries)


@given(st.lists(moneys(), min_size=2, max_size=5))
@settings(max_examples=examples(150))
def test_every_further_row_leads_to_what_it_says_or_is_refused(told: list[Money]) -> None:
    entries, _ = opening(told[0])
    for number, money in enumerate(told[1:]):
        arrived = any(entry.kind == "charge" for entry in entries)
        if arrived and money.status not in ARRIVED:
            with pytest.raises(Unreachable, match="money_arrived"):
                steps(entries, money, tag=f"t:{number}", now=NOW)
            continue
        more = steps(entries, money, tag=f"t:{number}", now=NOW + timedelta(seconds=number))
        entries = [*entries, *more]
        assert len({entry.key for entry in entries}) == len(entries)
        balance = derive(entries)
        assert balance.status == money.status
        if money.fee is not None:
            assert balance.fee == money.fee
        if money.status in ARRIVED:
            assert balance.gross == money.amount
        again = steps(entries, money, tag=f"again:{number}", now=NOW + timedelta(days=1))
        assert again == [], "saying it twice says nothing new"


@given(moneys(), moneys())
@settings(max_examples=examples(100))
def test_what_a_row_changed_can_be_taken_back_unless_money_has_come(first: Money, second: Money) -> None:
    entries, before = opening(first)
    try:
        more = steps(entries, second, tag="1", now=NOW)
    except Unreachable:
        return
    was = Money(first.status, first.amount, first.received_at, before.refunded, None, before.fee)
    came = first.status not in ARRIVED and second.status in ARRIVED
    try:
        back = steps([*entries, *more], was, tag="1:undo", now=NOW + timedelta(days=1))
    except Unreachable:
        assert came
        return
    after = derive([*entries, *more, *back])
    assert not came
    assert (after.status, after.fee, after.counted) == (before.status, before.fee, before.counted)


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("125.50", "UAH", 12550), ("1,250.50", "USD", 125050), ("1.250,50", "EUR", 125050), ("1 250,5", "UAH", 125050),
        ("1\u202f250,50 ₴", "UAH", 125050), ("$25", "USD", 2500), ("USD 25.00", "USD", 2500), ("1,250", "USD", 125000),
        ("1.250.000", "EUR", 125000000), ("12,5", "UAH", 1250), ("٢٥", "USD", 2500), ("500", "JPY", 500),
        ("1.250", "KWD", 1250), ("0", "USD", 0), ("90071992547409.91", "USD", 9007199254740991), ("25 грн.", "UAH", 2500),
    ],
)  # fmt: skip
def test_amounts_are_read_as_people_write_them(text: str, currency: str, minor: int) -> None:
    assert gift_values.amount(text, currency) == minor


@pytest.mark.parametrize(
    ("text", "currency"),
    [("1,250", "KWD"), ("12.505", "USD"), ("1.5", "JPY"), ("-5", "USD"), ("(5)", "USD"), ("5-", "USD"), ("five", "USD"),
     ("1,25,0", "USD"), ("1e5", "USD"), ("90071992547409.92", "USD"), ("NaN", "USD"), ("1.2.3", "USD")],
)  # fmt: skip
def test_what_can_be_read_in_two_ways_or_none_is_refused(text: str, currency: str) -> None:
    with pytest.raises(ValueError, match=r"^(can|has|is|must) "):
        gift_values.amount(text, currency)


def test_a_day_is_a_day_of_the_organization() -> None:
    at, day, exact = gift_values.moment("17.05.2021", None, "Asia/Tbilisi")
    assert (at.isoformat(), day.isoformat(), exact) == ("2021-05-17T08:00:00+00:00", "2021-05-17", False)
    at, day, exact = gift_values.moment("2021-05-17T22:30:00Z", None, "Asia/Tbilisi")
    assert (at.isoformat(), day.isoformat(), exact) == ("2021-05-17T22:30:00+00:00", "2021-05-18", True)
    assert gift_values.moment("05/17/2021 10:00:00 AM", "mdy", "UTC")[1].isoformat() == "2021-05-17"
