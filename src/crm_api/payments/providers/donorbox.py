"""Donorbox: donations and plans of its forms, in the shape of its API, in an array (webhooks v1).

A donation says at which processor its money went through (``stripe_charge_id``, ``paypal_transaction_id``): where that
account is connected here as well, both tell of one gift.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlencode

import orjson
from pydantic import BaseModel, ConfigDict, Field

from crm_api.payments.abilities import Listed, ListedPage, Refused
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
from crm_api.payments.providers.exact import day, main_units, mark, moment, parse_exact, word
from crm_api.payments.providers.reading import at, email, ident, ignore, mapping, text
from crm_api.payments.providers.seeds import Seed, unknown

if TYPE_CHECKING:
    import httpx

HEADER = "donorbox-signature"
OLDEST, AHEAD = timedelta(days=1), timedelta(minutes=5)
"""How old a signature may be. Donorbox names no tolerance, and not whether a repeat is signed anew."""
RANK = 35
"""Trust in what the donor typed into the form."""
_SIGNATURE = re.compile(r"([0-9]{1,12}),([0-9a-fA-F]{64})")
_STATES: dict[str, platform.State] = {
    **dict.fromkeys(("paid", "succeeded", "refunded", "partially_refunded"), "charge"),
    **dict.fromkeys(("pending", "processing", "unpaid"), "pending"),
    **dict.fromkeys(("failed", "declined"), "failed"),
    **dict.fromkeys(("canceled", "cancelled", "voided"), "canceled"),
}
_PLANS: dict[str, PlanStatus] = {
    "active": "active",
    "paused": "paused",
    "failed": "past_due",
    "past_due": "past_due",
    "canceled": "canceled",
    "cancelled": "canceled",
    "expired": "completed",
    "completed": "completed",
}
_RHYTHMS: dict[str, tuple[Literal["day", "week", "month", "year"], int]] = {
    "daily": ("day", 1),
    "weekly": ("week", 1),
    "biweekly": ("week", 2),
    "monthly": ("month", 1),
    "quarterly": ("month", 3),
    "semi_annual": ("month", 6),
    "annual": ("year", 1),
    "annually": ("year", 1),
    "yearly": ("year", 1),
}
_SIGNS = {"$": "USD", "€": "EUR", "£": "GBP", "₴": "UAH", "₾": "GEL", "zł": "PLN"}
_PAGE = 100


class DonorboxCredentials(BaseModel):
    """What a charity enters for its Donorbox account."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    secret: str = Field(min_length=1, pattern=r"^[!-~]+$", max_length=255, repr=False)
    """What Donorbox shows beside the webhook."""
    login: str | None = Field(default=None, pattern=r"^[!-9;-~]+$", max_length=255, repr=False)
    """E-mail of the account; with `api_key`, only needed for reconciliation."""
    api_key: str | None = Field(default=None, pattern=r"^[!-~]+$", max_length=255, repr=False)


