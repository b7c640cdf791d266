"""Subscriptions. Their charges are sales; an activation is no payment."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from crm_api.kit.money import MAX_MINOR, Money
from crm_api.payments.provider import Interpretation, PlanOutcome, PlanStatus
from crm_api.payments.providers.exact import day, decimal, moment, word
from crm_api.payments.providers.paypal.reading import Event, Handler, amount_of, paypal_id
from crm_api.payments.providers.reading import at, ignore, mapping, sequence

Unit = Literal["day", "week", "month", "year"]
_STATUS: dict[str, PlanStatus] = {
    "approval_pending": "pending",
    "approved": "pending",
    "active": "active",
    "suspended": "paused",
    "cancelled": "canceled",
    "expired": "completed",
}
_BY_EVENT: dict[str, PlanStatus] = {
    "BILLING.SUBSCRIPTION.CREATED": "pending",
    "BILLING.SUBSCRIPTION.ACTIVATED": "active",
    "BILLING.SUBSCRIPTION.RE-ACTIVATED": "active",
    "BILLING.SUBSCRIPTION.SUSPENDED": "paused",
    "BILLING.SUBSCRIPTION.CANCELLED": "canceled",
    "BILLING.SUBSCRIPTION.EXPIRED": "completed",
}
_FAILED = "BILLING.SUBSCRIPTION.PAYMENT.FAILED"
_UPDATED = "BILLING.SUBSCRIPTION.UPDATED"
_UNITS: dict[str, Unit] = {"day": "day", "week": "week", "month": "month", "year": "year"}
_ENDED = ("canceled", "completed")


def _status(event: Event) -> PlanStatus | None:
    """The state that an event tells. A failed charge leaves PayPal's status as it was until it gives up."""
    stated = _STATUS.get(word(event.obj.get("status")) or "")
    if event.type == _FAILED:
        return stated if stated in ("paused", *_ENDED) else "past_due"
    if event.type in _BY_EVENT:
        return _BY_EVENT[event.type]
    failures = at(event.obj, "billing_info", "failed_payments_count")
    if stated == "active" and isinstance(failures, int) and failures > 0:
        return "past_due"
    return stated


def _stated_at(event: Event) -> datetime:
    """When the plan came to that state."""
    obj = event.obj
    if event.type == _FAILED:
        return moment(at(obj, "billing_info", "last_failed_payment", "time")) or event.at
    if event.type in _BY_EVENT:
        return moment(obj.get("status_update_time")) or moment(obj.get("update_time")) or event.at
    return moment(obj.get("update_time")) or event.at


def subscription(event: Event) -> Interpretation:
    """The plan as an event of its own tells it; or as it was looked up, where `event` has no type of these."""
    obj = event.obj
    subject = paypal_id(obj.get("id"))
    if subject is None:
        return ignore("no_reference")
    status, stated_at = _status(event), _stated_at(event)
    amount, unit, interval = _terms(obj)
    ended = moment(obj.get("status_update_time")) or stated_at
    whole = amount is not None and unit is not None
    return Interpretation(
        plan=PlanOutcome(
            ref=subject,
            status=status,
            stated_at=stated_at,
            amount=amount or amount_of(at(obj, "billing_info", "last_payment", "amount")),
            frequency_unit=unit,
            frequency_interval=interval,
            customer_ref=paypal_id(at(obj, "subscriber", "payer_id")),
            started_at=moment(obj.get("start_time")) or moment(obj.get("create_time")),
            next_date=day(at(obj, "billing_info", "next_billing_time")) if whole and status not in _ENDED else None,
            ended_at=ended if status in _ENDED else None,
            whole=whole,
        )
    )


def _terms(obj: dict[str, Any]) -> tuple[Money | None, Unit | None, int | None]:
    """Amount and rhythm, where the plan's own terms are there (asked for, or overridden in this subscription)."""
    quantity = decimal(obj.get("quantity", 1))
    for cycle in sequence(at(obj, "plan", "billing_cycles")):
        if word(at(cycle, "tenure_type")) == "trial":
            continue
        each = amount_of(at(cycle, "pricing_scheme", "fixed_price"))
        rhythm = mapping(at(cycle, "frequency"))
        unit = _UNITS.get(word(rhythm.get("interval_unit")) or "")
        count = rhythm.get("interval_count", 1)
        if each is None or unit is None or type(count) is not int or not 0 < count <= 1200 or not quantity:
            return None, None, None
        total = each.amount * quantity
        if total != total.to_integral_value() or not 0 < total <= MAX_MINOR:
            return None, None, None
        return Money(int(total), each.currency), unit, count
    return None, None, None


HANDLERS: dict[str, Handler] = dict.fromkeys((*_BY_EVENT, _FAILED, _UPDATED), subscription)
