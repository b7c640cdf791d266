"""What of a pledge is paid, written off and open: exact to the minor unit, in whatever order things come."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_api.donations.pledges.fulfilment import Installment, WriteOff, fulfil, remind_on, status
from tests.support.effort import examples

TODAY = date(2026, 5, 4)
AMOUNTS = st.integers(1, 10**6) | st.integers(2**53 - 10, 2**53 - 1)
INSTALLMENTS = st.lists(
    st.builds(Installment, st.dates(date(2026, 1, 1), date(2027, 12, 31)), AMOUNTS), min_size=1, max_size=8
)


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Installment], int, list[WriteOff]]:
    """Installments, what was paid in all, and what was written off."""
    parts = draw(INSTALLMENTS)
    total = sum(one.amount for one in parts)
    paid = draw(st.integers(0, total + 1000))
    of = st.none() | st.integers(0, len(parts) - 1)
    return parts, paid, draw(st.lists(st.builds(WriteOff, st.integers(1, total), of), max_size=4))


@settings(max_examples=examples(40))
@given(cases())
def test_the_parts_add_up(case: tuple[list[Installment], int, list[WriteOff]]) -> None:
    parts, paid, write_offs = case
    found = fulfil(parts, paid, write_offs)
    for part, got, gone, left in zip(parts, found.paid, found.written_off, found.open, strict=True):
        assert min(got, gone, left) >= 0
        assert got + gone + left == part.amount
    assert sum(found.paid) + found.overpaid == paid
    assert found.overpaid == 0 or sum(found.open) == 0
    assert found.overpaid == 0 or sum(found.paid) == sum(part.amount for part in parts)
    assert sum(found.written_off) <= sum(one.amount for one in write_offs)


@settings(max_examples=examples(40))
@given(cases())
def test_money_goes_to_the_oldest_open_installment(case: tuple[list[Installment], int, list[WriteOff]]) -> None:
    parts, paid, _ = case
    found = fulfil(parts, paid, [])
    for place, part in enumerate(parts):
        if found.paid[place]:
            assert all(found.open[other] == 0 for other, one in enumerate(parts) if one.due_on < part.due_on)


@settings(max_examples=examples(40))
@given(cases(), st.integers(0, 10**6))
def test_more_money_never_opens_anything(case: tuple[list[Installment], int, list[WriteOff]], more: int) -> None:
    parts, paid, write_offs = case
    before, after = fulfil(parts, paid, write_offs), fulfil(parts, paid + more, write_offs)
    assert sum(after.open) <= sum(before.open)
    assert sum(after.paid) >= sum(before.paid)


@pytest.mark.parametrize(
    ("paid", "write_offs", "expected"),
    [
        (0, [], ((0, 0, 0), (0, 0, 0), (100, 100, 101), 0)),
        (150, [], ((100, 50, 0), (0, 0, 0), (0, 50, 101), 0)),
        (400, [], ((100, 100, 101), (0, 0, 0), (0, 0, 0), 99)),
        (150, [WriteOff(151)], ((100, 50, 0), (0, 50, 101), (0, 0, 0), 0)),
        (50, [WriteOff(100, 0)], ((0, 50, 0), (100, 0, 0), (0, 50, 101), 0)),
        (250, [WriteOff(100, 0)], ((49, 100, 101), (51, 0, 0), (0, 0, 0), 0)),
        (100, [WriteOff(151)], ((100, 0, 0), (0, 50, 101), (0, 50, 0), 0)),
    ],
)
def test_cases(paid: int, write_offs: list[WriteOff], expected: tuple[Any, ...]) -> None:
    parts = [Installment(TODAY + timedelta(days=30 * n), amount) for n, amount in enumerate((100, 100, 101))]
    found = fulfil(parts, paid, write_offs)
    assert (found.paid, found.written_off, found.open, found.overpaid) == expected


def test_statuses() -> None:
    def of(*days: int, paid: bool = False, given_up: bool = False, canceled: bool = False) -> str:
        dates = [TODAY + timedelta(days=days) for days in days]
        return status(canceled=canceled, paid=paid, given_up=given_up, open_dates=dates, today=TODAY)

    assert of(1, 30) == "pending"
    assert of(0, 30) == of(1, paid=True) == "active"
    assert of(-1, 30, paid=True) == "overdue"
    assert of(paid=True) == "fulfilled"
    assert of(paid=True, given_up=True) == of(given_up=True) == "written_off"
    assert of(-1, canceled=True) == "canceled"


def test_reminders_are_given_once_each() -> None:
    due = TODAY
    assert remind_on(due, [1, 14], None) == due + timedelta(days=1)
    assert remind_on(due, [1, 14], due + timedelta(days=1)) == due + timedelta(days=14)
    assert remind_on(due, [1, 14], due + timedelta(days=20)) is None
    assert remind_on(due, [], None) is None
