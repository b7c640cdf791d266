"""PayPal as a `Provider`: the table of event types, and the parts put together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from crm_api.kit.http import overridden
from crm_api.payments.abilities import CheckoutLink, CheckoutOrder, ListedPage
from crm_api.payments.provider import (
    Account,
    BaseProvider,
    CannotSign,
    CheckUnavailable,
    Delivery,
    Envelope,
    FollowUp,
    Interpretation,
    Outside,
    SignatureInvalid,
)
from crm_api.payments.providers.exact import moment, parse_exact
from crm_api.payments.providers.paypal import payments, plans, samples, signature
from crm_api.payments.providers.paypal.reading import Event, Handler, order_of, ours, paypal_id, sandbox
from crm_api.payments.providers.reading import at, ident, ignore, sequence, text

if TYPE_CHECKING:
    import httpx

HANDLERS: dict[str, Handler] = {**payments.HANDLERS, **plans.HANDLERS}
"""Every event type that is understood. Whatever else comes is kept and changes nothing."""

Secret = Field(pattern=r"^[!-~]+$", max_length=255, repr=False)


class PayPalCredentials(BaseModel):
    """What a charity enters for one REST app of its PayPal account."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    client_id: str = Secret
    client_secret: str = Secret
    webhook_id: str = Field(pattern=r"^[A-Za-z0-9-]+$", max_length=64, repr=False)
    """The id that PayPal gave the webhook: its signatures are over it."""
    verification: Literal["local", "api"] | None = None
    """``local`` (the default) checks signatures here; ``api`` asks PayPal about each delivery."""


