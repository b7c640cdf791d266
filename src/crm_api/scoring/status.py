"""Donor status: one word for where a donor stands, with the reasons for it.

Source: the table of `scoring.md` §1. Rules are tried in the table's order and the first match wins:

    prospect   no counted gift
    lost       last gift more than 1095 days ago
    lapsed     731-1095 days
    lapsing    366-730 days
    major      counted giving of the last 365 days >= the major gift threshold
    recurring  a live recurring plan with a counted gift
    new        exactly one counted gift
    regular    two or more counted gifts

`evaluate` decides for one donor, `STATUS_SQL` for a whole table at once; the tests hold them equal. Days are calendar
days, money is minor units of the organization's currency.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Final, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from crm_api.kit.money import MAX_MINOR, Money, exponent
from crm_api.scoring.summary import DonorSummary

DonorStatus = Literal["prospect", "lost", "lapsed", "lapsing", "major", "recurring", "new", "regular"]
STATUSES: Final[tuple[DonorStatus, ...]] = get_args(DonorStatus)
"""Every status, in the order in which the rules are tried."""

DEFAULT_MAJOR_GIFT: Final = 1_000
"""Main units of the organization's currency that make a donor major unless the organization says otherwise."""

MAX_DAYS: Final = 36_500
"""Upper bound of every threshold in days: a hundred years."""

Days = Annotated[int, Field(ge=1, le=MAX_DAYS)]

DAYS_SINCE_LAST_GIFT_SQL: Final = "(CAST(:as_of AS DATE) - last_gift_date)"
"""Postgres: the column ``days_since_last_gift`` of the expressions below (date - date is a whole number of days)."""

DAYS_SINCE_FIRST_GIFT_SQL: Final = "(CAST(:as_of AS DATE) - first_gift_date)"
"""Postgres: the column ``days_since_first_gift`` of the expressions below."""

STATUS_SQL: Final = """
CASE
  WHEN COALESCE(gift_count, 0) = 0 THEN 'prospect'
  WHEN days_since_last_gift > CAST(:lost_after_days AS INTEGER) THEN 'lost'
  WHEN days_since_last_gift > CAST(:lapsed_after_days AS INTEGER) THEN 'lapsed'
  WHEN days_since_last_gift > CAST(:lapsing_after_days AS INTEGER) THEN 'lapsing'
  WHEN total_last_365_days >= CAST(:major_gift_threshold AS BIGINT) THEN 'major'
  WHEN is_live_recurring THEN 'recurring'
  WHEN gift_count = 1 THEN 'new'
  ELSE 'regular'
END
"""
"""`evaluate(...).status` as an SQL expression; the parameters are `StatusRules.sql_params`.

Columns, one row per contact, as `summary.summarize` defines them: ``gift_count``, ``days_since_last_gift`` (whole
days, see `DAYS_SINCE_LAST_GIFT_SQL`), ``total_last_365_days`` (reckoned for the same ``:as_of``) and
``is_live_recurring`` (a live plan of the contact has a counted gift). A NULL threshold means no major rule."""

IS_NEW_SQL: Final = "COALESCE(days_since_first_gift <= CAST(:new_within_days AS INTEGER), FALSE)"
"""`StatusResult.is_new` as an SQL expression."""

IS_MAJOR_SQL: Final = "COALESCE(total_last_365_days >= CAST(:major_gift_threshold AS BIGINT), FALSE)"
"""`StatusResult.is_major` as an SQL expression."""

IS_RECURRING_SQL: Final = "COALESCE(is_live_recurring, FALSE)"
"""`StatusResult.is_recurring` as an SQL expression."""

REASONS_SQL: Final = """
(SELECT jsonb_agg(jsonb_build_object('rule', tried.rule, 'field', tried.field, 'value', tried.value,
    'verdict', tried.rule = j.donor_status) ORDER BY tried.place)
FROM (VALUES
    (1, 'prospect', 'gift_count', to_jsonb(j.gift_count)),
    (2, 'lost', 'days_since_last_gift', to_jsonb(j.days_since_last_gift)),
    (3, 'lapsed', 'days_since_last_gift', to_jsonb(j.days_since_last_gift)),
    (4, 'lapsing', 'days_since_last_gift', to_jsonb(j.days_since_last_gift)),
    (5, 'major', 'total_last_365_days',
        jsonb_build_object('amount', j.total_last_365_days, 'currency', CAST(:currency AS TEXT))),
    (6, 'recurring', 'is_recurring', to_jsonb(j.is_live_recurring)),
    (7, 'new', 'gift_count', to_jsonb(j.gift_count)),
    (8, 'regular', 'gift_count', to_jsonb(j.gift_count))
) AS tried(place, rule, field, value)
WHERE (tried.rule <> 'major' OR CAST(:major_gift_threshold AS BIGINT) IS NOT NULL)
    AND tried.place <= array_position(
        ARRAY['prospect', 'lost', 'lapsed', 'lapsing', 'major', 'recurring', 'new', 'regular'], j.donor_status))
"""
"""`evaluate(...).reasons` as JSON, over the columns of `STATUS_SQL` and its outcome, of a relation named ``j``; the
further parameter ``currency`` is the organization's."""


