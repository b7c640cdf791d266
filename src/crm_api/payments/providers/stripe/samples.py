"""Realistic Stripe events for ``crm-api simulate`` and the tests, in the shape of a current API version.

Everything follows from the seed: all events of one seed are about one donor, one payment and one plan, so a simulated
``payment_intent.succeeded`` and ``charge.succeeded`` meet in one gift, as the real ones do. Only times follow `now`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from crm_api.kit.money import Money
from crm_api.payments.providers.reading import unix
from crm_api.payments.providers.stripe.amounts import stripe_amount

_DAY = 86_400
_DONORS = (
    ("Олена Ковальчук", "uk", "UA", "Львів", "UAH", (20000, 50000, 150000)),
    ("ნინო ბერიძე", "ka", "GE", "თბილისი", "GEL", (3000, 7500, 10000)),
    ("María José Núñez", "es", "ES", "Málaga", "EUR", (1500, 2500, 10000)),
    ("山田 花子", "ja", "JP", "京都市", "JPY", (1000, 3000, 10000)),
    ("ليلى منصور", "ar", "JO", "عمّان", "JOD", (5000, 10000, 25000)),
    ("Björk Þórsdóttir", "is", "IS", "Akureyri", "ISK", (2000, 5000)),
    ("Nguyễn Thị Hà", "vi", "VN", "Đà Nẵng", "VND", (200000, 500000)),
    ("Szűcs Gábor", "hu", "HU", "Győr", "HUF", (500000, 1200000)),
    ("רות לוי", "he", "IL", "חיפה", "ILS", (5000, 18000)),
    ("Zoë O’Connor", "en-IE", "IE", "Gaillimh", "EUR", (1000, 4200)),
    ("Łukasz Żółć", "pl", "PL", "Łódź", "PLN", (4000, 12000)),
    ("Ἀλέξανδρος Παπαδόπουλος", "el", "GR", "Θεσσαλονίκη", "EUR", (2000, 6000)),
)
_CAMPAIGNS = ("winter-2025", "school-roofs", "field-hospital")


@dataclass(frozen=True, slots=True)
class _World:
    """What one seed decides."""

    seed: str
    now: int

    def pick(self, what: str, count: int) -> int:
        """A number below `count`, the same for the same seed and question."""
        return int.from_bytes(sha256(f"{self.seed}/{what}".encode("utf-8", "replace")).digest()[:8]) % count

    def ref(self, prefix: str) -> str:
        """The seed's id of that kind."""
        return f"{prefix}_sim{sha256(f'{self.seed}/{prefix}'.encode('utf-8', 'replace')).hexdigest()[:21]}"

    @property
    def donor(self) -> tuple[str, str, str, str, str, tuple[int, ...]]:
        """Name, language, country, city, currency and usual sums of the donor."""
        return _DONORS[self.pick("donor", len(_DONORS))]

    @property
    def email(self) -> str:
        """The donor's address, in a domain that never delivers."""
        return f"donor.{self.pick('email', 10**8):08d}@example.org"

    @property
    def currency(self) -> str:
        """Lower-case currency code, as Stripe writes it."""
        return self.donor[4].lower()

    @property
    def amount(self) -> int:
        """The gift in Stripe's minor units."""
        sums = self.donor[5]
        return stripe_amount(Money(sums[self.pick("amount", len(sums))], self.donor[4]))

    @property
    def address(self) -> dict[str, str | None]:
        """Where the donor lives, as far as donation pages ask."""
        return {"city": self.donor[3], "country": self.donor[2], "line1": None, "line2": None, "postal_code": None}

    @property
    def metadata(self) -> dict[str, str]:
        """What a donation page would attach."""
        return {"campaign": _CAMPAIGNS[self.pick("campaign", len(_CAMPAIGNS))], "language": self.donor[1]}


def _intent(world: _World, status: str) -> dict[str, Any]:
    """A payment intent in that state."""
    paid = status == "succeeded"
    error = {"type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds"}
    return {
        "id": world.ref("pi"),
        "object": "payment_intent",
        "amount": world.amount,
        "amount_received": world.amount if paid else 0,
        "canceled_at": world.now if status == "canceled" else None,
        "cancellation_reason": "abandoned" if status == "canceled" else None,
        "created": world.now,
        "currency": world.currency,
        "customer": world.ref("cus"),
        "description": "Donation",
        "last_payment_error": error if status == "requires_payment_method" else None,
        "latest_charge": world.ref("ch"),
        "livemode": False,
        "metadata": world.metadata,
        "payment_method_types": ["card"],
        "receipt_email": world.email,
        "status": status,
    }


