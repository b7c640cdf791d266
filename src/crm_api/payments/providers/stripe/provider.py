"""Stripe as a `Provider`: the table of event types, and the parts put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field

from crm_api.payments.abilities import CheckoutLink, CheckoutOrder, ListedPage, ListedPayout, ListedPlans, Refused
from crm_api.payments.provider import Account, BaseProvider, Delivery, Envelope, FollowUp, Interpretation, Outside
from crm_api.payments.providers.reading import at, ident, ignore, instant, mapping, text
from crm_api.payments.providers.stripe import (
    charges,
    checkouts,
    intents,
    invoices,
    payouts,
    plans,
    reversals,
    samples,
    signature,
)
from crm_api.payments.providers.stripe.reading import Event, Handler

if TYPE_CHECKING:
    import httpx

HANDLERS: dict[str, Handler] = {
    **intents.HANDLERS,
    **charges.HANDLERS,
    **reversals.HANDLERS,
    **checkouts.HANDLERS,
    **invoices.HANDLERS,
    **plans.HANDLERS,
    **payouts.HANDLERS,
    "payment_intent.partially_funded": lambda event: ignore("partially_funded"),
}
"""Every event type that is understood. Whatever else comes is kept and changes nothing."""


class StripeCredentials(BaseModel):
    """What a charity enters for its Stripe account. The prefixes keep one kind of key from being pasted as another."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    webhook_secret: str = Field(pattern=r"^whsec_[!-~]+$", max_length=255, repr=False)
    """Signing secret of the webhook endpoint."""
    api_key: str | None = Field(default=None, pattern=r"^(sk|rk)_[A-Za-z0-9_]+$", max_length=255, repr=False)
    """Secret or (better) restricted key that may read payments; only needed to look up what a webhook left out."""


