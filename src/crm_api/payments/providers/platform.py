"""What donation platforms (Donorbox, GoFundMe Pro, Givebutter) share: a body that tells a whole payment as it stands,
again at every change, and not always when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Literal

from crm_api.donations.gifts.balances import Entry
from crm_api.kit.money import Money
from crm_api.payments.provider import Envelope, Mode
from crm_api.payments.providers.exact import told
from crm_api.payments.providers.reading import statement_key, text

UNDATED = datetime(1990, 1, 2, tzinfo=UTC)
"""Stands for the time of a delivery where nobody says it (`interpret` alone)."""
State = Literal["charge", "pending", "failed", "canceled"]
UTM = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
METHODS: dict[str, Literal["card", "bank_transfer", "wallet"]] = {
    **dict.fromkeys(("stripe", "card", "cc", "credit_card", "creditcard"), "card"),
    **dict.fromkeys(("ach", "bank", "bank_account", "us_bank_account", "sepa", "check_ach"), "bank_transfer"),
    **dict.fromkeys(("paypal", "venmo", "apple_pay", "google_pay", "pp", "cashapp", "cash_app"), "wallet"),
}
_COUNTRIES = {"USA": "US", "CAN": "CA", "GBR": "GB", "AUS": "AU", "UKR": "UA", "GEO": "GE", "DEU": "DE", "POL": "PL"}


@dataclass(frozen=True, slots=True)
class Told:
    """A payment as a platform tells it."""

    subject: str
    state: State
    amount: Money
    at: datetime
    """When it was made."""
    received_at: datetime
    """When this was delivered: the time of what the platform does not date."""
    fee: Money | None = None
    fee_ref: str | None = None
    """The processor's own name of the fee, so that it is not counted twice where the processor tells of it, too."""
    refunded: Money | None = None
    refunded_at: datetime | None = None
    dispute: Literal["open", "lost"] | None = None


def entries(told_: Told) -> tuple[Entry, ...]:
    """The statements about a payment. What was given back is a running total as of the delivery, unless the platform
    says when."""
    subject, amount = told_.subject, told_.amount.amount
    found = [
        Entry(
            kind=told_.state,
            key=statement_key(told_.state, subject, told_.at, amount),
            occurred_at=told_.at,
            amount=amount,
        )
    ]
    if told_.state != "charge":
        return tuple(found)
    if (fee := told_.fee) is not None and fee.currency == told_.amount.currency and fee.amount:
        key = statement_key("fee", subject, told_.at, fee.amount)
        ref = told_.fee_ref or f"{PLATFORM_FEE}{subject}"
        found.append(Entry(kind="fee", key=key, occurred_at=told_.at, amount=fee.amount, ref=ref))
    back = told_.refunded
    if back is not None and back.currency == told_.amount.currency and back.amount:
        at_ = max(told_.refunded_at or told_.received_at, told_.at)
        key = statement_key("refunded_total", subject, at_, back.amount)
        found.append(Entry(kind="refunded_total", key=key, occurred_at=at_, amount=back.amount))
    if told_.dispute is not None:
        at_ = max(told_.received_at, told_.at)
        found.append(
            Entry(
                kind="dispute",
                key=statement_key("dispute", subject, at_, told_.dispute, amount),
                occurred_at=at_,
                amount=amount,
                ref=f"platform:{subject}",
                status=told_.dispute,
            )
        )
    return tuple(found)


PLATFORM_FEE = "platform:"
"""How the fee is named that only a platform tells of: it gives way to the processor's own (see `payments.twins`)."""


def envelope(
    body: bytes, event_type: str | None, at_: datetime | None, *key: str | None, mode: Mode | None
) -> Envelope:
    """The frame of a delivery without an id of its own: what it is about, and a digest of its bytes, since a platform
    tells the same payment again when anything of it changes."""
    digest = sha256(body).hexdigest()
    known = [part for part in key if part]
    return Envelope(
        event_id=":".join([*known, digest[:16]]) if known else f"sha256:{digest}",
        event_type=event_type or "unknown",
        mode=mode,
        occurred_at=at_,
    )


def country(value: Any) -> str | None:
    """A country as two letters; of those with three, the ones that platforms are known to print."""
    found = (text(value, 3) or "").upper()
    found = _COUNTRIES.get(found, found)
    return found if len(found) == 2 and found.isascii() and found.isalpha() else None


def source(values: Mapping[str, Any]) -> dict[str, str] | None:
    """The campaign tags of an address, where they came along."""
    return told({name: text(values.get(name), 200) for name in UTM})


def full_name(values: Mapping[str, Any], given: str, family: str, whole: str) -> str | None:
    """A name from its two parts, else as one."""
    parts = [part for part in (text(values.get(given), 100), text(values.get(family), 100)) if part]
    return " ".join(parts) or text(values.get(whole), 200)
