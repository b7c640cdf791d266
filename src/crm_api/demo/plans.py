"""Monthly and other standing gifts: how each began, grew, failed and ended."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from crm_api.demo.appeals import campaign_of
from crm_api.demo.calendar import month_later
from crm_api.demo.giving import Gift, Giving, tidy, usual
from crm_api.demo.people import Donor, choose, reference

_ENDS = {"active": 61, "canceled": 25, "past_due": 6, "paused": 4, "completed": 3, "pending": 1}
_RHYTHMS = {"month 1": 91, "month 3": 5, "year 1": 4}


@dataclass(frozen=True, slots=True)
class Statement:
    """What Stripe said about a plan at one moment."""

    moment: datetime
    status: str
    amount: int
    next_date: date | None = None
    ended_at: datetime | None = None


@dataclass(slots=True)
class Plan:
    """A standing gift with its whole history."""

    ref: str
    donor: Donor
    unit: str
    interval: int
    started_at: datetime
    campaign: str | None
    statements: list[Statement] = field(default_factory=list)


def make_plans(giving: Giving, donors: Sequence[Donor]) -> list[Plan]:
    """A plan for everybody who gives monthly; its gifts join the others."""
    return [_plan(giving, donor) for donor in donors if donor.habit == "monthly"]


def _plan(giving: Giving, donor: Donor) -> Plan:
    rng, calendar = giving.rng, giving.calendar
    end = choose(rng, _ENDS)
    unit, _, interval = choose(rng, _RHYTHMS).partition(" ")
    latest = calendar.today - timedelta(days=3 if end == "pending" else 45)
    first = calendar.day(rng, latest - timedelta(days=2) if end == "pending" else None, latest)
    first = max(first.replace(day=min(first.day, 28)), calendar.first)
    campaign = campaign_of(rng, giving.campaigns, first)
    started_at = calendar.moment(rng, first)
    plan = Plan(
        reference(rng, "sub"), donor, unit, int(interval), started_at, campaign.code if campaign else None
    )  # fmt: skip
    amount = tidy(usual(rng, 14, 0.6), donor.currency)
    if end == "pending":
        plan.statements.append(Statement(started_at, "pending", amount))
        return plan
    _history(giving, plan, first, amount, end)
    if rng.random() < 0.25:
        _december(giving, donor, first)
    return plan


def _history(giving: Giving, plan: Plan, first: date, amount: int, end: str) -> None:
    """Charge after charge until the plan ends or today comes."""
    rng, calendar = giving.rng, giving.calendar
    months = plan.interval * (12 if plan.unit == "year" else 1)
    due = [first]
    while (following := month_later(first, len(due) * months)) < calendar.today:
        due.append(following)
    if end in {"canceled", "paused", "completed"}:
        due = due[: max(round(len(due) * rng.uniform(0.25, 0.95)), 1)]
    change = rng.randint(7, 20) if rng.random() < 0.36 else None
    plan.statements.append(Statement(plan.started_at, "active", amount, month_later(first, months)))
    moment = plan.started_at
    for number, day in enumerate(due):
        if number:
            moment = calendar.midnight(day) + timedelta(
                hours=plan.started_at.hour, minutes=plan.started_at.minute, seconds=rng.randrange(60)
            )
        if number == change:
            amount = _changed(rng, amount)
            plan.statements.append(Statement(moment - timedelta(hours=9), "active", amount, day))
        last = number == len(due) - 1
        _charge(giving, plan, moment, amount, failed=end == "past_due" and last and number > 0)
    upcoming = month_later(first, len(due) * months)
    plan.statements.append(_ending(rng, end, moment, amount, upcoming, calendar.midnight(calendar.today)))


def _changed(rng: random.Random, amount: int) -> int:
    """Most who change their plan give more."""
    factor = rng.choice((1.5, 2.0, 1.25, 2.0, 0.5))
    return max(round(amount * factor / 500) * 500, 500)


def _charge(giving: Giving, plan: Plan, moment: datetime, amount: int, *, failed: bool) -> None:
    donor = plan.donor
    outcome = "failed" if failed else "retried" if giving.rng.random() < 0.025 else "paid"
    first = moment == plan.started_at
    giving.gifts.append(
        Gift(
            donor,
            moment,
            amount,
            donor.currency,
            "card",
            donor.gift_fund,
            plan.campaign if first else None,
            plan.ref,
            outcome,
        )
    )


def _ending(rng: random.Random, end: str, moment: datetime, amount: int, upcoming: date, latest: datetime) -> Statement:
    """The last word about the plan."""
    later = min(moment + timedelta(days=rng.randint(4, 26), hours=3), latest - timedelta(minutes=5))
    if end == "canceled":
        return Statement(later, end, amount, ended_at=later)
    if end == "completed":
        done = moment + timedelta(minutes=1)
        return Statement(done, end, amount, ended_at=done)
    if end == "paused":
        return Statement(later, end, amount)
    return Statement(moment + timedelta(minutes=1), end, amount, next_date=upcoming)


def _december(giving: Giving, donor: Donor, first: date) -> None:
    """Something more in December."""
    rng, calendar = giving.rng, giving.calendar
    for year in range(first.year, calendar.today.year + 1):
        low, high = date(year, 12, 1), min(date(year, 12, 31), calendar.today - timedelta(days=1))
        if first < low <= high and rng.random() < 0.6:
            giving.give(donor, calendar.day(rng, low, high), usual(rng, 45, 0.5), method="card")
