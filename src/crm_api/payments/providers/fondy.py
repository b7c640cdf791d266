"""Fondy, and gateways of the same protocol (Flitt, hutko): a flat object of strings as JSON or form, or the protocol
2.0 with the same object in base64. Amounts in the smallest units; an order is known by the `order_id` we gave it."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha1
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

import orjson
from pydantic import BaseModel, ConfigDict, Field

from crm_api.donations.gifts.balances import Entry
from crm_api.kit.money import Money
from crm_api.payments.abilities import CheckoutLink, CheckoutOrder
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
    SignatureInvalid,
)
from crm_api.payments.providers import gateway
from crm_api.payments.providers.exact import word
from crm_api.payments.providers.gateway import iso, label, whole
from crm_api.payments.providers.reading import at, ignore, mapping, text, uuid

if TYPE_CHECKING:
    import httpx

_UNSIGNED = ("signature", "response_signature_string")
_CLOCK = ZoneInfo("Europe/Kyiv")
_PRINTED = "%d.%m.%Y %H:%M:%S"
_METHODS: tuple[tuple[str, Literal["card", "wallet", "bank_transfer"]], ...] = (
    ("card", "card"),
    ("googlepay", "wallet"),
    ("applepay", "wallet"),
    ("wallets", "wallet"),
    ("bank", "bank_transfer"),
    ("sepa", "bank_transfer"),
)


class FondyCredentials(BaseModel):
    """What a charity enters for its merchant."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    merchant_id: str = Field(pattern=r"^[0-9]{1,12}$")
    secret_key: str = Field(pattern=r"^[!-~]+$", max_length=255, repr=False)
    """The payment key, not the one for payouts (credit)."""


class FondyProvider(BaseProvider):
    """Fondy's words in ours."""

    name = "fondy"
    credentials: type[BaseModel] = FondyCredentials
    secret: str | None = "secret_key"  # noqa: S105 - a name
    recurring: frozenset[str] = frozenset()

    async def check(self, delivery: Delivery, accounts: Sequence[Account], *, now: datetime, outside: Outside) -> None:
        """SHA-1 over the key and all values that are not empty, by name; in protocol 2.0 over the key and `data`."""
        try:
            frame = _frame(delivery.body)
        except ValueError:
            raise SignatureInvalid("header_malformed") from None
        given = str(frame.get("signature") or "").lower().encode("utf-8", "replace")
        if not given:
            raise SignatureInvalid("header_missing")
        fits = False
        for account in accounts:
            fits |= hmac.compare_digest(signature(frame, account["secret_key"]).encode(), given)
        if not fits:
            raise SignatureInvalid("signature_mismatch")

    def envelope(self, body: bytes) -> Envelope:
        """A payment in a status, with what of it has gone back by now."""
        try:
            said = mapping(self.parse(body))
        except ValueError:
            said = {}
        status = word(said.get("order_status"))
        subject = label(said.get("payment_id")) or label(said.get("order_id"))
        back = label(said.get("reversal_amount")) or "0"
        return gateway.envelope(body, status, _moment(said), subject, status, back, mode=None)

    def answer(self, delivery: Delivery, account: Account, *, now: datetime) -> Answer:
        """200."""
        return gateway.ACCEPTED

    def parse(self, body: bytes) -> Any:
        """The order, from whichever form it came in."""
        return _order(_frame(body))

    def interpret(self, payload: Any) -> Interpretation:
        """Say what the status of an order means. An order is dated by its making, in all of its states."""
        said = mapping(payload)
        return _order_as(said, _moment(said))

    def interpret_at(self, payload: Any, *, received_at: datetime) -> Interpretation:
        """The same; an order without a time is dated by its delivery."""
        said = mapping(payload)
        return _order_as(said, _moment(said) or received_at)

    def fetches(self, account: Account) -> bool:
        """Always: the same key asks."""
        return True

    async def fetch_payment(self, client: httpx.AsyncClient, credentials: Account, ref: str) -> list[Interpretation]:
        """The order as it stands."""
        from crm_api.payments.providers import fondy_api

        return await fondy_api.fetch_payment(client, credentials, ref, self.interpret)

    async def create_checkout(self, client: httpx.AsyncClient, account: Account, order: CheckoutOrder) -> CheckoutLink:
        """A payment page for our order."""
        from crm_api.payments.providers import fondy_api

        return await fondy_api.create_checkout(client, account, order)

    def sample(self, event_type: str, *, now: datetime, seed: str) -> dict[str, Any]:
        """An order in that state, without its signature."""
        if event_type not in _SAMPLES:
            raise gateway.unknown_sample(_SAMPLES)
        return _SAMPLES[event_type](gateway.Seed(seed, now))

    def signed(self, payload: Any, account: Account, *, now: datetime) -> Delivery:
        """The delivery that Fondy would make."""
        said = {**payload, "merchant_id": account["merchant_id"]}
        said["signature"] = signature(said, account["secret_key"])
        return Delivery(orjson.dumps(said), {"content-type": "application/json"})


