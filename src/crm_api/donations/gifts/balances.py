"""A gift's status and balances as a pure function of its immutable payment entries.

Entries are evidence: each says what one provider object (or one member of staff) stated at one time. Any order and any
duplication of the same entries gives the same `Balance`; nothing here reads a clock or a database.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

EntryKind = Literal[
    "pending",  # an attempt is under way
    "charge",  # money arrived: `amount` is the gross
    "failed",  # one attempt failed; the same payment can still succeed
    "canceled",  # the payer or the provider gave up
    "fee",  # the provider's fee; `ref` is the provider's transaction
    "refund",  # one refund by its own id (`ref`), with its own `status`
    "refunded_total",  # the cumulative refunded sum a charge reported at `occurred_at`
    "dispute",  # one dispute by its own id (`ref`), with `status` open, inquiry, won, lost
    "dispute_withdrawn",  # money taken for a dispute; does not change the status
    "dispute_reinstated",  # and given back
    "superseded",  # this row turned out to be the same payment as the gift `ref`: it counts for nothing
    "refund_failed",  # the refund `ref` did not reach the donor: the same as a refund whose status is failed
    "reversal",  # a bank took the money back (a cheque bounced), by its own id (`ref`); canceled: and gave it back
    "adjustment",  # staff corrected the gross by `amount`, which may be negative, or the day of receipt to `started_at`
]
GiftStatus = Literal[
    "pending", "succeeded", "failed", "canceled", "partially_refunded", "refunded", "disputed", "charged_back"
]


@dataclass(frozen=True, slots=True)
class Entry:
    """One piece of evidence about one payment. Amounts are minor units of the gift's currency."""

    kind: EntryKind
    key: str
    """Identity of the evidence within its gift: the same statement delivered twice has the same key."""
    occurred_at: datetime
    """The provider's own time of the statement, never the time of arrival."""
    amount: int | None = None
    ref: str | None = None
    status: str | None = None
    """For refund: pending, succeeded, failed, canceled. For dispute: open, inquiry, won, lost."""
    reason: str | None = None
    """A code (decline code, dispute reason); never free text about a person."""
    started_at: datetime | None = None
    """When the refund or dispute itself was made, where the provider says so."""


@dataclass(frozen=True, slots=True)
class Balance:
    """What the entries add up to. Amounts are minor units of the gift's currency."""

    status: GiftStatus
    gross: int
    """The charged amount; 0 until a charge is known."""
    refunded: int
    fee: int
    charged_back: int
    """Amount lost in disputes, or taken back by a bank."""
    received_at: datetime | None
    """When the money arrived: the newest correction of it, else the earliest statement of the charge; null while none
    is known."""
    failure_reason: str | None
    refunded_at: datetime | None
    """Time of the newest refund that stands."""

    @property
    def counted(self) -> int:
        """What scoring may count: gross less refunds, lost disputes and reversals, never below zero."""
        return max(self.gross - self.refunded - self.charged_back, 0)

    def columns(self) -> dict[str, Any]:
        """Columns of a gift that say the same, without its amount and its time."""
        return {
            "status": self.status,
            "refunded": self.refunded,
            "fee": self.fee,
            "charged_back": self.charged_back,
            "counted": self.counted,
            "failure_reason": self.failure_reason,
        }


