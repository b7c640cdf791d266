"""The sample event, made and signed as its provider would."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from crm_api.kit import clock
from crm_api.payments.provider import Account, CannotSign, Interpretation, Provider
from crm_api.payments.providers import PROVIDERS
from crm_api.simulate.trouble import SimulationTrouble

# What brings the payment that an event only names, and what may well come next.
_BRINGS = {"invoice_payment.paid": "invoice.paid"}
_BRINGS_ELSE = {"stripe": "payment_intent.succeeded", "generic": "payment.succeeded"}
_NEXT = {
    "payment_intent.succeeded": "charge.refunded",
    "payment_intent.payment_failed": "payment_intent.succeeded",
    "payment_intent.processing": "payment_intent.succeeded",
    "charge.succeeded": "charge.dispute.created",
    "charge.dispute.created": "charge.dispute.closed",
    "checkout.session.completed": "charge.refunded",
    "customer.subscription.created": "invoice.paid",
    "invoice.paid": "customer.subscription.deleted",
    "invoice.payment_failed": "invoice.paid",
    "payment.created": "payment.succeeded",
    "payment.failed": "payment.succeeded",
    "payment.succeeded": "payment.refunded",
    "donation.new": "donation.update",
    "transaction.created": "transaction.updated",
    "transaction.succeeded": "transaction.refunded",
}


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event as it goes over the wire, and what it says in our words."""

    event: str
    event_id: str
    body: bytes
    headers: dict[str, str]
    said: Interpretation
    tail: str = ""
    """What stands in the path behind the connection."""

    @property
    def refs(self) -> tuple[str, ...]:
        """The provider's ids of the payment it is about."""
        return self.said.payment.refs if self.said.payment else ()

    @property
    def plan_ref(self) -> str | None:
        """The provider's id of the plan it is about."""
        if self.said.plan is not None:
            return self.said.plan.ref
        return self.said.payment.plan_ref if self.said.payment else None

    @property
    def email(self) -> str | None:
        """The payer's address, where the event has it."""
        return self.said.payment.payer.email if self.said.payment else None


def find_provider(name: str) -> Provider:
    """The provider of that name."""
    if name not in PROVIDERS:
        raise SimulationTrouble(f"There is no provider {name}. Known: {', '.join(sorted(PROVIDERS))}.")
    return PROVIDERS[name]


def check_event(provider: Provider, event: str) -> None:
    """Refuse a type without a sample, with the known ones."""
    try:
        provider.sample(event, now=clock.from_unix(0), seed="")
    except KeyError as error:
        known = str(error.args[0]).partition("known are: ")[2].split(", ")
        near = difflib.get_close_matches(event, known, n=1)
        guess = f" Did you mean {near[0]}?" if near else ""
        listed = "".join(f"\n  {one}" for one in known)
        raise SimulationTrouble(f"There is no sample event {event} of {provider.name}.{guess} Known:{listed}") from None


def make_delivery(
    provider: Provider, event: str, *, account: Account, seed: str, organization: Mapping[str, Any]
) -> Delivery:
    """The event of a seed, as of the organization's time and in its mode."""
    frozen = organization["test_clock"]
    now = datetime.fromisoformat(frozen) if frozen else clock.utc_now()
    payload = provider.sample(event, now=now, seed=seed)
    if "livemode" in payload:
        payload["livemode"] = organization["mode"] == "live"
    try:
        made = provider.signed(payload, account, now=now)
    except CannotSign as why:
        raise SimulationTrouble(str(why)) from None
    body = made.body
    said = provider.interpret(provider.parse(body))
    tail = f"/{made.tail}" if made.tail else ""
    return Delivery(event, provider.envelope(body).event_id, body, dict(made.headers), said, tail)


def bringer(provider: str, event: str) -> str | None:
    """The event that brings the payment which another event waits for."""
    return _BRINGS.get(event) or _BRINGS_ELSE.get(provider)


def sequel(event: str) -> str | None:
    """What may well come next in the life of the same payment."""
    return _NEXT.get(event)
