"""A gift's status and balances as a pure function of its payment entries."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_api.donations.gifts.balances import Balance, Entry, EntryKind, derive

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ATTEMPTS: tuple[EntryKind, ...] = ("pending", "failed", "canceled")


def at(second: int) -> datetime:
    return START + timedelta(seconds=second)


def entry(
    kind: EntryKind,
    second: int,
    amount: int | None = None,
    *,
    ref: str | None = None,
    status: str | None = None,
    reason: str | None = None,
    made: int | None = None,
) -> Entry:
    """An entry whose key is its content, as the providers make them."""
    key = f"{kind}:{ref}:{status}:{amount}:{reason}:{made}@{second}"
    return Entry(kind, key, at(second), amount, ref, status, reason, None if made is None else at(made))


def charge(second: int = 0, amount: int = 1000, of: str = "pi") -> Entry:
    return replace(entry("charge", second, amount), key=f"charge:{of}:{amount}@{second}")


def refund(ref: str, second: int, amount: int, status: str = "succeeded", made: int | None = None) -> Entry:
    return entry("refund", second, amount, ref=ref, status=status, made=second if made is None else made)


def total(second: int, amount: int) -> Entry:
    return entry("refunded_total", second, amount)


def dispute(ref: str, second: int, status: str, amount: int = 1000) -> Entry:
    return entry("dispute", second, amount, ref=ref, status=status)


EXAMPLES: dict[str, tuple[list[Entry], str, dict[str, object]]] = {
    "nothing known": ([], "pending", {"gross": 0, "received_at": None}),
    "an attempt under way": ([entry("pending", 1)], "pending", {"gross": 0}),
    "an attempt refused": ([entry("failed", 1, reason="expired_card")], "failed", {"failure_reason": "expired_card"}),
    "given up": ([entry("failed", 1), entry("canceled", 2, reason="abandoned")], "canceled", {}),
    "refused, then tried again": (
        [entry("failed", 1, reason="x"), entry("pending", 2)],
        "pending",
        {"failure_reason": None},
    ),
    "two words in one second: the more final": ([entry("pending", 1), entry("failed", 1)], "failed", {}),
    "two final words in one second": ([entry("canceled", 1), entry("failed", 1)], "canceled", {}),
    "the invoice does not know why, the intent does": (
        [entry("failed", 1, reason="insufficient_funds"), entry("failed", 2)],
        "failed",
        {"failure_reason": "insufficient_funds"},
    ),
    "money arrived": ([charge(5)], "succeeded", {"gross": 1000, "received_at": at(5), "counted": 1000}),
    "a failure told after the success": ([charge(5), entry("failed", 9)], "succeeded", {"failure_reason": None}),
    "a cancellation told after the success": ([charge(5), entry("canceled", 9)], "succeeded", {"gross": 1000}),
    "four objects state the same money": (
        [charge(3, of="pi"), charge(2, of="ch"), charge(4, of="cs"), charge(9, of="in")],
        "succeeded",
        {"gross": 1000, "received_at": at(2)},
    ),
    "a partial statement of the money": ([charge(1, 400, "ch"), charge(2, 1000, "in")], "succeeded", {"gross": 1000}),
    "the fee of the newest statement": (
        [charge(), entry("fee", 1, 30, ref="txn"), entry("fee", 2, 35, ref="txn"), entry("fee", 1, 5, ref="txn2")],
        "succeeded",
        {"fee": 40, "counted": 1000},
    ),
    "half given back": (
        [charge(), refund("re_1", 10, 500)],
        "partially_refunded",
        {"refunded": 500, "counted": 500, "refunded_at": at(10)},
    ),
    "a refund still under way counts": (
        [charge(), refund("re_1", 10, 1000, "pending")],
        "refunded",
        {"refunded": 1000},
    ),
    "the same refund told three times": (
        [charge(), refund("re_1", 10, 600, "pending"), refund("re_1", 11, 600, made=10), total(10, 600)],
        "partially_refunded",
        {"refunded": 600, "refunded_at": at(10)},
    ),
    "only the running total is known": (
        [charge(), total(10, 300), total(20, 1000), total(30, 1000)],
        "refunded",
        {"refunded": 1000, "refunded_at": at(20)},
    ),
    "a refund that succeeded and failed days later": (
        [charge(), total(10, 1000), refund("re_1", 10, 1000), refund("re_1", 99, 1000, "failed", made=10)],
        "succeeded",
        {"refunded": 0, "refunded_at": None},
    ),
    "a refund canceled before it was paid": (
        [charge(), refund("re_1", 10, 400, "pending"), refund("re_1", 12, 400, "canceled", made=10)],
        "succeeded",
        {"refunded": 0},
    ),
    "one of two refunds failed, the total is older": (
        [charge(), total(20, 900), refund("re_1", 30, 400, "failed", made=10)],
        "partially_refunded",
        {"refunded": 500},
    ),
    "the total already knows of the failure": (
        [charge(), total(40, 500), refund("re_1", 30, 400, "failed", made=10)],
        "partially_refunded",
        {"refunded": 500},
    ),
    "the failure was told again after the total": (
        [
            charge(),
            total(40, 500),
            refund("re_1", 30, 400, "failed", made=10),
            refund("re_1", 50, 400, "failed", made=10),
        ],
        "partially_refunded",
        {"refunded": 500},
    ),
    "the total of the second of the failure knows of it": (
        [charge(), total(30, 500), refund("re_1", 30, 400, "failed", made=10)],
        "partially_refunded",
        {"refunded": 500},
    ),
    "made, told and failed within one second": (
        [charge(), total(10, 400), refund("re_1", 10, 400, "failed")],
        "succeeded",
        {"refunded": 0},
    ),
    "a refund made after the total": (
        [charge(), total(10, 300), refund("re_2", 20, 200)],
        "partially_refunded",
        {"refunded": 500, "refunded_at": at(20)},
    ),
    "a refund made before the total, told after it": (
        [charge(), total(10, 300), refund("re_1", 25, 300, made=9)],
        "partially_refunded",
        {"refunded": 300},
    ),
    "two totals in one second: the larger": (
        [charge(), total(10, 300), total(10, 700)],
        "partially_refunded",
        {"refunded": 700},
    ),
    "more given back than came in": ([charge(), refund("re_1", 1, 5000)], "refunded", {"refunded": 1000, "counted": 0}),
    "a refund before the charge is known": ([refund("re_1", 9, 1000)], "pending", {"refunded": 0, "refunded_at": None}),
    "a refund after a failed attempt, charge unknown": ([entry("failed", 1), refund("re_1", 9, 10)], "failed", {}),
    "disputed": (
        [charge(), dispute("dp_1", 9, "open")],
        "disputed",
        {"gross": 1000, "charged_back": 0, "counted": 1000},
    ),
    "an inquiry changes nothing": ([charge(), dispute("dp_1", 9, "inquiry")], "succeeded", {}),
    "an inquiry that became a dispute": (
        [charge(), dispute("d", 9, "open"), dispute("d", 10, "inquiry")],
        "disputed",
        {},
    ),
    "the dispute was won": ([charge(), dispute("d", 9, "open"), dispute("d", 20, "won")], "succeeded", {}),
    "an old 'open' arrives after the verdict": (
        [charge(), dispute("d", 20, "won"), dispute("d", 30, "open")],
        "succeeded",
        {},
    ),
    "the dispute was lost": (
        [charge(), dispute("d", 9, "open"), dispute("d", 20, "lost", 700)],
        "charged_back",
        {"charged_back": 700, "counted": 300},
    ),
    "won in the first round, lost in the second": (
        [charge(), dispute("d", 20, "won"), dispute("d", 30, "lost")],
        "charged_back",
        {},
    ),
    "lost more than came in": (
        [charge(), dispute("d", 20, "lost", 9000)],
        "charged_back",
        {"charged_back": 1000, "counted": 0},
    ),
    "refunded and disputed": (
        [charge(), refund("re", 1, 1000), dispute("d", 2, "open")],
        "disputed",
        {"refunded": 1000},
    ),
    "one dispute lost, another open": (
        [charge(), dispute("a", 1, "lost", 1), dispute("b", 2, "open")],
        "charged_back",
        {},
    ),
    "funds moved for a dispute": (
        [charge(), entry("dispute_withdrawn", 5, 1000, ref="d")],
        "succeeded",
        {"counted": 1000},
    ),
    "a dispute before the charge is known": ([dispute("d", 5, "lost")], "pending", {"charged_back": 0}),
    "a late success after refund and dispute": (
        [refund("re", 5, 400), dispute("d", 6, "open"), charge(99)],
        "disputed",
        {"refunded": 400},
    ),
    "turned out to be another gift": (
        [charge(), refund("re", 1, 10), entry("fee", 1, 3, ref="t"), entry("superseded", 2, ref="gift")],
        "canceled",
        {"gross": 0, "refunded": 0, "fee": 0, "received_at": None, "counted": 0},
    ),
    "a refund that failed, told by a word of its own": (
        [charge(), refund("re_1", 10, 400), entry("refund_failed", 20, 400, ref="re_1")],
        "succeeded",
        {"refunded": 0, "counted": 1000},
    ),
    "a running total that still holds the refund that failed": (
        [charge(), total(10, 400), refund("re_1", 10, 400), entry("refund_failed", 20, 400, ref="re_1")],
        "succeeded",
        {"refunded": 0},
    ),
    "a failure of an unknown refund": ([charge(), entry("refund_failed", 20, 400, ref="re_9")], "succeeded", {}),
    "a cheque bounced": (
        [charge(), entry("reversal", 9, 1000, ref="r", reason="cheque_bounced")],
        "charged_back",
        {"charged_back": 1000, "counted": 0},
    ),
    "a reversal of everything that is not told in figures": (
        [charge(), entry("reversal", 9, ref="r")],
        "charged_back",
        {"charged_back": 1000},
    ),
    "the bank gave it back": (
        [charge(), entry("reversal", 9, 1000, ref="r"), entry("reversal", 12, ref="r", status="canceled")],
        "succeeded",
        {"charged_back": 0, "counted": 1000},
    ),
    "a dispute lost and the reversal of the same money": (
        [charge(), dispute("d", 9, "lost", 700), entry("reversal", 10, 700, ref="r")],
        "charged_back",
        {"charged_back": 700, "counted": 300},
    ),
    "corrected upwards, then downwards": (
        [charge(), entry("adjustment", 5, 500), entry("adjustment", 6, -100)],
        "succeeded",
        {"gross": 1400, "counted": 1400},
    ),
    "corrected to what was refunded": (
        [charge(), refund("re", 3, 400), entry("adjustment", 5, -600)],
        "refunded",
        {"gross": 400, "counted": 0},
    ),
    "the day was wrong": (
        [charge(50), entry("adjustment", 60, 0, made=20), entry("adjustment", 70, 0, made=30)],
        "succeeded",
        {"gross": 1000, "received_at": at(30)},
    ),
    "a correction before the charge is known": ([entry("adjustment", 5, 500)], "pending", {"gross": 0}),
    "corrected below nothing": ([charge(), entry("adjustment", 5, -5000)], "succeeded", {"gross": 0, "counted": 0}),
    "a charge of nothing": ([charge(0, 0)], "succeeded", {"gross": 0, "counted": 0}),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_example(name: str) -> None:
    entries, status, figures = EXAMPLES[name]
    balance = derive(entries)
    assert balance.status == status
    assert {figure: getattr(balance, figure) for figure in figures} == figures


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_in_any_order_and_twice(name: str) -> None:
    entries, _, _ = EXAMPLES[name]
    expected = derive(entries)
    for turn in range(20):
        shuffled = entries * 2
        random.Random(turn).shuffle(shuffled)
        assert derive(iter(shuffled)) == expected


SECONDS = st.integers(0, 8)
AMOUNTS = st.integers(0, 12)
TOLD: tuple[EntryKind, ...] = ("charge", "refund", "refunded_total", "dispute", "fee", *ATTEMPTS)
BY_STAFF: tuple[EntryKind, ...] = ("refund_failed", "reversal", "adjustment")


@st.composite
def entries_of_one_gift(draw: st.DrawFn, kinds: tuple[EntryKind, ...] = (*TOLD, *BY_STAFF)) -> list[Entry]:
    """Any evidence, true or not: few ids, few seconds, few amounts, so that everything collides with everything."""

    def one() -> Entry:
        kind = draw(st.sampled_from(kinds))
        second = draw(SECONDS)
        amount = draw(st.none() | AMOUNTS)
        ref = draw(st.sampled_from((None, "a", "b", "c")))
        reason = draw(st.sampled_from((None, "x", "y")))
        if kind == "refund":
            status = draw(st.sampled_from(("pending", "succeeded", "failed", "canceled")))
            made = entry(
                "refund", second, amount, ref=ref, status=status, reason=reason, made=draw(st.none() | SECONDS)
            )
        elif kind == "dispute":
            status = draw(st.sampled_from(("open", "inquiry", "won", "lost")))
            made = entry("dispute", second, amount, ref=ref, status=status, reason=reason)
        elif kind == "reversal":
            word = draw(st.sampled_from((None, "succeeded", "canceled")))
            made = entry("reversal", second, amount, ref=ref, status=word, reason=reason)
        elif kind == "adjustment":
            made = entry("adjustment", second, draw(st.none() | st.integers(-9, 9)), made=draw(st.none() | SECONDS))
        else:
            made = entry(kind, second, amount, ref=ref, reason=reason)
        clash = draw(st.integers(0, 9))
        return replace(made, key=f"clash{clash}") if clash < 3 else made

    return [one() for _ in range(draw(st.integers(0, 9)))]


@settings(deadline=None)
@given(entries_of_one_gift(), st.randoms(use_true_random=False), st.integers(1, 3))
def test_order_and_repetition_do_not_matter(entries: list[Entry], chance: random.Random, times: int) -> None:
    shuffled = entries * times
    chance.shuffle(shuffled)
    assert derive(shuffled) == derive(entries)


@settings(deadline=None)
@given(entries_of_one_gift())
def test_figures_always_make_sense(entries: list[Entry]) -> None:
    balance = derive(entries)
    assert 0 <= balance.refunded <= balance.gross
    assert 0 <= balance.charged_back <= balance.gross
    assert 0 <= balance.counted <= balance.gross
    assert balance.fee >= 0
    assert (balance.received_at is None) == (balance.status in ("pending", "failed", "canceled"))
    assert balance.received_at is not None or balance.gross == 0
    assert (balance.refunded_at is None) == (balance.refunded == 0)
    assert balance.failure_reason is None or balance.status in ("failed", "canceled")
    if balance.status == "refunded":
        assert balance.refunded == balance.gross > 0
    if balance.status == "partially_refunded":
        assert 0 < balance.refunded < balance.gross
    if balance.status == "succeeded":
        assert balance.refunded == balance.charged_back == 0


@settings(deadline=None)
@given(entries_of_one_gift(kinds=TOLD), SECONDS, AMOUNTS)
def test_one_more_charge_never_takes_anything_away(entries: list[Entry], second: int, amount: int) -> None:
    before, after = derive(entries), derive([*entries, replace(charge(second, amount), key="another")])
    assert after.gross == max(before.gross, amount)
    assert after.refunded >= before.refunded
    assert after.charged_back >= before.charged_back
    assert after.received_at is not None
    assert after.received_at <= (before.received_at or at(second))
    if before.status in ("disputed", "charged_back"):
        assert after.status == before.status


@settings(deadline=None)
@given(entries_of_one_gift(), SECONDS, st.sampled_from(ATTEMPTS))
def test_no_attempt_undoes_a_success(entries: list[Entry], second: int, kind: EntryKind) -> None:
    known = [*entries, replace(charge(), key="the charge")]
    late = replace(entry(kind, second, reason="late"), key="late")
    assert derive([*known, late]) == derive(known)


@settings(deadline=None)
@given(entries_of_one_gift(), SECONDS, st.sampled_from(("inquiry", "withdrawn", "reinstated")))
def test_words_without_effect(entries: list[Entry], second: int, word: str) -> None:
    quiet = dispute("new", second, word) if word == "inquiry" else entry("dispute_withdrawn", second, 5, ref="new")
    if word == "reinstated":
        quiet = entry("dispute_reinstated", second, 5, ref="new")
    assert derive([*entries, replace(quiet, key="quiet")]) == derive(entries)


@settings(deadline=None)
@given(entries_of_one_gift(), SECONDS, AMOUNTS)
def test_another_refund_never_lowers_what_was_given_back(entries: list[Entry], second: int, amount: int) -> None:
    more = replace(refund("new", second, amount), key="new")
    assert derive([*entries, more]).refunded >= derive(entries).refunded


@settings(deadline=None)
@given(entries_of_one_gift())
def test_superseded_counts_for_nothing(entries: list[Entry]) -> None:
    gone = replace(entry("superseded", 3, ref="gift"), key="gone")
    assert derive([*entries, gone]) == Balance("canceled", 0, 0, 0, 0, None, None, None)


@st.composite
def true_histories(draw: st.DrawFn) -> tuple[list[Entry], list[Entry], list[Entry], int]:
    """What a truthful provider says of one charge whose refunds are made and fall at distinct seconds: the makings, the
    failures, the running totals, and the sum that is really given back at the end."""
    makings: list[Entry] = []
    failures: list[Entry] = []
    totals: list[Entry] = []
    standing: dict[str, tuple[int, int]] = {}
    for second in range(1, draw(st.integers(1, 8)) + 1):
        room = 1000 - sum(amount for amount, _ in standing.values())
        if len(standing) > 0 and draw(st.booleans()):
            name = draw(st.sampled_from(sorted(standing)))
            amount, made = standing.pop(name)
            failures.append(refund(name, second, amount, "failed", made=made))
            if draw(st.booleans()):
                totals.append(total(second, sum(rest for rest, _ in standing.values())))
        elif room:
            amount = draw(st.integers(1, room))
            standing[f"re_{second}"] = (amount, second)
            makings.append(refund(f"re_{second}", second, amount, "pending"))
            totals.append(total(second, sum(each for each, _ in standing.values())))
    return makings, failures, totals, sum(amount for amount, _ in standing.values())


@settings(deadline=None)
@given(true_histories(), st.data())
def test_the_truth_is_found_from_refunds_with_any_totals(
    history: tuple[list[Entry], list[Entry], list[Entry], int], data: st.DataObject
) -> None:
    makings, failures, totals, truth = history
    some = [each for each in totals if data.draw(st.booleans())]
    assert derive([charge(), *makings, *failures, *some]).refunded == truth


@settings(deadline=None)
@given(true_histories(), st.data())
def test_the_truth_is_found_from_totals_and_failures_alone(
    history: tuple[list[Entry], list[Entry], list[Entry], int], data: st.DataObject
) -> None:
    makings, failures, totals, truth = history
    some = [each for each in makings if data.draw(st.booleans())]
    assert derive([charge(), *some, *failures, *totals]).refunded == truth
