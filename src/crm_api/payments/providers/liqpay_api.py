"""Asking LiqPay: one payment's state, and the archive of payments."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx

from crm_api.payments.abilities import ListedPage, Refused
from crm_api.payments.provider import Account, Interpretation
from crm_api.payments.providers import gateway
from crm_api.payments.providers.exact import word
from crm_api.payments.providers.gateway_api import answered
from crm_api.payments.providers.liqpay import request
from crm_api.payments.providers.reading import at, mapping, sequence

Interpret = Callable[[Any], Interpretation]
_ORDER = "order:"


async def fetch_payment(
    client: httpx.AsyncClient, account: Account, ref: str, interpret: Interpret
) -> list[Interpretation]:
    """The state of a payment; nothing where LiqPay has none, or where it only answers for our own question."""
    name = {"order_id": ref.removeprefix(_ORDER)} if ref.startswith(_ORDER) else {"payment_id": ref}
    if "payment_id" in name and not ref.isdecimal():
        return []
    said = interpret(await _ask(client, account, {"action": "status", **name}))
    return [said] if said.payment is not None or said.plan is not None else []


async def list_payments(
    client: httpx.AsyncClient, account: Account, since: datetime, until: datetime, interpret: Interpret
) -> ListedPage:
    """Every payment of a time span. The archive's own names of ids are understood beside those of deliveries."""
    span = {"date_from": int(since.timestamp() * 1000), "date_to": int(until.timestamp() * 1000)}
    found = await _ask(client, account, {"action": "reports", **span, "resp_format": "json"})
    if at(found, "data") is None:
        raise Refused(word(at(found, "err_code")) or word(at(found, "code")) or "no_data")
    items = []
    for row in sequence(at(found, "data")):
        known = mapping(row)
        aliases = {"payment_id": known.get("id"), "order_id": known.get("shop_order_id")}
        if (one := gateway.listed(interpret({**aliases, **known}))) is not None:
            items.append(one)
    return ListedPage(tuple(items), None)


async def _ask(client: httpx.AsyncClient, account: Account, question: dict[str, Any]) -> Any:
    """LiqPay's answer, which is 200 also where it is a no. Raises `httpx.HTTPError`."""
    document = {"version": 3, "public_key": account["public_key"], **question}
    response = await client.post("/api/request", data=request(document, account))
    found = answered(response)
    if not response.is_success:
        raise httpx.HTTPStatusError("refused", request=response.request, response=response)
    return found
