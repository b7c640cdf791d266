"""What the reports on giving have in common: the day they look from, and what of the gifts counts.

A gift counts when something of it is settled, net of refunds and lost disputes, and its date is not after `as_of`
(`scoring.md` §1, §2). Sums are in the organization's currency; gifts without a rate count in number and are said to be
left out. Everything is read straight from the gifts, so any past day can be looked from.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.kit import clock
from crm_api.kit.db import ReadSession, prepare
from crm_api.kit.fiscal import FISCAL_YEAR_SQL, bounds, fiscal_year, shift_of
from crm_api.kit.problems import Invalid

COUNTED = """g.organization_id = :organization_id AND g.contact_id IS NOT NULL AND g.counted > 0
    AND g.gift_date <= CAST(:as_of AS date) AND (CAST(:fund_id AS uuid) IS NULL OR g.fund_id = CAST(:fund_id AS uuid))
    AND (CAST(:campaign_id AS uuid) IS NULL OR g.campaign_id = CAST(:campaign_id AS uuid))"""
"""The gifts that count, of `gifts g`; by fund: gifts for that fund alone."""
YEARS = f"""
    years AS (
        SELECT g.contact_id, {FISCAL_YEAR_SQL.format(day="g.gift_date")} AS year,
            coalesce(sum(g.base_counted), 0) AS total, count(*) AS gifts,
            count(*) - count(g.base_counted) AS without_rate
        FROM gifts g WHERE {COUNTED} GROUP BY 1, 2)"""
"""Each donor's giving by fiscal year."""
_START = prepare(text("SELECT fiscal_year_start_month FROM organizations WHERE id = :organization_id"))
_WITHOUT_RATE = prepare(text(f"SELECT count(*) FROM gifts g WHERE {COUNTED} AND g.base_counted IS NULL"))


@dataclass(frozen=True, slots=True)
class Asked:
    """From when, and of which gifts, a report is asked for."""

    as_of: date
    start_month: int
    fund_id: UUID | None = None
    campaign_id: UUID | None = None

    @property
    def values(self) -> dict[str, Any]:
        """Values of the parameters of `COUNTED`."""
        return {"as_of": self.as_of, "fund_id": self.fund_id, "campaign_id": self.campaign_id}

    @property
    def yearly(self) -> dict[str, Any]:
        """Values of the parameters of `YEARS`."""
        return {**self.values, "fiscal_shift": shift_of(self.start_month)}

    @property
    def year(self) -> int:
        """The fiscal year of `as_of`."""
        return fiscal_year(self.as_of, self.start_month)

    def days_of(self, year: int) -> tuple[date, date]:
        """The first and the last day of a fiscal year."""
        return bounds(year, self.start_month)

    def year_or(self, year: int | None) -> int:
        """A year that was asked for, else that of `as_of`. A later one has nothing to report yet."""
        if year is not None and year > self.year:
            raise Invalid.at("?year", "after_as_of", f"As of {self.as_of} the newest fiscal year is {self.year}.")
        return self.year if year is None else year


async def asked(
    session: ReadSession, as_of: date | None, *, fund_id: UUID | None = None, campaign_id: UUID | None = None
) -> Asked:
    """A question with its defaults."""
    day = as_of or clock.local_date(session.now, session.tenant.timezone)
    if not 1900 <= day.year <= 2200:
        raise Invalid.at("?as_of", "out_of_range", "as_of must lie between the years 1900 and 2200.")
    return Asked(day, int(await session.fetch_val(_START) or 1), fund_id, campaign_id)


async def head(session: ReadSession, name: str, title: str, question: Asked) -> dict[str, Any]:
    """The members that every report begins with."""
    return {
        "report": name,
        "title": title,
        "as_of": question.as_of,
        "currency": session.tenant.currency,
        "fund_id": question.fund_id,
        "campaign_id": question.campaign_id,
        "gifts_without_rate": int(await session.fetch_val(_WITHOUT_RATE, **question.values)),
    }


def rate(part: int, whole: int) -> str | None:
    """A share as a decimal string to four places, half to even; null where there is nothing to share."""
    if not whole:
        return None
    return str(Decimal(round(Fraction(part * 10_000, whole))).scaleb(-4).quantize(Decimal("0.0001")))
