"""What a payment provider is to us: verify raw bytes, name the event, say in our words what it means.

One file per provider in `providers/`; nothing outside that file knows the provider's words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pydantic import BaseModel

from crm_api.donations.gifts.balances import Entry
from crm_api.kit.money import Money

if TYPE_CHECKING:
    import httpx

PlanStatus = Literal["pending", "active", "past_due", "paused", "canceled", "completed"]
Mode = Literal["live", "test"]


class SignatureInvalid(Exception):
    """The delivery is not the provider's, or not fresh. `code` is our word for the reason: ``header_missing``,
    ``header_malformed``, ``timestamp_expired``, ``signature_mismatch``."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is known of a delivery before anything is interpreted."""

    event_id: str
    """Delivery key: unique per connection."""
    event_type: str
    mode: Mode | None
    """``None`` where the provider does not say."""
    occurred_at: datetime | None


@dataclass(frozen=True, slots=True)
class Payer:
    """Who paid, as far as the provider says. Never logged."""

    email: str | None = None
    name: str | None = None
    phone: str | None = None
    language: str | None = None
    """BCP 47 tag, such as ``uk`` or ``ka``."""
    country: str | None = None
    city: str | None = None
    customer_ref: str | None = None
    """The provider's own id of the payer (``cus_…``)."""
    rank: int = 0
    """How far these details are to be trusted against others of the same payment: the higher wins."""


@dataclass(frozen=True, slots=True)
class PlanOutcome:
    """State of a recurring plan at the provider's time `stated_at`; unknown facts are ``None``."""

    ref: str
    status: PlanStatus | None
    stated_at: datetime
    amount: Money | None = None
    frequency_unit: Literal["day", "week", "month", "year"] | None = None
    frequency_interval: int | None = None
    customer_ref: str | None = None
    started_at: datetime | None = None
    next_date: date | None = None
    ended_at: datetime | None = None
    whole: bool = False
    """The statement describes the whole plan (amount and frequency are to be taken over), not only its status."""


@dataclass(frozen=True, slots=True)
class PaymentOutcome:
    """What one event says about one payment."""

    refs: tuple[str, ...]
    """Every provider id that names this payment, the payment key of integrations §0 first."""
    entries: tuple[Entry, ...]
    occurred_at: datetime
    creates: bool
    """The event carries the whole payment, so it may create the gift; otherwise it waits for the payment."""
    amount: Money | None = None
    payer: Payer = field(default_factory=Payer)
    method: Literal["card", "bank_transfer", "wallet", "other"] = "other"
    plan_ref: str | None = None
    kin: Literal["invoice", "intent"] | None = None
    """Two events of one recurring payment may share no id: an invoice and a payment intent of the same customer,
    amount and hour are the same payment. ``None`` forbids that guess (a checkout that is certainly a one-off)."""
    currency: str | None = None
    """Of the entries' amounts, where `amount` does not say it (refunds, disputes)."""
    joins: bool = False
    """The event's only content is that all `refs` name one payment."""
    contact_id: str | None = None
    """Our contact id, where it was carried through the provider's metadata."""
    gift_id: str | None = None
    """Our gift id, where it was carried through."""
    campaign_code: str | None = None
    fund_code: str | None = None

    @property
    def stated_currency(self) -> str | None:
        """The currency that the event's amounts are in."""
        return self.amount.currency if self.amount else self.currency


@dataclass(frozen=True, slots=True)
class Interpretation:
    """An event in our words. `ignored` gives the reason when it changes nothing."""

    payment: PaymentOutcome | None = None
    plan: PlanOutcome | None = None
    ignored: str | None = None


class Provider(Protocol):
    """One payment provider. Implementations are stateless; `verify` and `interpret` are pure."""

    name: str
    credentials: type[BaseModel]
    """Shape of the connection's credentials; the secret ones never leave the database unencrypted."""

    def verify(self, *, body: bytes, headers: Mapping[str, str], secrets: Sequence[str], now: datetime) -> None:
        """Check the signature over the raw bytes against any of `secrets` (two while rotating).

        Raises `SignatureInvalid`. `headers` has lower-case names. `now` is the organization's clock.
        """
        ...

    def envelope(self, body: bytes) -> Envelope:
        """Read the delivery key. Never raises: a body without an id gets a digest of its bytes as key."""
        ...

    def interpret(self, payload: Any) -> Interpretation:
        """Say what the event means. Never raises on strange payloads: what is not understood is ``ignored``."""
        ...

    async def fetch_payment(
        self, client: httpx.AsyncClient, credentials: Mapping[str, str], ref: str
    ) -> list[Interpretation]:
        """Ask the provider for the payment that `ref` names, when the credentials allow it; ``[]`` otherwise or when
        the provider does not know it. Raises `httpx.HTTPError` on trouble worth a retry."""
        ...

    def sample(self, event_type: str, *, now: datetime, seed: str) -> dict[str, Any]:
        """A realistic event of that type, for `crm-api simulate`; `KeyError` lists the known types."""
        ...

    def sign(self, body: bytes, *, secret: str, now: datetime) -> dict[str, str]:
        """The headers the provider would send with `body`."""
        ...
