"""Givebutter: transactions and plans, with the webhook's secret itself in a header.

Two frames are known: the one in use (``event``; amounts in main units) and the announced one (``type`` and ``id``;
whole cents). The provider publishes neither of them whole.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

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
    PlanStatus,
    SignatureInvalid,
)
from crm_api.payments.providers import platform
from crm_api.payments.providers.exact import day, main_units, mark, minor_units, moment, parse_exact, word
from crm_api.payments.providers.reading import at, email, ignore, text
from crm_api.payments.providers.seeds import Seed, unknown

HEADER = "signature"
RANK = 35
_STATES: dict[str, platform.State] = {
    **dict.fromkeys(("succeeded", "refunded", "partially_refunded"), "charge"),
    **dict.fromkeys(("pending", "processing"), "pending"),
    "failed": "failed",
    **dict.fromkeys(("canceled", "cancelled", "voided"), "canceled"),
}
_PLANS: dict[str, PlanStatus] = {
    "active": "active",
    "past_due": "past_due",
    "failing": "past_due",
    "paused": "paused",
    "canceled": "canceled",
    "cancelled": "canceled",
    "ended": "completed",
    "completed": "completed",
}
_RHYTHMS: dict[str, tuple[Literal["day", "week", "month", "year"], int]] = {
    "weekly": ("week", 1),
    "monthly": ("month", 1),
    "quarterly": ("month", 3),
    "yearly": ("year", 1),
    "annually": ("year", 1),
}


class GivebutterCredentials(BaseModel):
    """What a charity enters for its webhook."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    secret: str = Field(min_length=8, pattern=r"^[!-~]+$", max_length=255, repr=False)
    """What the dashboard shows as the signing secret; it comes with every delivery."""


class GivebutterProvider(BaseProvider):
    """Givebutter's words in ours."""

    name = "givebutter"
    credentials: type[BaseModel] = GivebutterCredentials
    secret: str | None = "secret"  # noqa: S105 - a name

    async def check(self, delivery: Delivery, accounts: Sequence[Account], *, now: datetime, outside: Outside) -> None:
        """The header is the secret; it says nothing of the body and nothing of the time."""
        given = delivery.headers.get(HEADER, "")
        if not given:
            raise SignatureInvalid("header_missing")
        fits = False
        for account in accounts:
            fits |= hmac.compare_digest(given.encode("utf-8", "replace"), account["secret"].encode())
        if not fits:
            raise SignatureInvalid("signature_mismatch")

    def envelope(self, body: bytes) -> Envelope:
        """The announced frame has an id; in the other one the transaction and its state are the key."""
        try:
            payload = parse_exact(body)
        except ValueError:
            payload = None
        kind = text(at(payload, "type"), 128) or text(at(payload, "event"), 128)
        made = moment(at(payload, "created_at")) or moment(at(payload, "data", "created_at"))
        own = mark(at(payload, "id"))
        key = (own,) if own else (kind, mark(at(payload, "data", "id")), word(at(payload, "data", "status")))
        return platform.envelope(body, kind, made, *key, mode=None)

    def parse(self, body: bytes) -> Any:
        """JSON with its decimals as printed."""
        return parse_exact(body)

    def interpret(self, payload: Any) -> Interpretation:
        """Say what an event means, without the time of its delivery."""
        return self.interpret_at(payload, received_at=platform.UNDATED)

    def interpret_at(self, payload: Any, *, received_at: datetime) -> Interpretation:
        """A transaction or a plan."""
        announced = isinstance(at(payload, "type"), str)
        kind, data = at(payload, "type") if announced else at(payload, "event"), at(payload, "data")
        if not isinstance(kind, str) or not isinstance(data, dict):
            return ignore("malformed")
        stated_at = moment(at(payload, "created_at")) or received_at
        what, _, change = kind.partition(".")
        if what == "transaction" and change in ("succeeded", "created", "updated", "refunded", "failed"):
            return _transaction(data, change, stated_at, announced=announced)
        return _plan(data, change, stated_at, announced=announced) if what == "plan" else ignore("unknown_type")

    def sample(self, event_type: str, *, now: datetime, seed: str) -> dict[str, Any]:
        """A transaction in the frame in use."""
        return _sample(event_type, Seed(seed, now))

    def signed(self, payload: Any, account: Account, *, now: datetime) -> Delivery:
        """The delivery Givebutter would make."""
        return Delivery(orjson.dumps(payload), {"content-type": "application/json", HEADER: account["secret"]})


