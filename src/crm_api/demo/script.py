"""Everything the demo will load, worked out without a database: one seed and one day give one script."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from crm_api.demo.appeals import Campaign, make_campaigns
from crm_api.demo.calendar import Calendar
from crm_api.demo.circle import Circle, make_circle
from crm_api.demo.giving import CARDS, Gift, Giving, make_gifts
from crm_api.demo.people import Donor, make_donors
from crm_api.demo.plans import Plan, make_plans
from crm_api.demo.touches import Touches, make_touches
from crm_api.kit import clock


@dataclass(frozen=True, slots=True)
class Script:
    """Who, what and when."""

    calendar: Calendar
    campaigns: list[Campaign]
    donors: list[tuple[datetime, Donor]]
    """With the moment each became known; oldest first."""
    plans: list[Plan]
    gifts: list[Gift]
    """Oldest first."""
    circle: Circle
    """Families, colleagues, those who are helped, and some who stand there twice."""
    touches: Touches
    """What was said and is to be done."""

    @property
    def ends(self) -> datetime:
        """The last moment of the demo: everything happens before today."""
        return _last_moment(self.calendar)

    @property
    def customers(self) -> set[int]:
        """Numbers of the donors that Stripe knows."""
        return {plan.donor.number for plan in self.plans} | {
            gift.donor.number for gift in self.gifts if gift.donor is not None and by_stripe(gift)
        }


def by_stripe(gift: Gift) -> bool:
    """Whether the gift came through Stripe; the others were written down by hand."""
    return gift.method in CARDS or gift.outcome != "paid"


def write_script(seed: int, now: datetime, zone: str) -> Script:
    """The demo of a seed as of a moment."""
    rng = random.Random(f"crm-api demo {seed}")  # noqa: S311 (the same for the same seed is the point)
    calendar = Calendar(_day(now, zone), zone)
    campaigns = make_campaigns(calendar.today)
    donors = make_donors(rng)
    giving = Giving(rng, calendar, campaigns)
    make_gifts(giving, donors)
    plans = make_plans(giving, donors)
    gifts = sorted(giving.gifts, key=lambda gift: gift.moment)
    since = _known_since(rng, calendar, donors, gifts, plans)
    ends = _last_moment(calendar)
    last = {gift.donor.number: gift.moment.date() for gift in gifts if gift.donor is not None}
    around = random.Random(f"crm-api demo circle {seed}")  # noqa: S311
    circle = make_circle(around, ends, since, last)
    touches = make_touches(around, ends, circle)
    return Script(calendar, campaigns, circle.donors, plans, gifts, circle, touches)


def _last_moment(calendar: Calendar) -> datetime:
    return calendar.midnight(calendar.today) - timedelta(seconds=1)


def _day(now: datetime, zone: str) -> date:
    return clock.local_date(now, zone)


def _known_since(
    rng: random.Random, calendar: Calendar, donors: list[Donor], gifts: list[Gift], plans: list[Plan]
) -> list[tuple[datetime, Donor]]:
    """Card donors became known with their first payment, the others some time before it."""
    first: dict[int, datetime] = {plan.donor.number: plan.started_at for plan in plans}
    for gift in reversed(gifts):
        if gift.donor is not None:
            number = gift.donor.number
            first[number] = min(gift.moment, first.get(number, gift.moment))
    known = []
    for donor in donors:
        moment = first.get(donor.number) or calendar.moment(rng, calendar.day(rng))
        earlier = timedelta(seconds=30) if donor.source == "stripe" else timedelta(days=rng.randint(0, 120), hours=1)
        known.append((moment - earlier, donor))
    return sorted(known, key=lambda pair: (pair[0], pair[1].number))