class StripeProvider(BaseProvider):
    """Stripe's words in ours. See the modules of this package for each kind of object."""

    name = "stripe"
    credentials: type[BaseModel] = StripeCredentials
    secret: str | None = "webhook_secret"  # noqa: S105 - a name

    async def check(self, delivery: Delivery, accounts: Sequence[Account], *, now: datetime, outside: Outside) -> None:
        """Check ``Stripe-Signature``; see `signature.verify`."""
        secrets = [one["webhook_secret"] for one in accounts]
        signature.verify(body=delivery.body, headers=delivery.headers, secrets=secrets, now=now)

    def verify(self, *, body: bytes, headers: Mapping[str, str], secrets: Sequence[str], now: datetime) -> None:
        """Check ``Stripe-Signature`` over the raw bytes; see `signature.verify`."""
        signature.verify(body=body, headers=headers, secrets=secrets, now=now)

    def envelope(self, body: bytes) -> Envelope:
        """Read the frame of a delivery. Without a usable id the digest of the bytes is the key."""
        try:
            payload = orjson.loads(body)
        except orjson.JSONDecodeError:
            payload = None
        live = at(payload, "livemode")
        return Envelope(
            event_id=ident(at(payload, "id")) or f"sha256:{sha256(body).hexdigest()}",
            event_type=text(at(payload, "type"), 128) or "unknown",
            mode=None if not isinstance(live, bool) else "live" if live else "test",
            occurred_at=_stated_at(at(payload, "created")),
        )

    def interpret(self, payload: Any) -> Interpretation:
        """Say what the event means. Thin (v2) events carry no object; they are notifications to fetch something."""
        if not isinstance(payload, dict):
            return ignore("malformed")
        if payload.get("object") == "v2.core.event":
            return ignore("thin_event")
        kind = payload.get("type")
        handler = HANDLERS.get(kind) if isinstance(kind, str) else None
        if handler is None or not isinstance(kind, str):
            return ignore("unknown_type")
        obj, moment = at(payload, "data", "object"), instant(payload.get("created"))
        if not isinstance(obj, dict) or moment is None:
            return ignore("malformed")
        return handler(Event(kind, obj, moment, mapping(at(payload, "data", "previous_attributes"))))

    def follow_ups(self, payload: Any) -> tuple[FollowUp, ...]:
        """What is in a payout that has arrived."""
        return payouts.follow_ups(payload)

    async def follow_up(self, client: httpx.AsyncClient, account: Account, step: FollowUp) -> list[Interpretation]:
        """Ask for a payout with its balance transactions; nothing without an API key."""
        from crm_api.payments.providers.stripe import fetch

        api_key = account.get("api_key")
        if not api_key or step.what != payouts.FOLLOW_UP:
            return []
        return await payouts.fetch_payout(fetch.StripeApi(client, api_key, self.interpret), step.ref)

    def fetches(self, account: Account) -> bool:
        """With an API key."""
        return bool(account.get("api_key"))

    async def fetch_payment(
        self, client: httpx.AsyncClient, credentials: Mapping[str, str], ref: str
    ) -> list[Interpretation]:
        """Ask Stripe's REST API for the payment that `ref` names; see `fetch`, which is imported when first needed: the
        HTTP client is no part of a process that answers requests."""
        from crm_api.payments.providers.stripe import fetch

        return await fetch.fetch_payment(client, credentials, ref, self.interpret)

    recurring = frozenset({"week", "month", "year"})
    """What its pages can start."""

    def offers(self, account: Account) -> bool:
        """With an API key that may write checkout sessions."""
        return bool(account.get("api_key"))

    async def create_checkout(self, client: httpx.AsyncClient, account: Account, order: CheckoutOrder) -> CheckoutLink:
        """Make a checkout session; see `pages`."""
        from crm_api.payments.providers.stripe import pages

        return await pages.create_checkout(client, account, order)

    def lists(self, account: Account) -> bool:
        """With an API key that may read charges."""
        return bool(account.get("api_key"))

    async def list_payments(
        self, client: httpx.AsyncClient, account: Account, since: datetime, until: datetime, cursor: str | None
    ) -> ListedPage:
        """Charges made in that time; see `listing`. What each means is told by `fetch_payment`."""
        from crm_api.payments.providers.stripe import fetch, listing

        api_key = account.get("api_key")
        if not api_key:
            raise Refused("api_key_missing", "add an api_key to the connection")
        return await listing.list_payments(fetch.StripeApi(client, api_key, self.interpret), since, until, cursor)

    async def list_plans(self, client: httpx.AsyncClient, account: Account, cursor: str | None) -> ListedPlans:
        """Subscriptions as they stand now; see `listing`."""
        from crm_api.payments.providers.stripe import fetch, listing

        api_key = account.get("api_key")
        if not api_key:
            raise Refused("api_key_missing", "add an api_key to the connection")
        return await listing.list_plans(fetch.StripeApi(client, api_key, self.interpret), cursor)

    async def list_payouts(
        self, client: httpx.AsyncClient, account: Account, since: datetime, until: datetime
    ) -> Sequence[ListedPayout]:
        """Payouts of that time; see `payouts`. What is in each is told by `follow_up`."""
        from crm_api.payments.providers.stripe import fetch

        api_key = account.get("api_key")
        if not api_key:
            return ()
        return await payouts.list_payouts(fetch.StripeApi(client, api_key, self.interpret), since, until)

    def sample(self, event_type: str, *, now: datetime, seed: str) -> dict[str, Any]:
        """A realistic event; all events of one seed are about one payment, donor and plan. See `samples`."""
        return samples.sample(event_type, now=now, seed=seed)

    def sign(self, body: bytes, *, secret: str, now: datetime) -> dict[str, str]:
        """The headers Stripe would send with `body`."""
        return signature.sign(body, secret=secret, now=now)

    def signed(self, payload: Any, account: Account, *, now: datetime) -> Delivery:
        """The delivery Stripe would make."""
        body = orjson.dumps(payload)
        return Delivery(body, self.sign(body, secret=account["webhook_secret"], now=now))


def _stated_at(value: Any) -> datetime | None:
    """The event's time: Unix seconds in classic events, ISO 8601 in thin ones."""
    if not isinstance(value, str):
        return instant(value)
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None
