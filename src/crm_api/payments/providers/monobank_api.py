"""Asking Monobank's acquiring API: the key it signs with, invoices, the statement, charges of saved cards."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from crm_api.kit.clock import from_unix, utc_now
from crm_api.payments.abilities import (
    ChargeResult,
    CheckoutLink,
    CheckoutOrder,
    DeclineClass,
    Listed,
    ListedPage,
    OutcomeUnknown,
    Refused,
    TokenCharge,
)
from crm_api.payments.provider import Account, Interpretation, PaymentOutcome
from crm_api.payments.providers import gateway
from crm_api.payments.providers.exact import moment as instant
from crm_api.payments.providers.exact import word
from crm_api.payments.providers.gateway import label, whole
from crm_api.payments.providers.gateway_api import answered, content, once
from crm_api.payments.providers.monobank_currencies import NUMBERS, by_number
from crm_api.payments.providers.reading import at, mapping, sequence

Interpret = Callable[[Any], Interpretation]
_WINDOW = timedelta(days=31)
_LONGEST_PURPOSE = 280
_LEAST_VALIDITY, _MOST_VALIDITY = 60, 30 * 86_400

_DECLINES: dict[DeclineClass, tuple[str, ...]] = {
    "insufficient_funds": ("59", "60", "61", "63"),
    "expired_card": ("51", "1080", "1419"),
    "lost_or_stolen": ("40", "41"),
    "do_not_honor": ("6", "50", "56", "57", "58", "62", "68", "71", "72", "83", "1036", "1406", "1407", "1408", "1428"),
    "authentication": ("80", "81", "84", "1034", "1054", "1421", "1422", "1429", "1458", "8004"),
    "technical": ("54", "55", "67", "73", "74", "75", "98", "1000", "1005", "1044", "1045", "1053", "1115", "8003"),
}
"""The bank's codes by class. That 59 is a lack of money was seen in deliveries; the others are from public copies of
the bank's table, to be checked on a live account."""
_CLASSES = {number: name for name, numbers in _DECLINES.items() for number in numbers}


def decline_class(number: Any) -> DeclineClass:
    """What a dunning policy can go by."""
    return _CLASSES.get(str(number), "unknown")


async def public_key(client: httpx.AsyncClient, account: Account) -> str:
    """The key that the bank signs this merchant's deliveries with. Raises `httpx.HTTPError` when it cannot be had."""
    response = await client.get("/api/merchant/pubkey", headers=_auth(account))
    key = at(answered(response), "key")
    if not response.is_success or not isinstance(key, str) or not key:
        raise httpx.HTTPStatusError("no key", request=response.request, response=response)
    return key


async def fetch_payment(
    client: httpx.AsyncClient, account: Account, ref: str, interpret: Interpret
) -> list[Interpretation]:
    """The invoice as it stands, if there is one."""
    said = interpret(await _invoice(client, account, ref))
    return [said] if said.payment is not None else []


async def create_checkout(client: httpx.AsyncClient, account: Account, order: CheckoutOrder) -> CheckoutLink:
    """Make an invoice. `metadata["wallet_id"]` asks the bank to keep the card under that name, for later charges."""
    body: dict[str, Any] = {
        "amount": order.amount.amount,
        "ccy": NUMBERS[order.amount.currency],
        "merchantPaymInfo": {"reference": str(order.id), "destination": order.description[:_LONGEST_PURPOSE]},
        "redirectUrl": order.success_url,
        "webHookUrl": order.webhook_url,
        "paymentType": "debit",
    }
    if order.expires_at is not None:
        left = int((order.expires_at - utc_now()).total_seconds())
        body["validity"] = min(max(left, _LEAST_VALIDITY), _MOST_VALIDITY)
    if wallet := order.metadata.get("wallet_id"):
        body["saveCardData"] = {"saveCard": True, "walletId": wallet}
    response = await client.post("/api/merchant/invoice/create", json=body, headers=_auth(account))
    found = answered(response)
    subject, url = label(at(found, "invoiceId")), at(found, "pageUrl")
    if subject is None or not isinstance(url, str):
        raise Refused(_code(found, response))
    return CheckoutLink(url=url, refs=(subject,), expires_at=order.expires_at)


async def list_payments(
    client: httpx.AsyncClient, account: Account, since: datetime, until: datetime, cursor: str | None
) -> ListedPage:
    """One month of the statement; the cursor is where the next begins."""
    begin = from_unix(int(cursor)) if cursor else since
    end = min(begin + _WINDOW, until)
    rows = await _statement(client, account, begin, end)
    items = [one for row in rows if (one := _listed(row)) is not None]
    return ListedPage(tuple(items), str(int(end.timestamp())) if end < until else None)


