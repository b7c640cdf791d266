"""The generic source as a `Provider`: our own body, checked strictly; what is wrong with it is said by JSON pointer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from crm_api.donations.gifts.balances import Entry, EntryKind
from crm_api.kit.body import invalid_from
from crm_api.kit.money import Money
from crm_api.payments.provider import (
    Account,
    BaseProvider,
    Delivery,
    Envelope,
    Interpretation,
    Outside,
    Payer,
    PaymentOutcome,
    PlanOutcome,
)
from crm_api.payments.providers import standard
from crm_api.payments.providers.exact import moment, told
from crm_api.payments.providers.generic.body import (
    EVENTS,
    DisputeEvent,
    PayerBody,
    PaymentEvent,
    PlanEvent,
    RefundEvent,
    one_currency,
)
from crm_api.payments.providers.reading import at, ident, ignore, statement_key, text
from crm_api.payments.providers.seeds import Seed, unknown
from crm_api.payments.providers.standard import SigningSecret

RANK = 30
_KINDS: dict[str, EntryKind] = {
    "payment.created": "pending",
    "payment.succeeded": "charge",
    "payment.failed": "failed",
    "payment.canceled": "canceled",
}
_MOST_SAID = 3


class GenericCredentials(BaseModel):
    """The secret that the source signs with."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    secret: SigningSecret


class GenericProvider(BaseProvider):
    """Any source that speaks our body."""

    name = "generic"
    credentials: type[BaseModel] = GenericCredentials
    secret: str | None = "secret"  # noqa: S105 - a name

    async def check(self, delivery: Delivery, accounts: Sequence[Account], *, now: datetime, outside: Outside) -> None:
        """The Standard Webhooks signature."""
        standard.verify(delivery, [one["secret"] for one in accounts], now=now)

    def envelope(self, body: bytes) -> Envelope:
        """The event's own id, else the digest of its bytes."""
        try:
            payload = orjson.loads(body)
        except ValueError:
            payload = None
        mode = at(payload, "mode")
        return Envelope(
            event_id=ident(at(payload, "id")) or f"sha256:{sha256(body).hexdigest()}",
            event_type=text(at(payload, "type"), 128) or "unknown",
            mode=mode if mode in ("live", "test") else None,
            occurred_at=moment(at(payload, "timestamp")),
        )

    def interpret(self, payload: Any) -> Interpretation:
        """Say what the event means, or what is wrong with it."""
        if not isinstance(payload, dict):
            return ignore("malformed")
        kind = payload.get("type")
        model = EVENTS.get(kind) if isinstance(kind, str) else None
        if model is None:
            return ignore("unknown_type")
        try:
            event = model.model_validate_json(orjson.dumps(payload))
        except ValidationError as error:
            return ignore(_said(error, model, payload))
        except (TypeError, ValueError):
            return ignore("malformed")
        if isinstance(event, PaymentEvent):
            return _payment(event)
        if isinstance(event, PlanEvent):
            return _plan(event)
        return _given_back(event)

    def sample(self, event_type: str, *, now: datetime, seed: str) -> dict[str, Any]:
        """An event of that type."""
        return sample(event_type, Seed(seed, now))

    def signed(self, payload: Any, account: Account, *, now: datetime) -> Delivery:
        """The delivery of a payload."""
        return standard.sign(orjson.dumps(payload), account["secret"], now=now)


def _said(error: ValidationError, model: type[BaseModel], sent: Any) -> str:
    """What is wrong, by JSON pointer, without a value that was sent."""
    found = invalid_from(error, model=model, sent=sent).errors
    first = "; ".join(f"{one.pointer or '/'}: {one.detail}" for one in found[:_MOST_SAID])
    more = len(found) - _MOST_SAID
    return f"{first} And {more} more." if more > 0 else first


def _second(value: datetime) -> datetime:
    return value.replace(microsecond=0)


def _payment(event: PaymentEvent) -> Interpretation:
    body, at_ = event.data, _second(event.timestamp)
    if pointer := one_currency(body):
        return ignore(f"{pointer}: Give it in the currency of the payment.")
    kind, amount = _KINDS[event.type], Money(body.amount.amount, body.amount.currency)
    reason = body.reason if kind in ("failed", "canceled") else None
    entries = [
        Entry(
            kind=kind,
            key=statement_key(kind, body.payment_id, at_, amount.amount, reason),
            occurred_at=at_,
            amount=amount.amount,
            reason=reason,
        )
    ]
    if kind == "charge" and body.fee is not None and body.fee.amount:
        key = statement_key("fee", body.payment_id, at_, body.fee.amount)
        entries.append(
            Entry(kind="fee", key=key, occurred_at=at_, amount=body.fee.amount, ref=f"platform:{body.payment_id}")
        )
    twins = (f"{body.processor.provider}:{body.processor.id}",) if body.processor else ()
    covered = body.donor_covered_fee
    return Interpretation(
        PaymentOutcome(
            refs=(body.payment_id, *twins),
            entries=tuple(entries),
            occurred_at=at_,
            creates=True,
            amount=amount,
            payer=_payer(body.payer),
            method=body.method,
            plan_ref=body.plan_id,
            contact_id=str(body.contact_id) if body.contact_id else None,
            twins=twins,
            source=told(body.source.model_dump()) if body.source else None,
            donor_covered_fee=covered.amount if covered and covered.amount else None,
            is_anonymous=body.is_anonymous,
            needs_matching=body.payer is None and body.contact_id is None and body.hint is not None,
            hint=body.hint,
            campaign_code=body.campaign_code,
            fund_code=body.fund_code,
        )
    )


