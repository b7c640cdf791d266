"""WayForPay: one JSON per change of a payment, signed over values exactly as they are printed, answered with a signed
``accept``. A payment is known by its `orderReference`; the later charges of a regular one by ``<first>_WFPREG-<n>``."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import orjson
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
from crm_api.payments.providers.gateway import from_main, iso, label, seconds
from crm_api.payments.providers.reading import ignore, mapping, text, uuid

if TYPE_CHECKING:
    import httpx

_SIGNED = (
    "merchantAccount", "orderReference", "amount", "currency", "authCode", "cardPan", "transactionStatus", "reasonCode"
)  # fmt: skip
_CHARGE_OF_PLAN = re.compile(r"(.{1,150})_WFPREG.*")
_OURS = re.compile(r"[0-9a-f-]{36}-(week|month|year)ly")
_PENDING = ("created", "inprocessing", "pending", "waitingauthcomplete", "waitingamountconfirm")
_BACK = ("refunded", "voided")
_FAILED = ("declined", "expired")
_METHODS: dict[str, Literal["card", "wallet", "bank_transfer"]] = {
    "card": "card", "googlepay": "wallet", "applepay": "wallet", "privat24": "wallet", "masterpass": "wallet",
    "visacheckout": "wallet", "bankcash": "bank_transfer", "qrcode": "bank_transfer",
}  # fmt: skip


class WayforpayCredentials(BaseModel):
    """What a charity enters for its merchant account."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    merchant_account: str = Field(pattern=r"^[!-~]+$", max_length=255)
    secret_key: str = Field(pattern=r"^[!-~]+$", max_length=255, repr=False)
    merchant_domain: str | None = Field(default=None, pattern=r"^[A-Za-z0-9.-]+$", max_length=255)
    """The domain the account is registered for; only needed to make payment pages."""
    merchant_password: str | None = Field(default=None, pattern=r"^[!-~]+$", max_length=255, repr=False)
    """Only needed to ask how a regular payment stands."""


