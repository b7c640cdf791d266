"""Realistic PayPal events of the sandbox. All events of one seed are about one donor, one payment and one plan."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from crm_api.payments.providers.seeds import Seed, unknown

_HOST = "https://api.sandbox.paypal.com"


def _money(value: str) -> dict[str, str]:
    return {"currency_code": "USD", "value": value}


def _link(path: str, rel: str) -> dict[str, str]:
    return {"href": f"{_HOST}{path}", "rel": rel, "method": "GET"}


def _times(seed: Seed) -> dict[str, str]:
    return {"create_time": seed.at, "update_time": seed.at}


def _capture(seed: Seed, status: str) -> dict[str, Any]:
    capture, order = seed.ref("capture"), seed.ref("order")
    found: dict[str, Any] = {
        "id": capture,
        "status": status,
        "amount": _money(seed.decimal),
        "final_capture": True,
        "supplementary_data": {"related_ids": {"order_id": order}},
        "links": [_link(f"/v2/payments/captures/{capture}", "self"), _link(f"/v2/checkout/orders/{order}", "up")],
        **_times(seed),
    }
    if status == "COMPLETED":
        fee = f"{seed.cents // 2500 + 0}.49"
        found["seller_receivable_breakdown"] = {"gross_amount": _money(seed.decimal), "paypal_fee": _money(fee)}
    if status == "DECLINED":
        found["status_details"] = {"reason": "INSTRUMENT_DECLINED"}
    if status == "PENDING":
        found["status_details"] = {"reason": "ECHECK"}
    return found


def _refund(seed: Seed) -> dict[str, Any]:
    return {
        "id": seed.ref("refund"),
        "status": "COMPLETED",
        "amount": _money(seed.decimal),
        "seller_payable_breakdown": {"total_refunded_amount": _money(seed.decimal)},
        "links": [_link(f"/v2/payments/captures/{seed.ref('capture')}", "up")],
        **_times(seed),
    }


def _sale(seed: Seed) -> dict[str, Any]:
    return {
        "id": seed.ref("sale"),
        "state": "completed",
        "amount": {"total": seed.decimal, "currency": "USD", "details": {"subtotal": seed.decimal}},
        "payment_mode": "INSTANT_TRANSFER",
        "transaction_fee": {"value": "0.49", "currency": "USD"},
        "billing_agreement_id": f"I-{seed.ref('plan', 12)}",
        **_times(seed),
    }


def _sale_refund(seed: Seed) -> dict[str, Any]:
    return {
        "id": seed.ref("sale-refund"),
        "state": "completed",
        "sale_id": seed.ref("sale"),
        "amount": {"total": f"-{seed.decimal}", "currency": "USD"},
        **_times(seed),
    }


def _subscription(seed: Seed, status: str, failures: int = 0) -> dict[str, Any]:
    billing: dict[str, Any] = {
        "last_payment": {"amount": _money(seed.decimal), "time": seed.at},
        "failed_payments_count": failures,
        "next_billing_time": seed.at,
    }
    if failures:
        billing["last_failed_payment"] = {"amount": _money(seed.decimal), "time": seed.at}
    return {
        "id": f"I-{seed.ref('plan', 12)}",
        "status": status,
        "status_update_time": seed.at,
        "plan_id": f"P-{seed.ref('terms', 16)}",
        "quantity": "1",
        "start_time": seed.at,
        "subscriber": {
            "name": {"given_name": seed.given, "surname": seed.family},
            "email_address": seed.email,
            "payer_id": seed.ref("payer", 13),
        },
        "billing_info": billing,
        **_times(seed),
    }


def _dispute(seed: Seed, outcome: str | None = None) -> dict[str, Any]:
    return {
        "dispute_id": f"PP-D-{seed.pick('dispute', 10**6)}",
        "disputed_transactions": [{"seller_transaction_id": seed.ref("capture")}],
        "reason": "UNAUTHORISED",
        "status": "RESOLVED" if outcome else "OPEN",
        "dispute_amount": _money(seed.decimal),
        **({"dispute_outcome": {"outcome_code": outcome}} if outcome else {}),
        **_times(seed),
    }


def _order(seed: Seed, status: str) -> dict[str, Any]:
    unit: dict[str, Any] = {"reference_id": "default", "amount": {**_money(seed.decimal), "breakdown": {}}}
    if status == "COMPLETED":
        unit["payments"] = {"captures": [_capture(seed, "COMPLETED")]}
    return {
        "id": seed.ref("order"),
        "intent": "CAPTURE",
        "status": status,
        "purchase_units": [unit],
        "payer": {
            "name": {"given_name": seed.given, "surname": seed.family},
            "email_address": seed.email,
            "payer_id": seed.ref("payer", 13),
            "address": {"country_code": seed.country},
        },
        **_times(seed),
    }


_BUILDERS: dict[str, tuple[str, Callable[[Seed], dict[str, Any]]]] = {
    "PAYMENT.CAPTURE.PENDING": ("capture", lambda seed: _capture(seed, "PENDING")),
    "PAYMENT.CAPTURE.COMPLETED": ("capture", lambda seed: _capture(seed, "COMPLETED")),
    "PAYMENT.CAPTURE.DENIED": ("capture", lambda seed: _capture(seed, "DECLINED")),
    "PAYMENT.CAPTURE.REFUNDED": ("refund", _refund),
    "PAYMENT.CAPTURE.REVERSED": ("refund", _refund),
    "PAYMENT.SALE.COMPLETED": ("sale", _sale),
    "PAYMENT.SALE.REFUNDED": ("refund", _sale_refund),
    "BILLING.SUBSCRIPTION.CREATED": ("subscription", lambda seed: _subscription(seed, "APPROVAL_PENDING")),
    "BILLING.SUBSCRIPTION.ACTIVATED": ("subscription", lambda seed: _subscription(seed, "ACTIVE")),
    "BILLING.SUBSCRIPTION.UPDATED": ("subscription", lambda seed: _subscription(seed, "ACTIVE")),
    "BILLING.SUBSCRIPTION.PAYMENT.FAILED": ("subscription", lambda seed: _subscription(seed, "ACTIVE", 1)),
    "BILLING.SUBSCRIPTION.SUSPENDED": ("subscription", lambda seed: _subscription(seed, "SUSPENDED", 3)),
    "BILLING.SUBSCRIPTION.RE-ACTIVATED": ("subscription", lambda seed: _subscription(seed, "ACTIVE")),
    "BILLING.SUBSCRIPTION.CANCELLED": ("subscription", lambda seed: _subscription(seed, "CANCELLED")),
    "BILLING.SUBSCRIPTION.EXPIRED": ("subscription", lambda seed: _subscription(seed, "EXPIRED")),
    "CUSTOMER.DISPUTE.CREATED": ("dispute", _dispute),
    "CUSTOMER.DISPUTE.RESOLVED": ("dispute", lambda seed: _dispute(seed, "RESOLVED_SELLER_FAVOUR")),
    "CHECKOUT.ORDER.APPROVED": ("checkout-order", lambda seed: _order(seed, "APPROVED")),
    "CHECKOUT.ORDER.COMPLETED": ("checkout-order", lambda seed: _order(seed, "COMPLETED")),
}


def sample(event_type: str, *, now: datetime, seed: str) -> dict[str, Any]:
    """An event of that type. One seed and type are one event, so sending it again is a duplicate delivery."""
    if event_type not in _BUILDERS:
        raise unknown(list(_BUILDERS))
    world = Seed(seed, now)
    kind, build = _BUILDERS[event_type]
    event_id = f"WH-{world.ref(event_type, 17)}-{world.ref(f'{event_type}/2', 17)}"
    return {
        "id": event_id,
        "create_time": world.at,
        "resource_type": kind,
        "event_type": event_type,
        "summary": event_type,
        "resource": build(world),
        "links": [_link(f"/v1/notifications/webhooks-events/{event_id}", "self")],
        "event_version": "1.0",
    }
