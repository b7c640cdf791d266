"""When people give: seasons, the December peak, Giving Tuesday, and two weeks in which everybody gave."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import cached_property
from itertools import accumulate

from crm_api.kit import clock

DAYS = 4 * 365 + 1
"""How far the demo goes back."""

_MONTHS = (0.85, 0.7, 0.8, 0.8, 0.75, 0.65, 0.6, 0.8, 0.95, 1.0, 1.35, 2.4)
_HOURS = (1, 1, 0, 0, 0, 1, 2, 4, 6, 8, 8, 7, 8, 8, 7, 7, 7, 8, 10, 13, 15, 14, 9, 4)
_EMERGENCIES = ((1018, 9, 5.0), (402, 12, 4.0))
"""How many days ago each began, how long it lasted, and how many times more was given."""


def giving_tuesday(year: int) -> date:
    """The Tuesday after the fourth Thursday of November."""
    first = date(year, 11, 1)
    thursday = first + timedelta(days=(3 - first.weekday()) % 7 + 21)
    return thursday + timedelta(days=5)


class Calendar:
    """The four years up to yesterday, and how likely a gift is on each of their days."""

    def __init__(self, today: date, zone: str) -> None:
        self.today = today
        self.zone = zone
        self.first = today - timedelta(days=DAYS)

    @cached_property
    def _sums(self) -> list[float]:
        return list(accumulate(self._weight(self.first + timedelta(days=n)) for n in range(DAYS)))

    def _weight(self, day: date) -> float:
        weight = _MONTHS[day.month - 1] * (1 + 0.18 * (day - self.first).days / 365)
        if day.month == 12 and day.day >= 20:
            weight *= 1.7
        if day == giving_tuesday(day.year):
            weight *= 6
        ago = (self.today - day).days
        for began, lasted, times in _EMERGENCIES:
            if began - lasted < ago <= began:
                weight *= times
        return weight

    def day(self, rng: random.Random, earliest: date | None = None, latest: date | None = None) -> date:
        """A day on which a gift is made, between two days, both included."""
        low = max((earliest - self.first).days, 0) if earliest else 0
        high = min((latest - self.first).days, DAYS - 1) if latest else DAYS - 1
        below = self._sums[low - 1] if low else 0.0
        place = bisect_right(self._sums, below + rng.random() * (self._sums[high] - below), low, high)
        return self.first + timedelta(days=min(max(place, low), high))

    def moment(self, rng: random.Random, day: date) -> datetime:
        """A moment of a day, mostly in the evening."""
        hour = rng.choices(range(24), _HOURS)[0]
        return self.midnight(day) + timedelta(hours=hour, minutes=rng.randrange(60), seconds=rng.randrange(60))

    def occasions(self) -> Iterator[tuple[date, date, float]]:
        """First and last day of each time when many gave at once, and which share of the recent donors did."""
        for began, lasted, _ in _EMERGENCIES:
            begins = self.today - timedelta(days=began)
            yield begins, begins + timedelta(days=lasted - 1), 0.16
        yesterday = self.today - timedelta(days=1)
        for year in range(self.first.year, self.today.year + 1):
            for begins, ends, share in (
                (giving_tuesday(year), giving_tuesday(year), 0.05),
                (date(year, 12, 18), date(year, 12, 31), 0.14),
            ):
                if self.first <= begins <= yesterday:
                    yield begins, min(ends, yesterday), share

    def midnight(self, day: date) -> datetime:
        """The beginning of a day in the organization's zone, in UTC."""
        return datetime(day.year, day.month, day.day, tzinfo=clock.zone(self.zone)).astimezone(clock.UTC)


def month_later(day: date, months: int) -> date:
    """The same day some months later; the 28th stands for later ones."""
    number = day.year * 12 + day.month - 1 + months
    return date(number // 12, number % 12 + 1, min(day.day, 28))