class StatusRules(BaseModel):
    """One version of an organization's status rules. Every ``*_after_days`` threshold is the last day still *before*
    the status: with 365, a donor is lapsing from day 366 on."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    lost_after_days: Days = 1095
    lapsed_after_days: Days = 730
    lapsing_after_days: Days = 365
    new_within_days: Days = Field(default=365, description="`is_new` holds while the first gift is this recent.")
    major_gift_threshold: Annotated[int, Field(ge=1, le=MAX_MINOR)] | None = Field(
        description="Giving of the last 365 days that makes a donor major, in minor units of the organization's "
        "currency; null switches the rule off. No default here: it depends on the currency (see `default_rules`)."
    )
    version: Annotated[int, Field(ge=1)] = 1

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.lapsing_after_days < self.lapsed_after_days < self.lost_after_days:
            raise ValueError("lapsing_after_days < lapsed_after_days < lost_after_days must hold")
        return self

    def sql_params(self) -> dict[str, int | None]:
        """The named parameters of `STATUS_SQL`, `IS_NEW_SQL` and `IS_MAJOR_SQL`, all but ``as_of``."""
        return {
            "lost_after_days": self.lost_after_days,
            "lapsed_after_days": self.lapsed_after_days,
            "lapsing_after_days": self.lapsing_after_days,
            "new_within_days": self.new_within_days,
            "major_gift_threshold": self.major_gift_threshold,
        }


def default_rules(currency: str) -> StatusRules:
    """Version 1 of the rules for an organization of that currency: a major donor gives 1,000 main units a year
    (100000 in UAH, 1000 in JPY, 1000000 in KWD). `ValueError` for an unknown currency."""
    return StatusRules(major_gift_threshold=DEFAULT_MAJOR_GIFT * 10 ** exponent(currency))


ReasonValue = int | bool | dict[str, int | str]


@dataclass(frozen=True, slots=True)
class Reason:
    """One rule that was tried, in plain JSON terms."""

    rule: DonorStatus
    field: str
    value: ReasonValue
    verdict: bool


@dataclass(frozen=True, slots=True)
class StatusResult:
    """The status, the flags that hold beside it (one donor can be several things) and the reasons for the status."""

    status: DonorStatus
    is_new: bool
    is_major: bool
    is_recurring: bool
    reasons: tuple[Reason, ...]


def evaluate(summary: DonorSummary, *, rules: StatusRules, as_of: date, has_live_plan: bool) -> StatusResult:
    """The donor's status as of a date.

    ``has_live_plan`` says that a plan *with a counted gift* is live, `DonorSummary.has_gift_of` of the live plans.
    The reasons list every rule tried, the match last; without a threshold there is no major rule to try.
    `ValueError` when the summary was made for another date, since its look-back would be another year. The summary
    must be of all time: one cut short by ``look_back_days`` would make old donors prospects.
    """
    if summary.as_of != as_of:
        raise ValueError("the summary holds for another date")
    is_recurring = has_live_plan and summary.has_counted_recurring_gift
    reasons = tuple(_until_match(_tried(summary, rules, is_recurring)))
    since_first = summary.days_since_first_gift
    return StatusResult(
        status=reasons[-1].rule,
        is_new=since_first is not None and since_first <= rules.new_within_days,
        is_major=_is_major(summary, rules),
        is_recurring=is_recurring,
        reasons=reasons,
    )


def _tried(summary: DonorSummary, rules: StatusRules, is_recurring: bool) -> Iterator[Reason]:
    """Each rule of the table in its order, tried against the donor; the last always matches."""
    count = summary.gift_count
    yield Reason("prospect", "gift_count", count, count == 0)
    days = summary.days_since_last_gift
    if days is None:
        raise ValueError("a donor with counted gifts has a last gift date")
    yield Reason("lost", "days_since_last_gift", days, days > rules.lost_after_days)
    yield Reason("lapsed", "days_since_last_gift", days, days > rules.lapsed_after_days)
    yield Reason("lapsing", "days_since_last_gift", days, days > rules.lapsing_after_days)
    if rules.major_gift_threshold is not None:
        total = Money(summary.total_last_365_days, summary.base_currency)
        yield Reason("major", "total_last_365_days", total.as_json(), _is_major(summary, rules))
    yield Reason("recurring", "is_recurring", is_recurring, is_recurring)
    yield Reason("new", "gift_count", count, count == 1)
    yield Reason("regular", "gift_count", count, True)


def _until_match(tried: Iterator[Reason]) -> Iterator[Reason]:
    for reason in tried:
        yield reason
        if reason.verdict:
            return


def _is_major(summary: DonorSummary, rules: StatusRules) -> bool:
    threshold = rules.major_gift_threshold
    return threshold is not None and summary.total_last_365_days >= threshold
