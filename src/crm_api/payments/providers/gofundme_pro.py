"""GoFundMe Pro (formerly Classy): transactions and recurring plans, signed by Svix.

What is inside `data` follows the provider's public API; the frame around it is not published.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict

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
)
from crm_api.payments.providers import platform, standard
from crm_api.payments.providers.exact import day, main_units, mark, moment, parse_exact, word
from crm_api.payments.providers.reading import at, email, ignore, text
from crm_api.payments.providers.seeds import Seed, unknown
from crm_api.payments.providers.standard import SigningSecret

RANK = 35
_STATES: dict[str, platform.State] = {
    **dict.fromkeys(("success", "test", "refunded", "cb_initiated", "cb_lost"), "charge"),
    "pending": "pending",
    "failed": "failed",
    **dict.fromkeys(("canceled", "voided"), "canceled"),
}
_DISPUTES: dict[str, Literal["open", "lost"]] = {"cb_initiated": "open", "cb_lost": "lost"}
_PLANS: dict[str, PlanStatus] = {
    "draft": "pending",
    "active": "active",
    "attempted": "past_due",
    "failing": "past_due",
    "paused": "paused",
    "failed": "canceled",
    "canceled": "canceled",
    "ended": "completed",
}
_RHYTHMS: dict[str, tuple[Literal["day", "week", "month", "year"], int]] = {
    "daily": ("day", 1),
    "weekly": ("week", 1),
    "bi-weekly": ("week", 2),
    "biweekly": ("week", 2),
    "monthly": ("month", 1),
    "quarterly": ("month", 3),
    "semiannually": ("month", 6),
    "yearly": ("year", 1),
    "annually": ("year", 1),
}


class GoFundMeProCredentials(BaseModel):
    """What a charity enters for its webhook endpoint."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    secret: SigningSecret
    """The endpoint's signing secret."""


class GoFundMeProProvider(BaseProvider):
    """GoFundMe Pro's words in ours."""

    name = "gofundme_pro"
    credentials: type[BaseModel] = GoFundMeProCredentials
    secret: str | None = "secret"  # noqa: S105 - a name

    async def check(self, delivery: Delivery, accounts: Sequence[Account], *, now: datetime, outside: Outside) -> None:
        """The scheme of Svix."""
        standard.verify(delivery, [one["secret"] for one in accounts], now=now)

    def envelope(self, body: bytes) -> Envelope:
        """Type, object and state; a transaction of a test is told apart by its state."""
        try:
            payload = parse_exact(body)
        except ValueError:
            payload = None
        status = word(at(payload, "data", "status"))
        kind = text(at(payload, "type"), 128)
        made = moment(at(payload, "data", "purchased_at"))
        key = (kind, mark(at(payload, "data", "id")), status)
        return platform.envelope(body, kind, made, *key, mode="test" if status == "test" else None)

    def parse(self, body: bytes) -> Any:
        """JSON with its decimals as printed."""
        return parse_exact(body)

    def interpret(self, payload: Any) -> Interpretation:
        """Say what an event means, without the time of its delivery."""
        return self.interpret_at(payload, received_at=platform.UNDATED)

    def interpret_at(self, payload: Any, *, received_at: datetime) -> Interpretation:
        """A transaction or a plan; supporters alone are no money."""
        kind, data = at(payload, "type"), at(payload, "data")
        if not isinstance(kind, str) or not isinstance(data, dict):
            return ignore("malformed")
        what, _, change = kind.partition(".")
        if change not in ("created", "updated"):
            return ignore("unknown_type")
        if what == "transaction":
            return _transaction(data, received_at)
        return _plan(data, received_at) if what == "recurring_donation_plan" else ignore("unknown_type")

    def sample(self, event_type: str, *, now: datetime, seed: str) -> dict[str, Any]:
        """A transaction or a plan."""
        return _sample(event_type, Seed(seed, now))

    def signed(self, payload: Any, account: Account, *, now: datetime) -> Delivery:
        """The delivery GoFundMe Pro would make."""
        return standard.sign(orjson.dumps(payload), account["secret"], now=now, scheme="svix")


def _amount(data: dict[str, Any]) -> Money | None:
    """What the donor paid, in the currency paid in; else in the campaign's."""
    raw = main_units(data.get("raw_total_gross_amount"), data.get("raw_currency_code"))
    return raw or main_units(data.get("total_gross_amount"), data.get("currency_code"))


