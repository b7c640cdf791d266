"""Invoices: the gifts of a recurring plan, and the only objects that tie such a gift to its plan.

Since API version 2025-03-31 neither the invoice names its payment intent nor the intent its invoice; the event
``invoice_payment.paid`` exists to say that they are one payment. Both shapes are read, whichever version was pinned.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from crm_api.donations.gifts.balances import Entry
from crm_api.payments.provider import Interpretation, Payer, PaymentOutcome, PlanOutcome, PlanStatus
from crm_api.payments.providers.reading import at, ident, ignore, instant, mapping, sequence, statement_key, uuid
from crm_api.payments.providers.stripe.amounts import money
from crm_api.payments.providers.stripe.intents import payment_refs
from crm_api.payments.providers.stripe.payers import CHECKOUT_ID, INVOICE, method_of_charge, ours, payer
from crm_api.payments.providers.stripe.reading import Event, Handler

_FAILED = "invoice.payment_failed"


def _invoice(event: Event) -> Interpretation:
    """A paid or failed invoice. The time of payment is the invoice's own, so ``invoice.paid`` and
    ``invoice.payment_succeeded``, which say the same, make the same statement."""
    obj = event.obj
    subject = ident(obj)
    if subject is None:
        return ignore("no_reference")
    failed = event.type == _FAILED
    amount = money(obj.get("amount_due" if failed else "amount_paid"), obj.get("currency"))
    if amount is None:
        return ignore("bad_amount")
    if amount.amount == 0:
        return ignore("no_money")
    moment = event.at if failed else _paid_at(event)
    kind: Literal["failed", "charge"] = "failed" if failed else "charge"
    entry = Entry(
        kind=kind,
        key=statement_key(kind, subject, moment, amount.amount),
        occurred_at=moment,
        amount=amount.amount,
    )
    plan_ref = subscription_of(obj)
    tags = _metadata(obj)
    mine = ours(*tags)
    payment = PaymentOutcome(
        refs=payment_refs(subject, obj.get("payment_intent"), obj.get("charge"), *_paid_with(obj)),
        entries=(entry,),
        occurred_at=moment,
        creates=True,
        amount=amount,
        payer=_payer(obj, tags),
        method=method_of_charge(obj.get("charge")),
        plan_ref=plan_ref,
        kin="invoice" if ident(obj.get("customer")) and obj.get("paid_out_of_band") is not True else None,
        contact_id=mine.contact_id,
        gift_id=_begun_by(obj, tags),
        campaign_code=mine.campaign_code,
        fund_code=mine.fund_code,
    )
    if plan_ref is None:
        return Interpretation(payment)
    status: PlanStatus = "past_due" if failed else "active"
    plan = PlanOutcome(ref=plan_ref, status=status, stated_at=moment, customer_ref=ident(obj.get("customer")))
    return Interpretation(payment, plan)


def _paid_at(event: Event) -> datetime:
    """When the invoice was paid; without its own word its making, which both "paid" events repeat."""
    obj = event.obj
    return instant(at(obj, "status_transitions", "paid_at")) or instant(obj.get("created")) or event.at


def subscription_of(obj: dict[str, Any]) -> str | None:
    """The plan an invoice belongs to: under `parent` since 2025-03-31, at the top before; lines as the last resort."""
    line = mapping(next(iter(sequence(at(obj, "lines", "data"))), None))
    return (
        ident(at(obj, "parent", "subscription_details", "subscription"))
        or ident(obj.get("subscription"))
        or ident(at(line, "parent", "subscription_item_details", "subscription"))
        or ident(line.get("subscription"))
    )


def _paid_with(obj: dict[str, Any]) -> list[Any]:
    """Ids of the payments of an invoice that was fetched with them."""
    paid = [item for item in sequence(at(obj, "payments", "data")) if at(item, "status") in (None, "paid")]
    return [at(item, "payment", name) for item in paid for name in ("payment_intent", "charge")]


def _metadata(obj: dict[str, Any]) -> tuple[Any, ...]:
    """Metadata objects that may carry our ids, nearest first: the invoice's, then the plan's in either shape."""
    return (
        obj.get("metadata"),
        at(obj, "parent", "subscription_details", "metadata"),
        at(obj, "subscription_details", "metadata"),
    )


def _begun_by(obj: dict[str, Any], tags: tuple[Any, ...]) -> str | None:
    """The checkout whose first payment this is. A plan's metadata come back with every invoice, and each later one is a
    gift of its own."""
    if obj.get("billing_reason") != "subscription_create":
        return None
    return next(filter(None, (uuid(mapping(source).get(CHECKOUT_ID)) for source in tags)), None)


def _payer(obj: dict[str, Any], tags: tuple[Any, ...]) -> Payer:
    """The customer as the invoice has them."""
    details = {
        "email": obj.get("customer_email"),
        "name": obj.get("customer_name"),
        "phone": obj.get("customer_phone"),
        "address": obj.get("customer_address"),
    }
    merged = {name: value for source in reversed(tags) for name, value in mapping(source).items()}
    return payer(INVOICE, details, customer=obj.get("customer"), metadata=merged)


def _join(event: Event) -> Interpretation:
    """An invoice payment: the invoice and the intent (or charge) are one payment. It carries nothing else of use."""
    obj = event.obj
    invoice = payment_refs(obj.get("invoice"))
    other = payment_refs(at(obj, "payment", "payment_intent"), at(obj, "payment", "charge"))
    if not invoice or not other:
        return ignore("no_reference")
    moment = instant(at(obj, "status_transitions", "paid_at")) or event.at
    return Interpretation(
        PaymentOutcome(refs=(*invoice, *other), entries=(), occurred_at=moment, creates=False, joins=True)
    )


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(("invoice.paid", "invoice.payment_succeeded", _FAILED), _invoice),
    "invoice_payment.paid": _join,
}