_Order = tuple[datetime, str, str, int, str, str, str, datetime]
_ATTEMPT_RANK: dict[str, int] = {"pending": 0, "failed": 1, "canceled": 2}
_REFUND_RANK: dict[str, int] = {"pending": 0, "succeeded": 1, "failed": 2, "canceled": 2}
_DISPUTE_RANK: dict[str, int] = {"inquiry": 0, "open": 1, "won": 2, "lost": 3}
_REVERSAL_RANK: dict[str, int] = {"succeeded": 0, "failed": 1, "canceled": 1}
_FALLEN = ("failed", "canceled")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def derive(entries: Iterable[Entry]) -> Balance:
    """What the entries add up to, whatever their order and however often each was delivered.

    Several charge entries state the *same* money (payment intent, charge, checkout session and invoice of one gift),
    so they are never added: the gross is the largest of them, because a partial statement (one of several captures, one
    of several payments of an invoice) is always the smaller one, and because then another statement can never lower it.
    """
    by_kind: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in _distinct(entries):
        by_kind[entry.kind].append(entry)
    if by_kind["superseded"]:
        return Balance("canceled", 0, 0, 0, 0, None, None, None)
    fee = sum(_amount(max(group, key=_order)) for group in _by_ref(by_kind["fee"]))
    charges = by_kind["charge"]
    if not charges:
        status, reason = _attempt([*by_kind["pending"], *by_kind["failed"], *by_kind["canceled"]])
        return Balance(status, 0, 0, fee, 0, None, reason, None)
    gross, received_at = _charged(charges, by_kind["adjustment"])
    fallen = [replace(entry, status="failed") for entry in by_kind["refund_failed"]]
    refunded, refunded_at = _refunded([*by_kind["refund"], *fallen], by_kind["refunded_total"], gross)
    lost, disputed = _disputes(by_kind["dispute"])
    reversed_ = _reversed(by_kind["reversal"], gross)
    charged_back = min(
        max(sum(lost), sum(reversed_)), gross
    )  # both tell of money taken back: the larger account counts
    return Balance(
        status=_settled_status(gross, refunded, charged_back=bool(lost or reversed_), disputed=disputed),
        gross=gross,
        refunded=refunded,
        fee=fee,
        charged_back=charged_back,
        received_at=received_at,
        failure_reason=None,
        refunded_at=refunded_at,
    )


def _charged(charges: Sequence[Entry], adjustments: Sequence[Entry]) -> tuple[int, datetime]:
    """The gross and the time of receipt, with what staff corrected of them. Corrections of the amount are differences,
    so they add up in any order; of the time, the newest counts."""
    gross = max(_amount(charge) for charge in charges) + sum(entry.amount or 0 for entry in adjustments)
    told = [entry for entry in adjustments if entry.started_at is not None]
    moved = max(told, key=_order).started_at if told else None
    return max(gross, 0), moved or min(charge.occurred_at for charge in charges)


def _reversed(statements: Sequence[Entry], gross: int) -> list[int]:
    """The amounts taken back by reversals that stand; one without an amount took everything."""
    standing = []
    for group in _by_ref(statements):
        last = max(group, key=lambda entry: _newest(entry, _REVERSAL_RANK))
        if last.status not in _FALLEN:
            known = [_amount(entry) for entry in group if entry.amount is not None]
            standing.append(_amount(last) if last.amount is not None else max(known, default=gross))
    return standing


def _settled_status(gross: int, refunded: int, *, charged_back: bool, disputed: bool) -> GiftStatus:
    """The status of a gift whose money arrived. A dispute outweighs a refund: it needs somebody's attention."""
    if charged_back:
        return "charged_back"
    if disputed:
        return "disputed"
    if refunded <= 0:
        return "succeeded"
    return "refunded" if refunded >= gross else "partially_refunded"


def _attempt(attempts: Sequence[Entry]) -> tuple[GiftStatus, str | None]:
    """Status and reason while no money has arrived: the newest word counts, at equal time the more final one.

    The same failure is told by several objects and not all of them know why (an invoice does not), so the reason is
    the newest one given by an entry of the deciding kind.
    """
    if not attempts:
        return "pending", None
    decisive = max(attempts, key=lambda entry: (entry.occurred_at, _ATTEMPT_RANK[entry.kind], _order(entry)))
    if decisive.kind == "pending":
        return "pending", None
    told = [entry for entry in attempts if entry.kind == decisive.kind and entry.reason is not None]
    reason = max(told, key=_order).reason if told else None
    return ("failed" if decisive.kind == "failed" else "canceled"), reason


@dataclass(frozen=True, slots=True)
class _Refund:
    """One refund as its newest statement has it."""

    amount: int
    stands: bool
    made_at: datetime
    fell_at: datetime | None
    """When it failed or was canceled, if that is its last word."""


def _refund(statements: Sequence[Entry]) -> _Refund:
    """Fold the statements of one refund. Time decides first: a refund may succeed and fail days later."""
    last = max(statements, key=lambda entry: _newest(entry, _REFUND_RANK))
    made_at = min(entry.started_at or entry.occurred_at for entry in statements)
    amount = last.amount if last.amount is not None else max(_amount(entry) for entry in statements)
    if last.status not in _FALLEN:
        return _Refund(max(amount, 0), True, made_at, None)
    standing = [entry.occurred_at for entry in statements if entry.status not in _FALLEN]
    since = max(standing, default=made_at)
    fell_at = min(
        (entry.occurred_at for entry in statements if entry.status in _FALLEN and entry.occurred_at >= since),
        default=last.occurred_at,
    )
    return _Refund(max(amount, 0), False, made_at, fell_at)