def _payer(body: PayerBody | None) -> Payer:
    if body is None:
        return Payer()
    known = body.email or body.name or body.phone
    return Payer(
        email=body.email,
        name=body.name,
        phone=body.phone,
        language=body.language,
        country=body.country,
        city=body.city,
        customer_ref=body.id,
        rank=RANK if known else 0,
    )


def _given_back(event: RefundEvent | DisputeEvent) -> Interpretation:
    body, at_ = event.data, _second(event.timestamp)
    kind: EntryKind = "refund" if isinstance(event, RefundEvent) else "dispute"
    subject = event.data.refund_id if isinstance(event, RefundEvent) else event.data.dispute_id
    entry = Entry(
        kind=kind,
        key=statement_key(kind, subject, at_, body.status, body.amount.amount, body.reason),
        occurred_at=at_,
        amount=body.amount.amount,
        ref=subject,
        status=body.status,
        reason=body.reason,
        started_at=None,
    )
    return Interpretation(
        PaymentOutcome(
            refs=(body.payment_id,), entries=(entry,), occurred_at=at_, creates=False, currency=body.amount.currency
        )
    )


def _plan(event: PlanEvent) -> Interpretation:
    body, at_ = event.data, _second(event.timestamp)
    over = body.status in ("canceled", "completed")
    whole = body.amount is not None and body.frequency_unit is not None
    return Interpretation(
        plan=PlanOutcome(
            ref=body.plan_id,
            status=body.status,
            stated_at=at_,
            amount=Money(body.amount.amount, body.amount.currency) if body.amount else None,
            frequency_unit=body.frequency_unit,
            frequency_interval=body.frequency_interval if body.frequency_unit else None,
            customer_ref=body.payer_id,
            started_at=body.started_at,
            next_date=body.next_date if whole and not over else None,
            ended_at=(body.ended_at or at_) if over else None,
            whole=whole,
        )
    )


def sample(event_type: str, seed: Seed) -> dict[str, Any]:
    """An event of a seed. The same seed and type are the same event."""
    build = _SAMPLES.get(event_type)
    if build is None:
        raise unknown(list(_SAMPLES))
    event_id = f"evt_{seed.ref(event_type, 20).lower()}"
    return {"id": event_id, "type": event_type, "timestamp": seed.at, "data": build(seed)}


def _amount(seed: Seed) -> dict[str, Any]:
    return {"amount": seed.cents, "currency": "USD"}


def _sample_payment(seed: Seed) -> dict[str, Any]:
    return {
        "payment_id": f"INV-{seed.number('payment')}",
        "amount": _amount(seed),
        "method": "card",
        "payer": {
            "id": f"P-{seed.number('donor')}",
            "email": seed.email,
            "name": f"{seed.given} {seed.family}",
            "country": seed.country,
            "city": seed.city,
        },
    }


def _sample_refund(seed: Seed) -> dict[str, Any]:
    return {
        "payment_id": f"INV-{seed.number('payment')}",
        "refund_id": f"REF-{seed.number('refund')}",
        "amount": _amount(seed),
    }


def _sample_dispute(seed: Seed) -> dict[str, Any]:
    return {
        "payment_id": f"INV-{seed.number('payment')}",
        "dispute_id": f"DIS-{seed.number('dispute')}",
        "amount": _amount(seed),
        "status": "open",
    }


def _sample_plan(seed: Seed) -> dict[str, Any]:
    return {
        "plan_id": f"PLAN-{seed.number('plan')}",
        "status": "active",
        "amount": _amount(seed),
        "frequency_unit": "month",
        "payer_id": f"P-{seed.number('donor')}",
        "started_at": seed.at,
    }


_SAMPLES: dict[str, Callable[[Seed], dict[str, Any]]] = {
    "payment.created": _sample_payment,
    "payment.succeeded": lambda seed: {**_sample_payment(seed), "fee": {"amount": 50, "currency": "USD"}},
    "payment.failed": lambda seed: {**_sample_payment(seed), "reason": "insufficient_funds"},
    "payment.canceled": _sample_payment,
    "payment.refunded": _sample_refund,
    "payment.disputed": _sample_dispute,
    "plan.updated": _sample_plan,
}
