"""PayPal's REST API: what is looked up, captured, made and listed there, with one token remembered for each account."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import Any
from urllib.parse import quote

import httpx
import orjson

from crm_api.kit.clock import utc_now
from crm_api.payments.abilities import CheckoutLink, CheckoutOrder, Refused
from crm_api.payments.outside import OUTSIDE
from crm_api.payments.provider import Account, Interpretation
from crm_api.payments.providers.exact import parse_exact, word
from crm_api.payments.providers.paypal import plans
from crm_api.payments.providers.paypal.payers import old_payer, payer
from crm_api.payments.providers.paypal.payments import STATES, captures_of, with_payer
from crm_api.payments.providers.paypal.reading import Event, mark, order_of, paypal_id, printed
from crm_api.payments.providers.paypal.signature import Transmission
from crm_api.payments.providers.reading import at, mapping, sequence, text

Interpret = Callable[[Any], Interpretation]
_TOKEN_SECONDS, _RENEWED_AT_MOST = 1800.0, 10.0
"""A token lives for hours; nobody asks for another one more often than that."""
_LOCALE = re.compile(r"[a-z]{2}(-[A-Z][a-z]{3})?(-[A-Z]{2})?")
_CAPTURE = {
    "charge": "PAYMENT.CAPTURE.COMPLETED",
    "pending": "PAYMENT.CAPTURE.PENDING",
    "failed": "PAYMENT.CAPTURE.DENIED",
}
_SALE = {"charge": "PAYMENT.SALE.COMPLETED", "pending": "PAYMENT.SALE.PENDING", "failed": "PAYMENT.SALE.DENIED"}


class Denied(Exception):
    """PayPal does not accept the credentials."""


class PayPalApi:
    """One account's conversation with PayPal."""

    def __init__(self, client: httpx.AsyncClient, account: Account) -> None:
        self._client = client
        self._id, self._secret = account["client_id"], account["client_secret"]
        digest = sha256(f"{self._id}:{self._secret}".encode()).hexdigest()
        self.key = f"paypal:token:{client.base_url}:{digest}"
        """What is remembered of this account is remembered under this."""

    async def _token(self, *, anew: bool = False) -> str:
        async def fetch() -> str:
            response = await self._client.post(
                "/v1/oauth2/token", data={"grant_type": "client_credentials"}, auth=(self._id, self._secret)
            )
            _raise_trouble(response)
            token = at(_json(response), "access_token") if response.status_code == 200 else None
            if not isinstance(token, str):
                raise Denied
            return token

        seconds = 0.0 if anew else _TOKEN_SECONDS
        return await OUTSIDE.remembered(self.key, fetch, seconds=seconds, not_before=_RENEWED_AT_MOST if anew else 0.0)

    async def call(
        self, method: str, path: str, *, content: bytes | None = None, request_id: str | None = None
    ) -> tuple[int, dict[str, Any], datetime]:
        """Status, JSON object and PayPal's own time of an answer. Raises `httpx.HTTPError` on trouble worth a retry,
        `Denied` where the credentials are not good."""
        more = {"Prefer": "return=representation"} if content is not None else {}
        more |= {"PayPal-Request-Id": request_id} if request_id else {}
        for again in (False, True):
            token = await self._token(anew=again)
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", **more}
            response = await self._client.request(method, path, content=content, headers=headers)
            if response.status_code != 401:
                _raise_trouble(response)
                return response.status_code, mapping(_json(response)), _answered_at(response)
        raise Denied

    async def get(self, path: str) -> tuple[dict[str, Any], datetime]:
        """An object; an empty one where there is none for this account."""
        try:
            status, found, now = await self.call("GET", path)
        except Denied:
            return {}, utc_now()
        return (found if status == 200 else {}), now

    async def verify(self, transmission: Transmission, webhook_id: str, body: bytes) -> bool:
        """Ask PayPal whether a delivery is its own. The event goes there byte for byte: an encoder of ours would change
        it. It has to be one JSON object, else it could bring members of its own into the question."""
        try:
            if not isinstance(parse_exact(body), dict):
                return False
        except ValueError:
            return False
        asked = orjson.dumps(
            {
                "auth_algo": transmission.algorithm,
                "cert_url": transmission.cert_url,
                "transmission_id": transmission.id,
                "transmission_sig": transmission.signature,
                "transmission_time": transmission.time,
                "webhook_id": webhook_id,
            }
        )
        content = asked[:-1] + b',"webhook_event":' + body + b"}"
        status, found, _ = await self.call("POST", "/v1/notifications/verify-webhook-signature", content=content)
        return status == 200 and found.get("verification_status") == "SUCCESS"

    async def payment(self, ref: str, interpret: Interpret) -> list[Interpretation]:
        """Everything PayPal knows of the payment that an id names: a capture, a sale, or ``order:…``."""
        kind, _, name = ref.rpartition(":")
        if paypal_id(name) is None or kind not in ("", "order"):
            return []
        if kind == "order":
            return await self.order(name)
        capture, now = await self.get(f"/v2/payments/captures/{name}")
        if capture:
            order = order_of(capture)
            found = await self.order(order) if order else []
            return found or _as_event(_CAPTURE, capture.get("status"), capture, now, interpret)
        sale, now = await self.get(f"/v1/payments/sale/{name}")
        found = _as_event(_SALE, sale.get("state"), sale, now, interpret)
        agreement = paypal_id(sale.get("billing_agreement_id"))
        return [*found, *(await self.subscriber(name, agreement) if found and agreement else [])]

    async def order(self, order_id: str) -> list[Interpretation]:
        """The captures of an order, and who paid."""
        found, now = await self.get(f"/v2/checkout/orders/{order_id}")
        return captures_of(found, now)

    async def capture(self, order_id: str) -> list[Interpretation]:
        """Take the money of an approved order, once: the order's id is the request's. One already captured is read."""
        try:
            path = f"/v2/checkout/orders/{order_id}/capture"
            status, found, now = await self.call("POST", path, content=b"{}", request_id=f"capture-{order_id}")
        except Denied:
            return []
        return captures_of(found, now) if status in (200, 201) else await self.order(order_id)

    async def subscriber(self, sale: str, agreement: str) -> list[Interpretation]:
        """Who pays a plan, told of one of its charges, and the plan with its terms; of a plan of ours also the checkout
        that its first charge is of."""
        from crm_api.payments.providers.paypal.subscribing import first_of

        found, now = await self.get(f"/v1/billing/subscriptions/{agreement}?fields=plan")
        if not found:
            return []
        return [
            self._plan(found, now),
            with_payer(sale, payer(found.get("subscriber")), now, agreement, first_of(found)),
        ]

    async def plan(self, agreement: str) -> list[Interpretation]:
        """A plan with its terms, which events leave out."""
        found, now = await self.get(f"/v1/billing/subscriptions/{agreement}?fields=plan")
        return [self._plan(found, now)] if found else []

    @staticmethod
    def _plan(found: dict[str, Any], now: datetime) -> Interpretation:
        return plans.subscription(Event("BILLING.SUBSCRIPTION", found, now))

    async def old_payer(self, sale: str, payment: str) -> list[Interpretation]:
        """Who paid a single sale of the old kind."""
        found, now = await self.get(f"/v1/payments/payment/{quote(payment)}")
        return [with_payer(sale, old_payer(found.get("payer")), now)] if found else []

    async def checkout(self, order: CheckoutOrder) -> CheckoutLink:
        """Make an order and its page. The same order of ours gives the same one again."""
        amount = printed(order.amount)
        if amount is None:
            raise Refused("decimals", f"PayPal takes no such fraction of {order.amount.currency}; give whole units")
        wallet: dict[str, Any] = {"experience_context": page_of(order, "PAY_NOW")}
        if order.email:
            wallet["email_address"] = order.email
        body = {
            "intent": "CAPTURE",
            "purchase_units": [
                {
                    "amount": amount,
                    "custom_id": mark(order.id, order.metadata),
                    "invoice_id": str(order.id),
                    "description": order.description[:127],
                }
            ],
            "payment_source": {"paypal": wallet},
        }
        try:
            status, found, _ = await self.call(
                "POST", "/v2/checkout/orders", content=orjson.dumps(body), request_id=str(order.id)
            )
        except Denied:
            raise Refused("credentials", "PayPal does not accept client_id and client_secret") from None
        order_id = paypal_id(found.get("id"))
        links = {at(link, "rel"): at(link, "href") for link in sequence(found.get("links"))}
        url = text(links.get("payer-action") or links.get("approve"), 2000)
        if status not in (200, 201) or order_id is None or url is None:
            raise Refused(issue(found) or f"http_{status}")
        return CheckoutLink(url, (f"order:{order_id}",))