class WayforpayProvider(BaseProvider):
    """WayForPay's words in ours."""

    name = "wayforpay"
    credentials: type[BaseModel] = WayforpayCredentials
    secret: str | None = "secret_key"  # noqa: S105 - a name
    recurring: frozenset[str] = frozenset({"week", "month", "year"})

    async def check(self, delivery: Delivery, accounts: Sequence[Account], *, now: datetime, outside: Outside) -> None:
        """HMAC-MD5 over eight values as they are printed. An empty value keeps its place; so does one that is missing,
        unless WayForPay has left its place out as well."""
        try:
            said = gateway.document(delivery.body)
        except ValueError:
            raise SignatureInvalid("header_malformed") from None
        given = _printed(said.get("merchantSignature")).lower().encode("utf-8", "replace")
        if not given:
            raise SignatureInvalid("header_missing")
        spellings = [
            [_printed(said.get(name)) for name in _SIGNED],
            [_printed(said[name]) for name in _SIGNED if name in said],
        ]
        fits = False
        for account in accounts:
            for values in spellings:
                fits |= hmac.compare_digest(sign(account["secret_key"], values).encode(), given)
        if not fits:
            raise SignatureInvalid("signature_mismatch")

    def envelope(self, body: bytes) -> Envelope:
        """A payment in a status as of a time."""
        try:
            said = gateway.document(body)
        except ValueError:
            said = {}
        status, moment = text(said.get("transactionStatus"), 64), _moment(said)
        parts = [label(said.get("orderReference")), status, str(int(moment.timestamp())) if moment else None]
        if (back := decimal(said.get("refundAmount"))) is not None and back:
            parts.append(str(back.normalize()))
        return gateway.envelope(body, status, moment, *parts, mode=None)

    def answer(self, delivery: Delivery, account: Account, *, now: datetime) -> Answer:
        """A signed ``accept``: without it the delivery is repeated."""
        try:
            reference = _printed(gateway.document(delivery.body).get("orderReference"))
        except ValueError:
            reference = ""
        time = int(now.timestamp())
        signature = sign(account["secret_key"], [reference, "accept", str(time)])
        said = {"orderReference": reference, "status": "accept", "time": time, "signature": signature}
        return Answer(200, json.dumps(said, separators=(",", ":")).encode())

    def parse(self, body: bytes) -> Any:
        """JSON, also where it came as the name of a form's field; its numbers as printed."""
        return gateway.document(body)

    def interpret(self, payload: Any) -> Interpretation:
        """Say what the status of the payment means. That a delivery came says nothing: only its status does."""
        said = mapping(payload)
        subject, moment = label(said.get("orderReference")), _moment(said)
        if subject is None:
            return ignore("no_reference")
        if moment is None:
            return ignore("malformed")
        amount = from_main(said.get("amount"), iso(said.get("currency")))
        if amount is None:
            return ignore("bad_amount")
        if amount.amount == 0:
            return ignore("no_money")
        status = word(said.get("transactionStatus"))
        if status == "refundinprocessing":
            return ignore("no_news")
        entries = _entries(said, status, subject, moment, amount)
        if not entries:
            return ignore("unknown_status")
        return _payment(said, subject, entries, amount)

    def fetches(self, account: Account) -> bool:
        """Always: the same key asks."""
        return True

    async def fetch_payment(self, client: httpx.AsyncClient, credentials: Account, ref: str) -> list[Interpretation]:
        """The state of a payment, and of its plan where the merchant's password is known."""
        from crm_api.payments.providers import wayforpay_api

        return await wayforpay_api.fetch_payment(client, credentials, ref, self.interpret)

    def offers(self, account: Account) -> bool:
        """Pages are made for a domain."""
        return bool(account.get("merchant_domain"))

    async def create_checkout(self, client: httpx.AsyncClient, account: Account, order: CheckoutOrder) -> CheckoutLink:
        """A payment page (service ``wayforpay_pay``). WayForPay refuses a second one for the same order."""
        from crm_api.payments.providers import wayforpay_api

        return await wayforpay_api.create_checkout(client, account, order)

    async def list_payments(
        self, client: httpx.AsyncClient, account: Account, since: datetime, until: datetime, cursor: str | None
    ) -> ListedPage:
        """The list of transactions, a month a page."""
        from crm_api.payments.providers import wayforpay_api

        return await wayforpay_api.list_payments(client, account, since, until, cursor, self.interpret)

    def sample(self, event_type: str, *, now: datetime, seed: str) -> dict[str, Any]:
        """A payment in that status, without its signature."""
        if event_type not in _SAMPLES:
            raise gateway.unknown_sample(_SAMPLES)
        return _SAMPLES[event_type](gateway.Seed(seed, now))

    def signed(self, payload: Any, account: Account, *, now: datetime) -> Delivery:
        """The delivery that WayForPay would make."""
        said = {**payload, "merchantAccount": account["merchant_account"]}
        printed = mapping(gateway.literals(orjson.dumps(said)))
        said["merchantSignature"] = sign(account["secret_key"], [_printed(printed.get(name)) for name in _SIGNED])
        return Delivery(orjson.dumps(said), {"content-type": "application/json"})


def sign(key: str, values: Sequence[str]) -> str:
    """HMAC-MD5 over values parted by semicolons."""
    return hmac.new(key.encode(), ";".join(values).encode("utf-8", "replace"), "md5").hexdigest()


def base_of(reference: str) -> str | None:
    """The first payment's reference, of a later charge or of a regular payment made by our own checkout."""
    found = _CHARGE_OF_PLAN.fullmatch(reference)
    base = found.group(1) if found else reference
    return base if found or _OURS.fullmatch(base) else None


def _printed(value: Any) -> str:
    """A value as it stands in the JSON; no value is empty."""
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


def _moment(said: Mapping[str, Any]) -> datetime | None:
    """When the status came about."""
    return seconds(said.get("processingDate")) or seconds(said.get("createdDate"))


