"""LiqPay: a form with `data` (base64 of JSON) and its signature. Amounts in main units, times in milliseconds.

A one-time payment has its `payment_id` and our `order_id`. A subscription is known by its `order_id`, and each of its
charges (action `regular`) by a `payment_id` of its own.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field

from crm_api.donations.gifts.balances import Entry
from crm_api.kit.money import Money
from crm_api.payments.abilities import CheckoutLink, CheckoutOrder, ListedPage
from crm_api.payments.provider import (
    Account,
    Answer,
    BaseProvider,
    Delivery,
    Envelope,
    Interpretation,
    Outside,
    Payer,
    PaymentOutcome,
    PlanOutcome,
    SignatureInvalid,
)
from crm_api.payments.providers import gateway
from crm_api.payments.providers.exact import decimal, word
from crm_api.payments.providers.gateway import from_main, iso, label, millis
from crm_api.payments.providers.reading import at, ignore, mapping, text, uuid

if TYPE_CHECKING:
    import httpx

SANDBOX = "sandbox"
_WAITING = ("processing", "prepared", "hold_wait", "cash_wait", "invoice_wait")
_NO_MONEY = ("auth", "cardverification", "data", "ticket", "confirm", "refund", "p2pcredit")
"""Actions that bring no money: checks of a card, receipts, and refunds, which the payment itself tells as reversed."""
_METHODS: dict[str, Literal["card", "wallet", "bank_transfer", "other"]] = {
    "card": "card", "apay": "wallet", "gpay": "wallet", "apay_tavv": "wallet", "gpay_tavv": "wallet",
    "gpaycard": "wallet", "masterpass": "wallet", "privat24": "wallet", "liqpay": "wallet", "invoice": "bank_transfer",
}  # fmt: skip
_LANGUAGES = ("uk", "en")


class LiqpayCredentials(BaseModel):
    """What a charity enters for its shop. Keys that begin with ``sandbox_`` move test money only."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    public_key: str = Field(pattern=r"^[!-~]+$", max_length=255)
    private_key: str = Field(pattern=r"^[!-~]+$", max_length=255, repr=False)
    digest: Literal["sha1", "sha3_256"] | None = None
    """What signatures are made with: SHA-1 unless the shop has been moved to the newer scheme."""


class LiqpayProvider(BaseProvider):
    """LiqPay's words in ours."""

    name = "liqpay"
    credentials: type[BaseModel] = LiqpayCredentials
    secret: str | None = "private_key"  # noqa: S105 - a name
    recurring: frozenset[str] = frozenset({"month", "year"})

    async def check(self, delivery: Delivery, accounts: Sequence[Account], *, now: datetime, outside: Outside) -> None:
        """The digest of private key, `data` as it was received, private key."""
        try:
            fields = gateway.form(delivery.body)
        except ValueError:
            raise SignatureInvalid("header_malformed") from None
        given, data = fields.get("signature", "").replace(" ", "+"), _data(fields)
        if not given:
            raise SignatureInvalid("header_missing")
        fits = False
        for account in accounts:
            fits |= hmac.compare_digest(signature(data, account).encode(), given.encode("utf-8", "replace"))
        if not fits:
            raise SignatureInvalid("signature_mismatch")

    def envelope(self, body: bytes) -> Envelope:
        """A payment in a status; refunds of one payment are told apart by their sum."""
        try:
            payload = self.parse(body)
        except ValueError:
            payload = None
        action, status = word(at(payload, "action")), word(at(payload, "status"))
        parts = [label(at(payload, "payment_id")), status]
        if (back := decimal(at(payload, "refund_amount"))) is not None and back:
            parts.append(str(back.normalize()))
        kind = f"{action}.{status}" if action and status else None
        test = status == SANDBOX or str(at(payload, "public_key")).startswith("sandbox_")
        return gateway.envelope(body, kind, _moment(mapping(payload)), *parts, mode="test" if test else None)

    def answer(self, delivery: Delivery, account: Account, *, now: datetime) -> Answer:
        """200."""
        return gateway.ACCEPTED

    def parse(self, body: bytes) -> Any:
        """What `data` holds, its numbers as printed."""
        return gateway.literals(base64.b64decode(_data(gateway.form(body)), validate=True))

    def interpret(self, payload: Any) -> Interpretation:
        """Say what the state of a payment or subscription means."""
        said = mapping(payload)
        action, status, moment = word(said.get("action")), word(said.get("status")), _moment(said)
        if moment is None:
            return ignore("malformed")
        if status in ("subscribed", "unsubscribed"):
            return _subscription(said, status == "subscribed", moment)
        if action in _NO_MONEY and status != "reversed":
            return ignore("no_money")
        subject, amount = label(said.get("payment_id")), from_main(said.get("amount"), iso(said.get("currency")))
        if subject is None:
            return ignore("no_reference")
        if amount is None:
            return ignore("bad_amount")
        if amount.amount == 0:
            return ignore("no_money")
        entries = _entries(said, status, subject, moment, amount)
        if not entries:
            return ignore("unknown_status")
        return _payment(said, action, subject, entries, amount)

    def fetches(self, account: Account) -> bool:
        """Always: the same keys ask."""
        return True

    async def fetch_payment(self, client: httpx.AsyncClient, credentials: Account, ref: str) -> list[Interpretation]:
        """The state of a payment by `payment_id`, or by the ``order:…`` that we gave it."""
        from crm_api.payments.providers import liqpay_api

        return await liqpay_api.fetch_payment(client, credentials, ref, self.interpret)

    async def create_checkout(self, client: httpx.AsyncClient, account: Account, order: CheckoutOrder) -> CheckoutLink:
        """A signed address, made here: the page needs no call. What a subscription charges comes as gifts of its own
        under the plan named by the order's id; whether money moves with the subscription itself LiqPay does not say."""
        from crm_api.kit.http import base_url

        data = base64.b64encode(json.dumps(_purchase(account, order), ensure_ascii=False, sort_keys=True).encode())
        signed = {"data": data.decode(), "signature": signature(data.decode(), account)}
        url = f"{base_url('liqpay')}/api/3/checkout?{urlencode(signed)}"
        return CheckoutLink(url=url, refs=(f"order:{order.id}",), expires_at=order.expires_at)

    async def list_payments(
        self, client: httpx.AsyncClient, account: Account, since: datetime, until: datetime, cursor: str | None
    ) -> ListedPage:
        """LiqPay's archive of payments, in one page."""
        from crm_api.payments.providers import liqpay_api

        return await liqpay_api.list_payments(client, account, since, until, self.interpret)

    def sample(self, event_type: str, *, now: datetime, seed: str) -> dict[str, Any]:
        """What `data` holds in that event."""
        if event_type not in _SAMPLES:
            raise gateway.unknown_sample(_SAMPLES)
        return _SAMPLES[event_type](gateway.Seed(seed, now))

    def signed(self, payload: Any, account: Account, *, now: datetime) -> Delivery:
        """The form that LiqPay would post."""
        body = urlencode(request(payload, account))
        return Delivery(body.encode(), {"content-type": "application/x-www-form-urlencoded"})


