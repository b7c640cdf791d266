"""Checkout sessions: the page where the donor typed name and address, so the best word on who paid.

In mode ``payment`` a session tells of the gift of its payment intent. In mode ``subscription`` the money is told by the
first invoice; the session then only adds the payer to that invoice's gift (and waits for it), and ties the customer to
the plan.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from crm_api.donations.gifts.balances import Entry
from crm_api.payments.provider import Interpretation, PaymentOutcome, PlanOutcome
from crm_api.payments.providers.reading import ident, ignore, statement_key
from crm_api.payments.providers.stripe.amounts import money
from crm_api.payments.providers.stripe.intents import payment_refs
from crm_api.payments.providers.stripe.payers import CHECKOUT, ours, payer, sole_method
from crm_api.payments.providers.stripe.reading import Event, Handler

_COMPLETED = "checkout.session.completed"
_PAID = ("paid", "no_payment_required")


def _session(event: Event) -> Interpretation:
    """What a session says, by its mode."""
    if ident(event.obj) is None:
        return ignore("no_reference")
    mode = event.obj.get("mode")
    if mode == "payment":
        return _payment(event)
    if mode == "subscription":
        return _subscription(event)
    return ignore("no_money")  # `setup` keeps a card for later


def _kind(event: Event) -> Literal["charge", "pending", "failed", "canceled"]:
    """What became of the payment. A completed session may still be unpaid: bank debits take days."""
    if event.type == "checkout.session.async_payment_failed":
        return "failed"
    if event.type == "checkout.session.expired":
        return "canceled"
    if event.type == _COMPLETED and event.obj.get("payment_status") not in _PAID:
        return "pending"
    return "charge"


def _payment(event: Event) -> Interpretation:
    """A one-off gift. An expired session that never had a payment intent is a page somebody left: no payment at all."""
    obj = event.obj
    kind = _kind(event)
    if kind == "canceled" and ident(obj.get("payment_intent")) is None:
        return ignore("abandoned")
    amount = money(obj.get("amount_total"), obj.get("currency"))
    if amount is None:
        return ignore("bad_amount")
    if amount.amount == 0:
        return ignore("no_money")
    subject = ident(obj) or ""
    entry = Entry(
        kind=kind,
        key=statement_key(kind, subject, event.at, amount.amount),
        occurred_at=event.at,
        amount=amount.amount,
    )
    outcome = replace(_who(event), entries=(entry,), creates=True, amount=amount)
    refs = payment_refs(obj.get("payment_intent"), obj.get("invoice"), subject)
    return Interpretation(replace(outcome, refs=refs))


def _subscription(event: Event) -> Interpretation:
    """A plan's beginning. Without an invoice, or with one of nothing (a trial), no gift is there to add to."""
    obj = event.obj
    if event.type != _COMPLETED:
        return ignore("no_news")
    plan_ref = ident(obj.get("subscription"))
    plan = None
    if plan_ref is not None:
        plan = PlanOutcome(ref=plan_ref, status=None, stated_at=event.at, customer_ref=ident(obj.get("customer")))
    invoice = payment_refs(obj.get("invoice"))
    payment = None
    if invoice and obj.get("amount_total") != 0:
        payment = replace(_who(event), refs=(*invoice, *payment_refs(obj)), plan_ref=plan_ref)
    if payment is None and plan is None:
        return ignore("no_money")
    return Interpretation(payment, plan)


def _who(event: Event) -> PaymentOutcome:
    """The payer, the method and our own ids; everything but the money."""
    obj = event.obj
    mine = ours(obj.get("metadata"), client_reference=obj.get("client_reference_id"))
    return PaymentOutcome(
        refs=(),
        entries=(),
        occurred_at=event.at,
        creates=False,
        payer=payer(
            CHECKOUT,
            obj.get("customer_details"),
            customer=obj.get("customer"),
            metadata=obj.get("metadata"),
            fallback_email=obj.get("customer_email"),
            locale=obj.get("locale"),
        ),
        method=sole_method(obj.get("payment_method_types")),
        contact_id=mine.contact_id,
        gift_id=mine.gift_id,
        campaign_code=mine.campaign_code,
        fund_code=mine.fund_code,
    )


HANDLERS: dict[str, Handler] = dict.fromkeys(
    (
        _COMPLETED,
        "checkout.session.async_payment_succeeded",
        "checkout.session.async_payment_failed",
        "checkout.session.expired",
    ),
    _session,
)
