"""Every report that can be kept: its parameters, how it is made, and what else its reader needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import Field

from crm_api.kit.db import ReadSession
from crm_api.kit.schemas import Currency, Input
from crm_api.reports.donations import service as donations
from crm_api.reports.donations.schemas import GroupBy
from crm_api.reports.giving import cohorts, rfm, spread, yearly
from crm_api.reports.giving.base import Asked, asked
from crm_api.reports.levels import report as levels
from crm_api.reports.outlook import forecast, ltv, prospects
from crm_api.reports.report import Report

Found = dict[str, Any]
_Year = Annotated[int, Field(ge=1900, le=2200)]


class Plain(Input):
    """Parameters of every report on giving."""

    as_of: date | None = None
    fund_id: UUID | None = None
    campaign_id: UUID | None = None

    async def question(self, session: ReadSession) -> Asked:
        """The question with its defaults."""
        return await asked(session, self.as_of, fund_id=self.fund_id, campaign_id=self.campaign_id)


class OfYear(Plain):
    """Of one fiscal year."""

    year: _Year | None = None


class OfYears(Plain):
    """Of several fiscal years."""

    years: Annotated[int, Field(ge=1, le=yearly.MOST_YEARS)] = 5


class OfSybunt(OfYear):
    """Of SYBUNT."""

    include_last_year: bool = False


class OfCohorts(Plain):
    """Of cohorts."""

    by: cohorts.By = "year"
    most: Annotated[int, Field(ge=1, le=60)] = 12


class OfSpan(Plain):
    """Of a span of time."""

    span: spread.Span = "last_365_days"


class OfLevels(OfSpan):
    """Of giving levels."""

    program: Annotated[str, Field(min_length=1, max_length=200)] | None = None


class OfMoves(Plain):
    """Of moves between two days."""

    from_date: Annotated[date | None, Field(alias="from")] = None


class OfLtv(Input):
    """Of lifetime value."""

    as_of: date | None = None
    by: ltv.By = "channel"
    from_date: Annotated[date | None, Field(alias="from")] = None


class OfForecast(Input):
    """Of the forecast."""

    as_of: date | None = None
    months: Annotated[int, Field(ge=1, le=24)] = 12
    currency: Currency | None = None


class OfProspects(Input):
    """Of prospects, of whom a kept run names none."""

    as_of: date | None = None


class OfDonations(Input):
    """Of the donation report."""

    group_by: GroupBy = "month"
    first: Annotated[date | None, Field(alias="from")] = None
    last: Annotated[date | None, Field(alias="to")] = None
    currency: Currency | None = None


async def _gain_loss(session: ReadSession, p: Any) -> Found:
    return await yearly.gain_loss(session, await p.question(session), p.year)


async def _retention(session: ReadSession, p: Any) -> Found:
    return await yearly.retention(session, await p.question(session), p.years)


async def _lybunt(session: ReadSession, p: Any) -> Found:
    question = await p.question(session)
    return await yearly.absent(session, question, "lybunt", year=p.year, include_last_year=True, limit=1, cursor=None)


async def _sybunt(session: ReadSession, p: Any) -> Found:
    question, also = await p.question(session), p.include_last_year
    return await yearly.absent(session, question, "sybunt", year=p.year, include_last_year=also, limit=1, cursor=None)


async def _cohorts(session: ReadSession, p: Any) -> Found:
    by: cohorts.By = p.by
    return await cohorts.cohorts(session, await p.question(session), by, min(p.most, cohorts.MOST[by]))


async def _pyramid(session: ReadSession, p: Any) -> Found:
    return await spread.pyramid(session, await p.question(session), p.span)


async def _concentration(session: ReadSession, p: Any) -> Found:
    return await spread.concentration(session, await p.question(session), p.span)


async def _levels(session: ReadSession, p: Any) -> Found:
    return await levels.giving_levels(session, await p.question(session), p.span, p.program)


async def _rfm(session: ReadSession, p: Any) -> Found:
    return await rfm.rfm(session, await p.question(session))


async def _migration(session: ReadSession, p: Any) -> Found:
    question = await p.question(session)
    return await rfm.migration(session, question, p.from_date or rfm.year_before(question.as_of))


async def _ltv(session: ReadSession, p: Any) -> Found:
    return await ltv.lifetime_value(session, await asked(session, p.as_of), p.by, p.from_date)


async def _forecast(session: ReadSession, p: Any) -> Found:
    return await forecast.income_forecast(session, await asked(session, p.as_of), p.months, p.currency)


async def _prospects(session: ReadSession, p: Any) -> Found:
    return await prospects.prospects(session, await asked(session, p.as_of), 1)


async def _donations(session: ReadSession, p: Any) -> Found:
    return await donations.donations(session, donations.asked(session, p.group_by, p.first, p.last, p.currency))


@dataclass(frozen=True, slots=True)
class Kind:
    """A report that can be kept."""

    parameters: type[Input]
    make: Callable[[ReadSession, Any], Awaitable[Found]]
    table: Callable[[Mapping[str, Any]], Report]
    also: str = ""
    """A scope that its reader needs beside ``scoring:read``."""
    settled: Mapping[str, str] = field(default_factory=lambda: {"as_of": "as_of"})
    """Parameter → member of the answer that says what its default came to, so that it is asked alike later."""


_FROM: Final = {"as_of": "as_of", "from": "from_date"}
KINDS: Final[Mapping[str, Kind]] = {
    "gain-loss": Kind(OfYear, _gain_loss, yearly.gain_loss_table),
    "retention": Kind(OfYears, _retention, yearly.retention_table),
    "lybunt": Kind(OfYear, _lybunt, yearly.absent_table),
    "sybunt": Kind(OfSybunt, _sybunt, yearly.absent_table),
    "cohorts": Kind(OfCohorts, _cohorts, cohorts.cohorts_table),
    "giving-pyramid": Kind(OfSpan, _pyramid, spread.pyramid_table),
    "giving-levels": Kind(OfLevels, _levels, levels.levels_table),
    "concentration": Kind(OfSpan, _concentration, spread.concentration_table),
    "rfm": Kind(Plain, _rfm, rfm.rfm_table),
    "rfm-migration": Kind(OfMoves, _migration, rfm.migration_table, settled=_FROM),
    "ltv": Kind(OfLtv, _ltv, ltv.ltv_table, settled=_FROM),
    "income-forecast": Kind(OfForecast, _forecast, forecast.forecast_table),
    "prospects": Kind(OfProspects, _prospects, prospects.prospects_table),
    "donations": Kind(
        OfDonations,
        _donations,
        donations.as_table,
        also="donations:read",
        settled={"from": "from_date", "to": "to_date"},
    ),
}
