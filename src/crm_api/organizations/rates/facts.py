"""What can happen to exchange rates."""

from __future__ import annotations

from datetime import date

from crm_api.outbox.facts import Fact


class RatesAdded(Fact):
    """Many rates between two currencies came at once; amounts that waited for them can be converted."""

    source_currency: str
    target_currency: str


class RateAdded(Fact):
    """A rate is known for a date, newly or changed; amounts that waited for it can be converted."""

    source_currency: str
    target_currency: str
    rate_date: date

    def in_bulk(self, what: str) -> Fact:
        """Rates were added between the same currencies."""
        return RatesAdded(source_currency=self.source_currency, target_currency=self.target_currency)