def signature(frame: Mapping[str, Any], key: str) -> str:
    """What proves an object to come from whoever has the key."""
    if _is_second(frame):
        values = [str(frame["data"])]
    else:
        values = [_printed(frame[name]) for name in sorted(frame) if name not in _UNSIGNED]
    joined = "|".join([key, *(value for value in values if value)])
    return sha1(joined.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()


def _printed(value: Any) -> str:
    """A value as it stands in the JSON; none and the empty text are left out of the signature."""
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


def _is_second(frame: Mapping[str, Any]) -> bool:
    """Whether this is the frame of the protocol 2.0."""
    return isinstance(frame.get("data"), str) and "order_id" not in frame


def _frame(body: bytes) -> dict[str, Any]:
    """What is signed: the object itself, or the frame around its base64. Raises `ValueError`."""
    found = gateway.document(body)
    for wrapper in ("response", "request"):
        found = found[wrapper] if isinstance(found.get(wrapper), dict) else found
    return found


def _order(frame: Mapping[str, Any]) -> Any:
    """The order in a frame. Raises `ValueError`."""
    if not _is_second(frame):
        return frame
    found = gateway.literals(base64.b64decode(frame["data"], validate=True))
    return at(found, "order") or found


def _moment(said: Mapping[str, Any]) -> datetime | None:
    """When the order was made, which Fondy prints in Kyiv's time."""
    printed = said.get("order_time") or said.get("order_timestart")
    try:
        found = datetime.strptime(printed, _PRINTED).replace(tzinfo=_CLOCK) if isinstance(printed, str) else None
        return found.astimezone(UTC) if found else None
    except (ValueError, OverflowError):
        return None


def _order_as(said: dict[str, Any], moment: datetime | None) -> Interpretation:
    subject, status = label(said.get("order_id")), word(said.get("order_status"))
    amount = whole(said.get("amount"), iso(said.get("currency")))
    if subject is None:
        return ignore("no_reference")
    if moment is None:
        return ignore("malformed")
    if word(said.get("tran_type")) == "verification":
        return ignore("no_money")
    if amount is None:
        return ignore("bad_amount")
    if amount.amount == 0:
        return ignore("no_money")
    entries = _entries(said, status, subject, moment, amount)
    return Interpretation(_outcome(said, subject, entries, moment, amount)) if entries else ignore("unknown_status")


def _entries(
    said: dict[str, Any], status: str | None, subject: str, moment: datetime, amount: Money
) -> tuple[Entry, ...]:
    """What the status says of the money; nothing for a status that is not known. What has gone back only grows."""
    back = whole(said.get("reversal_amount"), amount.currency)
    returned = min(back.amount, amount.amount) if back else 0
    if status in ("approved", "reversed"):
        kept = whole(said.get("fee"), amount.currency)
        entries = (
            gateway.charge(subject, moment, amount.amount),
            *gateway.fee(subject, moment, kept.amount if kept else None),
        )
        if status == "reversed":
            returned = returned or amount.amount
        return (*entries, gateway.refunded(subject, moment, returned)) if returned else entries
    if status in ("declined", "expired"):
        reason = label(said.get("response_code")) or (status if status == "expired" else None)
        return (gateway.attempt("failed", subject, moment, amount.amount, reason),)
    if status in ("created", "processing"):
        return (gateway.attempt("pending", subject, moment, amount.amount),)
    return ()


def _outcome(
    said: dict[str, Any], subject: str, entries: tuple[Entry, ...], moment: datetime, amount: Money
) -> PaymentOutcome:
    """The payment around its entries."""
    payment, mine = label(said.get("payment_id")), gateway.carried(said.get("merchant_data"))
    system = word(said.get("payment_system")) or ""
    return PaymentOutcome(
        refs=(subject, f"payment:{payment}") if payment else (subject,),
        entries=entries,
        occurred_at=moment,
        creates=True,
        amount=amount,
        payer=Payer(email=text(said.get("sender_email")), phone=gateway.phone(said.get("sender_cell_phone"))),
        method=next((method for prefix, method in _METHODS if system.startswith(prefix)), "other"),
        plan_ref=label(said.get("parent_order_id")),
        contact_id=mine.contact_id,
        gift_id=uuid(subject),
        source=mine.source,
        campaign_code=mine.campaign_code,
        fund_code=mine.fund_code,
    )


def _sample(seed: gateway.Seed, status: str, **more: str) -> dict[str, Any]:
    return {
        "order_id": f"D-{seed.number('order', 10**8)}",
        "merchant_id": "",
        "amount": str(seed.donor[3] * 100),
        "currency": "UAH",
        "order_status": status,
        "response_status": "success",
        "tran_type": "purchase",
        "sender_cell_phone": "",
        "sender_email": seed.email,
        "masked_card": "444455XXXXXX1111",
        "response_code": "",
        "reversal_amount": "0",
        "order_time": seed.at.astimezone(_CLOCK).strftime(_PRINTED),
        "payment_id": str(800_000_000 + seed.number("payment", 10**8)),
        "payment_system": "card",
        "fee": "",
        **more,
    }


_SAMPLES: dict[str, Callable[[gateway.Seed], dict[str, Any]]] = {
    "processing": lambda seed: _sample(seed, "processing"),
    "approved": lambda seed: _sample(seed, "approved"),
    "declined": lambda seed: _sample(seed, "declined", response_code="1004"),
    "expired": lambda seed: _sample(seed, "expired"),
    "partially_reversed": lambda seed: _sample(seed, "approved", reversal_amount=str(seed.donor[3] * 50)),
    "reversed": lambda seed: _sample(seed, "reversed", reversal_amount=str(seed.donor[3] * 100)),
}
