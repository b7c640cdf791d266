"""Monobank acquiring (plata by mono): invoices whose every change of status is delivered, signed with the bank's key.

A delivery is the invoice as it stands, so its refunds are cumulative, and the newest delivery knows everything. The
schedule of a recurring gift is ours: the bank keeps card tokens only (see `monobank_api`).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

from crm_api.donations.gifts.balances import Entry
from crm_api.kit.money import Money
from crm_api.payments.abilities import ChargeResult, CheckoutLink, CheckoutOrder, ListedPage, TokenCharge
from crm_api.payments.provider import (
    Account,
    Answer,
    BaseProvider,
    CannotSign,
    CheckUnavailable,
    Delivery,
    Envelope,
    Interpretation,
    Outside,
    Payer,
    PaymentOutcome,
    SignatureInvalid,
)
from crm_api.payments.providers import gateway
from crm_api.payments.providers.exact import moment as instant
from crm_api.payments.providers.exact import word
from crm_api.payments.providers.gateway import label, literals, whole
from crm_api.payments.providers.monobank_currencies import NUMBERS, by_number
from crm_api.payments.providers.reading import at, ignore, mapping, sequence, uuid

if TYPE_CHECKING:
    import httpx
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

HEADER = "x-sign"
_KEY_KEPT = 86_400.0
_KEY_ASKED_EVERY = 60.0
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the curve P-256: private keys are below it."""
_MADE_UP = "simulated-"
_WALLETS = ("apple", "google")


class MonobankCredentials(BaseModel):
    """What a charity enters for its acquiring account."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    token: str = Field(pattern=r"^[!-~]+$", max_length=255, repr=False)
    """The merchant's ``X-Token``."""
    public_key: str | None = Field(default=None, pattern=r"^[A-Za-z0-9+/=]+$", max_length=2000)
    """The bank's key as ``/api/merchant/pubkey`` gives it, where we are not to ask the bank for it ourselves."""


