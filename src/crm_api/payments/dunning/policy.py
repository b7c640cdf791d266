"""What follows a failed charge: a policy by the class of the decline, and the pure function that reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Literal, get_args

from crm_api.payments.abilities import DeclineClass

CLASSES: tuple[DeclineClass, ...] = get_args(DeclineClass)


@dataclass(frozen=True, slots=True)
class Rule:
    """What follows declines of one class. Days are counted from a period's first failure, failures from 1."""

    retry_days: tuple[int, ...] = ()
    letters: tuple[int, ...] = (1,)
    """After which failures of a period the donor is told."""
    give_up_after: int | None = 1
    """After so many failures since money last came; never, where it is null."""
    give_up: Literal["pause", "cancel"] = "pause"


DEFAULTS: Mapping[DeclineClass, Rule] = {
    "insufficient_funds": Rule((3, 7, 14), (1, 3), 8),
    "expired_card": Rule((), (1,), 1),
    "lost_or_stolen": Rule((), (1,), 1),
    "do_not_honor": Rule((3, 10), (1,), 6),
    "authentication": Rule((3,), (1,), 2),
    "technical": Rule((1, 2, 3), (), 12),
    "unknown": Rule((3, 7), (1,), 6),
}
"""A card that is gone is not tried again; one without money is, when there may be some."""


@dataclass(frozen=True, slots=True)
class Letters:
    """Which letters about what was promised and did not come go to donors."""

    payment_missed: bool = True
    plan_given_up: bool = True
    """In place of the letter about the failure that it follows."""
    pledge_overdue: bool = True


@dataclass(frozen=True, slots=True)
class Policy:
    """An organization's policy. Version 0 are the defaults."""

    version: int = 0
    rules: Mapping[DeclineClass, Rule] = field(default_factory=lambda: DEFAULTS)
    early_days: int = 5
    """So many days before its date money that a donor sends counts for a period,"""
    late_days: int = 10
    """and so many after it."""
    letters: Letters = Letters()

    def rule(self, decline_class: str) -> Rule:
        """What holds for a class; a word that is none of ours is an unknown decline."""
        rules: Mapping[Any, Rule] = self.rules
        return rules.get(decline_class) or rules["unknown"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows one failure."""

    retry_on: date | None
    letter: bool
    give_up: Literal["pause", "cancel"] | None


def decide(
    rule: Rule, *, failures: int, in_a_row: int, failed_on: date, today: date, next_date: date | None
) -> Decision:
    """What follows a failure that happened today: the `failures`-th of its period, whose first was on `failed_on`, and
    the `in_a_row`-th since money last came. A retry that would come as late as the next payment is left to that one."""
    letter = failures in rule.letters
    if rule.give_up_after is not None and in_a_row >= rule.give_up_after:
        return Decision(None, letter, rule.give_up)
    if failures > len(rule.retry_days):
        return Decision(None, letter, None)
    wanted = max(failed_on + timedelta(days=rule.retry_days[failures - 1]), today + timedelta(days=1))
    return Decision(wanted if next_date is None or wanted < next_date else None, letter, None)