class PayPalProvider(BaseProvider):
    """PayPal's words in ours. See the modules of this package for each kind of object."""

    name = "paypal"
    credentials: type[BaseModel] = PayPalCredentials
    secret: str | None = "webhook_id"  # noqa: S105 - a name
    recurring = frozenset({"week", "month", "year"})
    """What its pages can start."""

    async def check(self, delivery: Delivery, accounts: Sequence[Account], *, now: datetime, outside: Outside) -> None:
        """Check the signature here, or let PayPal do it; never the one where the other fails."""
        transmission = signature.read(delivery.headers, now)
        if accounts[0].get("verification") == "api":
            fits = await self._asked(transmission, delivery.body, accounts, outside)
        else:
            fits = await self._checked(transmission, delivery.body, accounts, now, outside)
        if not fits:
            raise SignatureInvalid("signature_mismatch")

    @staticmethod
    async def _checked(
        transmission: signature.Transmission,
        body: bytes,
        accounts: Sequence[Account],
        now: datetime,
        outside: Outside,
    ) -> bool:
        from crm_api.payments.providers.paypal import certificates

        for account in accounts:
            message = transmission.signed_by(account["webhook_id"], body)
            if await certificates.check(transmission, message, now=now, outside=outside):
                return True
        return False

    @staticmethod
    async def _asked(
        transmission: signature.Transmission, body: bytes, accounts: Sequence[Account], outside: Outside
    ) -> bool:
        import httpx

        from crm_api.payments.providers.paypal.api import Denied, PayPalApi

        service = "paypal_sandbox" if transmission.sandbox and overridden("paypal") is None else "paypal"
        try:
            async with outside.client(service) as client:
                for account in accounts:
                    if await PayPalApi(client, account).verify(transmission, account["webhook_id"], body):
                        return True
        except (httpx.HTTPError, Denied) as error:
            raise CheckUnavailable from error
        return False

    def envelope(self, body: bytes) -> Envelope:
        """Read the frame of a delivery. Without a usable id the digest of the bytes is the key."""
        try:
            payload = parse_exact(body)
        except ValueError:
            payload = None
        of_sandbox = sandbox(payload)
        return Envelope(
            event_id=ident(at(payload, "id")) or f"sha256:{sha256(body).hexdigest()}",
            event_type=text(at(payload, "event_type"), 128) or "unknown",
            mode=None if of_sandbox is None else "test" if of_sandbox else "live",
            occurred_at=moment(at(payload, "create_time")),
        )

    def parse(self, body: bytes) -> Any:
        """JSON with its decimals as printed."""
        return parse_exact(body)

    def interpret(self, payload: Any) -> Interpretation:
        """Say what the event means."""
        kind = at(payload, "event_type")
        handler = HANDLERS.get(kind) if isinstance(kind, str) else None
        if handler is None:
            return ignore("unknown_type" if isinstance(payload, dict) else "malformed")
        obj, made = at(payload, "resource"), moment(at(payload, "create_time"))
        if not isinstance(obj, dict) or made is None:
            return ignore("malformed")
        return handler(Event(kind, obj, made))

    def follow_ups(self, payload: Any) -> tuple[FollowUp, ...]:
        """An approved order of our own is captured; who paid, and a plan's terms, are asked for: events leave them
        out."""
        kind, obj = at(payload, "event_type"), at(payload, "resource")
        subject = paypal_id(at(obj, "id"))
        if not isinstance(obj, dict) or subject is None:
            return ()
        match kind:
            case "CHECKOUT.ORDER.APPROVED":
                marks = [ours(at(unit, "custom_id")).checkout_id for unit in sequence(obj.get("purchase_units"))]
                return (FollowUp("capture", subject),) if any(marks) and obj.get("intent") == "CAPTURE" else ()
            case "PAYMENT.CAPTURE.COMPLETED" | "PAYMENT.CAPTURE.PENDING":
                order = order_of(obj)
                return (FollowUp("payer", order),) if order else ()
            case "PAYMENT.SALE.COMPLETED":
                agreement, single = paypal_id(obj.get("billing_agreement_id")), paypal_id(obj.get("parent_payment"))
                if agreement:
                    return (FollowUp("subscriber", f"{subject}/{agreement}"),)
                return (FollowUp("old_payer", f"{subject}/{single}"),) if single else ()
            case "BILLING.SUBSCRIPTION.ACTIVATED" | "BILLING.SUBSCRIPTION.UPDATED":
                return () if obj.get("plan") else (FollowUp("plan", subject),)
        return ()

    async def follow_up(self, client: httpx.AsyncClient, account: Account, step: FollowUp) -> list[Interpretation]:
        """Ask or do it."""
        from crm_api.payments.providers.paypal.api import PayPalApi

        api = PayPalApi(client, account)
        first, _, second = step.ref.partition("/")
        match step.what:
            case "capture":
                return await api.capture(first)
            case "payer":
                return await api.order(first)
            case "subscriber":
                return await api.subscriber(first, second)
            case "old_payer":
                return await api.old_payer(first, second)
            case "plan":
                return await api.plan(first)
        return []

    def fetches(self, account: Account) -> bool:
        """Always: the credentials are there."""
        return True

    async def fetch_payment(self, client: httpx.AsyncClient, credentials: Account, ref: str) -> list[Interpretation]:
        """Ask PayPal for the capture, sale or order that `ref` names."""
        from crm_api.payments.providers.paypal.api import PayPalApi

        return await PayPalApi(client, credentials).payment(ref, self.interpret)

    async def create_checkout(self, client: httpx.AsyncClient, account: Account, order: CheckoutOrder) -> CheckoutLink:
        """An order of PayPal's, with its page. It is captured when PayPal says that the payer has approved it. A
        regular gift is a subscription, which PayPal charges itself; see `subscribing`."""
        from crm_api.payments.providers.paypal.api import PayPalApi

        if order.every:
            from crm_api.payments.providers.paypal import subscribing

            return await subscribing.subscribe(PayPalApi(client, account), order)
        return await PayPalApi(client, account).checkout(order)

    async def list_payments(
        self, client: httpx.AsyncClient, account: Account, since: datetime, until: datetime, cursor: str | None
    ) -> ListedPage:
        """What PayPal's transaction search has."""
        from crm_api.payments.providers.paypal import listing
        from crm_api.payments.providers.paypal.api import PayPalApi

        return await listing.list_payments(PayPalApi(client, account), self.interpret, since, until, cursor)

    def sample(self, event_type: str, *, now: datetime, seed: str) -> dict[str, Any]:
        """A realistic event; all events of one seed are about one payment, donor and plan. See `samples`."""
        return samples.sample(event_type, now=now, seed=seed)

    def signed(self, payload: Any, account: Account, *, now: datetime) -> Delivery:
        """Only PayPal has the key to its certificate."""
        raise CannotSign(
            "PayPal signs with a key of its own, so its events cannot be made up here. Connect a sandbox app and pay "
            "there, or try the rest with `crm-api simulate generic payment.succeeded`."
        )
