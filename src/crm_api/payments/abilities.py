"""What only some providers can do. Each is a protocol of its own; `isinstance` tells whether a provider can.

None of these is ever called inside a transaction. All raise `httpx.HTTPError` for trouble worth a retry, where nothing
is known to have happened, and `Refused` for a final no.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable
from uuid import UUID

from crm_api.kit.money import Money
from crm_api.payments.provider import Account, FollowUp, Interpretation, PlanOutcome

if TYPE_CHECKING:
    import httpx

DeclineClass = Literal[
    "insufficient_funds", "expired_card", "lost_or_stolen", "do_not_honor", "authentication", "technical", "unknown"
]
"""Why a charge failed, in words that a dunning policy can be written in."""


class Refused(Exception):
    """The provider says no, and will say so again. `code` is its own code, never a text about a person."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code


class OutcomeUnknown(Exception):
    """The request may have had its effect (a timeout after sending). Look it up before anything else; never resend."""


@dataclass(frozen=True, slots=True)
class CheckoutOrder:
    """A payment that somebody is about to make on the provider's page."""

    id: UUID
    """Ours: carried through the provider's reference field, and its idempotency key."""
    amount: Money
    description: str
    """For the payer to read; plain text."""
    success_url: str
    cancel_url: str
    webhook_url: str
    email: str | None = None
    name: str | None = None
    language: str | None = None
    every: Literal["week", "month", "year"] | None = None
    """A recurring gift, where the provider's page can start one."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """ASCII keys and values that come back with the payment: ``contact_id``, ``campaign_code``, ``fund_code`` ..."""
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CheckoutLink:
    """Where to send the payer."""

    url: str
    refs: tuple[str, ...]
    """Every id by which the provider's events will name this payment, as `PaymentOutcome.refs`."""
    expires_at: datetime | None = None


@runtime_checkable
class OffersCheckout(Protocol):
    """Makes hosted checkout pages."""

    recurring: frozenset[str]
    """Of `CheckoutOrder.every`, what its page can start."""

    async def create_checkout(self, client: httpx.AsyncClient, account: Account, order: CheckoutOrder) -> CheckoutLink:
        """Make a page for one payment. The same order gives the same page."""
        ...


@dataclass(frozen=True, slots=True)
class Listed:
    """One payment as the provider's own list has it now."""

    ref: str
    """The payment key."""
    occurred_at: datetime
    status: Literal["pending", "succeeded", "failed", "canceled", "partially_refunded", "refunded", "disputed"]
    amount: Money
    refunded: int = 0
    fee: int | None = None
    meanings: tuple[Interpretation, ...] = ()
    """The same in our words, to be applied where the ledger lacks it; empty where only `fetch_payment` tells."""


@dataclass(frozen=True, slots=True)
class ListedPage:
    """A page of a provider's list."""

    items: tuple[Listed, ...]
    next_cursor: str | None


@runtime_checkable
class ListsPayments(Protocol):
    """Lists what it has, for reconciliation."""

    async def list_payments(
        self, client: httpx.AsyncClient, account: Account, since: datetime, until: datetime, cursor: str | None
    ) -> ListedPage:
        """Payments made from `since` up to `until`, oldest or newest first."""
        ...


@dataclass(frozen=True, slots=True)
class ListedPayout:
    """A payout in the provider's list."""

    step: FollowUp
    """What tells all of it; its ref is the payout's."""
    failed: bool
    """Whether the bank has sent it back."""


@runtime_checkable
class ListsPayouts(Protocol):
    """Lists what it has sent to the bank."""

    async def list_payouts(
        self, client: httpx.AsyncClient, account: Account, since: datetime, until: datetime
    ) -> Sequence[ListedPayout]:
        """Payouts made from `since` up to `until` that arrived or came back; none where the account may not see
        them."""
        ...


@dataclass(frozen=True, slots=True)
class ListedPlans:
    """A page of a provider's list of recurring plans, each as it stands now."""

    items: tuple[PlanOutcome, ...]
    next_cursor: str | None


@runtime_checkable
class ListsPlans(Protocol):
    """Lists the recurring plans that it runs, ended ones too, for reconciliation."""

    async def list_plans(self, client: httpx.AsyncClient, account: Account, cursor: str | None) -> ListedPlans:
        """All plans, a page at a time. `Refused` where the account may not see them."""
        ...


@dataclass(frozen=True, slots=True)
class TokenCharge:
    """A charge of a stored card, without its holder present."""

    key: str
    """Idempotency key, and the reference the provider keeps; the same for every look at what became of it."""
    token: str
    amount: Money
    description: str
    webhook_url: str


@dataclass(frozen=True, slots=True)
class ChargeResult:
    """What became of a charge."""

    state: Literal["succeeded", "failed", "pending"]
    ref: str
    """The payment key under which events will tell more."""
    decline_class: DeclineClass | None = None
    decline_code: str | None = None
    meaning: Interpretation | None = None
    """The same as an event would say it, to be applied at once."""


@runtime_checkable
class ChargesTokens(Protocol):
    """Charges stored cards."""

    async def charge_token(self, client: httpx.AsyncClient, account: Account, charge: TokenCharge) -> ChargeResult:
        """Charge. Raises `OutcomeUnknown` when the request left and no answer came."""
        ...

    async def find_charge(
        self, client: httpx.AsyncClient, account: Account, charge: TokenCharge, ref: str | None
    ) -> ChargeResult | None:
        """What became of a charge; ``None`` when the provider certainly has none."""
        ...
