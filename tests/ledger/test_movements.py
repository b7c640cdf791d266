"""The movements of a gift as a pure function, and the books that come of posting what is missing, in any order."""

from __future__ import annotations

import random
from collections import Counter
from datetime import date, datetime, timedelta
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from crm_api.donations.gifts.balances import Entry, derive
from crm_api.donations.ledger.accounts import KEY, class_of, pair
from crm_api.donations.ledger.movements import Books, Key, Movement, key_of, missing, movements
from crm_api.kit import clock
from tests.ledger.evidence import START, histories
from tests.support.effort import examples

FUNDS = tuple(UUID(int=number) for number in (1, 2, 3))
CONNECTION = UUID(int=9)
splits = st.lists(st.integers(1, 50), min_size=1, max_size=3).map(
    lambda parts: tuple(zip(FUNDS, parts, strict=False)) if len(parts) > 1 else ((None, parts[0]),)
)
books_of = st.builds(Books, st.sampled_from(("card", "in_kind")), st.sampled_from((None, CONNECTION)), splits)


def kyiv(instant: datetime) -> date:
    return clock.local_date(instant, "Europe/Kyiv")


def sums(found: list[Movement]) -> Counter[str]:
    total: Counter[str] = Counter()
    for one in found:
        total[one.kind] += one.amount
    return total


@given(histories, books_of)
@settings(max_examples=examples(120), deadline=None)
def test_they_add_up_to_what_is_derived(entries: list[Entry], books: Books) -> None:
    found = movements(entries, books, kyiv)
    balance = derive(entries)
    expected = {
        "gift": balance.gross,
        "refund": balance.refunded,
        "chargeback": balance.charged_back,
        "fee": balance.fee,
    }
    assert sums(found) == Counter({kind: amount for kind, amount in expected.items() if amount})
    again = [*entries, *entries]
    random.Random(1).shuffle(again)
    assert movements(again, books, kyiv) == found
    for one in found:
        assert one.amount
        assert {one.debit, one.credit} == {*pair(one.kind, _asset(books), one.fund_id)}
        assert KEY.fullmatch(one.debit)
        assert class_of(one.credit)


def _asset(books: Books) -> str:
    if books.connection_id:
        return f"clearing:{books.connection_id}"
    return "in_kind:goods" if books.method == "in_kind" else f"received:{books.method}"


@given(histories, st.lists(books_of, min_size=1, max_size=3), st.data())
@settings(max_examples=examples(80), deadline=None)
def test_posted_step_by_step_it_is_what_a_replay_would_post(
    entries: list[Entry], splits: list[Books], data: st.DataObject
) -> None:
    """Entries arrive in any order, the split changes, and after each step the books are brought up to date."""
    posted: Counter[Key] = Counter()
    known: list[Entry] = []
    for number, one in enumerate(data.draw(st.permutations(entries))):
        known.append(one)
        _post(posted, known, splits[number % len(splits)])
    last = splits[-1]
    _post(posted, known, last)
    replay: Counter[Key] = Counter()
    _post(replay, entries, last)
    assert {key: amount for key, amount in posted.items() if amount} == dict(replay)
    assert missing(movements(known, last, kyiv), posted) == []


def _post(posted: Counter[Key], entries: list[Entry], books: Books) -> None:
    for line in missing(movements(entries, books, kyiv), posted):
        assert line.amount > 0
        key, sign = key_of(line.kind, line.day, line.debit, line.credit, line.fund_id)
        posted[key] += sign * line.amount


def test_money_moves_on_the_days_it_was_stated_on() -> None:
    """In the organization's zone: eleven at night in UTC is the next day in Kyiv."""
    late = START.replace(hour=23)
    entries = [
        Entry("charge", "charge:pi", late, 5000),
        Entry("fee", "fee:1", late + timedelta(days=2), 175, ref="txn"),
        Entry("refund", "refund:1:pending", late + timedelta(days=5), 2000, ref="re", status="pending"),
        Entry("refund", "refund:1:failed", late + timedelta(days=9), 2000, ref="re", status="failed"),
    ]
    found = movements(entries, Books("card", CONNECTION, ((None, 5000),)), kyiv)
    assert [(one.day.day, one.kind, one.amount) for one in found] == [
        (2, "gift", 5000), (4, "fee", 175), (7, "refund", 2000), (11, "refund", -2000),
    ]  # fmt: skip
    assert movements([*entries, Entry("superseded", "s", late)], Books("card", CONNECTION, ((None, 5000),)), kyiv) == []


def test_a_corrected_day_of_receipt_moves_the_money() -> None:
    entries = [
        Entry("charge", "charge:staff", START, 5000),
        Entry("adjustment", "a", START + timedelta(days=9), -100, started_at=START - timedelta(days=3)),
    ]
    found = movements(entries, Books("cash", None, ((None, 4900),)), kyiv)
    assert [(one.day, one.amount) for one in found] == [(date(2026, 2, 26), 5000), (date(2026, 3, 10), -100)]