class MonobankProvider(BaseProvider):
    """Monobank's words in ours."""

    name = "monobank"
    credentials: type[BaseModel] = MonobankCredentials
    secret: str | None = "token"  # noqa: S105 - a name
    recurring: frozenset[str] = frozenset()
    """The bank's page starts no plans; a saved card does, see `charge_token`."""

    async def check(self, delivery: Delivery, accounts: Sequence[Account], *, now: datetime, outside: Outside) -> None:
        """Check ``X-Sign``: ECDSA over the raw body with the bank's key, which is remembered; a signature that does not
        fit it makes us ask for a newer one, once a minute at most."""
        given = delivery.headers.get(HEADER, "").strip()
        if not given:
            raise SignatureInvalid("header_missing")
        try:
            signature = base64.b64decode(given, validate=True)
        except ValueError:
            raise SignatureInvalid("header_malformed") from None
        unavailable = False
        for account in accounts:
            key = await _key(account, outside)
            if key is not None and _fits(key, signature, delivery.body):
                return
            newer = await _newer_key(account, outside) if key is not None else None
            if newer not in (None, key) and _fits(newer, signature, delivery.body):
                await _keep(account, outside, newer)
                return
            unavailable |= newer is None
        if unavailable:
            raise CheckUnavailable
        raise SignatureInvalid("signature_mismatch")

    def envelope(self, body: bytes) -> Envelope:
        """An invoice in a status as of a time. Refunds that change within one second are deliveries of their own."""
        try:
            payload = literals(body)
        except ValueError:
            payload = None
        status = word(at(payload, "status"))
        changed = at(payload, "modifiedDate")
        refunds = sequence(at(payload, "cancelList"))
        parts: list[str | None] = [label(at(payload, "invoiceId")), status, label(changed)]
        if refunds:
            told = [[at(one, "status"), at(one, "amount"), at(one, "extRef")] for one in refunds]
            parts.append(sha256(repr(told).encode("utf-8", "replace")).hexdigest()[:12])
        return gateway.envelope(body, status and f"invoice.{status}", instant(changed), *parts, mode=None)

    def answer(self, delivery: Delivery, account: Account, *, now: datetime) -> Answer:
        """Exactly 200; anything else counts as failed."""
        return gateway.ACCEPTED

    def parse(self, body: bytes) -> Any:
        """JSON, its numbers as printed."""
        return literals(body)

    def interpret(self, payload: Any) -> Interpretation:
        """Say what the state of the invoice means."""
        invoice = mapping(payload)
        subject, status = label(invoice.get("invoiceId")), word(invoice.get("status"))
        moment = instant(invoice.get("modifiedDate")) or instant(invoice.get("createdDate"))
        amount = whole(invoice.get("amount"), by_number(invoice.get("ccy")))
        if subject is None:
            return ignore("no_reference")
        if moment is None:
            return ignore("malformed")
        if amount is None:
            return ignore("bad_amount")
        if amount.amount == 0:
            return ignore("no_money")
        match status:
            case "success" | "reversed":
                entries = _paid(invoice, subject, moment, amount, whole_back=status == "reversed")
            case "failure":
                entries = (gateway.attempt("failed", subject, moment, amount.amount, word(invoice.get("errCode"))),)
            case "expired":
                entries = (gateway.attempt("canceled", subject, moment, amount.amount, "expired"),)
            case "created" | "processing" | "hold":
                entries = (gateway.attempt("pending", subject, moment, amount.amount),)
            case _:
                return ignore("unknown_status")
        return Interpretation(_outcome(invoice, subject, entries, moment, amount))

    def fetches(self, account: Account) -> bool:
        """Always: the token also reads invoices."""
        return True

    async def fetch_payment(self, client: httpx.AsyncClient, credentials: Account, ref: str) -> list[Interpretation]:
        """The invoice as it stands; so it is known that one has expired."""
        from crm_api.payments.providers import monobank_api

        return await monobank_api.fetch_payment(client, credentials, ref, self.interpret)

    async def create_checkout(self, client: httpx.AsyncClient, account: Account, order: CheckoutOrder) -> CheckoutLink:
        """An invoice with a page to pay it on. The bank knows no idempotency: asked again it makes another invoice, so
        only the page that was recorded may be shown."""
        from crm_api.payments.providers import monobank_api

        return await monobank_api.create_checkout(client, account, order)

    async def list_payments(
        self, client: httpx.AsyncClient, account: Account, since: datetime, until: datetime, cursor: str | None
    ) -> ListedPage:
        """The merchant's statement, a month a page."""
        from crm_api.payments.providers import monobank_api

        return await monobank_api.list_payments(client, account, since, until, cursor)

    async def charge_token(self, client: httpx.AsyncClient, account: Account, charge: TokenCharge) -> ChargeResult:
        """Charge a saved card without its holder. The bank knows no idempotency: never send one twice."""
        from crm_api.payments.providers import monobank_api

        return await monobank_api.charge_token(client, account, charge, self.interpret)

    async def find_charge(
        self, client: httpx.AsyncClient, account: Account, charge: TokenCharge, ref: str | None
    ) -> ChargeResult | None:
        """What became of a charge: by its invoice, else by our key in the statement of the last month. One that is not
        there is not certainly none (how soon the statement knows is not documented): `OutcomeUnknown`."""
        from crm_api.payments.providers import monobank_api

        return await monobank_api.find_charge(client, account, charge, ref, self.interpret)

    def sample(self, event_type: str, *, now: datetime, seed: str) -> dict[str, Any]:
        """An invoice in that state."""
        if event_type not in _SAMPLES:
            raise gateway.unknown_sample(_SAMPLES)
        return _SAMPLES[event_type](gateway.Seed(seed, now))

    def signed(self, payload: Any, account: Account, *, now: datetime) -> Delivery:
        """Signed with the key that belongs to a made-up token; nobody but the bank can sign for a real one."""
        if account.get("public_key") != simulated_account(account["token"])["public_key"]:
            raise CannotSign(
                "Only Monobank can sign for a real account. Leave out --connection and --secret: then a connection "
                "with a made-up token and its own key is used."
            )
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
        from cryptography.hazmat.primitives.hashes import SHA256

        body = orjson.dumps(payload)
        signature = _private_key(account["token"]).sign(body, ECDSA(SHA256()))
        headers = {"content-type": "application/json", HEADER: base64.b64encode(signature).decode()}
        return Delivery(body, headers)


def simulated_account(name: str) -> dict[str, str]:
    """Credentials of no account at all, whose key everybody can sign with: for `crm-api simulate` and tests, in test
    organizations."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    token = name if name.startswith(_MADE_UP) else _MADE_UP + name
    public = _private_key(token).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return {"token": token, "public_key": base64.b64encode(pem).decode()}


def _private_key(token: str) -> EllipticCurvePrivateKey:
    """The key that belongs to a made-up token."""
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key

    return derive_private_key(int.from_bytes(sha256(token.encode()).digest()) % (_ORDER - 1) + 1, SECP256R1())


def _place(account: Account) -> str:
    """Where the key of an account is remembered."""
    return f"monobank:{sha256(account['token'].encode()).hexdigest()}"


async def _remembered(account: Account, outside: Outside, place: str, age: float) -> str | None:
    """The bank's key for an account; nothing while it cannot be had."""
    import httpx

    from crm_api.payments.providers import monobank_api

    async def ask() -> str:
        async with outside.client("monobank") as client:
            return await monobank_api.public_key(client, account)

    try:
        return await outside.remembered(place, ask, seconds=age)
    except (httpx.HTTPError, ValueError):
        return None


async def _key(account: Account, outside: Outside) -> str | None:
    """The key that is known to be the bank's."""
    return account.get("public_key") or await _remembered(account, outside, _place(account), _KEY_KEPT)


