"""Asking WayForPay: pages to pay on, the state of payments and of regular payments, the list of transactions."""

from __future__ import annotations

import calendar
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any, Literal

import httpx

from crm_api.kit.clock import from_unix, utc_now
from crm_api.kit.http import base_url
from crm_api.payments.abilities import CheckoutLink, CheckoutOrder, ListedPage, Refused
from crm_api.payments.provider import Account, Interpretation, PlanOutcome, PlanStatus
from crm_api.payments.providers import gateway
from crm_api.payments.providers.exact import word
from crm_api.payments.providers.gateway import from_main, iso, label, seconds
from crm_api.payments.providers.gateway_api import answered
from crm_api.payments.providers.reading import at, mapping, sequence
from crm_api.payments.providers.wayforpay import base_of, sign

Interpret = Callable[[Any], Interpretation]
_WINDOW = timedelta(days=31)
_LANGUAGES = {"uk": "UA", "en": "EN", "ru": "RU", "de": "DE", "es": "ES", "pl": "PL", "fr": "FR", "it": "IT"}
_STATES: dict[str, PlanStatus] = {
    "active": "active",
    "suspended": "paused",
    "created": "pending",
    "confirmed": "pending",
    "removed": "canceled",
    "completed": "completed",
}
_MODES: dict[str, tuple[Literal["day", "week", "month", "year"], int]] = {
    "daily": ("day", 1), "weekly": ("week", 1), "monthly": ("month", 1), "bimonthly": ("month", 2),
    "quarterly": ("month", 3), "halfyearly": ("month", 6), "yearly": ("year", 1),
}  # fmt: skip
_MONTHS = {"month": 1, "year": 12}
_TAKES = ("purchase", "charge", "settle", "auth", "sale")
"""Kinds of transactions that are payments; a refund also changes the status of its payment's own row."""


async def create_checkout(client: httpx.AsyncClient, account: Account, order: CheckoutOrder) -> CheckoutLink:
    """Make a page. `orderReference` comes back with every event: our id, and how often it is to be charged."""
    if not account.get("merchant_domain"):
        raise Refused(
            "merchant_domain_missing", "Add merchant_domain to the connection: payment pages are made for it."
        )
    page = _page(account, order)
    response = await client.post(f"{base_url('wayforpay_pay')}/pay", params={"behavior": "offline"}, data=page)
    found = answered(response)
    url = at(found, "url")
    if not response.is_success or not isinstance(url, str) or not url.startswith(("https://", "http://")):
        raise Refused(label(at(found, "reasonCode")) or f"http_{response.status_code}")
    return CheckoutLink(url=url, refs=(page["orderReference"],), expires_at=order.expires_at)


def _page(account: Account, order: CheckoutOrder) -> dict[str, str]:
    """The form of a purchase, signed."""
    made = gateway.made_at(order.id, utc_now())
    amount = gateway.in_main_units(order.amount)
    signed = {
        "merchantAccount": account["merchant_account"],
        "merchantDomainName": account["merchant_domain"],
        "orderReference": f"{order.id}-{order.every}ly" if order.every else str(order.id),
        "orderDate": str(int(made.timestamp())),
        "amount": amount,
        "currency": order.amount.currency,
        "productName[]": order.description,
        "productCount[]": "1",
        "productPrice[]": amount,
    }
    page = {
        **signed,
        "merchantSignature": sign(account["secret_key"], list(signed.values())),
        "merchantAuthType": "SimpleSignature",
        "merchantTransactionSecureType": "AUTO",
        "apiVersion": "1",
        "returnUrl": order.success_url,
        "serviceUrl": order.webhook_url,
        "language": _LANGUAGES.get((order.language or "")[:2], "AUTO"),
    }
    if order.email:
        page["clientEmail"] = order.email
    if order.expires_at is not None:
        page["orderLifetime"] = str(max(int((order.expires_at - made).total_seconds()), 60))
    if order.every:
        next_day = _next(made.date(), order.every)
        page |= {"regularMode": f"{order.every}ly", "regularOn": "1", "regularBehavior": "preset"}
        page |= {"regularAmount": amount, "dateNext": f"{next_day:%d.%m.%Y}"}
    return page


