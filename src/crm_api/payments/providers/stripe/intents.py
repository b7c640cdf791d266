"""Payment intents: one gift each, whose id is the payment key of everything one-off."""

from __future__ import annotations

from typing import Any, Literal

from crm_api.donations.gifts.balances import Entry
from crm_api.payments.provider import Interpretation, PaymentOutcome
from crm_api.payments.providers.reading import at, code, ident, ignore, instant, mapping, sequence, statement_key
from crm_api.payments.providers.stripe.amounts import money
from crm_api.payments.providers.stripe.payers import (
    BILLING,
    RECEIPT,
    Method,
    method_of,
    method_of_charge,
    ours,
    payer,
    sole_method,
)
from crm_api.payments.providers.stripe.reading import Event, Handler

_KINDS: dict[str, Literal["charge", "failed", "pending", "canceled"]] = {
    "payment_intent.succeeded": "charge",
    "payment_intent.payment_failed": "failed",
    "payment_intent.processing": "pending",
    "payment_intent.canceled": "canceled",
}


def kin(obj: dict[str, Any]) -> Literal["intent"] | None:
    """Whether the payment may turn out to be an invoice's: it has a customer and does not say which invoice it pays.

    Before 2025-03-31 the field `invoice` told: null there is a certain one-off. Since then it is simply absent.
    """
    return "intent" if ident(obj.get("customer")) and "invoice" not in obj else None


def payment_refs(*ids: Any) -> tuple[str, ...]:
    """The readable ids among `ids`, each once, in order."""
    return tuple(dict.fromkeys(name for name in map(ident, ids) if name))


def _intent(event: Event) -> Interpretation:
    """A statement about a whole intent. A failed attempt is not final: the same intent can still succeed."""
    obj = event.obj
    subject = ident(obj)
    if subject is None:
        return ignore("no_reference")
    kind = _KINDS[event.type]
    received = obj.get("amount_received", obj.get("amount"))
    amount = money(received if kind == "charge" else obj.get("amount"), obj.get("currency"))
    if amount is None:
        return ignore("bad_amount")
    if amount.amount == 0:
        return ignore("no_money")
    moment = event.at
    if kind == "canceled":
        moment = instant(obj.get("canceled_at")) or event.at
    charge = _latest_charge(obj)
    reason = _reason(obj, kind)
    entry = Entry(
        kind=kind,
        key=statement_key(kind, subject, moment, amount.amount, reason),
        occurred_at=moment,
        amount=amount.amount,
        reason=reason,
    )
    mine = ours(obj.get("metadata"))
    knows_payer = bool(mapping(charge.get("billing_details")).get("email"))
    return Interpretation(
        PaymentOutcome(
            refs=payment_refs(
                obj.get("invoice"), subject, obj.get("latest_charge"), charge, at(obj, "last_payment_error", "charge")
            ),
            entries=(entry,),
            occurred_at=moment,
            creates=True,
            amount=amount,
            payer=payer(
                BILLING if knows_payer else RECEIPT,
                charge.get("billing_details") if knows_payer else obj.get("shipping"),
                customer=obj.get("customer"),
                metadata=obj.get("metadata"),
                fallback_email=obj.get("receipt_email"),
            ),
            method=_method(obj, charge),
            kin=kin(obj),
            contact_id=mine.contact_id,
            gift_id=mine.gift_id,
            campaign_code=mine.campaign_code,
            fund_code=mine.fund_code,
        )
    )


def _latest_charge(obj: dict[str, Any]) -> dict[str, Any]:
    """The newest charge where the intent holds it whole: expanded, or in the list of versions before 2022-11-15."""
    expanded = mapping(obj.get("latest_charge"))
    return expanded or mapping(next(iter(sequence(at(obj, "charges", "data"))), None))


def _reason(obj: dict[str, Any], kind: str) -> str | None:
    """Why it failed or was given up, the bank's word before Stripe's."""
    if kind == "canceled":
        return code(obj.get("cancellation_reason"))
    if kind != "failed":
        return None
    error = mapping(obj.get("last_payment_error"))
    return code(error.get("decline_code")) or code(error.get("code"))


def _method(obj: dict[str, Any], charge: dict[str, Any]) -> Method:
    """How it was paid: by the charge, the refused payment method, or the only method offered."""
    if charge:
        return method_of_charge(charge)
    refused = mapping(at(obj, "last_payment_error", "payment_method"))
    if refused:
        return method_of(refused.get("type"), refused)
    return sole_method(obj.get("payment_method_types"))


HANDLERS: dict[str, Handler] = dict.fromkeys(_KINDS, _intent)