async def charge_token(
    client: httpx.AsyncClient, account: Account, charge: TokenCharge, interpret: Interpret
) -> ChargeResult:
    """Charge a saved card: the answer is the invoice as it stands."""
    body = {
        "cardToken": charge.token,
        "amount": charge.amount.amount,
        "ccy": NUMBERS[charge.amount.currency],
        "initiationKind": "merchant",
        "merchantPaymInfo": {"reference": charge.key, "destination": charge.description[:_LONGEST_PURPOSE]},
        "webHookUrl": charge.webhook_url,
    }
    response = await once(client, "/api/merchant/wallet/payment", json=body, headers=_auth(account))
    found = content(response)
    if not response.is_success:
        raise Refused(_code(found, response))
    result = _result({"reference": charge.key, **mapping(found)}, interpret)
    if result is None:
        raise OutcomeUnknown
    return result


async def find_charge(
    client: httpx.AsyncClient, account: Account, charge: TokenCharge, ref: str | None, interpret: Interpret
) -> ChargeResult | None:
    """By invoice, else by our key in the statement."""
    if ref is not None:
        found = await _invoice(client, account, ref)
        if found is None:
            return None
        if (known := _result(found, interpret)) is None:
            raise OutcomeUnknown
        return known
    now = utc_now()
    for row in await _statement(client, account, now - _WINDOW, now):
        subject = label(at(row, "invoiceId")) if at(row, "reference") == charge.key else None
        found = await _invoice(client, account, subject) if subject else None
        if (result := _result(found, interpret)) is not None:
            return result
    raise OutcomeUnknown


def _result(invoice: Any, interpret: Interpret) -> ChargeResult | None:
    """What an invoice says of the charge that made it; nothing where it is none."""
    subject, status = label(at(invoice, "invoiceId")), word(at(invoice, "status"))
    if subject is None or status is None:
        return None
    said = interpret(invoice)
    meaning = said if said.payment is not None else None
    match status:
        case "success" | "reversed":
            return ChargeResult("succeeded", subject, meaning=meaning)
        case "failure" | "expired":
            number = word(at(invoice, "errCode"))
            return ChargeResult("failed", subject, decline_class(number), number, meaning)
        case _:
            return ChargeResult("pending", subject, meaning=meaning)


async def _invoice(client: httpx.AsyncClient, account: Account, ref: str) -> dict[str, Any] | None:
    """An invoice; nothing where the bank says that it has none. Raises `httpx.HTTPError`."""
    response = await client.get("/api/merchant/invoice/status", params={"invoiceId": ref}, headers=_auth(account))
    found = answered(response)
    if response.status_code == 404:
        return None
    if response.is_success or response.status_code == 400:
        return mapping(found)
    raise httpx.HTTPStatusError("refused", request=response.request, response=response)


async def _statement(client: httpx.AsyncClient, account: Account, begin: datetime, end: datetime) -> list[Any]:
    """The payments of a time span of a month at most. Raises `httpx.HTTPError`, `Refused`."""
    span = {"from": int(begin.timestamp()), "to": int(end.timestamp())}
    response = await client.get("/api/merchant/statement", params=span, headers=_auth(account))
    found = answered(response)
    if not response.is_success:
        raise Refused(_code(found, response))
    return sequence(at(found, "list"))


def _listed(row: Any) -> Listed | None:
    """A row of the statement: the payment as it was, then what was given back of it."""
    subject, moment = label(at(row, "invoiceId")), _time(at(row, "date"))
    amount = whole(at(row, "amount"), by_number(at(row, "ccy")))
    if subject is None or moment is None or amount is None or amount.amount == 0:
        return None
    status = word(at(row, "status"))
    if status in ("created", "processing", "hold"):
        entries = [gateway.attempt("pending", subject, moment, amount.amount)]
    elif status == "failure":
        entries = [gateway.attempt("failed", subject, moment, amount.amount)]
    elif status in ("success", "reversed"):
        entries = [gateway.charge(subject, moment, amount.amount)]
        returned = sequence(at(row, "cancelList"))
        back = sum(sum_.amount for one in returned if (sum_ := whole(at(one, "amount"), amount.currency)))
        back = amount.amount if status == "reversed" else min(back, amount.amount)
        if back:
            newest = max((time for one in returned if (time := _time(at(one, "date")))), default=moment)
            entries.append(gateway.refunded(subject, newest, back))
        profit = whole(at(row, "profitAmount"), amount.currency)
        if profit is not None and amount.currency == "UAH" and 0 < profit.amount < amount.amount:
            entries += gateway.fee(subject, moment, amount.amount - profit.amount)
    else:
        return None
    outcome = PaymentOutcome((subject,), tuple(entries), moment, creates=True, amount=amount, method="card")
    return gateway.listed(Interpretation(outcome))


def _time(value: Any) -> datetime | None:
    """A time of the statement, which is printed with and without a zone."""
    found = instant(value)
    return found.astimezone(UTC) if found else None


def _auth(account: Account) -> dict[str, str]:
    return {"X-Token": account["token"]}


def _code(found: Any, response: httpx.Response) -> str:
    """The bank's word for a refusal."""
    return word(at(found, "errCode")) or f"http_{response.status_code}"
