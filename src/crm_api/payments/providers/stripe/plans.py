"""Subscriptions: recurring plans, told whole by every event of theirs."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from crm_api.kit.clock import local_date
from crm_api.kit.money import Money
from crm_api.payments.provider import Interpretation, PlanOutcome, PlanStatus
from crm_api.payments.providers.reading import at, ident, ignore, instant, mapping, sequence
from crm_api.payments.providers.stripe.amounts import money
from crm_api.payments.providers.stripe.reading import Event, Handler

Unit = Literal["day", "week", "month", "year"]

_STATUS: dict[str, PlanStatus] = {
    "incomplete": "pending",
    "trialing": "active",
    "active": "active",
    "past_due": "past_due",
    "unpaid": "past_due",
    "paused": "paused",
    "canceled": "canceled",
    "incomplete_expired": "canceled",
}
_UNITS: dict[str, Unit] = {"day": "day", "week": "week", "month": "month", "year": "year"}


def _subscription(event: Event) -> Interpretation:
    """The plan as it stands. One that ends with its period is still active, with no next date."""
    obj = event.obj
    subject = ident(obj)
    if subject is None:
        return ignore("no_reference")
    status = _status(event)
    over = status == "canceled"
    amount, unit, interval = _terms(obj)
    ended = instant(obj.get("ended_at")) or instant(obj.get("canceled_at")) or event.at
    return Interpretation(
        plan=PlanOutcome(
            ref=subject,
            status=status,
            stated_at=event.at,
            amount=amount,
            frequency_unit=unit,
            frequency_interval=interval,
            customer_ref=ident(obj.get("customer")),
            started_at=instant(obj.get("start_date")) or instant(obj.get("created")),
            next_date=None if over or obj.get("cancel_at_period_end") is True else _next_date(obj),
            ended_at=ended if over else None,
            whole=amount is not None and unit is not None,
        )
    )


def _status(event: Event) -> PlanStatus | None:
    """The plan's state; the type of the event decides where the object could be behind. Collection that is paused
    (``pause_collection``) leaves Stripe's status as it was, but nothing is given meanwhile: for us it is paused."""
    if event.type == "customer.subscription.deleted":
        return "canceled"
    stated = event.obj.get("status")
    status = _STATUS.get(stated) if isinstance(stated, str) else None
    if status is None and event.type == "customer.subscription.paused":
        return "paused"
    if status in ("active", "past_due") and mapping(event.obj.get("pause_collection")):
        return "paused"
    return status


def _items(obj: dict[str, Any]) -> list[dict[str, Any]]:
    """The subscription's items that are objects."""
    return [item for item in sequence(at(obj, "items", "data")) if isinstance(item, dict)]


def _terms(obj: dict[str, Any]) -> tuple[Money | None, Unit | None, int | None]:
    """Amount and frequency of all items together; unknown when they differ in currency or rhythm, or have no fixed
    price."""
    items = _items(obj) or ([obj] if obj.get("plan") else [])
    terms = [_item_terms(item, obj.get("currency")) for item in items]
    known = [term for term in terms if term is not None]
    if not known or len(known) < len(terms):
        return None, None, None
    first, unit, interval = known[0]
    if any((cost.currency, *rhythm) != (first.currency, unit, interval) for cost, *rhythm in known):
        return None, None, None
    total = Money(sum(cost.amount for cost, _, _ in known), first.currency)
    return (total, unit, interval) if total.amount else (None, None, None)


def _item_terms(item: dict[str, Any], currency: Any) -> tuple[Money, Unit, int] | None:
    """Amount and frequency of one item: in its `price`, in its `plan` in old versions."""
    price, plan = mapping(item.get("price")), mapping(item.get("plan"))
    each = price.get("unit_amount", plan.get("amount"))
    cost = money(_times(each, item.get("quantity")), price.get("currency") or plan.get("currency") or currency)
    rhythm = mapping(price.get("recurring")) or plan
    unit, interval = rhythm.get("interval"), rhythm.get("interval_count", 1)
    if cost is None or not isinstance(unit, str) or unit not in _UNITS:
        return None
    return (cost, _UNITS[unit], interval) if type(interval) is int and 0 < interval <= 1200 else None


def _times(price: Any, quantity: Any) -> Any:
    """Price by quantity; an absent quantity is one."""
    if type(price) is not int:
        return None
    return price if quantity is None else price * quantity if type(quantity) is int and 0 < quantity < 10**6 else None


def _next_date(obj: dict[str, Any]) -> date | None:
    """The day of the next charge (UTC): the nearest end of a period, on the items since 2025-03-31, above before."""
    ends = [instant(item.get("current_period_end")) for item in _items(obj)]
    known = [end for end in ends if end is not None]
    end = min(known) if known else instant(obj.get("current_period_end"))
    return local_date(end, "UTC") if end else None


HANDLERS: dict[str, Handler] = dict.fromkeys(
    (
        "customer.subscription.created",
        "customer.subscription.updated",
        "customer.subscription.deleted",
        "customer.subscription.paused",
        "customer.subscription.resumed",
    ),
    _subscription,
)
