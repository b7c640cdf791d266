"""What can happen to exchange rates."""

from __future__ import annotations

from datetime import date

from crm_api.outbox.facts import Fact


class RateAdded(Fact):
    """A rate is known for a date, newly or changed; amounts that waited for it can be converted."""

    source_currency: str
    target_currency: str
    rate_date: date
