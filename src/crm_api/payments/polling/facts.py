"""What makes us ask a provider about a payment that is under way."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from crm_api.outbox.facts import Fact


class OpenPaymentsDue(Fact):
    """It is time to ask about some payments."""

    occurrence: datetime


class PaymentAskDue(Fact):
    """A payment is to be asked about now."""

    gift_id: UUID
