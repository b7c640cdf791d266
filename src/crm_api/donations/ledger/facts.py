"""What can happen to the books."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from crm_api.outbox.facts import Fact


class LedgerBehind(Fact):
    """A pass over all gifts has got as far as `after`; the rest is to be posted."""

    after: UUID


class PayoutRecorded(Fact):
    """A provider's payout was recorded; its items are to be matched with gifts."""

    payout_id: UUID


class LedgerProofDue(Fact):
    """The night's proof of the books is due."""

    occurrence: datetime


class LedgerProofAsked(Fact):
    """A proof is to be begun, or to go on from where it has got to."""

    proof_id: UUID