def _entries(
    said: dict[str, Any], status: str | None, subject: str, moment: datetime, amount: Money
) -> tuple[Entry, ...]:
    """What the status says of the money; nothing for a status that is not known. A refund without a sum of its own is
    of the amount it states: of a part, that is less than what the payment's other statements say was charged."""
    if status in _BACK or status == "approved":
        kept = gateway.fee(subject, moment, gateway.rounded(said.get("fee"), amount.currency))
        entries = (gateway.charge(subject, moment, amount.amount), *kept)
        back = from_main(said.get("refundAmount"), amount.currency)
        total = min(back.amount, amount.amount) if back and back.amount else amount.amount
        return (*entries, gateway.refunded(subject, moment, total)) if status in _BACK else entries
    if status in _FAILED:
        return (gateway.attempt("failed", subject, moment, amount.amount, label(said.get("reasonCode"))),)
    if status in _PENDING:
        return (gateway.attempt("pending", subject, moment, amount.amount),)
    return ()


def _payment(said: dict[str, Any], subject: str, entries: tuple[Entry, ...], amount: Money) -> Interpretation:
    """The payment around its entries, and what it says of its plan."""
    plan_ref = base_of(subject)
    payment = PaymentOutcome(
        refs=(subject,),
        entries=entries,
        occurred_at=entries[0].occurred_at,
        creates=True,
        amount=amount,
        payer=Payer(
            email=text(said.get("email")),
            name=text(said.get("clientName"), 200),
            phone=gateway.phone(said.get("phone")),
        ),
        method=_METHODS.get(word(said.get("paymentSystem")) or "", "other"),
        plan_ref=plan_ref,
        gift_id=uuid(subject[:36] if _OURS.fullmatch(subject) else subject),
    )
    return Interpretation(payment, _plan(plan_ref, subject, entries, amount))


def _plan(plan_ref: str | None, subject: str, entries: tuple[Entry, ...], amount: Money) -> PlanOutcome | None:
    """A charge that came shows a plan that runs, a later one that failed shows one that is behind. How often it charges
    stands in the references of our own checkouts."""
    kinds = {entry.kind for entry in entries}
    if plan_ref is None or "refunded_total" in kinds:
        return None
    if "charge" in kinds:
        ours = _OURS.fullmatch(plan_ref)
        units: dict[str, Literal["week", "month", "year"]] = {"week": "week", "month": "month", "year": "year"}
        unit = units[ours.group(1)] if ours else None
        once = 1 if unit else None
        return PlanOutcome(plan_ref, "active", entries[0].occurred_at, amount, unit, once, whole=unit is not None)
    if "failed" in kinds and subject != plan_ref:
        return PlanOutcome(plan_ref, "past_due", entries[0].occurred_at)
    return None


def _sample(seed: gateway.Seed, status: str, code: int, *, suffix: str = "", **more: Any) -> dict[str, Any]:
    first, family, mobile, amount = seed.donor
    return {
        "merchantAccount": "",
        "orderReference": f"D-{seed.number('order', 10**8)}{suffix}",
        "amount": amount,
        "currency": "UAH",
        "authCode": "541963" if code == 1100 else "",
        "email": seed.email,
        "phone": mobile,
        "clientName": f"{first} {family}",
        "createdDate": seed.unix - 20,
        "processingDate": seed.unix,
        "cardPan": "41****8217",
        "cardType": "Visa",
        "transactionStatus": status,
        "reason": "Ok" if code == 1100 else "",
        "reasonCode": code,
        "fee": 0,
        "paymentSystem": "card",
        **more,
    }


_SAMPLES: dict[str, Callable[[gateway.Seed], dict[str, Any]]] = {
    "InProcessing": lambda seed: _sample(seed, "InProcessing", 1131),
    "Approved": lambda seed: _sample(seed, "Approved", 1100),
    "Declined": lambda seed: _sample(seed, "Declined", 1104),
    "Expired": lambda seed: _sample(seed, "Expired", 1124),
    "Refunded": lambda seed: _sample(seed, "Refunded", 1100, cardPan=""),
    "Refunded.partially": lambda seed: _sample(
        seed, "Refunded", 1100, cardPan="", refundAmount=f"{seed.donor[3] // 2}.00"
    ),
    "Approved.regular": lambda seed: _sample(seed, "Approved", 1100, suffix=f"_WFPREG-1-{seed.unix // 86_400 % 1000}"),
    "Declined.regular": lambda seed: _sample(seed, "Declined", 1104, suffix=f"_WFPREG-1-{seed.unix // 86_400 % 1000}"),
}