def _money(value: Any, currency: Any, *, announced: bool) -> Money | None:
    return minor_units(value, currency) if announced else main_units(value, currency)


def _transaction(data: dict[str, Any], change: str, stated_at: datetime, *, announced: bool) -> Interpretation:
    """A transaction as it stands. Without a currency it is in dollars: Givebutter takes no other unless it says so."""
    subject, currency = mark(data.get("id")), data.get("currency") or "USD"
    status = "refunded" if change == "refunded" else word(data.get("status")) or change
    state, amount = _STATES.get(status), _money(data.get("amount"), currency, announced=announced)
    if subject is None:
        return ignore("no_reference")
    if state is None:
        return ignore("unknown_status")
    if amount is None:
        return ignore("bad_amount")
    if amount.amount == 0:
        return ignore("no_money")
    given_back = data.get("refunded_amount", data.get("amount_refunded"))
    refunded = _money(given_back, currency, announced=announced)
    if refunded is None and status == "refunded":
        refunded = amount
    if refunded is None and status == "partially_refunded":
        return ignore("bad_amount")
    made = moment(data.get("transacted_at")) or moment(data.get("created_at")) or stated_at
    fee = _money(data.get("fee"), currency, announced=announced)
    told = platform.Told(
        subject=subject,
        state=state,
        amount=amount,
        at=made,
        received_at=stated_at,
        fee=fee,
        refunded=refunded,
        refunded_at=moment(data.get("refunded_at")),
    )
    return Interpretation(
        PaymentOutcome(
            refs=(subject,),
            entries=platform.entries(told),
            occurred_at=made,
            creates=True,
            amount=amount,
            payer=_payer(data),
            method=platform.METHODS.get(word(data.get("payment_method") or data.get("method")) or "", "other"),
            plan_ref=mark(data.get("plan_id")),
            donor_covered_fee=fee.amount if fee and fee.amount and data.get("fee_covered") is True else None,
            source=platform.source(data),
            is_anonymous=data.get("is_anonymous") is True or data.get("anonymous") is True,
            campaign_code=text(data.get("campaign_code"), 64),
            fund_code=text(data.get("fund_code"), 64),
        )
    )


def _payer(data: dict[str, Any]) -> Payer:
    return Payer(
        email=email(data.get("email")),
        name=platform.full_name(data, "first_name", "last_name", "name"),
        phone=text(data.get("phone"), 40),
        country=platform.country(at(data, "address", "country")),
        city=text(at(data, "address", "city"), 100),
        customer_ref=mark(data.get("contact_id")),
        rank=RANK,
    )


def _plan(data: dict[str, Any], change: str, stated_at: datetime, *, announced: bool) -> Interpretation:
    """A plan as it stands."""
    subject = mark(data.get("id"))
    if subject is None:
        return ignore("no_reference")
    status = _PLANS.get(word(data.get("status")) or change)
    amount = _money(data.get("amount"), data.get("currency") or "USD", announced=announced)
    unit, interval = _RHYTHMS.get(word(data.get("frequency")) or "", (None, None))
    over = status in ("canceled", "completed")
    whole = amount is not None and unit is not None
    return Interpretation(
        plan=PlanOutcome(
            ref=subject,
            status=status,
            stated_at=stated_at,
            amount=amount,
            frequency_unit=unit,
            frequency_interval=interval,
            started_at=moment(data.get("start_at")) or moment(data.get("created_at")),
            next_date=day(data.get("next_bill_date")) if whole and not over else None,
            ended_at=stated_at if over else None,
            whole=whole,
        )
    )


_SAMPLES = {"transaction.succeeded": "succeeded", "transaction.refunded": "refunded"}


def _sample(event_type: str, seed: Seed) -> dict[str, Any]:
    if event_type not in _SAMPLES:
        raise unknown(list(_SAMPLES))
    data = {
        "id": f"txn_{seed.ref('transaction').lower()}",
        "amount": seed.cents / 100,
        "fee": 1.75,
        "fee_covered": True,
        "currency": "USD",
        "status": _SAMPLES[event_type],
        "first_name": seed.given,
        "last_name": seed.family,
        "email": seed.email,
        "plan_id": None,
        "campaign_code": "WINTER",
        "created_at": seed.at,
    }
    return {"event": event_type, "data": data}
