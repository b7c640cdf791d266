"""Stripe events for the scenarios: a payment, a plan, a refund, each event as Stripe would send it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from crm_api.payments.providers import PROVIDERS

Event = dict[str, Any]
START = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
"""When the payments of the scenarios begin."""


def stripe_event(
    event_type: str,
    *,
    seed: str,
    after: float = 0,
    number: int = 0,
    start: datetime = START,
    drop: tuple[str, ...] = (),
    previous: dict[str, Any] | None = None,
    **changes: Any,
) -> Event:
    """A sample event `after` seconds, about the payment, donor and plan of `seed`; members of its object changed.

    The object itself was made at the start. `number` tells events of one type and seed apart.
    """
    event = PROVIDERS["stripe"].sample(event_type, now=start + timedelta(seconds=after), seed=seed)
    obj = event["data"]["object"]
    obj["created"] = int(start.timestamp())
    obj.update(changes)
    for name in drop:
        del obj[name]
    if number:
        event["id"] += f"n{number}"
    if previous is not None:
        event["data"]["previous_attributes"] = previous
    return event


def ids(seed: str) -> dict[str, str]:
    """The ids that all events of a seed share."""
    samples = {
        "pi": "payment_intent.succeeded",
        "ch": "charge.succeeded",
        "cs": "checkout.session.completed",
        "in": "invoice.paid",
        "sub": "customer.subscription.created",
    }
    found = {name: str(stripe_event(kind, seed=seed)["data"]["object"]["id"]) for name, kind in samples.items()}
    found["cus"] = str(stripe_event("invoice.paid", seed=seed)["data"]["object"]["customer"])
    return found


def gift_event(seed: str, *, email: str | None, name: str | None, amount: int = 2500, **options: Any) -> Event:
    """The plainest gift: a charge that names its payer, in dollars, without a customer or campaign."""
    address = {"city": None, "country": None, "line1": None, "line2": None, "postal_code": None}
    changes: dict[str, Any] = {
        "amount": amount,
        "amount_captured": amount,
        "currency": "usd",
        "customer": None,
        "metadata": {},
        "billing_details": {"email": email, "name": name, "phone": None, "address": address},
    }
    return stripe_event("charge.succeeded", seed=seed, **{**changes, **options})
