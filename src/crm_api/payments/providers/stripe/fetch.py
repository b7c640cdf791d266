"""Asking Stripe for a payment that we only heard of. What is fetched is wrapped as an event and read as any other."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from crm_api.kit.clock import utc_now
from crm_api.payments.provider import Interpretation
from crm_api.payments.providers.reading import at, ident, instant, mapping, sequence, unix

API_VERSION = "2025-03-31.basil"
"""Asked for explicitly: the first version that can list the payments of an invoice, whatever the account is set to."""

_REF = re.compile(r"(pi|ch|py|in|cs)_[A-Za-z0-9_]{1,120}")
_RETRYABLE = (409, 429)

Interpret = Callable[[Any], Interpretation]


class StripeApi:
    """Reads single objects with one API key. It never writes."""

    def __init__(self, client: httpx.AsyncClient, api_key: str, interpret: Interpret) -> None:
        self._client = client
        self._headers = {"Authorization": f"Bearer {api_key}", "Stripe-Version": API_VERSION}
        self._interpret = interpret

    async def payment(self, ref: str) -> list[Interpretation]:
        """Everything Stripe knows of the payment, what creates it first. A ref with other characters than Stripe's is
        not asked for: it would become part of the address."""
        if not _REF.fullmatch(ref):
            return []
        match ref.partition("_")[0]:
            case "pi":
                found = await self._intent(ref)
            case "in":
                found = await self._invoice(ref)
            case "cs":
                found = await self._session(ref)
            case _:
                found = await self._charge(ref)
        return [meaning for meaning in found if meaning.ignored is None]

    async def _intent(self, ref: str) -> list[Interpretation]:
        """The intent and its newest charge, after the invoice it pays, if it pays one."""
        obj, now = await self.read(f"/v1/payment_intents/{ref}", ("expand[]", "latest_charge.balance_transaction"))
        if obj is None:
            return []
        found = await self._invoice_of(ref)
        charge = mapping(obj.get("latest_charge"))
        kind = _intent_event(obj)
        if kind == "payment_intent.succeeded":
            found.append(self._read(kind, obj, _made(charge) or _made(obj) or now))
        elif kind is not None:
            found.append(self._read(kind, obj, now))
        if charge:
            found += [self._read_charge(charge, now), *await self._after(charge)]
        return found

    async def _charge(self, ref: str) -> list[Interpretation]:
        """The charge, after the invoice it pays, if it pays one."""
        obj, now = await self.read(f"/v1/charges/{ref}", ("expand[]", "balance_transaction"))
        if obj is None:
            return []
        intent = ident(obj.get("payment_intent"))
        found = await self._invoice_of(intent) if intent and _REF.fullmatch(intent) else []
        return [*found, self._read_charge(obj, now), *await self._after(obj)]

    async def _invoice(self, ref: str) -> list[Interpretation]:
        """The invoice, if it was paid: an open one may be trying right now, and its events will tell."""
        obj, now = await self.read(f"/v1/invoices/{ref}", ("expand[]", "payments"))
        if obj is None or obj.get("status") != "paid":
            return []
        return [self._read("invoice.paid", obj, _made(obj) or now)]

    async def _invoice_of(self, intent: str) -> list[Interpretation]:
        """The paid invoice behind an intent and the statement that the two are one."""
        listed, now = await self.read(
            "/v1/invoice_payments", ("payment[type]", "payment_intent"), ("payment[payment_intent]", intent)
        )
        for item in sequence(at(listed, "data")):
            invoice = ident(at(item, "invoice"))
            if invoice and _REF.fullmatch(invoice) and at(item, "status") == "paid":
                return [*await self._invoice(invoice), self._read("invoice_payment.paid", item, _made(item) or now)]
        return []

    async def _after(self, charge: dict[str, Any]) -> list[Interpretation]:
        """How the refunds and disputes of a charge stand. A refund that failed in the end shows nowhere else."""
        name = ident(charge)
        if name is None or charge.get("status") != "succeeded":
            return []
        found = await self._all_of("/v1/refunds", "refund.updated", name)
        if charge.get("disputed") is True:
            found += await self._all_of("/v1/disputes", "charge.dispute.updated", name)
        return found

    async def _all_of(self, path: str, kind: str, charge: str) -> list[Interpretation]:
        listed, now = await self.read(path, ("charge", charge), ("limit", "100"))
        known = [item for item in sequence(at(listed, "data")) if isinstance(item, dict)]
        return [self._read(kind, item, now) for item in known]

    async def _session(self, ref: str) -> list[Interpretation]:
        """The checkout session, if it was completed; else nobody has tried to pay with it."""
        obj, now = await self.read(f"/v1/checkout/sessions/{ref}")
        if obj is None or obj.get("status") != "complete":
            return []
        return [self._read("checkout.session.completed", obj, _made(obj) or now)]

    def _read_charge(self, obj: dict[str, Any], now: datetime) -> Interpretation:
        """A charge as of now: its refund total counts even when it is zero. An attempt that failed keeps its own time,
        so that it does not outdate a newer attempt."""
        status = obj.get("status")
        if status == "succeeded":
            return self._read("charge.updated", obj, now, {"amount_refunded": None})
        return self._read(f"charge.{status}", obj, _made(obj) or now)

    def _read(
        self, kind: str, obj: dict[str, Any], moment: datetime, previous: dict[str, Any] | None = None
    ) -> Interpretation:
        """The object as the event that Stripe would have sent for its state."""
        data = {"object": obj, "previous_attributes": previous or {}}
        return self._interpret({"object": "event", "type": kind, "created": unix(moment), "data": data})

    async def read(self, path: str, *params: tuple[str, str]) -> tuple[dict[str, Any] | None, datetime]:
        """An object and Stripe's own time of the answer; no object where there is none for this key.

        Raises `httpx.HTTPError` when it is worth asking again: Stripe says so in ``stripe-should-retry``, and where it
        does not, conflicts, throttling and its own errors are.
        """
        response = await self._client.get(path, params=httpx.QueryParams(params), headers=self._headers)
        now = _answered_at(response)
        if response.status_code == 200:
            try:
                return mapping(response.json()) or None, now
            except (ValueError, RecursionError) as error:
                raise httpx.DecodingError("Stripe's answer is not JSON", request=response.request) from error
        if _worth_a_retry(response):
            raise httpx.HTTPStatusError(
                f"Stripe answered {response.status_code}", request=response.request, response=response
            )
        return None, now


def _worth_a_retry(response: httpx.Response) -> bool:
    """Whether asking again may help."""
    advice = response.headers.get("stripe-should-retry")
    if advice in ("true", "false"):
        return bool(advice == "true")
    return response.status_code in _RETRYABLE or response.status_code >= 500


def _answered_at(response: httpx.Response) -> datetime:
    """Stripe's clock, from the ``Date`` header; ours when it is missing."""
    try:
        stated = parsedate_to_datetime(response.headers.get("date", ""))
    except ValueError:
        return utc_now()
    return stated if stated.tzinfo else stated.replace(tzinfo=UTC)


def _made(obj: dict[str, Any]) -> datetime | None:
    """When the object was made."""
    return instant(obj.get("created"))


def _intent_event(obj: dict[str, Any]) -> str | None:
    """The event that tells an intent's state; none while nobody has tried to pay."""
    status = obj.get("status")
    if status in ("succeeded", "canceled", "processing"):
        return f"payment_intent.{status}"
    if status == "requires_payment_method":
        return "payment_intent.payment_failed" if obj.get("last_payment_error") else None
    return "payment_intent.processing" if status in ("requires_action", "requires_capture") else None


async def fetch_payment(
    client: httpx.AsyncClient, credentials: Mapping[str, str], ref: str, interpret: Interpret
) -> list[Interpretation]:
    """What Stripe knows of the payment `ref`; nothing without an API key."""
    api_key = credentials.get("api_key")
    return await StripeApi(client, api_key, interpret).payment(ref) if api_key else []
