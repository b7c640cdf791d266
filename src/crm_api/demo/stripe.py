"""What Stripe would have said about a gift: its ids, and the evidence its webhooks would have left."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from crm_api.demo.giving import Gift
from crm_api.demo.people import choose, known, reference
from crm_api.donations.gifts.balances import Entry

_FIXED_FEE = {"USD": 30, "EUR": 25, "GEL": 80, "UAH": 1000}


@dataclass(frozen=True, slots=True)
class Payment:
    """A gift's payment at Stripe."""

    refs: tuple[str, ...]
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class _Case:
    rng: random.Random
    gift: Gift
    subject: str
    latest: datetime

    def after(self, **span: float) -> datetime:
        """Some time after the gift, but never in the future."""
        return min(self.gift.moment + timedelta(**span), self.latest)

    def entry(self, kind: str, at: datetime, amount: int | None, **more: object) -> Entry:
        """One statement about the payment."""
        ref = more.get("ref", self.subject)
        key = ":".join(str(part) for part in (kind, ref, more.get("status"), amount) if part is not None)
        return Entry(kind=kind, key=f"{key}@{int(at.timestamp())}", occurred_at=at, amount=amount, **more)  # type: ignore[arg-type]


def make_payment(rng: random.Random, gift: Gift, latest: datetime) -> Payment:
    """The payment behind a gift. `latest` is when the demo ends: nothing is stated after it."""
    intent, charge = reference(rng, "pi"), reference(rng, "ch")
    refs = (reference(rng, "in"), intent, charge) if gift.plan else (intent, charge)
    case = _Case(rng, gift, refs[0], latest)
    return Payment(refs, tuple(_STORIES[gift.outcome](case)))


def _paid(case: _Case) -> list[Entry]:
    gift = case.gift
    fee = round(gift.amount * 0.029) + _FIXED_FEE[gift.currency]
    booked = case.after(seconds=2)
    transaction = reference(case.rng, "txn")
    return [
        case.entry("charge", gift.moment, gift.amount),
        case.entry("fee", booked, min(fee, gift.amount), ref=transaction),
    ]


def _refusal(case: _Case, at: datetime) -> Entry:
    reason = choose(case.rng, known()["fund"]["failures"])
    return case.entry("failed", at, case.gift.amount, reason=reason)


def _failed(case: _Case) -> list[Entry]:
    return [_refusal(case, case.gift.moment)]


def _retried(case: _Case) -> list[Entry]:
    """Refused at first, then paid; a plan's charge is tried again after days, a person tries at once."""
    before = timedelta(days=3) if case.gift.plan else timedelta(minutes=4)
    return [_refusal(case, case.gift.moment - before), *_paid(case)]


def _pending(case: _Case) -> list[Entry]:
    return [case.entry("pending", case.gift.moment, case.gift.amount)]


def _canceled(case: _Case) -> list[Entry]:
    abandoned = case.entry("canceled", case.after(hours=24), case.gift.amount, reason="abandoned")
    return [case.entry("pending", case.gift.moment, case.gift.amount), abandoned]


def _refund(case: _Case, amount: int) -> list[Entry]:
    made = case.after(days=case.rng.randint(1, 25))
    refund = reference(case.rng, "re")
    stated = case.entry(
        "refund", made, amount, ref=refund, status="succeeded", reason="requested_by_customer", started_at=made
    )
    return [*_paid(case), stated, case.entry("refunded_total", made, amount)]


def _refunded(case: _Case) -> list[Entry]:
    return _refund(case, case.gift.amount)


def _partly_refunded(case: _Case) -> list[Entry]:
    return _refund(case, max(case.gift.amount // 2, 100))


def _dispute(case: _Case, verdict: str | None) -> list[Entry]:
    opened = case.after(days=case.rng.randint(2, 30))
    dispute, amount = reference(case.rng, "dp"), case.gift.amount
    said = [
        *_paid(case),
        case.entry("dispute", opened, amount, ref=dispute, status="open", reason="fraudulent", started_at=opened),
        case.entry("dispute_withdrawn", opened, amount, ref=dispute),
    ]
    if verdict:
        closed = case.after(days=75)
        said.append(
            case.entry("dispute", closed, amount, ref=dispute, status=verdict, reason="fraudulent", started_at=opened)
        )
    if verdict == "won":
        said.append(case.entry("dispute_reinstated", case.after(days=76), amount, ref=dispute))
    return said


def _inquiry(case: _Case) -> list[Entry]:
    asked = case.after(days=6)
    question = case.entry(
        "dispute", asked, case.gift.amount, ref=reference(case.rng, "dp"), status="inquiry", started_at=asked
    )
    return [*_paid(case), question]


_STORIES: dict[str, Callable[[_Case], list[Entry]]] = {
    "paid": _paid,
    "failed": _failed,
    "retried": _retried,
    "pending": _pending,
    "canceled": _canceled,
    "refunded": _refunded,
    "partly_refunded": _partly_refunded,
    "disputed": lambda case: _dispute(case, None),
    "won": lambda case: _dispute(case, "won"),
    "lost": lambda case: _dispute(case, "lost"),
    "inquiry": _inquiry,
}
