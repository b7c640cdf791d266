"""What the Ukrainian gateways (Monobank, LiqPay, WayForPay, Fondy) share: bodies whose numbers stay as they were
printed, and statements about a payment that is known by one provider id. Nothing here raises but `literals`, `form`
and `document`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from hashlib import sha256
from typing import Any, Literal, NoReturn
from urllib.parse import parse_qsl, unquote_plus
from uuid import UUID

from crm_api.donations.gifts.balances import Entry, derive
from crm_api.kit.clock import from_unix
from crm_api.kit.money import CURRENCIES, MAX_MINOR, Money, exponent
from crm_api.payments.abilities import Listed
from crm_api.payments.provider import Answer, Envelope, Interpretation, Mode
from crm_api.payments.providers.exact import decimal
from crm_api.payments.providers.reading import instant, statement_key, text, uuid

ACCEPTED = Answer(200)
"""These gateways take nothing but 200 for success, or do not say what else they would take."""
_MOST_FIELDS = 200
_LONGEST = 200
_SOURCE = ("utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term", "source_code", "appeal_code")
_LISTED: dict[str, Literal["pending", "succeeded", "failed", "canceled", "partially_refunded", "refunded"]] = {
    "pending": "pending",
    "succeeded": "succeeded",
    "failed": "failed",
    "canceled": "canceled",
    "partially_refunded": "partially_refunded",
    "refunded": "refunded",
}


# Bodies


def _constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


def literals(content: str | bytes) -> Any:
    """JSON in which every number is the text it was printed as (``1000.00`` is not ``1000.0`` in a signature). Raises
    `ValueError` for what is no JSON."""
    try:
        return json.loads(content, parse_float=str, parse_int=str, parse_constant=_constant)
    except RecursionError:
        raise ValueError("nested too deep") from None


def form(body: bytes) -> dict[str, str]:
    """The fields of a form, of several with one name the first. Raises `ValueError` for what is none."""
    fields: dict[str, str] = {}
    for name, value in parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=_MOST_FIELDS):
        fields.setdefault(name, value)
    return fields


def document(body: bytes) -> dict[str, Any]:
    """An object that comes as JSON, as JSON that an HTTP library took for the name of a form's only field, or as a
    form. Raises `ValueError` for anything else."""
    content = body.strip()
    if content[:1] == b"{":
        found = literals(content.removesuffix(b"="))
    elif content[:3].upper() == b"%7B":
        found = literals(unquote_plus(content.decode("utf-8")).strip().removesuffix("="))
    else:
        found = form(body)
    if not isinstance(found, dict) or not found:
        raise ValueError("neither an object nor a form")
    return found


def digest_key(body: bytes) -> str:
    """The delivery key of a body that names nothing."""
    return f"sha256:{sha256(body).hexdigest()}"


def envelope(
    body: bytes, event_type: str | None, moment: datetime | None, *key: str | None, mode: Mode | None
) -> Envelope:
    """The frame of a delivery known by the parts of its key; all of them must be known, or the bytes are the key."""
    known = [part for part in key if part is not None]
    return Envelope(
        event_id=":".join(known) if key and len(known) == len(key) else digest_key(body),
        event_type=event_type or "unknown",
        mode=mode,
        occurred_at=moment,
    )


# Members


def label(value: Any) -> str | None:
    """An id, printed as text or as a number: short, and something that Postgres can store."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**18:
        return str(value)
    return text(value, _LONGEST)


def whole(value: Any, currency: str | None) -> Money | None:
    """An amount printed in the smallest units, as a number or as text."""
    number = decimal(value)
    if number is None or currency is None or number != number.to_integral_value() or not 0 <= number <= MAX_MINOR:
        return None
    return Money(int(number), currency)


def iso(value: Any) -> str | None:
    """A currency by its letters."""
    found = value.strip().upper() if isinstance(value, str) else None
    return found if found in CURRENCIES else None


def rounded(value: Any, currency: str) -> int | None:
    """A fee in main units as minor units; fees are printed with more decimals than the currency has."""
    number = decimal(value)
    if number is None or number <= 0:
        return None
    minor = int(number.scaleb(exponent(currency)).to_integral_value(rounding=ROUND_HALF_EVEN))
    return minor if 0 < minor <= MAX_MINOR else None


def seconds(value: Any) -> datetime | None:
    """An instant from Unix seconds, printed as a number or as text."""
    number = decimal(value)
    return instant(int(number)) if number is not None else None


