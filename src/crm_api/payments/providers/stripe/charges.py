"""Charges: the same gift as their payment intent, with the payer, the method, the fee and the running refund total."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from crm_api.donations.gifts.balances import Entry
from crm_api.kit.money import Money
from crm_api.payments.provider import Interpretation, PaymentOutcome
from crm_api.payments.providers.reading import at, code, ident, ignore, instant, mapping, statement_key
from crm_api.payments.providers.stripe.amounts import money
from crm_api.payments.providers.stripe.intents import kin, payment_refs
from crm_api.payments.providers.stripe.payers import BILLING, method_of_charge, ours, payer
from crm_api.payments.providers.stripe.reading import Event, Handler

State = Literal["charge", "pending", "failed", "canceled"]


def _state(event: Event) -> State | None:
    """What became of the charge. An authorization that was not captured is no money yet, and giving it back is a
    cancellation. ``None`` for an update of a charge without money: old news that must not outdate a newer attempt."""
    obj = event.obj
    status = obj.get("status")
    if status == "failed" or event.type == "charge.failed":
        return None if event.type == "charge.updated" else "failed"
    if status == "succeeded" or (status is None and obj.get("paid") is True):
        if obj.get("captured") is not False:
            return "charge"
        if event.type == "charge.refunded":
            return "canceled"
    return None if event.type == "charge.updated" else "pending"


def _charge(event: Event) -> Interpretation:
    """A statement about a whole charge. Money is dated by the charge's own making, which every event of it repeats, so
    a refund that overtakes the success states the very same entry."""
    obj = event.obj
    subject = ident(obj)
    if subject is None:
        return ignore("no_reference")
    state = _state(event)
    if state is None:
        return ignore("no_news")
    amount = _amount(obj, state)
    if amount is None:
        return ignore("bad_amount")
    if amount.amount == 0:
        return ignore("no_money")
    moment = (instant(obj.get("created")) or event.at) if state == "charge" else event.at
    reason = _reason(obj) if state == "failed" else None
    entries = [
        Entry(
            kind=state,
            key=statement_key(state, subject, moment, amount.amount, reason),
            occurred_at=moment,
            amount=amount.amount,
            reason=reason,
        )
    ]
    if state == "charge":
        if _tells_total(event):
            total = money(obj.get("amount_refunded"), obj.get("currency"))
            if total is None:
                return ignore("bad_amount")
            entries.append(_refunded_total(total, subject, event.at))
        fee = fee_of(obj, amount.currency, moment)
        entries += [fee] if fee else []
    return Interpretation(_outcome(obj, subject, tuple(entries), moment, amount))


def _outcome(
    obj: dict[str, Any], subject: str, entries: tuple[Entry, ...], moment: datetime, amount: Money
) -> PaymentOutcome:
    """The payment around a charge's entries."""
    mine = ours(obj.get("metadata"))
    return PaymentOutcome(
        refs=payment_refs(obj.get("invoice"), obj.get("payment_intent"), subject),
        entries=entries,
        occurred_at=moment,
        creates=True,
        amount=amount,
        payer=payer(
            BILLING,
            obj.get("billing_details"),
            customer=obj.get("customer"),
            metadata=obj.get("metadata"),
            fallback_email=obj.get("receipt_email"),
        ),
        method=method_of_charge(obj),
        kin=kin(obj),
        contact_id=mine.contact_id,
        gift_id=mine.gift_id,
        campaign_code=mine.campaign_code,
        fund_code=mine.fund_code,
    )


def _amount(obj: dict[str, Any], state: State) -> Money | None:
    """What was captured, where the charge says so; otherwise its amount."""
    captured = obj.get("amount_captured")
    return money(captured if state == "charge" and captured else obj.get("amount"), obj.get("currency"))


def _tells_total(event: Event) -> bool:
    """Whether the charge says how much was refunded. Every new charge says zero: news only where it replaces a sum."""
    raw = event.obj.get("amount_refunded")
    return raw is not None and (raw != 0 or "amount_refunded" in event.previous)


def _refunded_total(total: Money, subject: str, moment: datetime) -> Entry:
    """The running total of refunds as the charge had it at that moment."""
    return Entry(
        kind="refunded_total",
        key=statement_key("refunded_total", subject, moment, total.amount),
        occurred_at=moment,
        amount=total.amount,
    )


def fee_of(obj: dict[str, Any], currency: str, moment: datetime) -> Entry | None:
    """Stripe's fee, when the balance transaction is expanded and kept in the currency of the gift."""
    transaction = mapping(obj.get("balance_transaction"))
    subject = ident(transaction)
    fee = money(transaction.get("fee"), transaction.get("currency"))
    if subject is None or fee is None or fee.currency != currency:
        return None
    booked = instant(transaction.get("created")) or moment
    return Entry(
        kind="fee",
        key=statement_key("fee", subject, booked, fee.amount),
        occurred_at=booked,
        amount=fee.amount,
        ref=subject,
    )


def _reason(obj: dict[str, Any]) -> str | None:
    """Why the charge failed; behind the general ``card_declined`` stands the bank's own word."""
    failure = code(obj.get("failure_code"))
    detail = code(at(obj, "outcome", "reason"))
    return detail if detail and failure in (None, "card_declined") else failure


HANDLERS: dict[str, Handler] = dict.fromkeys(
    ("charge.succeeded", "charge.failed", "charge.pending", "charge.captured", "charge.refunded", "charge.updated"),
    _charge,
)