class DonorboxProvider(BaseProvider):
    """Donorbox's words in ours."""

    name = "donorbox"
    credentials: type[BaseModel] = DonorboxCredentials
    secret: str | None = "secret"  # noqa: S105 - a name

    async def check(self, delivery: Delivery, accounts: Sequence[Account], *, now: datetime, outside: Outside) -> None:
        """HMAC-SHA256 over ``<unix>.<body>``, in hex behind the time it was made."""
        header = delivery.headers.get(HEADER, "").strip()
        if not header:
            raise SignatureInvalid("header_missing")
        found = _SIGNATURE.fullmatch(header)
        if found is None:
            raise SignatureInvalid("header_malformed")
        stamp, given = found.groups()
        fits = False
        for account in accounts:
            fits |= hmac.compare_digest(_digest(account["secret"], stamp, delivery.body), given.lower())
        if not fits:
            raise SignatureInvalid("signature_mismatch")
        if not -AHEAD.total_seconds() <= now.timestamp() - int(stamp) <= OLDEST.total_seconds():
            raise SignatureInvalid("timestamp_expired")

    def envelope(self, body: bytes) -> Envelope:
        """The donation, what happened to it, and what was given back of it."""
        try:
            items = _items(parse_exact(body))
        except ValueError:
            items = []
        item = items[0] if items else {}
        kind = "plan" if _is_plan(item) else "donation"
        action = word(item.get("action"))
        back = text(str(item.get("amount_refunded", "")), 20)
        at_ = moment(item.get("donation_date") or item.get("started_at"))
        key = (kind, mark(item.get("id")), action, back) if items else ()
        event_type = (f"{kind}.{action}" if action else kind) if items else None
        return platform.envelope(body, event_type, at_, *key, mode=None)

    def parse(self, body: bytes) -> Any:
        """JSON with its decimals as printed."""
        return parse_exact(body)

    def interpret(self, payload: Any) -> Interpretation:
        """Say what a delivery means, without its time."""
        return self.interpret_at(payload, received_at=platform.UNDATED)

    def interpret_at(self, payload: Any, *, received_at: datetime) -> Interpretation:
        """Every donation and plan of a delivery."""
        found = [_plan(one, received_at) if _is_plan(one) else _donation(one, received_at) for one in _items(payload)]
        if not found:
            return ignore("malformed")
        first, *others = found
        return replace(first, also=tuple(others))

    def lists(self, account: Account) -> bool:
        """With the credentials of the API."""
        return bool(account.get("login") and account.get("api_key"))

    async def list_payments(
        self, client: httpx.AsyncClient, account: Account, since: datetime, until: datetime, cursor: str | None
    ) -> ListedPage:
        """The account's donations. Needs `login` and `api_key`."""
        login, key = account.get("login"), account.get("api_key")
        if not (login and key):
            raise Refused("credentials_missing", "add login and api_key to the connection's credentials")
        page = int(cursor) if cursor and cursor.isdecimal() else 1
        query = {
            "date_from": since.date().isoformat(),
            "date_to": until.date().isoformat(),
            "order": "asc",
            "page": str(page),
            "per_page": str(_PAGE),
        }
        response = await client.get(f"/api/v1/donations?{urlencode(query)}", auth=(login, key))
        if response.status_code in (401, 403):
            raise Refused("credentials", "Donorbox does not accept login and api_key")
        response.raise_for_status()
        items = _items(_answer(response))
        said = [(_donation(one, until), one) for one in items if not _is_plan(one)]
        listed = [_listed(meaning, one) for meaning, one in said]
        inside = [one for one in listed if one is not None and since <= one.occurred_at < until]
        return ListedPage(tuple(inside), str(page + 1) if len(items) == _PAGE else None)

    def sample(self, event_type: str, *, now: datetime, seed: str) -> dict[str, Any]:
        """A donation, new or refunded, or a plan."""
        return _sample(event_type, Seed(seed, now))

    def signed(self, payload: Any, account: Account, *, now: datetime) -> Delivery:
        """The delivery Donorbox would make."""
        body, stamp = orjson.dumps(payload if isinstance(payload, list) else [payload]), str(int(now.timestamp()))
        digest = _digest(account["secret"], stamp, body)
        return Delivery(body, {"content-type": "application/json", HEADER: f"{stamp},{digest}"})


def _digest(secret: str, stamp: str, body: bytes) -> str:
    return hmac.new(secret.encode(), stamp.encode() + b"." + body, sha256).hexdigest()


def _answer(response: httpx.Response) -> Any:
    import httpx

    try:
        return parse_exact(response.content)
    except ValueError as error:
        raise httpx.DecodingError("Donorbox's answer is not JSON", request=response.request) from error


def _items(payload: Any) -> list[dict[str, Any]]:
    """What a delivery tells of: an array in version 1; one object alone is read, too."""
    found = payload if isinstance(payload, list) else [payload]
    return [one for one in found if isinstance(one, dict)]


def _is_plan(item: dict[str, Any]) -> bool:
    """Whether it is a plan: a donation has a date of its own."""
    return "donation_date" not in item and ("next_donation_date" in item or "last_donation_date" in item)


def _donation(item: dict[str, Any], received_at: datetime) -> Interpretation:
    """One donation as it stands."""
    subject, made = mark(item.get("id")), moment(item.get("donation_date"))
    currency = item.get("currency")
    amount, state = main_units(item.get("amount"), currency), _STATES.get(word(item.get("status")) or "")
    if subject is None or made is None:
        return ignore("no_reference")
    if state is None:
        return ignore("unknown_status")
    if amount is None:
        return ignore("bad_amount")
    if amount.amount == 0:
        return ignore("no_money")
    twins = _twins(item)
    told = platform.Told(
        subject=subject,
        state=state,
        amount=amount,
        at=made,
        received_at=received_at,
        fee=main_units(item.get("processing_fee"), currency),
        fee_ref=next((one.partition(":")[2] for one in twins if one.startswith("paypal:")), None),
        refunded=main_units(item.get("amount_refunded", "0"), currency),
    )
    if told.refunded is None:
        return ignore("bad_amount")
    campaign = mark(at(item, "campaign", "id"))
    return Interpretation(
        PaymentOutcome(
            refs=(subject, *twins),
            entries=platform.entries(told),
            occurred_at=made,
            creates=True,
            amount=amount,
            payer=_payer(item),
            method=platform.METHODS.get(word(item.get("donation_type")) or "", "other"),
            twins=twins,
            source=platform.source(item),
            is_anonymous=item.get("anonymous_donation") is True,
            campaign_code=f"donorbox-{campaign}" if campaign else None,
            fund_code=text(item.get("designation"), 64),
        )
    )