def millis(value: Any) -> datetime | None:
    """An instant from Unix milliseconds, to the second: statements of one second are told apart by what they say."""
    number = decimal(value)
    return instant(int(number // 1000)) if number is not None else None


def phone(value: Any) -> str | None:
    """A phone number with its plus sign; Ukrainian ones come with and without the country's code."""
    digits = re.sub(r"[^0-9]", "", value) if isinstance(value, str) else ""
    if len(digits) == 10 and digits[0] == "0":
        return f"+38{digits}"
    return f"+{digits}" if 11 <= len(digits) <= 15 else None


@dataclass(frozen=True, slots=True)
class Carried:
    """What our own checkout sent along, come back."""

    contact_id: str | None = None
    campaign_code: str | None = None
    fund_code: str | None = None
    every: Literal["week", "month", "year"] | None = None
    source: Mapping[str, str] | None = None


def carried(value: Any) -> Carried:
    """Our own metadata out of the free field it was sent in; nothing where somebody else has written there."""
    try:
        found = literals(value) if isinstance(value, str) and value[:1] == "{" else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        return Carried()
    every = found.get("every")
    source = {name: word for name in _SOURCE if (word := text(found.get(name), _LONGEST))}
    return Carried(
        contact_id=uuid(found.get("contact_id")),
        campaign_code=text(found.get("campaign_code"), 64),
        fund_code=text(found.get("fund_code"), 64),
        every=every if every in ("week", "month", "year") else None,
        source=source or None,
    )


def carrying(metadata: Mapping[str, str], every: str | None = None) -> str:
    """Our metadata as one short text for a free field; the same for the same order."""
    return json.dumps({**metadata, **({"every": every} if every else {})}, sort_keys=True, separators=(",", ":"))


def made_at(order_id: UUID, otherwise: datetime) -> datetime:
    """When an order was made, which its id tells: the same order must give the same page."""
    return from_unix((order_id.int >> 80) // 1000) if order_id.version == 7 else otherwise


# Statements


def charge(subject: str, moment: datetime, amount: int) -> Entry:
    """The money has come."""
    return Entry("charge", statement_key("charge", subject, moment, amount), moment, amount)


def attempt(
    kind: Literal["pending", "failed", "canceled"],
    subject: str,
    moment: datetime,
    amount: int,
    reason: str | None = None,
) -> Entry:
    """How an attempt to pay stands."""
    return Entry(kind, statement_key(kind, subject, moment, amount, reason), moment, amount, reason=reason)


def refunded(subject: str, moment: datetime, total: int) -> Entry:
    """How much of the payment has been given back altogether."""
    return Entry("refunded_total", statement_key("refunded_total", subject, moment, total), moment, total)


def fee(subject: str, moment: datetime, amount: int | None) -> tuple[Entry, ...]:
    """What the provider keeps; one sum per payment, however often it is told."""
    if not amount:
        return ()
    return (Entry("fee", statement_key("fee", subject, moment, amount), moment, amount, ref=f"{subject}:fee"),)


def listed(said: Interpretation) -> Listed | None:
    """A payment of a provider's own list, from what the list's row means; nothing where it is no payment."""
    payment = said.payment
    if payment is None or payment.amount is None:
        return None
    balance = derive(payment.entries)
    return Listed(
        ref=payment.refs[0],
        occurred_at=payment.occurred_at,
        status=_LISTED.get(balance.status, "disputed"),
        amount=payment.amount,
        refunded=balance.refunded,
        fee=balance.fee or None,
        meanings=(said,),
    )


# Samples


@dataclass(frozen=True, slots=True)
class Seed:
    """What one seed decides: all samples of a seed are about one payment, donor and plan."""

    word: str
    at: datetime

    def number(self, what: str, below: int) -> int:
        """A number that is the same for the same seed and question."""
        return int.from_bytes(sha256(f"{self.word}/{what}".encode("utf-8", "replace")).digest()[:8]) % below

    @property
    def unix(self) -> int:
        """The time in whole seconds."""
        return int(self.at.timestamp())

    @property
    def donor(self) -> tuple[str, str, str, int]:
        """First name, family name, phone and a gift in whole hryvnias."""
        first, family, sums = _DONORS[self.number("donor", len(_DONORS))]
        mobile = f"38050{self.number('phone', 10**7):07d}"
        return first, family, mobile, sums[self.number("amount", len(sums))]

    @property
    def email(self) -> str:
        """An address that never delivers."""
        return f"donor.{self.number('email', 10**8):08d}@example.org"


_DONORS = (
    ("Олена", "Ковальчук", (200, 500, 1500)),
    ("Ґалаґан", "Їжакевич", (300, 1000)),
    ("Solomiia", "O’Connor-Шевченко", (250, 750)),
    ("ნინო", "ბერიძე", (100, 420)),
)


def unknown_sample(known: Mapping[str, object]) -> KeyError:
    """What is said about a sample that there is none of."""
    return KeyError(f"no sample for this event type; known are: {', '.join(sorted(known))}")


def in_main_units(amount: Money) -> str:
    """``250.50``: an amount as these gateways take it."""
    return f"{amount.major():.{exponent(amount.currency)}f}"


def from_main(value: Any, currency: str | None) -> Money | None:
    """An amount printed in main units; no fraction of the smallest unit, nothing below zero."""
    number = decimal(value)
    if number is None or currency is None or number < 0:
        return None
    scaled = number.scaleb(exponent(currency))
    minor = scaled.to_integral_value()
    return Money(int(minor), currency) if minor == scaled and minor <= Decimal(MAX_MINOR) else None
