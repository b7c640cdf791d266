"""What clients get of the reports on giving. Sums are in minor units of `currency`, the organization's; rates are
decimal strings to four places, null where there is nothing to divide by."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import Field

from crm_api.kit.schemas import Output
from crm_api.kit.sums import Sum

Rate = Annotated[str, Field(examples=["0.6250"])]


class Head(Output):
    """What every report begins with."""

    report: str
    title: str
    as_of: date
    currency: str
    fund_id: UUID | None
    campaign_id: UUID | None
    gifts_without_rate: int
    """Gifts that the sums leave out, for want of an exchange rate."""


class GainLossState(Output):
    """Donors of one kind, and what they brought or took away against the year before."""

    state: str
    donors: int
    amount: Sum


class GainLossReport(Head):
    """Gains and losses of a fiscal year: `gains` - `losses` = `total` - `previous_total`, to the minor unit."""

    year: int
    from_date: date
    to_date: date
    states: list[GainLossState]
    gains: Sum
    losses: Sum
    net: Sum
    total: Sum
    previous_total: Sum


class RetentionYear(Output):
    """One fiscal year: of those who gave in the year before, how many gave again."""

    year: int
    donors: int
    gave_the_year_before: int
    retained: int
    retention_rate: Rate | None
    new_donor_retention_rate: Rate | None
    repeat_donor_retention_rate: Rate | None
    recaptured: int
    recapture_rate: Rate | None
    new: int
    upgraded: int
    downgraded: int


class RetentionReport(Head):
    """Retention, year by year, oldest first."""

    years: list[RetentionYear]


class AbsentDonor(Output):
    """A donor who has not given this year."""

    contact_id: UUID
    display_name: str
    first_year: int
    last_year: int
    years: int
    """In how many fiscal years something was given."""
    last_year_total: Sum
    total: Sum


class AbsentReport(Head):
    """Donors who have not given in a year, the most generous first; `total` is what they gave the year before (LYBUNT)
    or in all (SYBUNT)."""

    year: int
    donors: int
    total: Sum
    data: list[AbsentDonor]
    has_more: bool
    next_cursor: str | None


class CohortPeriod(Output):
    """A period after a cohort's first: how many of the cohort gave in it."""

    period: int
    donors: int
    rate: Rate | None
    amount: Sum


class Cohort(Output):
    """Donors whose first gift was in one year or month."""

    cohort: str
    donors: int
    periods: list[CohortPeriod]


class CohortReport(Head):
    """Cohorts, oldest first."""

    by: str
    cohorts: list[Cohort]


class PyramidLevel(Output):
    """Donors who gave from one amount up to the next."""

    from_amount: int
    below_amount: int | None
    donors: int
    donors_share: Rate | None
    amount: Sum
    amount_share: Rate | None


class PyramidReport(Head):
    """The giving pyramid, from its foot."""

    span: str
    donors: int
    total: Sum
    levels: list[PyramidLevel]


class TopShare(Output):
    """What the most generous part of the donors gave."""

    top_percent: int
    donors: int
    amount: Sum
    share: Rate | None


class ConcentrationReport(Head):
    """How much hangs on how few. `warning` is `ten_donors_carry_half` where ten donors gave half of it or more."""

    span: str
    donors: int
    total: Sum
    shares: list[TopShare]
    largest_donor_share: Rate | None
    top_ten_share: Rate | None
    gini: Rate | None
    warning: str | None


class RfmCell(Output):
    """A cell of the cube that somebody is in."""

    code: str
    recency: int
    frequency: int
    monetary: int
    name: str
    donors: int
    amount: Sum


class RfmName(Output):
    """One of the names, and who bears it."""

    name: str
    donors: int
    donors_share: Rate | None
    amount: Sum
    amount_share: Rate | None


class RfmReport(Head):
    """The RFM cube. `flags` holds `too_few_for_quintiles` below 25 donors."""

    donors: int
    total: Sum
    flags: list[str]
    names: list[RfmName]
    cells: list[RfmCell]


class RfmMove(Output):
    """Donors who bore one name and bear another."""

    from_name: str
    to_name: str
    donors: int


class RfmMigrationReport(Head):
    """Who went where between `from_date` and `as_of`."""

    from_date: date
    names: list[str]
    moves: list[RfmMove]