def _twins(item: dict[str, Any]) -> tuple[str, ...]:
    """The same money at its processor."""
    found = (("stripe", item.get("stripe_charge_id")), ("paypal", item.get("paypal_transaction_id")))
    return tuple(f"{provider}:{ref}" for provider, value in found if (ref := ident(value)) and ":" not in ref)


def _payer(item: dict[str, Any]) -> Payer:
    who = mapping(item.get("donor"))
    return Payer(
        email=email(who.get("email")),
        name=platform.full_name(who, "first_name", "last_name", "name"),
        phone=text(who.get("phone"), 40),
        country=platform.country(who.get("country") or item.get("country")),
        city=text(who.get("city") or item.get("city"), 100),
        customer_ref=mark(who.get("id")),
        rank=RANK,
    )


def _plan(item: dict[str, Any], received_at: datetime) -> Interpretation:
    """One plan as it stands. It does not say since when, so the newest delivery counts."""
    subject = mark(item.get("id"))
    if subject is None:
        return ignore("no_reference")
    status = _PLANS.get(word(item.get("status")) or "")
    amount = main_units(item.get("amount"), item.get("currency") or _printed_currency(item.get("formatted_amount")))
    unit, interval = _RHYTHMS.get(word(item.get("type")) or "", (None, None))
    last, started = moment(item.get("last_donation_date")), moment(item.get("started_at"))
    stated_at = max(moment_ for moment_ in (received_at, last, started) if moment_ is not None)
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
            customer_ref=mark(at(item, "donor", "id")),
            started_at=started,
            next_date=day(item.get("next_donation_date")) if whole and not over else None,
            ended_at=stated_at if over else None,
            whole=whole,
        )
    )


def _printed_currency(value: Any) -> str | None:
    """The currency by the sign before a printed amount: plans hold no code. Other signs stand for several."""
    found = text(value, 40) or ""
    return next((code for sign, code in _SIGNS.items() if found.startswith(sign)), None)


def _listed(said: Interpretation, item: dict[str, Any]) -> Listed | None:
    """A donation of the account's list."""
    outcome = said.payment
    if outcome is None or outcome.amount is None:
        return None
    state = outcome.entries[0].kind
    back = main_units(item.get("amount_refunded", "0"), outcome.amount.currency)
    refunded = min(back.amount if back else 0, outcome.amount.amount)
    fee = next((entry.amount for entry in outcome.entries if entry.kind == "fee"), None)
    status: Literal["pending", "succeeded", "failed", "canceled", "partially_refunded", "refunded"] = "succeeded"
    if state == "pending" or state == "failed" or state == "canceled":
        status = state
    elif refunded:
        status = "refunded" if refunded == outcome.amount.amount else "partially_refunded"
    return Listed(
        outcome.refs[0], outcome.occurred_at, status, outcome.amount, refunded=refunded, fee=fee, meanings=(said,)
    )


def _sample(event_type: str, seed: Seed) -> dict[str, Any]:
    known = {"donation.new": "0.0", "donation.update": seed.decimal}
    if event_type not in (*known, "plan"):
        raise unknown([*known, "plan"])
    donor = {
        "id": seed.number("donor"),
        "name": f"{seed.given} {seed.family}",
        "first_name": seed.given,
        "last_name": seed.family,
        "email": seed.email,
        "city": seed.city,
        "country": seed.country,
    }
    campaign = {"id": seed.number("campaign"), "name": "Winter"}
    if event_type == "plan":
        return {
            "id": seed.number("plan"),
            "campaign": campaign,
            "donor": donor,
            "type": "monthly",
            "amount": seed.decimal,
            "payment_method": "Stripe",
            "started_at": seed.at[:10],
            "last_donation_date": seed.at,
            "next_donation_date": seed.at[:10],
            "status": "active",
        }
    return {
        "action": event_type.partition(".")[2],
        "id": seed.number("donation"),
        "campaign": campaign,
        "donor": donor,
        "amount": seed.decimal,
        "currency": "USD",
        "recurring": False,
        "amount_refunded": known[event_type],
        "stripe_charge_id": f"ch_sim{seed.ref('charge', 20)}",
        "status": "paid",
        "donation_type": "stripe",
        "donation_date": seed.at,
        "anonymous_donation": False,
        "utm_source": "newsletter",
        "processing_fee": 0.59,
    }
