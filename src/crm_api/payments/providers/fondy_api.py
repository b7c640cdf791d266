"""Asking Fondy: pages to pay on, and how an order stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from crm_api.kit.clock import utc_now
from crm_api.payments.abilities import CheckoutLink, CheckoutOrder, Refused
from crm_api.payments.provider import Account, Interpretation
from crm_api.payments.providers import gateway
from crm_api.payments.providers.fondy import signature
from crm_api.payments.providers.gateway import label
from crm_api.payments.providers.gateway_api import answered
from crm_api.payments.providers.reading import at, mapping

Interpret = Callable[[Any], Interpretation]
_VERSION = "1.0.1"
_LANGUAGES = ("uk", "en", "ru", "de", "es", "pl", "fr", "it", "cs", "sk", "ro", "lv", "hu", "ko")


async def fetch_payment(
    client: httpx.AsyncClient, account: Account, ref: str, interpret: Interpret
) -> list[Interpretation]:
    """An order by the id that we gave it; Fondy does not look one up by its own."""
    if ref.startswith("payment:"):
        return []
    said = interpret(await _ask(client, account, "/api/status/order_id", {"order_id": ref}))
    return [said] if said.payment is not None else []


async def create_checkout(client: httpx.AsyncClient, account: Account, order: CheckoutOrder) -> CheckoutLink:
    """Make a page."""
    question = {
        "order_id": str(order.id),
        "order_desc": order.description,
        "amount": str(order.amount.amount),
        "currency": order.amount.currency,
        "response_url": order.success_url,
        "server_callback_url": order.webhook_url,
        "lang": order.language if order.language in _LANGUAGES else "en",
        "merchant_data": gateway.carrying(order.metadata),
    }
    if order.email:
        question["sender_email"] = order.email
    if order.expires_at is not None:
        question["lifetime"] = str(max(int((order.expires_at - utc_now()).total_seconds()), 60))
    found = await _ask(client, account, "/api/checkout/url/", question)
    url, payment = found.get("checkout_url"), label(found.get("payment_id"))
    if not isinstance(url, str) or not url.startswith(("https://", "http://")):
        raise Refused(label(found.get("error_code")) or "no_page")
    refs = (str(order.id), f"payment:{payment}") if payment else (str(order.id),)
    return CheckoutLink(url=url, refs=refs, expires_at=order.expires_at)


async def _ask(client: httpx.AsyncClient, account: Account, path: str, question: dict[str, str]) -> dict[str, Any]:
    """Fondy's answer, which is 200 also where it is a no. Raises `httpx.HTTPError`."""
    said = {**question, "merchant_id": account["merchant_id"], "version": _VERSION}
    said["signature"] = signature(said, account["secret_key"])
    response = await client.post(path, json={"request": said})
    found = answered(response)
    if not response.is_success:
        raise httpx.HTTPStatusError("refused", request=response.request, response=response)
    return mapping(at(found, "response"))
