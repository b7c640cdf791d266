"""What one donor has given, as of a date: the numbers that status, RFM and the donor profile are made of.

Source of the definitions: `scoring.md` §1. The unit is contact x organization. The caller hands in settled hard
credits, each net of refunds and lost disputes; soft credits never come here. A gift *counts* when its net amount is
above zero and its gift date is not after ``as_of``. Money is integer minor units. Nothing here reads a clock or a
database, and the order of the gifts never matters.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from typing import Final
from uuid import UUID

YEAR_DAYS: Final = 365
"""Length of the look-back behind ``total_last_365_days``: a gift 365 days ago is inside, one 366 days ago is not.

That is the border of the default status rules too: a donor whose last gift was 365 days ago is not yet lapsing."""

AVERAGE_GIFT_SQL: Final = """
CASE WHEN gifts_with_rate > 0 THEN
  CAST(total_given AS BIGINT) / gifts_with_rate
  + CASE
      WHEN 2 * (CAST(total_given AS BIGINT) % gifts_with_rate) > gifts_with_rate THEN 1
      WHEN 2 * (CAST(total_given AS BIGINT) % gifts_with_rate) = gifts_with_rate
        THEN (CAST(total_given AS BIGINT) / gifts_with_rate) % 2
      ELSE 0
    END
END
"""
"""`half_even_mean` as an SQL expression over the columns ``total_given`` (minor units, not negative) and
``gifts_with_rate`` (an integer count). Postgres' own ``round(numeric)`` rounds halves away from zero and would differ
by a minor unit; the casts matter, since ``sum(bigint)`` is numeric and divides with decimals."""


@dataclass(frozen=True, slots=True)
class CountedGift:
    """One settled hard credit, net of refunds and lost disputes."""

    gift_id: UUID
    gift_date: date
    """Calendar date in the organization's time zone; every day count uses this one."""
    received_at: datetime
    amount: int
    """Counted net amount in minor units of ``currency``; zero when fully refunded or charged back."""
    currency: str
    base_amount: int | None
    """Counted net amount in minor units of the organization's currency; None while no rate is known."""
    plan_id: UUID | None
    """The recurring plan this gift is an instalment of."""


@dataclass(frozen=True, slots=True)
class DonorSummary:
    """The giving of one contact, in the organization's currency, as of one date."""

    gift_count: int
    """Counted gifts, those without a rate included."""
    base_currency: str
    total_given: int
    """Minor units of ``base_currency``; without the gifts that have no rate."""
    average_gift: int | None
    """``total_given`` over the gifts that are in it, rounded half to even; None when there are none."""
    largest_gift: int | None
    first_gift_at: datetime | None
    last_gift_at: datetime | None
    first_gift_date: date | None
    last_gift_date: date | None
    total_last_365_days: int
    """As ``total_given``, of the gifts dated 0 to 365 days before ``as_of``."""
    gifts_without_rate: int
    """Counted gifts that the sums, the average and the largest gift leave out."""
    has_counted_recurring_gift: bool
    """Whether any counted gift belongs to a recurring plan, live or not."""
    as_of: date
    """The date the summary holds for: ``total_last_365_days`` is another number on another day."""
    recurring_plan_ids: frozenset[UUID] = frozenset()
    """The plans with at least one counted gift."""

    @property
    def days_since_last_gift(self) -> int | None:
        """Calendar days from the last gift to ``as_of``; None without a gift."""
        return None if self.last_gift_date is None else days_between(self.last_gift_date, self.as_of)

    @property
    def days_since_first_gift(self) -> int | None:
        """Calendar days from the first gift to ``as_of``; None without a gift."""
        return None if self.first_gift_date is None else days_between(self.first_gift_date, self.as_of)

    def has_gift_of(self, live_plan_ids: Collection[UUID]) -> bool:
        """Whether one of these plans has a counted gift: the meaning of "a live recurring plan with a counted gift"
        when the live plans are handed in. An ended plan's gift does not vouch for a live plan still unpaid."""
        return not self.recurring_plan_ids.isdisjoint(live_plan_ids)


def days_between(earlier: date, later: date) -> int:
    """Whole calendar days, ``later - earlier``. Timestamps are refused: near midnight and across a change of the
    clocks their difference is another number of days."""
    if isinstance(earlier, datetime) or isinstance(later, datetime):
        raise TypeError("days are counted between calendar dates, not timestamps")
    return (later - earlier).days


def half_even_mean(total: int, count: int) -> int | None:
    """``total / count`` to whole minor units, half to even and exact at any size; None for a count of zero."""
    return round(Fraction(total, count)) if count else None


def summarize(
    gifts: Iterable[CountedGift], *, as_of: date, currency: str, look_back_days: int | None = None
) -> DonorSummary:
    """The summary of one contact's gifts as of a date, in the organization's ``currency``.

    A gift in the organization's own currency needs no rate: its ``amount`` is its base amount. ``look_back_days``
    keeps only gifts dated at most that many days before ``as_of`` (RFM's configurable look-back; None = all time).
    `ValueError` when a gift id comes twice: the sign of a join that fans out, which would count money twice.
    """
    counted = _counted(gifts, as_of, look_back_days)
    base = [(amount, gift.gift_date) for gift in counted if (amount := _base_amount(gift, currency)) is not None]
    total = sum(amount for amount, _ in base)
    plans = frozenset(gift.plan_id for gift in counted if gift.plan_id is not None)
    dates = [gift.gift_date for gift in counted]
    instants = [gift.received_at for gift in counted]
    return DonorSummary(
        gift_count=len(counted),
        base_currency=currency,
        total_given=total,
        average_gift=half_even_mean(total, len(base)),
        largest_gift=max((amount for amount, _ in base), default=None),
        first_gift_at=min(instants, default=None),
        last_gift_at=max(instants, default=None),
        first_gift_date=min(dates, default=None),
        last_gift_date=max(dates, default=None),
        total_last_365_days=sum(amount for amount, day in base if days_between(day, as_of) <= YEAR_DAYS),
        gifts_without_rate=len(counted) - len(base),
        has_counted_recurring_gift=bool(plans),
        as_of=as_of,
        recurring_plan_ids=plans,
    )


def _counted(gifts: Iterable[CountedGift], as_of: date, look_back_days: int | None) -> list[CountedGift]:
    """The gifts above zero, dated within the look-back."""
    seen: set[UUID] = set()
    counted = []
    for gift in gifts:
        if gift.gift_id in seen:
            raise ValueError("a gift is listed twice")
        seen.add(gift.gift_id)
        days = days_between(gift.gift_date, as_of)
        if gift.amount > 0 and days >= 0 and (look_back_days is None or days <= look_back_days):
            counted.append(gift)
    return counted


def _base_amount(gift: CountedGift, currency: str) -> int | None:
    return gift.amount if gift.currency == currency else gift.base_amount