def _charge(world: _World, status: str, refunded: int = 0) -> dict[str, Any]:
    """The charge of the same payment."""
    paid, wallet = status == "succeeded", world.pick("wallet", 3) == 0
    phone = {"type": "apple_pay"} if wallet else None
    card = {"brand": "visa", "country": world.donor[2], "last4": "4242", "wallet": phone}
    return {
        "id": world.ref("ch"),
        "object": "charge",
        "amount": world.amount,
        "amount_captured": world.amount if paid else 0,
        "amount_refunded": refunded,
        "balance_transaction": world.ref("txn") if paid else None,
        "billing_details": {"address": world.address, "email": world.email, "name": world.donor[0], "phone": None},
        "captured": paid,
        "created": world.now,
        "currency": world.currency,
        "customer": world.ref("cus"),
        "disputed": False,
        "failure_code": "card_declined" if status == "failed" else None,
        "livemode": False,
        "metadata": world.metadata,
        "outcome": {"reason": "insufficient_funds" if status == "failed" else None, "type": "authorized"},
        "paid": paid,
        "payment_intent": world.ref("pi"),
        "payment_method_details": {"card": card, "type": "card"},
        "receipt_email": None,
        "refunded": refunded == world.amount,
        "status": status,
    }


def _refund(world: _World, status: str) -> dict[str, Any]:
    """A refund of the whole payment."""
    return {
        "id": world.ref("re"),
        "object": "refund",
        "amount": world.amount,
        "charge": world.ref("ch"),
        "created": world.now,
        "currency": world.currency,
        "failure_reason": "expired_or_canceled_card" if status == "failed" else None,
        "metadata": {},
        "payment_intent": world.ref("pi"),
        "reason": "requested_by_customer",
        "status": status,
    }


def _dispute(world: _World, status: str) -> dict[str, Any]:
    """A dispute over the whole payment."""
    return {
        "id": world.ref("dp"),
        "object": "dispute",
        "amount": world.amount,
        "balance_transactions": [],
        "charge": world.ref("ch"),
        "created": world.now,
        "currency": world.currency,
        "livemode": False,
        "metadata": {},
        "payment_intent": world.ref("pi"),
        "reason": "fraudulent",
        "status": status,
    }


def _session(world: _World, status: str, payment_status: str) -> dict[str, Any]:
    """The checkout session in which the payment was made."""
    done = status == "complete"
    details = {"address": world.address, "email": world.email, "name": world.donor[0], "phone": None}
    return {
        "id": world.ref("cs_test"),
        "object": "checkout.session",
        "amount_subtotal": world.amount,
        "amount_total": world.amount,
        "client_reference_id": None,
        "created": world.now,
        "currency": world.currency,
        "customer": world.ref("cus"),
        "customer_details": details if done else None,
        "customer_email": None,
        "expires_at": world.now + _DAY,
        "invoice": None,
        "livemode": False,
        "locale": world.donor[1],
        "metadata": world.metadata,
        "mode": "payment",
        "payment_intent": world.ref("pi"),
        "payment_method_types": ["card"],
        "payment_status": payment_status,
        "status": status,
        "submit_type": "donate",
        "subscription": None,
    }


def _invoice(world: _World, status: str) -> dict[str, Any]:
    """An invoice of the donor's monthly plan, paid by the same payment."""
    paid = status == "paid"
    details = {"metadata": world.metadata, "subscription": world.ref("sub")}
    return {
        "id": world.ref("in"),
        "object": "invoice",
        "amount_due": world.amount,
        "amount_paid": world.amount if paid else 0,
        "amount_remaining": 0 if paid else world.amount,
        "attempt_count": 1,
        "attempted": True,
        "billing_reason": "subscription_cycle",
        "collection_method": "charge_automatically",
        "created": world.now,
        "currency": world.currency,
        "customer": world.ref("cus"),
        "customer_address": world.address,
        "customer_email": world.email,
        "customer_name": world.donor[0],
        "customer_phone": None,
        "livemode": False,
        "metadata": {},
        "next_payment_attempt": None if paid else world.now + 3 * _DAY,
        "parent": {"type": "subscription_details", "quote_details": None, "subscription_details": details},
        "status": status,
        "status_transitions": {"finalized_at": world.now, "paid_at": world.now if paid else None, "voided_at": None},
        "total": world.amount,
    }


def _invoice_payment(world: _World) -> dict[str, Any]:
    """The word that invoice and intent are one payment."""
    return {
        "id": world.ref("inpay"),
        "object": "invoice_payment",
        "amount_paid": world.amount,
        "amount_requested": world.amount,
        "created": world.now,
        "currency": world.currency,
        "invoice": world.ref("in"),
        "is_default": True,
        "livemode": False,
        "payment": {"payment_intent": world.ref("pi"), "type": "payment_intent"},
        "status": "paid",
        "status_transitions": {"canceled_at": None, "paid_at": world.now},
    }