def _next(day: date, every: str) -> date:
    """The day of the second charge."""
    if every == "week":
        return day + timedelta(days=7)
    months = day.year * 12 + day.month - 1 + _MONTHS[every]
    year, month = months // 12, months % 12 + 1
    return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


async def fetch_payment(
    client: httpx.AsyncClient, account: Account, ref: str, interpret: Interpret
) -> list[Interpretation]:
    """The payment as it stands, then its plan."""
    question = {"transactionType": "CHECK_STATUS", "orderReference": ref}
    said = interpret(await _ask(client, account, question, [account["merchant_account"], ref]))
    found = [said] if said.payment is not None else []
    base = base_of(ref)
    if base and account.get("merchant_password") and (plan := await fetch_plan(client, account, base)) is not None:
        found.append(Interpretation(plan=plan))
    return found


async def fetch_plan(client: httpx.AsyncClient, account: Account, ref: str) -> PlanOutcome | None:
    """A regular payment as it stands; nothing where WayForPay has none."""
    question = {
        "requestType": "STATUS",
        "merchantAccount": account["merchant_account"],
        "merchantPassword": account["merchant_password"],
        "orderReference": ref,
    }
    said = mapping(answered(await client.post("/regularApi", json=question)))
    status = _STATES.get(word(said.get("status")) or "")
    if status is None:
        return None
    unit, interval = _MODES.get(word(said.get("mode")) or "", (None, None))
    amount, following = from_main(said.get("amount"), iso(said.get("currency"))), seconds(said.get("nextPaymentDate"))
    now = utc_now().replace(microsecond=0)
    return PlanOutcome(
        ref,
        status,
        now,
        amount=amount,
        frequency_unit=unit,
        frequency_interval=interval,
        started_at=seconds(said.get("dateBegin")),
        next_date=following.date() if following and status == "active" else None,
        ended_at=now if status in ("canceled", "completed") else None,
        whole=amount is not None and unit is not None,
    )


async def list_payments(
    client: httpx.AsyncClient,
    account: Account,
    since: datetime,
    until: datetime,
    cursor: str | None,
    interpret: Interpret,
) -> ListedPage:
    """One month of transactions; the cursor is where the next begins."""
    begin = from_unix(int(cursor)) if cursor else since
    end = min(begin + _WINDOW, until)
    span = [str(int(begin.timestamp())), str(int(end.timestamp()))]
    question = {"transactionType": "TRANSACTION_LIST", "dateBegin": int(span[0]), "dateEnd": int(span[1])}
    found = await _ask(client, account, question, [account["merchant_account"], *span])
    if at(found, "transactionList") is None:
        raise Refused(label(at(found, "reasonCode")) or "no_list")
    items = []
    for row in sequence(at(found, "transactionList")):
        takes = (word(at(row, "transactionType")) or "purchase") in _TAKES
        if takes and (one := gateway.listed(interpret(row))) is not None:
            items.append(one)
    return ListedPage(tuple(items), str(int(end.timestamp())) if end < until else None)


async def _ask(client: httpx.AsyncClient, account: Account, question: dict[str, Any], signed: list[str]) -> Any:
    """WayForPay's answer, which is 200 also where it is a no. Raises `httpx.HTTPError`."""
    signature = sign(account["secret_key"], signed)
    body = {**question, "merchantAccount": account["merchant_account"], "merchantSignature": signature, "apiVersion": 1}
    response = await client.post("/api", json=body)
    found = answered(response)
    if not response.is_success:
        raise httpx.HTTPStatusError("refused", request=response.request, response=response)
    return found
