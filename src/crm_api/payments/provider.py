"""What a payment provider is to us: check raw bytes, name the event, say in our words what it means.

One module or package per provider in `providers/`; nothing outside it knows the provider's words. What only some can do
(make a hosted checkout, list payments, charge a stored card) are protocols of their own in `abilities`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

import orjson
from pydantic import BaseModel

from crm_api.donations.gifts.balances import Entry
from crm_api.kit.money import Money

if TYPE_CHECKING:
    import httpx

    from crm_api.donations.ledger.payouts.service import Statement

PlanStatus = Literal["pending", "active", "past_due", "paused", "canceled", "completed"]
Mode = Literal["live", "test"]


Account = Mapping[str, str]
"""The credentials of one connection, by the names that its provider's `credentials` has."""
_Kept = TypeVar("_Kept")


class SignatureInvalid(Exception):
    """The delivery is not the provider's, or not fresh. `code` is our word for the reason: ``header_missing``,
    ``header_malformed``, ``timestamp_expired``, ``signature_mismatch``, ``algorithm_unsupported``,
    ``certificate_refused``, ``secret_missing``."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class CheckUnavailable(Exception):
    """What is needed to check a delivery (a key, a certificate, the provider's own verdict) cannot be had just now. The
    answer is 503, so that the provider comes again."""


class CannotSign(Exception):
    """Nobody but the provider can sign its deliveries; the text says what to do to try it nonetheless."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A request to a connection's webhook address, as it came."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    """By lower-case name."""
    query: Mapping[str, str] = field(default_factory=dict)
    tail: str = ""
    """What stands in the path behind the connection's id: a secret, where the provider has no signature."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider wants to hear when its delivery is stored."""

    status: int = 202
    body: bytes = b'{"received":true}'


class Outside(Protocol):
    """What a check may use beside the delivery. See `payments.outside`."""

    def client(self, service: str, default: str | None = None) -> httpx.AsyncClient:
        """A client of a service named in `CRM_SERVICE_URLS`."""
        ...

    async def remembered(
        self, key: str, fetch: Callable[[], Awaitable[_Kept]], *, seconds: float, not_before: float = 0.0
    ) -> _Kept:
        """What `fetch` gave for `key`, asked for anew when it is older than `seconds`; one asks, others wait for it.
        A shorter `seconds` renews it (a key that does not fit any more), yet never what is younger than `not_before`
        seconds, so that false deliveries cannot make us ask on and on."""
        ...


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
    """Every provider id that names this payment, the payment key first. Ids of any other kind carry that kind
    (``order:5O19``), so that the key is told from them whatever their order; Stripe's have prefixes of their own."""
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
    twins: tuple[str, ...] = ()
    """Ids of the same money at another provider, as ``stripe:ch_…``: a platform (Donorbox) tells of a payment that its
    own processor tells us of, too."""
    source: Mapping[str, str] | None = None
    """Attribution that came with the payment: ``utm_source`` and the like, ``source_code``, ``appeal_code``."""
    donor_covered_fee: int | None = None
    """What of the amount the donor added to cover the fee, in minor units of `amount`."""
    is_anonymous: bool = False
    needs_matching: bool = False
    """Who paid is only a hint in free text: the gift goes into the queue of unmatched gifts."""
    hint: str | None = None
    """That free text, for whoever matches it. Personal: never logged."""
    campaign_code: str | None = None
    fund_code: str | None = None

    @property
    def stated_currency(self) -> str | None:
        """The currency that the event's amounts are in."""
        return self.amount.currency if self.amount else self.currency


@dataclass(frozen=True, slots=True)
class PayoutOutcome:
    """A payout that has arrived at the bank, or that the bank has sent back after all."""

    said: Statement
    """Without items where only its amount is known."""
    failure_code: str | None = None
    """The provider's word for why it was sent back; null while it stands."""


@dataclass(frozen=True, slots=True)
class Interpretation:
    """An event in our words. `ignored` gives the reason when it changes nothing."""

    payment: PaymentOutcome | None = None
    plan: PlanOutcome | None = None
    payout: PayoutOutcome | None = None
    ignored: str | None = None
    also: tuple[Interpretation, ...] = ()
    """What else the same delivery says, where it holds several events."""


@dataclass(frozen=True, slots=True)
class FollowUp:
    """What is to be asked of the provider, or done there, because of an event: a payer that no event names, an approved
    order that waits to be captured."""

    what: str
    """The provider's own word for it, without anything personal."""
    ref: str


class Provider(Protocol):
    """One payment provider. Implementations are stateless; `interpret` is pure. `BaseProvider` has what most share."""

    name: str
    credentials: type[BaseModel]
    """Shape of the connection's credentials; the secret ones never leave the database unencrypted."""
    secret: str | None
    """Name of the credential that signs deliveries: when it is replaced, the old one stays valid for a day."""

    async def check(self, delivery: Delivery, accounts: Sequence[Account], *, now: datetime, outside: Outside) -> None:
        """Check that the delivery is the provider's, over its raw bytes, against any of the accounts (the credentials
        as they are, then with earlier secrets that are still valid).

        Raises `SignatureInvalid`, or `CheckUnavailable`. `now` is the organization's clock.
        """
        ...

    def envelope(self, body: bytes) -> Envelope:
        """Read the delivery key. Never raises: a body without an id gets a digest of its bytes as key."""
        ...

    def answer(self, delivery: Delivery, account: Account, *, now: datetime) -> Answer:
        """What the provider wants to hear once the delivery is stored (also when it was known already)."""
        ...

    def parse(self, body: bytes) -> Any:
        """The content of a stored body for `interpret`. Raises `ValueError` for what is none."""
        ...

    def interpret(self, payload: Any) -> Interpretation:
        """Say what the event means. Never raises on strange payloads: what is not understood is ``ignored``."""
        ...

    def interpret_at(self, payload: Any, *, received_at: datetime) -> Interpretation:
        """The same, with the time of the delivery (the organization's clock) for what the provider does not date."""
        ...

    def follow_ups(self, payload: Any) -> tuple[FollowUp, ...]:
        """What an event calls for at the provider beside what it says itself."""
        ...

    async def follow_up(self, client: httpx.AsyncClient, account: Account, step: FollowUp) -> list[Interpretation]:
        """Ask or do it; may be called again at any time. Raises `httpx.HTTPError` on trouble worth a retry."""
        ...

    def fetches(self, account: Account) -> bool:
        """Whether `fetch_payment` has what it needs."""
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

    def signed(self, payload: Any, account: Account, *, now: datetime) -> Delivery:
        """The delivery that the provider would make, for `crm-api simulate` and tests. Raises `CannotSign`."""
        ...


class BaseProvider(ABC):
    """What most providers have in common: JSON bodies, 202, no lookups."""

    secret: str | None = None

    def answer(self, delivery: Delivery, account: Account, *, now: datetime) -> Answer:
        """202 and a short JSON."""
        return Answer()

    def parse(self, body: bytes) -> Any:
        """JSON."""
        return orjson.loads(body)

    @abstractmethod
    def interpret(self, payload: Any) -> Interpretation:
        """Each provider's own."""

    def interpret_at(self, payload: Any, *, received_at: datetime) -> Interpretation:
        """Everything is dated by the provider."""
        return self.interpret(payload)

    def follow_ups(self, payload: Any) -> tuple[FollowUp, ...]:
        """An event says all there is to say."""
        return ()

    async def follow_up(self, client: httpx.AsyncClient, account: Account, step: FollowUp) -> list[Interpretation]:
        """Nothing follows."""
        return []

    def fetches(self, account: Account) -> bool:
        """Nothing can be looked up."""
        return False

    async def fetch_payment(self, client: httpx.AsyncClient, credentials: Account, ref: str) -> list[Interpretation]:
        """Nothing is known beside what was delivered."""
        return []
