"""PayPal's own list of transactions, for reconciliation: payments received, with what was given back of them.

PayPal lists a transaction up to three hours after it was made, and at most 31 days at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlencode

from crm_api.donations.gifts.balances import Entry
from crm_api.kit.clock import rfc3339
from crm_api.payments.abilities import Listed, ListedPage, Refused
from crm_api.payments.provider import Interpretation, Payer, PaymentOutcome
from crm_api.payments.providers.exact import moment, word
from crm_api.payments.providers.paypal.api import Denied, Interpret, PayPalApi
from crm_api.payments.providers.paypal.payers import payer
from crm_api.payments.providers.paypal.reading import amount_of, ours, paypal_id
from crm_api.payments.providers.reading import at, mapping, sequence, statement_key

_STRETCH = timedelta(days=31)
_PAGE = 100
_RECEIVED, _GIVEN_BACK = "T00", ("T1106", "T1107", "T1108")
_STATUS: dict[str, Literal["pending", "succeeded", "failed"]] = {
    "s": "succeeded",
    "v": "succeeded",
    "p": "pending",
    "d": "failed",
}
_KIND: dict[str, Literal["pending", "charge", "failed"]] = {
    "succeeded": "charge",
    "pending": "pending",
    "failed": "failed",
}


async def list_payments(
    api: PayPalApi, interpret: Interpret, since: datetime, until: datetime, cursor: str | None
) -> ListedPage:
    """One page. The cursor is the start of a stretch and the number of a page of it."""
    start, _, number = (cursor or "").partition("|")
    begin, page = moment(start) or since, int(number) if number.isdecimal() else 1
    end = min(begin + _STRETCH, until)
    query = {
        "start_date": rfc3339(begin.replace(microsecond=0)),
        "end_date": rfc3339((end - timedelta(seconds=1)).replace(microsecond=0)),
        "fields": "transaction_info,payer_info",
        "page_size": str(_PAGE),
        "page": str(page),
    }
    try:
        status, found, _ = await api.call("GET", f"/v1/reporting/transactions?{urlencode(query)}")
    except Denied:
        raise Refused("credentials", "PayPal does not accept client_id and client_secret") from None
    if status != 200:  # an empty list would say that nothing was paid
        raise Refused(word(found.get("name")) or f"http_{status}", "allow the REST app to search transactions")
    rows = [mapping(one) for one in sequence(found.get("transaction_details"))]
    pages = found.get("total_pages")
    following = None
    if isinstance(pages, int) and page < pages:
        following = f"{rfc3339(begin)}|{page + 1}"
    elif end < until:
        following = f"{rfc3339(end)}|1"
    return ListedPage(await _items(api, interpret, rows), following)


async def _items(api: PayPalApi, interpret: Interpret, rows: list[dict[str, Any]]) -> tuple[Listed, ...]:
    """The payments of a page, each with its refunds; payments of another page that were refunded on this one, too."""
    found = {one.ref: one for one in map(_listed, rows) if one is not None}
    given_back: defaultdict[str, list[Entry]] = defaultdict(list)
    for row in rows:
        info = mapping(row.get("transaction_info"))
        payment = paypal_id(info.get("paypal_reference_id"))
        entry = _refund(info)
        if payment is not None and entry is not None:
            given_back[payment].append(entry)
    for ref, entries in given_back.items():
        known = found.get(ref) or _looked_up(ref, await api.payment(ref, interpret))
        if known is not None:
            found[ref] = _refunded(known, entries)
    return tuple(found.values())


def _listed(row: Mapping[str, Any]) -> Listed | None:
    """A payment that was received; nothing for any other row."""
    info = mapping(row.get("transaction_info"))
    ref, made = paypal_id(info.get("transaction_id")), moment(info.get("transaction_initiation_date"))
    amount, status = amount_of(info.get("transaction_amount")), _STATUS.get(word(info.get("transaction_status")) or "")
    raw = at(info, "transaction_amount", "value")
    code = info.get("transaction_event_code")
    received = isinstance(code, str) and code.startswith(_RECEIVED) and not str(raw).startswith("-")
    if not received or ref is None or made is None or amount is None or status is None or not amount.amount:
        return None
    charged_fee = amount_of(info.get("fee_amount"))
    fee = charged_fee.amount if charged_fee and charged_fee.currency == amount.currency else None
    kind = _KIND[status]
    entries = [
        Entry(kind=kind, key=statement_key(kind, ref, made, amount.amount), occurred_at=made, amount=amount.amount)
    ]
    if fee and kind == "charge":
        entries.append(
            Entry(kind="fee", key=statement_key("fee", ref, made, fee), occurred_at=made, amount=fee, ref=ref)
        )
    mine = ours(info.get("custom_field"))
    is_plan = info.get("paypal_reference_id_type") == "SUB"
    said = PaymentOutcome(
        refs=(ref,),
        entries=tuple(entries),
        occurred_at=made,
        creates=True,
        amount=amount,
        payer=_payer(row.get("payer_info")),
        method="wallet",
        plan_ref=paypal_id(info.get("paypal_reference_id")) if is_plan else None,
        gift_id=mine.checkout_id,
        contact_id=mine.contact_id,
        campaign_code=mine.campaign_code,
        fund_code=mine.fund_code,
    )
    listed = Listed(ref, made, status, amount, fee=fee, meanings=(Interpretation(said),))
    if word(info.get("transaction_status")) == "v":  # taken back as a whole
        return replace(listed, status="refunded", refunded=amount.amount)
    return listed


def _payer(value: Any) -> Payer:
    """The list's names for what an order calls otherwise."""
    who = mapping(value)
    return payer(
        {
            "name": who.get("payer_name"),
            "email_address": who.get("email_address"),
            "payer_id": who.get("account_id"),
            "address": {"country_code": who.get("country_code")},
        }
    )


def _refund(info: Mapping[str, Any]) -> Entry | None:
    """What a row says was given back."""
    ref, made = paypal_id(info.get("transaction_id")), moment(info.get("transaction_initiation_date"))
    amount = amount_of(info.get("transaction_amount"))
    if info.get("transaction_event_code") not in _GIVEN_BACK or word(info.get("transaction_status")) not in ("s", "p"):
        return None
    if ref is None or made is None or amount is None:
        return None
    status = "succeeded" if word(info.get("transaction_status")) == "s" else "pending"
    return Entry(
        kind="refund",
        key=statement_key("refund", ref, made, status, amount.amount),
        occurred_at=made,
        amount=amount.amount,
        ref=ref,
        status=status,
        started_at=made,
    )


def _looked_up(ref: str, found: list[Interpretation]) -> Listed | None:
    """A payment that is on another page."""
    for said in found:
        if said.payment is not None and said.payment.amount is not None and ref in said.payment.refs:
            return Listed(ref, said.payment.occurred_at, "succeeded", said.payment.amount, meanings=tuple(found))
    return None


def _refunded(payment: Listed, entries: list[Entry]) -> Listed:
    """The payment less what was given back."""
    total = min(sum(entry.amount or 0 for entry in entries), payment.amount.amount)
    said = PaymentOutcome(
        refs=(payment.ref,),
        entries=tuple(entries),
        occurred_at=max(entry.occurred_at for entry in entries),
        creates=False,
        currency=payment.amount.currency,
    )
    return replace(
        payment,
        status="refunded" if total == payment.amount.amount else "partially_refunded",
        refunded=total,
        meanings=(*payment.meanings, Interpretation(said)),
    )