def page_of(order: CheckoutOrder, action: str) -> dict[str, Any]:
    """How PayPal's page is to be: where it leads back to, what its button says, the payer's language."""
    context: dict[str, Any] = {
        "return_url": order.success_url,
        "cancel_url": order.cancel_url,
        "user_action": action,
        "shipping_preference": "NO_SHIPPING",
    }
    if order.language and _LOCALE.fullmatch(order.language):
        context["locale"] = order.language
    return context


def issue(found: dict[str, Any]) -> str | None:
    """PayPal's own word for a refusal."""
    return word(at(next(iter(sequence(found.get("details"))), None), "issue")) or word(found.get("name"))


def _as_event(
    types: dict[str, str], status: Any, obj: dict[str, Any], now: datetime, interpret: Interpret
) -> list[Interpretation]:
    """An object that was looked up, as the event that PayPal would have sent for its state."""
    state = STATES.get(word(status) or "")
    if state is None:
        return []
    said = interpret({"event_type": types[state], "create_time": now.isoformat(), "resource": obj})
    return [said] if said.ignored is None else []


def _raise_trouble(response: httpx.Response) -> None:
    if response.status_code in (408, 429) or response.status_code >= 500:
        raise httpx.HTTPStatusError(
            f"PayPal answered {response.status_code}", request=response.request, response=response
        )


def _json(response: httpx.Response) -> Any:
    try:
        return parse_exact(response.content) if response.content else {}
    except ValueError as error:
        raise httpx.DecodingError("PayPal's answer is not JSON", request=response.request) from error


def _answered_at(response: httpx.Response) -> datetime:
    """PayPal's clock, from the ``Date`` header; ours when it is missing."""
    try:
        stated = parsedate_to_datetime(response.headers.get("date", ""))
    except ValueError:
        return utc_now().replace(microsecond=0)
    return stated.astimezone(UTC) if stated.tzinfo else stated.replace(tzinfo=UTC)