def _refunded(statements: Sequence[Entry], snapshots: Sequence[Entry], gross: int) -> tuple[int, datetime | None]:
    """The sum given back and the time of the newest refund that stands.

    Refunds are told in two ways: one by one, and as a running total of the charge. Either may be missing or late, so
    the larger account counts, where the newest total is first brought up to date with the refunds known one by one:
    those made later are added, those it still held that fell afterwards are taken off.
    """
    refunds = [_refund(group) for group in _by_ref(statements)]
    standing = [refund for refund in refunds if refund.stands]
    one_by_one = sum(refund.amount for refund in standing)
    times = [refund.made_at for refund in standing if refund.amount > 0]
    total = one_by_one
    if snapshots:
        newest = max(snapshots, key=lambda entry: (entry.occurred_at, _amount(entry)))
        held = _amount(newest)
        held += sum(refund.amount for refund in standing if refund.made_at > newest.occurred_at)
        held -= sum(refund.amount for refund in refunds if _fell_unnoticed(refund, newest.occurred_at))
        if held > one_by_one:
            total = held
            same = [entry.occurred_at for entry in snapshots if _amount(entry) == _amount(newest)]
            times.append(min(same))
    refunded = min(max(total, 0), gross)
    return refunded, (max(times) if refunded and times else None)


def _fell_unnoticed(refund: _Refund, snapshot_at: datetime) -> bool:
    """Whether a running total of that time still holds a refund that did not last.

    Provider times are whole seconds. A total of the very second of the failure is taken to know of it, unless the
    refund was also made in that second: then the total is the one its making caused.
    """
    if refund.fell_at is None or refund.made_at > snapshot_at:
        return False
    return refund.fell_at > snapshot_at or refund.made_at == refund.fell_at == snapshot_at


def _disputes(statements: Sequence[Entry]) -> tuple[list[int], bool]:
    """The amounts lost, and whether any dispute is open. A verdict beats "open" whatever the times; among verdicts the
    newest counts. An inquiry moves no money and changes nothing."""
    lost: list[int] = []
    disputed = False
    for group in _by_ref(statements):
        verdicts = [entry for entry in group if entry.status in ("won", "lost")]
        if verdicts:
            last = max(verdicts, key=lambda entry: _newest(entry, _DISPUTE_RANK))
            if last.status == "lost":
                lost.append(_amount(last) if last.amount is not None else max(_amount(entry) for entry in group))
        elif any(entry.status == "open" for entry in group):
            disputed = True
    return lost, disputed


def _distinct(entries: Iterable[Entry]) -> list[Entry]:
    """One entry per key. Should two differ under one key, the greatest in a fixed order stands, whoever came first."""
    kept: dict[str, Entry] = {}
    for entry in entries:
        other = kept.get(entry.key)
        if other is None or _order(entry) > _order(other):
            kept[entry.key] = entry
    return list(kept.values())


def _by_ref(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Entries about the same refund, dispute or fee together; one without a reference stands alone."""
    groups: defaultdict[tuple[bool, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[(entry.ref is not None, entry.ref if entry.ref is not None else entry.key)].append(entry)
    return list(groups.values())


def _amount(entry: Entry) -> int:
    """The entry's amount, never below zero."""
    return max(entry.amount or 0, 0)


def _newest(entry: Entry, rank: dict[str, int]) -> tuple[datetime, int, _Order]:
    """Order of statements about one thing: by time, at equal time by the finality of their status."""
    return entry.occurred_at, rank.get(entry.status or "", 0), _order(entry)


def _order(entry: Entry) -> _Order:
    """A total order of entries, so that every tie is broken the same way."""
    return (
        entry.occurred_at,
        entry.key,
        entry.kind,
        -1 if entry.amount is None else entry.amount,
        entry.ref or "",
        entry.status or "",
        entry.reason or "",
        entry.started_at or _EPOCH,
    )
