"""What of a pledge is paid, written off and open: pure functions of its installments, payments and write-offs.

Computed anew from all of them with every change, so neither order nor repetition matters, and the balance is exact to
the minor unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

Status = Literal["pending", "active", "overdue", "fulfilled", "written_off", "canceled"]


@dataclass(frozen=True, slots=True)
class Installment:
    """One part of a promise; `amount` in minor units."""

    due_on: date
    amount: int


@dataclass(frozen=True, slots=True)
class WriteOff:
    """What was given up, of one installment (its place) or of whatever was open."""

    amount: int
    of: int | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """Where each installment stands; parts of an installment add up to its amount."""

    paid: tuple[int, ...]
    written_off: tuple[int, ...]
    open: tuple[int, ...]
    overpaid: int


def fulfil(installments: Sequence[Installment], paid: int, write_offs: Sequence[WriteOff]) -> Standing:
    """Spread what was paid in all, and what was written off, over installments in the order of their dates.

    Money goes to the oldest installment that is open, and last of all to those that were written off: what comes after
    all is no overpayment. What is written off of the whole closes the newest ones first.
    """
    order = sorted(range(len(installments)), key=lambda place: (installments[place].due_on, place))
    amounts = [one.amount for one in installments]
    given_up = [0] * len(amounts)
    for one in write_offs:
        if one.of is not None:
            given_up[one.of] = min(given_up[one.of] + one.amount, amounts[one.of])
    got = [0] * len(amounts)
    left = paid
    for place in order:
        got[place] = min(amounts[place] - given_up[place], left)
        left -= got[place]
    for place in order:
        more = min(given_up[place], left)
        got[place], given_up[place], left = got[place] + more, given_up[place] - more, left - more
    rest = sum(one.amount for one in write_offs if one.of is None)
    for place in reversed(order):
        more = min(amounts[place] - got[place] - given_up[place], rest)
        given_up[place], rest = given_up[place] + more, rest - more
    still = tuple(amount - got[place] - given_up[place] for place, amount in enumerate(amounts))
    return Standing(tuple(got), tuple(given_up), still, left)


def status(*, canceled: bool, paid: bool, given_up: bool, open_dates: Sequence[date], today: date) -> Status:
    """The status of a pledge. `open_dates`: due dates of the installments that are open."""
    if canceled:
        return "canceled"
    if not open_dates:
        return "written_off" if given_up else "fulfilled"
    first = min(open_dates)
    if first < today:
        return "overdue"
    return "active" if paid or first == today else "pending"


def remind_on(due_on: date, reminder_days: Sequence[int], reminded_on: date | None) -> date | None:
    """When a reminder of an open installment is next: so many days after it was due, each once."""
    days = (due_on + timedelta(days=number) for number in sorted(reminder_days))
    return next((day for day in days if reminded_on is None or day > reminded_on), None)