def _transaction(data: dict[str, Any], received_at: datetime) -> Interpretation:
    """A transaction as it stands."""
    subject, status = mark(data.get("id")), word(data.get("status")) or ""
    state, amount = _STATES.get(status), _amount(data)
    if subject is None:
        return ignore("no_reference")
    if status == "incomplete":
        return ignore("abandoned")
    if state is None:
        return ignore("unknown_status")
    if amount is None:
        return ignore("bad_amount")
    if amount.amount == 0:
        return ignore("no_money")
    made = moment(data.get("purchased_at")) or moment(data.get("created_at")) or received_at
    told = platform.Told(
        subject=subject,
        state=state,
        amount=amount,
        at=made,
        received_at=received_at,
        fee=main_units(data.get("fees_amount"), data.get("currency_code")),
        refunded=amount if status == "refunded" else None,
        refunded_at=moment(data.get("refunded_at")),
        dispute=_DISPUTES.get(status),
    )
    covered = main_units(data.get("charged_fees_amount"), amount.currency)
    campaign = mark(data.get("campaign_id"))
    return Interpretation(
        PaymentOutcome(
            refs=(subject,),
            entries=platform.entries(told),
            occurred_at=made,
            creates=True,
            amount=amount,
            payer=_payer(data),
            method=platform.METHODS.get((word(data.get("payment_method")) or "").replace("-", "_"), "other"),
            plan_ref=mark(data.get("recurring_donation_plan_id")),
            donor_covered_fee=covered.amount if covered and covered.amount else None,
            is_anonymous=data.get("is_anonymous") is True,
            campaign_code=f"gofundme-{campaign}" if campaign else None,
        )
    )


def _payer(data: dict[str, Any]) -> Payer:
    return Payer(
        email=email(data.get("member_email_address")),
        name=platform.full_name(data, "billing_first_name", "billing_last_name", "member_name"),
        phone=text(data.get("member_phone"), 40),
        country=platform.country(data.get("billing_country")),
        city=text(data.get("billing_city"), 100),
        customer_ref=mark(data.get("supporter_id")),
        rank=RANK,
    )


def _plan(data: dict[str, Any], received_at: datetime) -> Interpretation:
    """A plan as it stands."""
    subject = mark(data.get("id"))
    if subject is None:
        return ignore("no_reference")
    status = _PLANS.get(word(data.get("status")) or "")
    amount = main_units(data.get("donation_amount"), data.get("currency_code"))
    unit, interval = _RHYTHMS.get(word(data.get("frequency")) or "", (None, None))
    changed = [moment(data.get(name)) for name in ("updated_at", "failed_at", "canceled_at", "ended_at")]
    stated_at = max((one for one in changed if one is not None), default=received_at)
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
            customer_ref=mark(data.get("supporter_id")),
            started_at=moment(data.get("started_at")),
            next_date=day(data.get("next_processing_date")) if whole and not over else None,
            ended_at=stated_at if over else None,
            whole=whole,
        )
    )


_SAMPLES = {
    "transaction.created": "success",
    "transaction.updated": "refunded",
    "recurring_donation_plan.created": "active",
    "recurring_donation_plan.updated": "failing",
}


def _sample(event_type: str, seed: Seed) -> dict[str, Any]:
    if event_type not in _SAMPLES:
        raise unknown(list(_SAMPLES))
    status, cents = _SAMPLES[event_type], seed.cents
    shared: dict[str, Any] = {
        "status": status,
        "currency_code": "USD",
        "supporter_id": seed.number("donor"),
        "campaign_id": seed.number("campaign"),
    }
    if event_type.startswith("recurring"):
        plan = {
            "id": seed.number("plan"),
            "donation_amount": cents / 100,
            "frequency": "monthly",
            "started_at": seed.at,
            "updated_at": seed.at,
            "next_processing_date": seed.at[:10],
        }
        return {"type": event_type, "data": {**plan, **shared}}
    data = {
        "id": seed.number("transaction"),
        "frequency": "one-time",
        "total_gross_amount": cents / 100,
        "fees_amount": 0.5,
        "member_email_address": seed.email,
        "billing_first_name": seed.given,
        "billing_last_name": seed.family,
        "billing_city": seed.city,
        "billing_country": seed.country,
        "is_anonymous": False,
        "recurring_donation_plan_id": None,
        "purchased_at": seed.at,
        "refunded_at": seed.at if status == "refunded" else None,
        "payment_method": "CC",
    }
    return {"type": event_type, "data": {**data, **shared}}
