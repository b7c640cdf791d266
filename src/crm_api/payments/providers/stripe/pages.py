"""Making hosted pages: Checkout Sessions, in mode ``payment`` for a single gift and ``subscription`` for a plan.

The session carries our id in ``client_reference_id`` and in its metadata; the payment intent of a single gift carries
it too, so that an intent's event finds the gift before the session's own has come. A subscription must not: its
metadata come back with every later invoice, and each of those is a gift of its own. Only the invoice that begins it is
read as the checkout's (see `invoices`), so it has our id under a name of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from crm_api.kit.clock import from_unix
from crm_api.payments.abilities import CheckoutLink, CheckoutOrder, Refused
from crm_api.payments.provider import Account
from crm_api.payments.providers.reading import at, code, instant, text, unix
from crm_api.payments.providers.stripe.amounts import stripe_amount
from crm_api.payments.providers.stripe.intents import payment_refs
from crm_api.payments.providers.stripe.payers import CHECKOUT_ID

API_VERSION = "2025-03-31.basil"
SHORTEST, LONGEST = 1_800, 86_400
"""Seconds that Stripe keeps a page open: half an hour to a day after it was made."""
_KNOWN = (
    "bg cs da de el en en-GB es es-419 et fi fil fr fr-CA hr hu id it ja ko lt lv ms mt nb nl pl pt pt-BR ro ru sk sl "
    "sv th tr vi zh zh-HK zh-TW"
)
_LOCALES = frozenset(_KNOWN.split())
"""Languages of Stripe's page; for others it takes the browser's."""
_RETRYABLE = (409, 429)


def _fields(order: CheckoutOrder) -> dict[str, str]:
    """The session as Stripe's form has it. The same order gives the same fields, or Stripe would refuse its key."""
    price = "line_items[0][price_data]"
    fields = {
        "mode": "subscription" if order.every else "payment",
        "client_reference_id": str(order.id),
        "success_url": order.success_url,
        "cancel_url": order.cancel_url,
        "line_items[0][quantity]": "1",
        f"{price}[currency]": order.amount.currency.lower(),
        f"{price}[unit_amount]": str(stripe_amount(order.amount)),
        f"{price}[product_data][name]": order.description,
        "locale": order.language if order.language in _LOCALES else "auto",
    }
    if order.email:
        fields["customer_email"] = order.email
    if order.expires_at is not None:
        fields["expires_at"] = str(unix(order.expires_at))
    fields |= dict(_tags("metadata", {**order.metadata, "crm_gift_id": str(order.id)}))
    if order.every:
        fields[f"{price}[recurring][interval]"] = order.every
        fields |= dict(_tags("subscription_data[metadata]", {**order.metadata, CHECKOUT_ID: str(order.id)}))
    else:
        fields["submit_type"] = "donate"
        tags = {**order.metadata, "crm_gift_id": str(order.id)}
        fields |= dict(_tags("payment_intent_data[metadata]", tags))
    return fields


def _tags(name: str, values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for key, value in sorted(values.items()):
        yield f"{name}[{key}]", value


async def create_checkout(client: httpx.AsyncClient, account: Account, order: CheckoutOrder) -> CheckoutLink:
    """Make a session; the order's id is the idempotency key. `Refused` when Stripe says no for good."""
    api_key = account.get("api_key")
    if not api_key:
        raise Refused("api_key_missing", "add an api_key to the connection")
    headers = {"Authorization": f"Bearer {api_key}", "Stripe-Version": API_VERSION, "Idempotency-Key": str(order.id)}
    response = await client.post("/v1/checkout/sessions", data=_fields(order), headers=headers)
    answer = _read(response)
    url = text(at(answer, "url"), 4000)
    refs = payment_refs(answer, answer.get("payment_intent"))
    if url is None or not refs:
        raise httpx.DecodingError("Stripe's answer holds no page", request=response.request)
    ends = instant(answer.get("expires_at"))
    return CheckoutLink(url, refs, ends or (from_unix(unix(order.expires_at)) if order.expires_at else None))


def _read(response: httpx.Response) -> dict[str, Any]:
    """The object Stripe answers with. Trouble worth a retry is raised as httpx has it, a final no as `Refused`."""
    try:
        answer = response.json()
    except (ValueError, RecursionError) as error:
        raise httpx.DecodingError("Stripe's answer is not JSON", request=response.request) from error
    if response.status_code == 200 and isinstance(answer, dict):
        return answer
    advice = response.headers.get("stripe-should-retry")
    retry = advice == "true" or (advice != "false" and response.status_code in _RETRYABLE)
    if retry or response.status_code >= 500:
        said = f"Stripe answered {response.status_code}"
        raise httpx.HTTPStatusError(said, request=response.request, response=response)
    raise Refused(code(at(answer, "error", "code")) or code(at(answer, "error", "type")) or str(response.status_code))
