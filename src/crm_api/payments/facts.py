"""What can happen between us and payment providers."""

from __future__ import annotations

from uuid import UUID

from crm_api.outbox.facts import Fact


class PaymentEventReceived(Fact):
    """A verified provider event lies in the inbox."""

    event_id: UUID


class PaymentMissing(Fact):
    """An event names a payment that we have not heard of: ask the provider, when a key allows it."""

    event_id: UUID
    connection_id: UUID
    ref: str


class PaymentFollowUpDue(Fact):
    """Something is to be asked of a provider, or done there: who paid, an order to be captured, what is in a payout.
    An event called for it, or a reconciliation."""

    event_id: UUID | None = None
    connection_id: UUID
    what: str
    ref: str