def signature(data: str, account: Account) -> str:
    """What proves `data` to come from whoever has the private key."""
    key = account["private_key"]
    made = hashlib.new(account.get("digest") or "sha1", f"{key}{data}{key}".encode("utf-8", "replace"))
    return base64.b64encode(made.digest()).decode()


def request(document: Any, account: Account) -> dict[str, str]:
    """A document as the two fields of a signed form."""
    data = base64.b64encode(json.dumps(document, ensure_ascii=False).encode()).decode()
    return {"data": data, "signature": signature(data, account)}


def _data(fields: dict[str, str]) -> str:
    """`data` as it was sent: base64 has no blanks, so a blank is a plus sign that was not escaped."""
    return fields.get("data", "").replace(" ", "+")


def _moment(said: dict[str, Any]) -> datetime | None:
    """When the state came about."""
    return millis(said.get("end_date")) or millis(said.get("create_date"))


def _entries(
    said: dict[str, Any], status: str | None, subject: str, moment: datetime, amount: Money
) -> tuple[Entry, ...]:
    """What the status says of the money; nothing for a status that is not known."""
    back = from_main(said.get("refund_amount"), amount.currency)
    if status in ("success", SANDBOX, "reversed"):
        kept = gateway.fee(subject, moment, gateway.rounded(said.get("receiver_commission"), amount.currency))
        entries = (gateway.charge(subject, moment, amount.amount), *kept)
        total = min(back.amount, amount.amount) if back and back.amount else amount.amount
        if status == "reversed" or (back and back.amount):
            entries += (gateway.refunded(subject, millis(said.get("refund_date_last")) or moment, total),)
        return entries
    if status in ("failure", "error"):
        return (gateway.attempt("failed", subject, moment, amount.amount, word(said.get("err_code"))),)
    if status in _WAITING or (status and (status.endswith("_verify") or status.startswith("wait_"))):
        return (gateway.attempt("pending", subject, moment, amount.amount),)
    return ()


def _payment(
    said: dict[str, Any], action: str | None, subject: str, entries: tuple[Entry, ...], amount: Money
) -> Interpretation:
    """The payment around its entries. Several charges share the order of a subscription, so only the payment of an
    order of its own is known by that, too."""
    order, mine = label(said.get("order_id")), gateway.carried(said.get("info"))
    plan_ref = order if action in ("regular", "subscribe") else None
    customer = label(said.get("customer"))
    name = " ".join(part for key in ("first", "last") if (part := text(said.get(f"sender_{key}_name"), 100)))
    payment = PaymentOutcome(
        refs=(subject, f"order:{order}") if order and action != "regular" else (subject,),
        entries=entries,
        occurred_at=entries[0].occurred_at,
        creates=True,
        amount=amount,
        payer=Payer(
            name=name or None,
            phone=gateway.phone(said.get("sender_phone")),
            language=text(said.get("language"), 8),
            customer_ref=None if uuid(customer) else customer,
        ),
        method=_METHODS.get(word(said.get("paytype")) or "", "other"),
        plan_ref=plan_ref,
        contact_id=mine.contact_id or uuid(customer),
        gift_id=uuid(order) if plan_ref is None else None,
        source=mine.source,
        campaign_code=mine.campaign_code,
        fund_code=mine.fund_code,
    )
    return Interpretation(payment, _charged(plan_ref, action, entries, amount, mine))