async def _newer_key(account: Account, outside: Outside) -> str | None:
    """The key that the bank has now: asked for once in a burst of deliveries that do not fit, false ones or not."""
    if pinned := account.get("public_key"):
        return pinned
    return await _remembered(account, outside, f"{_place(account)}:newer", _KEY_ASKED_EVERY)


async def _keep(account: Account, outside: Outside, key: str | None) -> None:
    """Take the newer key, which has proved itself, for the known one."""

    async def proven() -> str | None:
        return key

    await outside.remembered(_place(account), proven, seconds=0.0)


def _fits(key: str | None, signature: bytes, body: bytes) -> bool:
    """Whether the signature is the key's. A key that is none fits nothing."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        public = load_pem_public_key(base64.b64decode(key or "", validate=True))
        if not isinstance(public, EllipticCurvePublicKey):
            return False
        public.verify(signature, body, ECDSA(SHA256()))
    except (ValueError, UnsupportedAlgorithm, InvalidSignature):
        return False
    return True


def _paid(
    invoice: dict[str, Any], subject: str, moment: datetime, amount: Money, *, whole_back: bool
) -> tuple[Entry, ...]:
    """What a paid invoice says: what was charged (of a hold perhaps only a part), what of it was given back by now, and
    the bank's fee. `finalAmount` is what is left of the charge."""
    returned = [one for one in sequence(invoice.get("cancelList")) if word(at(one, "status")) == "success"]
    back = sum(sum_.amount for one in returned if (sum_ := whole(at(one, "amount"), amount.currency)))
    left = whole(invoice.get("finalAmount"), amount.currency)
    gross = min(left.amount + back, amount.amount) if left and left.amount + back else amount.amount
    entries = [gateway.charge(subject, moment, gross)]
    if whole_back:
        entries.append(gateway.refunded(subject, moment, gross))
    elif invoice.get("cancelList"):
        entries.append(gateway.refunded(subject, moment, min(back, gross)))
    if amount.currency == "UAH" and (kept := whole(at(invoice, "paymentInfo", "fee"), "UAH")):
        entries += gateway.fee(subject, moment, kept.amount)
    return tuple(entries)


def _outcome(
    invoice: dict[str, Any], subject: str, entries: tuple[Entry, ...], moment: datetime, amount: Money
) -> PaymentOutcome:
    """The payment around its entries. The bank tells nothing of the payer; the wallet of a saved card has the name that
    we gave it, which is a contact's id where it is one of ours."""
    wallet = at(invoice, "walletData", "walletId")
    means: Literal["wallet", "card"] = "wallet" if at(invoice, "paymentInfo", "paymentMethod") in _WALLETS else "card"
    return PaymentOutcome(
        refs=(subject,),
        entries=entries,
        occurred_at=moment,
        creates=True,
        amount=amount,
        payer=Payer(customer_ref=None if uuid(wallet) else label(wallet)),
        method=means,
        contact_id=uuid(wallet),
        gift_id=uuid(invoice.get("reference")),
    )


def _sample(seed: gateway.Seed, status: str, **more: Any) -> dict[str, Any]:
    amount = seed.donor[3] * 100
    made = seed.at - timedelta(seconds=30)
    return {
        "invoiceId": f"p2_sim{sha256(seed.word.encode('utf-8', 'replace')).hexdigest()[:12]}",
        "status": status,
        "amount": amount,
        "ccy": NUMBERS["UAH"],
        "createdDate": _printed(made),
        "modifiedDate": _printed(seed.at),
        "reference": f"D-{seed.number('reference', 10**6)}",
        **more,
    }


def _refunds(seed: gateway.Seed, status: str, share: int) -> dict[str, Any]:
    amount = seed.donor[3] * 100
    back = amount // share
    item = {"status": status, "amount": back, "ccy": NUMBERS["UAH"], "extRef": "r-1"}
    times = {"createdDate": _printed(seed.at), "modifiedDate": _printed(seed.at)}
    return {"finalAmount": amount - back if status == "success" else amount, "cancelList": [{**item, **times}]}


def _printed(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


_SAMPLES: dict[str, Callable[[gateway.Seed], dict[str, Any]]] = {
    "invoice.created": lambda seed: _sample(seed, "created"),
    "invoice.processing": lambda seed: _sample(seed, "processing", finalAmount=0),
    "invoice.hold": lambda seed: _sample(seed, "hold"),
    "invoice.success": lambda seed: _sample(
        seed, "success", finalAmount=seed.donor[3] * 100, paymentInfo={"fee": 130, "paymentMethod": "apple"}
    ),
    "invoice.failure": lambda seed: _sample(seed, "failure", finalAmount=0, errCode="59", failureReason="…"),
    "invoice.refund_processing": lambda seed: _sample(seed, "success", **_refunds(seed, "processing", 1)),
    "invoice.partially_refunded": lambda seed: _sample(seed, "success", **_refunds(seed, "success", 2)),
    "invoice.reversed": lambda seed: _sample(seed, "reversed", **_refunds(seed, "success", 1)),
    "invoice.expired": lambda seed: _sample(seed, "expired"),
}
