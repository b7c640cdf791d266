"""When a regular gift is due: pure functions over calendar dates.

A series of dates is counted from its first one, never from the one before, so that nothing that happens on the way (a
late worker, a retry, a month without a 31st) can move those that follow.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from fractions import Fraction
from typing import Literal

from crm_api.kit import clock

Unit = Literal["day", "week", "month", "year"]
DUE_HOUR = 9
"""From this local hour on a day's gifts are due: nobody is woken by a bank's message about a charge."""
_DAYS = {"day": 1, "week": 7}
_MONTHS = {"month": 1, "year": 12}
_A_YEAR: dict[str, Fraction] = {
    "day": Fraction(1461, 4),
    "week": Fraction(1461, 28),
    "month": Fraction(12),
    "year": Fraction(1),
}


@dataclass(frozen=True, slots=True)
class Rhythm:
    """A series of dates: every `interval` units from `origin` on, in months on `anchor_day` or, where a month is
    shorter, on its last day. `origin` is the first date of the series, and is one of its dates."""

    unit: Unit
    interval: int
    origin: date
    anchor_day: int

    def nth(self, number: int) -> date:
        """The date with that number; 0 is the first one."""
        if self.unit in _DAYS:
            return self.origin + timedelta(days=_DAYS[self.unit] * self.interval * number)
        return _in_month(_month(self.origin) + _MONTHS[self.unit] * self.interval * number, self.anchor_day)

    def number_from(self, day: date) -> int:
        """The number of the first date on or after a day; 0 for days before the series."""
        if day <= self.origin:
            return 0
        if self.unit in _DAYS:
            return -((self.origin - day).days // (_DAYS[self.unit] * self.interval))
        number = (_month(day) - _month(self.origin)) // (_MONTHS[self.unit] * self.interval)
        return number if self.nth(number) >= day else number + 1

    def on_or_after(self, day: date) -> date:
        """The first date on or after a day."""
        return self.nth(self.number_from(day))

    def after(self, day: date) -> date:
        """The first date after a day."""
        return self.on_or_after(day + timedelta(days=1))

    def between(self, first: date, last: date) -> list[date]:
        """The dates from `first` through `last`."""
        found = []
        number = self.number_from(first)
        while (day := self.nth(number)) <= last:
            found.append(day)
            number += 1
        return found


def _month(day: date) -> int:
    return day.year * 12 + day.month - 1


def _in_month(month: int, anchor_day: int) -> date:
    year, index = divmod(month, 12)
    return date(year, index + 1, min(anchor_day, monthrange(year, index + 1)[1]))


def begin(unit: Unit, interval: int, start: date, anchor_day: int | None) -> Rhythm:
    """The series that begins on the first fitting date on or after `start`. Days and weeks count from `start` itself;
    without an anchor day months do too."""
    if unit in _DAYS or anchor_day is None:
        return Rhythm(unit, interval, start, start.day if anchor_day is None else anchor_day)
    first = _in_month(_month(start), anchor_day)
    if first < start:
        first = _in_month(_month(start) + 1, anchor_day)
    return Rhythm(unit, interval, first, anchor_day)


def moved(rhythm: Rhythm, next_date: date, anchor_day: int, today: date) -> Rhythm:
    """The series with another day of the month: the payment that is next stays in its month, unless that day has
    passed there; then it comes in the following one. No month gets two."""
    first = _in_month(_month(next_date), anchor_day)
    if first < today:
        first = _in_month(max(_month(next_date), _month(today)), anchor_day)
        if first < today:
            first = _in_month(_month(today) + 1, anchor_day)
    return Rhythm(rhythm.unit, rhythm.interval, first, anchor_day)


def due_moment(day: date, zone_name: str) -> datetime:
    """From when on a date's gifts are due, in an organization's time zone."""
    return datetime.combine(day, time(DUE_HOUR), clock.zone(zone_name)).astimezone(clock.UTC)


def due_day(now: datetime, zone_name: str) -> date:
    """The newest date whose gifts are due."""
    today = clock.local_date(now, zone_name)
    return today if due_moment(today, zone_name) <= now else today - timedelta(days=1)


def annual(amount: int, unit: str, interval: int) -> int:
    """What an amount at this frequency comes to in a year, in whole minor units; a year has 365¼ days here."""
    value = amount * _A_YEAR[unit] / interval
    return (value.numerator * 2 + value.denominator) // (value.denominator * 2)


def split(total: int, parts: int) -> list[int]:
    """A total in minor units in nearly equal parts that add up to it; what is left over goes to the first ones."""
    each, left = divmod(total, parts)
    return [each + 1] * left + [each] * (parts - left)