def _subscription(world: _World, status: str) -> dict[str, Any]:
    """The donor's monthly plan."""
    over = status == "canceled"
    recurring = {"interval": "month", "interval_count": 1}
    price = {"id": world.ref("price"), "currency": world.currency, "recurring": recurring, "unit_amount": world.amount}
    item = {"id": world.ref("si"), "current_period_end": world.now + 30 * _DAY, "price": price, "quantity": 1}
    return {
        "id": world.ref("sub"),
        "object": "subscription",
        "cancel_at_period_end": False,
        "canceled_at": world.now if over else None,
        "created": world.now,
        "currency": world.currency,
        "customer": world.ref("cus"),
        "ended_at": world.now if over else None,
        "items": {"object": "list", "data": [item], "has_more": False},
        "latest_invoice": world.ref("in"),
        "livemode": False,
        "metadata": world.metadata,
        "pause_collection": None,
        "start_date": world.now,
        "status": status,
    }


def _payout(world: _World, status: str) -> dict[str, Any]:
    """A payout, on the day it arrives."""
    failed = status == "failed"
    return {
        "id": world.ref("po"),
        "object": "payout",
        "amount": world.amount,
        "arrival_date": world.now - world.now % _DAY,
        "automatic": True,
        "balance_transaction": world.ref("txn_payout"),
        "created": world.now,
        "currency": world.currency,
        "failure_code": "account_closed" if failed else None,
        "failure_balance_transaction": world.ref("txn_failure") if failed else None,
        "livemode": False,
        "metadata": {},
        "method": "standard",
        "reconciliation_status": "in_progress" if status == "pending" else "completed",
        "source_type": "card",
        "status": status,
        "type": "bank_account",
    }


_BUILDERS: dict[str, Callable[[_World], dict[str, Any]]] = {
    "payment_intent.succeeded": lambda world: _intent(world, "succeeded"),
    "payment_intent.payment_failed": lambda world: _intent(world, "requires_payment_method"),
    "payment_intent.processing": lambda world: _intent(world, "processing"),
    "payment_intent.canceled": lambda world: _intent(world, "canceled"),
    "payment_intent.partially_funded": lambda world: _intent(world, "requires_action"),
    "charge.succeeded": lambda world: _charge(world, "succeeded"),
    "charge.captured": lambda world: _charge(world, "succeeded"),
    "charge.updated": lambda world: _charge(world, "succeeded"),
    "charge.failed": lambda world: _charge(world, "failed"),
    "charge.pending": lambda world: _charge(world, "pending"),
    "charge.refunded": lambda world: _charge(world, "succeeded", refunded=world.amount),
    "refund.created": lambda world: _refund(world, "pending"),
    "refund.updated": lambda world: _refund(world, "succeeded"),
    "refund.failed": lambda world: _refund(world, "failed"),
    "charge.refund.updated": lambda world: _refund(world, "succeeded"),
    "charge.dispute.created": lambda world: _dispute(world, "needs_response"),
    "charge.dispute.updated": lambda world: _dispute(world, "under_review"),
    "charge.dispute.closed": lambda world: _dispute(world, ("won", "lost")[world.pick("verdict", 2)]),
    "charge.dispute.funds_withdrawn": lambda world: _dispute(world, "needs_response"),
    "charge.dispute.funds_reinstated": lambda world: _dispute(world, "won"),
    "checkout.session.completed": lambda world: _session(world, "complete", "paid"),
    "checkout.session.async_payment_succeeded": lambda world: _session(world, "complete", "paid"),
    "checkout.session.async_payment_failed": lambda world: _session(world, "complete", "unpaid"),
    "checkout.session.expired": lambda world: _session(world, "expired", "unpaid"),
    "invoice.paid": lambda world: _invoice(world, "paid"),
    "invoice.payment_succeeded": lambda world: _invoice(world, "paid"),
    "invoice.payment_failed": lambda world: _invoice(world, "open"),
    "invoice_payment.paid": _invoice_payment,
    "customer.subscription.created": lambda world: _subscription(world, "active"),
    "customer.subscription.updated": lambda world: _subscription(world, "past_due"),
    "customer.subscription.deleted": lambda world: _subscription(world, "canceled"),
    "customer.subscription.paused": lambda world: _subscription(world, "paused"),
    "customer.subscription.resumed": lambda world: _subscription(world, "active"),
    "payout.created": lambda world: _payout(world, "pending"),
    "payout.updated": lambda world: _payout(world, "in_transit"),
    "payout.paid": lambda world: _payout(world, "paid"),
    "payout.failed": lambda world: _payout(world, "failed"),
    "payout.canceled": lambda world: _payout(world, "canceled"),
    "payout.reconciliation_completed": lambda world: _payout(world, "in_transit"),
}


def sample(event_type: str, *, now: datetime, seed: str) -> dict[str, Any]:
    """An event of that type. One seed and type are one event, so sending it again is a duplicate delivery."""
    if event_type not in _BUILDERS:
        raise KeyError(f"no sample for this event type; known are: {', '.join(sorted(_BUILDERS))}")
    world = _World(seed, unix(now))
    data: dict[str, Any] = {"object": _BUILDERS[event_type](world)}
    if event_type == "charge.refunded":
        data["previous_attributes"] = {"amount_refunded": 0, "refunded": False}
    return {
        "id": world.ref(f"evt_{event_type.replace('.', '_')}"),
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": world.now,
        "data": data,
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": event_type,
    }
