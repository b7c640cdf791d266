"""Refunds and disputes by their own ids. They name a payment and do not carry it, so they wait until it is known."""

from __future__ import annotations

from crm_api.donations.gifts.balances import Entry, EntryKind
from crm_api.payments.provider import Interpretation, PaymentOutcome
from crm_api.payments.providers.reading import code, ident, ignore, instant, statement_key
from crm_api.payments.providers.stripe.amounts import money
from crm_api.payments.providers.stripe.intents import payment_refs
from crm_api.payments.providers.stripe.reading import Event, Handler

_REFUND = {
    "pending": "pending",
    "requires_action": "pending",
    "succeeded": "succeeded",
    "failed": "failed",
    "canceled": "canceled",
}
_DISPUTE = {
    "warning_needs_response": "inquiry",
    "warning_under_review": "inquiry",
    "warning_closed": "inquiry",
    "needs_response": "open",
    "under_review": "open",
    "won": "won",
    "prevented": "won",
    "charge_refunded": "won",
    "lost": "lost",
}
"""Stripe's dispute status in our words. One that was prevented or answered by a refund is over without a loss: as far
as the gift is concerned it was won (the refund, if any, counts by itself)."""

_MOVEMENTS: dict[str, EntryKind] = {
    "charge.dispute.funds_withdrawn": "dispute_withdrawn",
    "charge.dispute.funds_reinstated": "dispute_reinstated",
}


def _refund(event: Event) -> Interpretation:
    """One statement about one refund. Stripe dates only its making, so the statement has the time of the event."""
    stated = event.obj.get("status")
    if event.type == "refund.failed":
        status: str | None = "canceled" if stated == "canceled" else "failed"
    elif stated is None:
        status = "pending"
    else:
        status = _REFUND.get(stated) if isinstance(stated, str) else None
    if status is None:
        return ignore("unknown_status")
    reason = event.obj.get("failure_reason") if status == "failed" else event.obj.get("reason")
    return _reversal(event, "refund", status, code(reason))


def _dispute(event: Event) -> Interpretation:
    """One statement about one dispute."""
    stated = event.obj.get("status")
    status = _DISPUTE.get(stated) if isinstance(stated, str) else None
    if status is None:
        return ignore("unknown_status")
    return _reversal(event, "dispute", status, code(event.obj.get("reason")))


def _movement(event: Event) -> Interpretation:
    """Money taken or given back for a dispute: noted, without a word on the outcome."""
    return _reversal(event, _MOVEMENTS[event.type], None, code(event.obj.get("reason")))


def _reversal(event: Event, kind: EntryKind, status: str | None, reason: str | None) -> Interpretation:
    """An entry about the payment that a refund or dispute names."""
    obj = event.obj
    subject = ident(obj)
    refs = payment_refs(obj.get("payment_intent"), obj.get("charge"))
    if subject is None or not refs:
        return ignore("no_reference")
    amount = money(obj.get("amount"), obj.get("currency"))
    if amount is None:
        return ignore("bad_amount")
    entry = Entry(
        kind=kind,
        key=statement_key(kind, subject, event.at, status, amount.amount, reason),
        occurred_at=event.at,
        amount=amount.amount,
        ref=subject,
        status=status,
        reason=reason,
        started_at=instant(obj.get("created")),
    )
    return Interpretation(
        PaymentOutcome(refs=refs, entries=(entry,), occurred_at=event.at, creates=False, currency=amount.currency)
    )


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(("refund.created", "refund.updated", "refund.failed", "charge.refund.updated"), _refund),
    **dict.fromkeys(("charge.dispute.created", "charge.dispute.updated", "charge.dispute.closed"), _dispute),
    **dict.fromkeys(_MOVEMENTS, _movement),
}