def _charged(
    plan_ref: str | None, action: str | None, entries: tuple[Entry, ...], amount: Money, mine: gateway.Carried
) -> PlanOutcome | None:
    """What a charge says of its plan: that it goes on, or has fallen behind. A plan whose first payment fails has not
    begun."""
    kinds = {entry.kind for entry in entries}
    if plan_ref is None or "refunded_total" in kinds:
        return None
    if "charge" in kinds:
        return _active(plan_ref, entries[0].occurred_at, amount, mine)
    if "failed" in kinds and action == "regular":
        return PlanOutcome(plan_ref, "past_due", entries[0].occurred_at)
    return None


def _active(plan_ref: str, moment: datetime, amount: Money | None, mine: gateway.Carried) -> PlanOutcome:
    """A plan that runs. How often it charges is told by our own checkouts only."""
    return PlanOutcome(
        plan_ref,
        "active",
        moment,
        amount=amount,
        frequency_unit=mine.every,
        frequency_interval=1 if mine.every else None,
        whole=bool(mine.every and amount),
    )


def _subscription(said: dict[str, Any], begins: bool, moment: datetime) -> Interpretation:
    """A subscription that was made or ended. No money is taken to have moved with it: its charges are told."""
    order = label(said.get("order_id"))
    if order is None:
        return ignore("no_reference")
    if not begins:
        return Interpretation(plan=PlanOutcome(order, "canceled", moment, ended_at=moment))
    amount = from_main(said.get("amount"), iso(said.get("currency")))
    return Interpretation(plan=_active(order, moment, amount, gateway.carried(said.get("info"))))


def _purchase(account: Account, order: CheckoutOrder) -> dict[str, Any]:
    """What a checkout page is made from; the same order gives the same."""
    page: dict[str, Any] = {
        "version": 3,
        "public_key": account["public_key"],
        "action": "subscribe" if order.every else "pay",
        "amount": gateway.in_main_units(order.amount),
        "currency": order.amount.currency,
        "description": order.description,
        "order_id": str(order.id),
        "result_url": order.success_url,
        "server_url": order.webhook_url,
        "language": order.language if order.language in _LANGUAGES else "uk" if order.language == "ru" else "en",
        "info": gateway.carrying(order.metadata, order.every),
    }
    if order.expires_at is not None:
        page["expired_date"] = f"{order.expires_at:%Y-%m-%d %H:%M:%S}"
    if order.every:
        from crm_api.kit.clock import utc_now

        begins = gateway.made_at(order.id, utc_now())
        page |= {"subscribe": 1, "subscribe_periodicity": order.every}
        page["subscribe_date_start"] = f"{begins:%Y-%m-%d %H:%M:%S}"
    return page


def _sample(seed: gateway.Seed, action: str, status: str, **more: Any) -> dict[str, Any]:
    first, family, mobile, amount = seed.donor
    number = 2_000_000_000 + seed.number("payment", 10**8)
    if action == "regular":
        number += 10**9 + seed.unix // 86_400 % 10**6
    return {
        "payment_id": number,
        "action": action,
        "status": status,
        "version": 3,
        "type": "buy" if action == "pay" else "regular",
        "paytype": "card",
        "public_key": "sandbox_i00000000000",
        "order_id": f"D-{action[:3] if action == 'pay' else 'plan'}-{seed.number('order', 10**8)}",
        "description": "Благодійний внесок",
        "sender_first_name": first,
        "sender_last_name": family,
        "sender_phone": mobile,
        "amount": amount,
        "currency": "UAH",
        "receiver_commission": "1.50",
        "language": "uk",
        "create_date": (seed.unix - 20) * 1000,
        "end_date": seed.unix * 1000,
        **more,
    }


_SAMPLES: dict[str, Callable[[gateway.Seed], dict[str, Any]]] = {
    "pay.processing": lambda seed: _sample(seed, "pay", "processing"),
    "pay.success": lambda seed: _sample(seed, "pay", "success"),
    "pay.failure": lambda seed: _sample(seed, "pay", "failure", err_code="limit"),
    "pay.partially_refunded": lambda seed: _sample(seed, "pay", "reversed", refund_amount=seed.donor[3] // 2),
    "pay.reversed": lambda seed: _sample(seed, "pay", "reversed"),
    "subscribe.subscribed": lambda seed: _sample(seed, "subscribe", "subscribed"),
    "regular.success": lambda seed: _sample(seed, "regular", "success"),
    "regular.failure": lambda seed: _sample(seed, "regular", "failure", err_code="9859"),
    "subscribe.unsubscribed": lambda seed: _sample(seed, "subscribe", "unsubscribed"),
}
