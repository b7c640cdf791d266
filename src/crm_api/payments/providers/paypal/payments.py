"""Captures (v2) and sales (v1, the charges of subscriptions), what is given back of them, and disputes over them.

The id of the capture or sale is the payment key. A capture is known by its order, too (``order:…``): an attempt that
was declined and the next one that succeeded are of one order, and one gift.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

from crm_api.donations.gifts.balances import Entry, EntryKind
from crm_api.kit.money import Money
from crm_api.payments.provider import Interpretation, Payer, PaymentOutcome, PlanOutcome
from crm_api.payments.providers.exact import moment, word
from crm_api.payments.providers.paypal.payers import payer
from crm_api.payments.providers.paypal.reading import Event, Handler, amount_of, linked, order_of, ours, paypal_id
from crm_api.payments.providers.reading import at, ignore, mapping, sequence, statement_key

State = Literal["charge", "pending", "failed"]
STATES: dict[str, State] = {
    "completed": "charge",
    "partially_refunded": "charge",
    "refunded": "charge",
    "pending": "pending",
    "declined": "failed",
    "denied": "failed",
    "failed": "failed",
}
"""Statuses of captures and states of sales."""
_REFUNDS = {"completed": "succeeded", "pending": "pending", "failed": "failed", "cancelled": "canceled"}
_WON = frozenset(("resolved_seller_favour", "resolved_with_payout", "canceled_by_buyer", "denied"))
_LOST = frozenset(("resolved_buyer_favour", "accepted"))


def changed_at(event: Event) -> datetime:
    """When the object came to its state."""
    return moment(event.obj.get("update_time")) or moment(event.obj.get("create_time")) or event.at


def _entries(
    event: Event, state: State, subject: str, amount: Money, fee: Money | None
) -> tuple[datetime, tuple[Entry, ...]]:
    """The statement about a whole payment, with PayPal's fee where it is in the payment's currency."""
    at_ = changed_at(event)
    reason = word(at(event.obj, "status_details", "reason") or event.obj.get("reason_code"))
    reason = reason if state == "failed" else None
    entries = [
        Entry(
            kind=state,
            key=statement_key(state, subject, at_, amount.amount, reason),
            occurred_at=at_,
            amount=amount.amount,
            reason=reason,
        )
    ]
    if state == "charge" and fee is not None and fee.currency == amount.currency and fee.amount:
        key = statement_key("fee", subject, at_, fee.amount)
        entries.append(Entry(kind="fee", key=key, occurred_at=at_, amount=fee.amount, ref=subject))
    return at_, tuple(entries)


def _capture(event: Event) -> Interpretation:
    """A statement about a capture."""
    obj = event.obj
    subject, amount = paypal_id(obj.get("id")), amount_of(obj.get("amount"))
    status = word(obj.get("status")) or event.type.rpartition(".")[2].lower()
    if subject is None:
        return ignore("no_reference")
    if status not in STATES:
        return ignore("unknown_status")
    if amount is None:
        return ignore("bad_amount")
    if amount.amount == 0:
        return ignore("no_money")
    fee = amount_of(at(obj, "seller_receivable_breakdown", "paypal_fee"))
    at_, entries = _entries(event, STATES[status], subject, amount, fee)
    order = order_of(obj)
    mine = ours(obj.get("custom_id"))
    return Interpretation(
        PaymentOutcome(
            refs=(subject, *((f"order:{order}",) if order else ())),
            entries=entries,
            occurred_at=at_,
            creates=True,
            amount=amount,
            method="wallet",
            gift_id=mine.checkout_id,
            contact_id=mine.contact_id,
            campaign_code=mine.campaign_code,
            fund_code=mine.fund_code,
        )
    )


def captures_of(order: dict[str, Any], moment_: datetime) -> list[Interpretation]:
    """Every capture of an order, with its payer."""
    who = payer(order.get("payer"))
    by_card = "card" in mapping(order.get("payment_source"))
    order_id = paypal_id(order.get("id"))
    found = []
    for unit in sequence(order.get("purchase_units")):
        mark = at(unit, "custom_id")
        for one in sequence(at(unit, "payments", "captures")):
            obj = {"custom_id": mark, **mapping(one)}
            said = _capture(Event("PAYMENT.CAPTURE", obj, moment_)).payment
            if said is None:
                continue
            refs = (*said.refs, *((f"order:{order_id}",) if order_id and len(said.refs) == 1 else ()))
            found.append(Interpretation(replace(said, refs=refs, payer=who, method="card" if by_card else "wallet")))
    return found


def _order(event: Event) -> Interpretation:
    """An order that was completed: its captures, and who paid. Approval alone is no payment."""
    if event.type == "CHECKOUT.ORDER.APPROVED":
        return ignore("not_captured")
    first, *others = captures_of(event.obj, event.at) or [ignore("no_money")]
    return replace(first, also=tuple(others))


def _sale(event: Event) -> Interpretation:
    """A statement about a sale: one charge of a plan, where it names one."""
    obj = event.obj
    subject, amount = paypal_id(obj.get("id")), amount_of(obj.get("amount"))
    status = word(obj.get("state")) or event.type.rpartition(".")[2].lower()
    if subject is None:
        return ignore("no_reference")
    if status not in STATES:
        return ignore("unknown_status")
    if amount is None:
        return ignore("bad_amount")
    if amount.amount == 0:
        return ignore("no_money")
    at_, entries = _entries(event, STATES[status], subject, amount, amount_of(obj.get("transaction_fee")))
    agreement = paypal_id(obj.get("billing_agreement_id"))
    mine = ours(obj.get("custom") or obj.get("custom_id"))
    payment = PaymentOutcome(
        refs=(subject,),
        entries=entries,
        occurred_at=at_,
        creates=True,
        amount=amount,
        method="wallet",
        plan_ref=agreement,
        gift_id=mine.checkout_id,
        contact_id=mine.contact_id,
        campaign_code=mine.campaign_code,
        fund_code=mine.fund_code,
    )
    if agreement is None or STATES[status] != "charge":
        return Interpretation(payment)
    return Interpretation(payment, PlanOutcome(ref=agreement, status="active", stated_at=at_, amount=amount))


def _reversal(
    event: Event, kind: EntryKind, payment: str, subject: str, status: str, amount: Money, more: tuple[Entry, ...] = ()
) -> Interpretation:
    """An entry about the payment that a refund or dispute names."""
    at_ = changed_at(event)
    reason = word(event.obj.get("reason"))
    entry = Entry(
        kind=kind,
        key=statement_key(kind, subject, at_, status, amount.amount, reason),
        occurred_at=at_,
        amount=amount.amount,
        ref=subject,
        status=status,
        reason=reason,
        started_at=moment(event.obj.get("create_time")),
    )
    return Interpretation(
        PaymentOutcome(
            refs=(payment,), entries=(entry, *more), occurred_at=at_, creates=False, currency=amount.currency
        )
    )


def _refund(event: Event) -> Interpretation:
    """One refund of a capture, with the running total of all of them where PayPal gives it."""
    obj = event.obj
    subject, amount = paypal_id(obj.get("id")), amount_of(obj.get("amount"))
    capture = paypal_id(at(obj, "supplementary_data", "related_ids", "capture_id")) or linked(
        obj, "payments/captures", "up"
    )
    if capture is None and subject is not None and order_of(obj):
        capture = subject  # a capture that a bank took back, as itself
    status = _REFUNDS.get(word(obj.get("status")) or "completed")
    if obj.get("id") == capture:
        status = "succeeded"
    if subject is None or capture is None:
        return ignore("no_reference")
    if status is None:
        return ignore("unknown_status")
    if amount is None:
        return ignore("bad_amount")
    total = amount_of(at(obj, "seller_payable_breakdown", "total_refunded_amount"))
    more: tuple[Entry, ...] = ()
    if status == "succeeded" and total is not None and total.currency == amount.currency:
        at_ = changed_at(event)
        key = statement_key("refunded_total", capture, at_, total.amount)
        more = (Entry(kind="refunded_total", key=key, occurred_at=at_, amount=total.amount),)
    return _reversal(event, "refund", capture, subject, status, amount, more)


def _sale_refund(event: Event) -> Interpretation:
    """One refund of a sale. A reversal may come as the sale itself."""
    obj = event.obj
    subject, amount = paypal_id(obj.get("id")), amount_of(obj.get("amount"))
    sale = paypal_id(obj.get("sale_id")) or linked(obj, "payments/sale", "sale") or subject
    status = _REFUNDS.get(word(obj.get("state")) or "completed")
    if sale == subject:
        status = "succeeded"
    if subject is None or sale is None:
        return ignore("no_reference")
    if status is None:
        return ignore("unknown_status")
    if amount is None:
        return ignore("bad_amount")
    return _reversal(event, "refund", sale, subject, status, amount)


def _dispute(event: Event) -> Interpretation:
    """What is said of a dispute, about each payment that it is over."""
    obj = event.obj
    subject = paypal_id(obj.get("dispute_id")) or paypal_id(obj.get("id"))
    payments = [paypal_id(at(one, "seller_transaction_id")) for one in sequence(obj.get("disputed_transactions"))]
    named = [one for one in dict.fromkeys(payments) if one]
    amount = amount_of(obj.get("dispute_amount"))
    status: str | None = "open"
    if event.type == "CUSTOMER.DISPUTE.RESOLVED" or word(obj.get("status")) == "resolved":
        outcome = word(at(obj, "dispute_outcome", "outcome_code")) or ""
        status = "won" if outcome in _WON else "lost" if outcome in _LOST else None
        amount = (amount_of(at(obj, "dispute_outcome", "amount_refunded")) if status == "lost" else None) or amount
    if subject is None or not named:
        return ignore("no_reference")
    if status is None:
        return ignore("unknown_status")
    if amount is None:
        return ignore("bad_amount")
    first, *others = [_reversal(event, "dispute", one, subject, status, amount) for one in named]
    return replace(first, also=tuple(others))


def with_payer(
    ref: str, who: Payer, at_: datetime, plan_ref: str | None = None, checkout: str | None = None
) -> Interpretation:
    """That a payment (and its plan) is somebody's, and which checkout it is of; it must be known already."""
    return Interpretation(
        PaymentOutcome(
            refs=(ref,), entries=(), occurred_at=at_, creates=False, payer=who, plan_ref=plan_ref, gift_id=checkout
        )
    )


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(
        (
            "PAYMENT.CAPTURE.PENDING",
            "PAYMENT.CAPTURE.COMPLETED",
            "PAYMENT.CAPTURE.DENIED",
            "PAYMENT.CAPTURE.DECLINED",
        ),
        _capture,
    ),
    **dict.fromkeys(("PAYMENT.CAPTURE.REFUNDED", "PAYMENT.CAPTURE.REVERSED"), _refund),
    **dict.fromkeys(("PAYMENT.SALE.PENDING", "PAYMENT.SALE.COMPLETED", "PAYMENT.SALE.DENIED"), _sale),
    **dict.fromkeys(("PAYMENT.SALE.REFUNDED", "PAYMENT.SALE.REVERSED"), _sale_refund),
    **dict.fromkeys(("CUSTOMER.DISPUTE.CREATED", "CUSTOMER.DISPUTE.UPDATED", "CUSTOMER.DISPUTE.RESOLVED"), _dispute),
    **dict.fromkeys(("CHECKOUT.ORDER.APPROVED", "CHECKOUT.ORDER.COMPLETED"), _order),
}
