"""Sample Stripe events with a change here and there, for the tests of what they mean."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from crm_api.donations.gifts.balances import Entry
from crm_api.payments.provider import Interpretation, PaymentOutcome, PlanOutcome
from crm_api.payments.providers import STRIPE

NOW = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
SEED = "events"


def event(
    event_type: str, *, after: int = 0, made: int | None = None, drop: tuple[str, ...] = (), **changes: Any
) -> Any:
    """A sample event `after` seconds, its object changed; the object is as old as `made` seconds (0 unless told)."""
    found = STRIPE.sample(event_type, now=NOW + timedelta(seconds=after), seed=SEED)
    obj = found["data"]["object"]
    obj["created"] = int(NOW.timestamp()) + (made or 0)
    obj.update(changes)
    for name in drop:
        del obj[name]
    return found


def meaning(event_type: str, **changes: Any) -> Interpretation:
    return STRIPE.interpret(event(event_type, **changes))


def payment(event_type: str, **changes: Any) -> PaymentOutcome:
    found = meaning(event_type, **changes).payment
    assert found is not None
    return found


def plan(event_type: str, **changes: Any) -> PlanOutcome:
    found = meaning(event_type, **changes).plan
    assert found is not None
    return found


def entries_of(*events: Any) -> list[Entry]:
    found = [STRIPE.interpret(each).payment for each in events]
    return [entry for outcome in found if outcome for entry in outcome.entries]


def ref(prefix: str) -> str:
    """The sample world's id of that kind."""
    names = {"pi": "payment_intent.succeeded", "ch": "charge.succeeded", "in": "invoice.paid", "re": "refund.created"}
    names |= {
        "cs": "checkout.session.completed",
        "sub": "customer.subscription.created",
        "dp": "charge.dispute.created",
    }
    found: str = event(names[prefix])["data"]["object"]["id"]
    return found


GROSS = payment("charge.succeeded").entries[0].amount or 0
