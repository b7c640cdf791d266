"""What everybody gave, and when: one way of giving per habit, four years long."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from crm_api.demo.appeals import Campaign, campaign_of
from crm_api.demo.calendar import Calendar
from crm_api.demo.people import Donor

# Main units for one dollar, roughly: what people round their gifts to.
_PER_DOLLAR = {"USD": 1.0, "EUR": 0.92, "UAH": 41.0, "GEL": 2.7}
_SMALLEST = {"USD": 5, "EUR": 5, "UAH": 100, "GEL": 10}
_STEPS = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.5, 10.0)
_BUSES_UNTIL = 420
"""For how many days from the beginning the fund for evacuation buses was open."""
CARDS = ("card", "wallet")


@dataclass(slots=True)
class Gift:
    """One gift, and how it went."""

    donor: Donor | None
    moment: datetime
    amount: int
    currency: str
    method: str
    fund: str
    campaign: str | None = None
    plan: str | None = None
    outcome: str = "paid"
    anonymous: bool = False


@dataclass(slots=True)
class Giving:
    """Everything that is given, in the making."""

    rng: random.Random
    calendar: Calendar
    campaigns: Sequence[Campaign]
    gifts: list[Gift] = field(default_factory=list)

    def give(
        self, donor: Donor, day: date, dollars: float, *, method: str | None = None, outcome: str = "paid"
    ) -> None:
        """Add a one-off gift of about so many dollars."""
        rng = self.rng
        campaign = campaign_of(rng, self.campaigns, day)
        early = (day - self.calendar.first).days < _BUSES_UNTIL and rng.random() < 0.12
        self.gifts.append(
            Gift(
                donor,
                self.calendar.moment(rng, day),
                tidy(dollars, donor.currency),
                donor.currency,
                method or _method(rng, donor),
                campaign.fund if campaign else "evacuation" if early else donor.gift_fund,
                campaign.code if campaign else None,
                outcome=outcome,
                anonymous=rng.random() < 0.015,
            )
        )


def tidy(dollars: float, currency: str) -> int:
    """Minor units of the round sum that is nearest to so many dollars."""
    value = max(dollars * _PER_DOLLAR[currency], _SMALLEST[currency])
    power = 10.0 ** math.floor(math.log10(value))
    step = min(_STEPS, key=lambda one: abs(math.log(one * power / value)))
    return round(step * power) * 100


def _method(rng: random.Random, donor: Donor) -> str:
    if donor.body.get("kind") == "organization":
        return rng.choices(("bank_transfer", "card"), (85, 15))[0]
    if donor.source == "stripe":
        return rng.choices(("card", "wallet", "bank_transfer"), (76, 16, 8))[0]
    return rng.choices(("card", "wallet", "bank_transfer", "cash", "cheque"), (46, 8, 32, 12, 2))[0]


def usual(rng: random.Random, median: float, spread: float) -> float:
    """What somebody usually gives, in dollars: most little, some much."""
    return median * math.exp(rng.gauss(0.0, spread))


def _around(rng: random.Random, dollars: float) -> float:
    return dollars * math.exp(rng.gauss(0.0, 0.22))


def _once(giving: Giving, donor: Donor) -> None:
    rng = giving.rng
    giving.give(donor, giving.calendar.day(rng), usual(rng, 32, 0.8) * (12 if rng.random() < 0.03 else 1))


def _days(giving: Giving, first: date, gap: float, end: date) -> Iterator[date]:
    """Days of gifts that follow each other after about so many days."""
    day = first
    while day <= end:
        yield day
        day += timedelta(days=max(round(giving.rng.expovariate(1 / gap)), 6))


def _sometimes(giving: Giving, donor: Donor) -> None:
    rng, calendar = giving.rng, giving.calendar
    base, often = usual(rng, 38, 0.7), rng.random() < 0.22
    stay = 0.95 if often else 0.72
    yesterday = calendar.today - timedelta(days=1)
    for day in _days(giving, calendar.day(rng), 62 if often else 210, yesterday):
        giving.give(donor, day, _around(rng, base))
        if rng.random() > stay:
            break


def _yearly(giving: Giving, donor: Donor) -> None:
    """Every winter, and some at Easter too."""
    rng, calendar = giving.rng, giving.calendar
    base, spring = usual(rng, 75, 0.6), rng.random() < 0.3
    yesterday = calendar.today - timedelta(days=1)
    for year in range(rng.choice((-4, -4, -3, -3, -2, -1)) + calendar.today.year, calendar.today.year + 1):
        seasons = [(date(year, 11, 20), date(year, 12, 31))]
        seasons += [(date(year, 3, 25), date(year, 5, 5))] if spring else []
        for begins, ends in sorted(seasons):
            low, high = max(begins, calendar.first), min(ends, yesterday)
            if low <= high and rng.random() < 0.93:
                giving.give(donor, calendar.day(rng, low, high), _around(rng, base))
        base *= 1.06
        if rng.random() < 0.12:
            break


def _faded(giving: Giving, donor: Donor) -> None:
    """Gave much and often, until a day one to three years ago."""
    rng, calendar = giving.rng, giving.calendar
    end = calendar.today - timedelta(days=rng.randint(380, 1190))
    base = usual(rng, 95, 0.7)
    for day in _days(giving, calendar.day(rng, None, end - timedelta(days=60)), 48, end):
        giving.give(donor, day, _around(rng, base))


def _great(giving: Giving, donor: Donor) -> None:
    rng, calendar = giving.rng, giving.calendar
    base, end = usual(rng, 900, 0.7), calendar.today - timedelta(days=1)
    if rng.random() < 0.2:
        end -= timedelta(days=rng.randint(200, 800))
    for day in _days(giving, calendar.day(rng, None, end - timedelta(days=200)), 105, end):
        giving.give(donor, day, _around(rng, base), method=rng.choice(("bank_transfer", "bank_transfer", "card")))


def _company(giving: Giving, donor: Donor) -> None:
    rng, calendar = giving.rng, giving.calendar
    base = usual(rng, 450, 0.8)
    yesterday = calendar.today - timedelta(days=1)
    for day in _days(giving, calendar.day(rng, None, yesterday - timedelta(days=120)), 240, yesterday):
        giving.give(donor, day, _around(rng, base))


def _grants(giving: Giving, donor: Donor) -> None:
    rng, calendar = giving.rng, giving.calendar
    base = usual(rng, 9000, 0.5)
    yesterday = calendar.today - timedelta(days=1)
    for day in _days(giving, calendar.day(rng, None, yesterday - timedelta(days=300)), 330, yesterday):
        giving.give(donor, day, _around(rng, base), method="bank_transfer")


def _tried(giving: Giving, donor: Donor) -> None:
    """Wanted to, but the card was refused or the page was closed."""
    rng = giving.rng
    outcome = rng.choice(("failed", "canceled"))
    giving.give(donor, giving.calendar.day(rng), usual(rng, 30, 0.6), method="card", outcome=outcome)


_WAYS: dict[str, Callable[[Giving, Donor], None]] = {
    "once": _once,
    "sometimes": _sometimes,
    "yearly": _yearly,
    "faded": _faded,
    "great": _great,
    "company": _company,
    "grants": _grants,
    "tried": _tried,
}


def make_gifts(giving: Giving, donors: Sequence[Donor]) -> None:
    """The one-off gifts of everybody, and the collection boxes."""
    for donor in donors:
        if donor.habit in _WAYS:
            _WAYS[donor.habit](giving, donor)
    _answers(giving)
    _boxes(giving)
    _exceptions(giving)


def _answers(giving: Giving) -> None:
    """Extra gifts of people who gave not long before: in an emergency, on Giving Tuesday, at the end of the year."""
    rng, calendar = giving.rng, giving.calendar
    before = [gift for gift in giving.gifts if gift.donor is not None and gift.donor.body.get("kind") is None]
    for begins, ends, share in calendar.occasions():
        noon = calendar.midnight(begins)
        known = {
            gift.donor.number: gift for gift in before if noon - timedelta(days=400) < gift.moment < noon and gift.donor
        }
        for gift in known.values():
            if gift.donor is not None and rng.random() < share:
                dollars = gift.amount / 100 / _PER_DOLLAR[gift.currency]
                giving.give(gift.donor, calendar.day(rng, begins, ends), _around(rng, min(dollars, 300)))


def _boxes(giving: Giving) -> None:
    """Cash without a name, counted every month."""
    rng, calendar = giving.rng, giving.calendar
    day = calendar.first + timedelta(days=rng.randint(5, 25))
    while day < calendar.today:
        currency = rng.choice(("UAH", "UAH", "GEL"))
        amount = rng.randint(900, 9000) * (10 if currency == "GEL" else 100)
        moment = calendar.midnight(day) + timedelta(hours=15, minutes=30)
        giving.gifts.append(Gift(None, moment, amount, currency, "cash", "general", anonymous=True))
        day += timedelta(days=rng.randint(26, 35))


def _exceptions(giving: Giving) -> None:
    """What goes wrong with cards, and what is under way."""
    rng, calendar = giving.rng, giving.calendar
    old = calendar.midnight(calendar.today - timedelta(days=90))
    plain = [gift for gift in giving.gifts if gift.method in CARDS and gift.outcome == "paid"]
    settled = [gift for gift in plain if gift.moment < old]
    share = max(len(plain) // 100, 4)
    wanted = (
        ("refunded", share, settled), ("partly_refunded", share, settled), ("lost", 3, settled), ("won", 3, settled),
        ("retried", 3 * share, plain), ("inquiry", 1, settled),
    )  # fmt: skip
    for outcome, count, among in wanted:
        free = [gift for gift in among if gift.outcome == "paid"]
        for gift in rng.sample(free, min(count, len(free))):
            gift.outcome = outcome
    recent = sorted((gift for gift in plain if gift.outcome == "paid"), key=lambda gift: gift.moment)[-40:]
    for gift in rng.sample(recent, min(2, len(recent))):
        gift.outcome = "disputed"
    _refused(giving, plain)
    for donor in {id(gift.donor): gift.donor for gift in recent if gift.donor}.values():
        if rng.random() < 0.3:
            day = calendar.today - timedelta(days=rng.randint(1, 4))
            giving.give(donor, day, usual(rng, 60, 0.4), method="bank_transfer", outcome="pending")


def _refused(giving: Giving, plain: Sequence[Gift]) -> None:
    """Cards that were refused, and were not tried again."""
    rng = giving.rng
    for gift in rng.sample(list(plain), len(plain) // 25):
        if gift.donor is not None:
            day = gift.moment.date() + timedelta(days=rng.randint(3, 70))
            if day < giving.calendar.today:
                giving.give(gift.donor, day, usual(rng, 35, 0.6), method="card", outcome="failed")
