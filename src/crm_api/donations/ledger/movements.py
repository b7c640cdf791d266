"""What of a gift belongs into the books, and when: dated movements as a pure function of its entries and its split.

The books of a gift are a replay of its evidence: for each day on which something was stated, the gift's balance as far
as it was known by that day is compared with the day before. So the movements add up to `balances.derive` of all entries
by construction, whatever kinds of entries there are, and do not depend on the order in which the entries came.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from uuid import UUID

from crm_api.donations.allocations.shares import divide
from crm_api.donations.gifts.balances import Balance, Entry, derive
from crm_api.donations.ledger.accounts import asset_of, pair

MovementKind = Literal["gift", "refund", "chargeback", "fee"]


@dataclass(frozen=True, slots=True)
class Books:
    """What decides about a gift's accounts. `split` holds the funds with their parts of the gift, in their order; a
    gift for one fund, or for none, has one part."""

    method: str
    connection_id: UUID | None
    split: tuple[tuple[UUID | None, int], ...]


@dataclass(frozen=True, slots=True, order=True)
class Movement:
    """One day's movement between two accounts, in minor units of the gift's currency; `amount` is never zero and below
    zero where money moves back."""

    day: date
    kind: MovementKind
    debit: str
    credit: str
    fund_id: UUID | None
    amount: int


@dataclass(frozen=True, slots=True)
class Line:
    """A movement as it is posted: above zero, the accounts in their order."""

    kind: str
    day: date
    debit: str
    credit: str
    fund_id: UUID | None
    amount: int


Key = tuple[str, date, str, str, UUID | None]
"""Kind, day, the two accounts in the order of their keys, and the fund: what amounts are compared by."""


def movements(entries: Sequence[Entry], books: Books, local_day: Callable[[datetime], date]) -> list[Movement]:
    """Every movement of a gift, by day. `local_day`: the organization's date of an instant. Nothing for a gift that
    turned out to be the same payment as another one."""
    if any(entry.kind == "superseded" for entry in entries):
        return []
    asset = asset_of(books.method, books.connection_id)
    found: list[Movement] = []
    before: Mapping[tuple[MovementKind, UUID | None], int] = {}
    for day, balance in _by_day(entries, local_day):
        after = _parts(balance, books)
        for kind, fund_id in sorted({*before, *after}, key=lambda one: (one[0], str(one[1]))):
            amount = after.get((kind, fund_id), 0) - before.get((kind, fund_id), 0)
            if amount:
                debit, credit = pair(kind, asset, fund_id)
                found.append(Movement(day, kind, debit, credit, fund_id, amount))
        before = after
    return found


def _by_day(entries: Sequence[Entry], local_day: Callable[[datetime], date]) -> Iterable[tuple[date, Balance]]:
    """The balance as it was known by the end of each day. Where staff have corrected the day of receipt, the money
    arrived on that one."""
    whole = derive(entries)
    first = min((entry.occurred_at for entry in entries if entry.kind == "charge"), default=None)
    moved = whole.received_at if first is not None and whole.received_at != first else None

    def day_of(entry: Entry) -> date:
        if moved is None or entry.kind not in ("charge", "adjustment"):
            return local_day(entry.occurred_at)
        return local_day(moved if entry.kind == "charge" else max(entry.occurred_at, moved))

    dated = sorted(((day_of(entry), entry) for entry in entries), key=lambda one: one[0])
    days = sorted({day for day, _ in dated})
    if len(days) == 1:
        yield days[0], whole
        return
    for day in days:
        yield day, derive([entry for when, entry in dated if when <= day])


def _parts(balance: Balance, books: Books) -> dict[tuple[MovementKind, UUID | None], int]:
    """A balance over the gift's funds; refunds, losses and fees are borne in proportion to the parts."""
    sums: tuple[tuple[MovementKind, int], ...] = (
        ("gift", balance.gross),
        ("refund", balance.refunded),
        ("chargeback", balance.charged_back),
        ("fee", balance.fee),
    )
    weights = [part for _, part in books.split]
    found: dict[tuple[MovementKind, UUID | None], int] = {}
    for kind, total in sums:
        if len(books.split) == 1 or not sum(weights):
            found[kind, books.split[0][0]] = total
            continue
        for (fund_id, _), amount in zip(books.split, divide(total, weights), strict=True):
            found[kind, fund_id] = amount
    return found


def key_of(kind: str, day: date, debit: str, credit: str, fund_id: UUID | None) -> tuple[Key, int]:
    """What a movement is compared by, and the sign of its amount there: an amount debited to the account that comes
    second is one below zero."""
    if debit < credit:
        return (kind, day, debit, credit, fund_id), 1
    return (kind, day, credit, debit, fund_id), -1


def missing(wanted: Iterable[Movement], posted: Mapping[Key, int]) -> list[Line]:
    """What has to be posted so that the books hold `wanted`, where they hold `posted`; nothing where they agree."""
    left: Counter[Key] = Counter()
    for movement in wanted:
        key, sign = key_of(movement.kind, movement.day, movement.debit, movement.credit, movement.fund_id)
        left[key] += sign * movement.amount
    for key, amount in posted.items():
        left[key] -= amount
    found = []
    for key in sorted((key for key, amount in left.items() if amount), key=lambda one: (*one[:4], str(one[4]))):
        kind, day, low, high, fund_id = key
        debit, credit = (low, high) if left[key] > 0 else (high, low)
        found.append(Line(kind, day, debit, credit, fund_id, abs(left[key])))
    return found
