"""What clients send and get of giving levels."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import ConfigDict

from crm_api.kit.schemas import Input, Money, Name, NotNull, Output, PositiveMoney, Versioned
from crm_api.kit.sums import Sum
from crm_api.reports.giving.schemas import Head, Rate


class GivingLevelCreate(Input):
    """A new level of a program: who gives `min_amount` or more, and less than the next level asks, is on it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"program": "Circle of friends", "name": "Gold", "min_amount": {"amount": 100000, "currency": "USD"}}
            ]
        }
    )

    program: Name
    name: Name
    min_amount: PositiveMoney


class GivingLevelPatch(Input):
    """Changes to a level (JSON merge patch)."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Golden circle"}]})

    program: Annotated[Name | None, NotNull] = None
    name: Annotated[Name | None, NotNull] = None
    min_amount: Annotated[PositiveMoney | None, NotNull] = None


class GivingLevelRead(Versioned):
    """A level of a program, in the organization's currency."""

    program: str
    name: str
    min_amount: Money


class GivingLevelPage(Output):
    """A page of levels."""

    data: list[GivingLevelRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None


class LevelStanding(Output):
    """A level in the report: who is on it now, and how they stood in the span before. `stayed`, `risen` and `fallen`
    (to this level) add up to `donors`; `left` were on it before and are on a lower one or on none."""

    giving_level_id: UUID
    name: str
    from_amount: int
    below_amount: int | None
    donors: int
    donors_share: Rate | None
    amount: Sum
    amount_share: Rate | None
    stayed: int
    risen: int
    fallen: int
    left: int


class LevelMove(Output):
    """Donors who went from one level to another; null stands for no level."""

    from_level: str | None
    to_level: str | None
    donors: int


class LevelProgram(Output):
    """One program: its levels from the lowest up, those who gave but less than any level asks, and every move."""

    program: str
    donors: int
    total: Sum
    levels: list[LevelStanding]
    below_donors: int
    below_amount: Sum
    moves: list[LevelMove]


class LevelReport(Head):
    """Giving levels by program, in a span of time and against the span before. Of `all`, the span before ends a year
    earlier."""

    span: str
    programs: list[LevelProgram]


class LevelDonor(Output):
    """A donor on a level, and where the donor stood before."""

    contact_id: UUID
    display_name: str
    level: str | None
    previous_level: str | None
    total: Sum
    previous_total: Sum


class LevelDonors(Head):
    """Donors of one program by level, the most generous first."""

    program: str
    span: str
    data: list[LevelDonor]
    has_more: bool
    next_cursor: str | None
