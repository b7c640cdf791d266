"""What can happen in the queue of unmatched payments."""

from __future__ import annotations

from uuid import UUID

from crm_api.outbox.facts import Fact


class PaymentWaits(Fact):
    """A payment waits to be joined to somebody: rules are to look at it."""

    gift_id: UUID


class MatchRuleChanged(Fact):
    """A rule is new or says something else: it is to look at what waits."""

    rule_id: UUID
    after: UUID | None = None
    """Where a long queue is gone on with."""
