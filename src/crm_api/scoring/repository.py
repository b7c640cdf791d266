"""SQL of scoring: what one donor's figures are taken from, and where they are stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.kit.db import ReadSession, Row, Statement, WriteSession, prepare
from crm_api.kit.fiscal import fiscal_year
from crm_api.scoring.fiscal import FISCAL_YEAR_SQL, YearFigures, year_figures
from crm_api.scoring.rfm import MonetaryBasis, RfmBorders, RfmValues, borders_from_row
from crm_api.scoring.status import StatusRules, default_rules
from crm_api.scoring.summary import DonorSummary, half_even_mean

# A gift counts when something of it is settled; without a rate it counts in number but not in the sums.
_AGGREGATES = """
    count(*) AS gift_count,
    count(g.base_counted) AS gifts_with_rate,
    count(*) - count(g.base_counted) AS gifts_without_rate,
    least(coalesce(sum(g.base_counted), 0), 9007199254740991)::bigint AS total_given,
    max(g.base_counted) AS largest_gift,
    least(coalesce(sum(g.base_counted) FILTER (WHERE g.gift_date >= CAST(:as_of AS date) - 365), 0),
        9007199254740991)::bigint
        AS total_last_365_days,
    min(g.received_at) AS first_gift_at, max(g.received_at) AS last_gift_at,
    min(g.gift_date) AS first_gift_date, max(g.gift_date) AS last_gift_date"""


_START = "(SELECT o.fiscal_year_start_month FROM organizations o WHERE o.id = :organization_id)"


def _one(more: str = "") -> Statement:
    """One donor's figures."""
    return prepare(
        text(
            f"""
            SELECT {_AGGREGATES},
                array_remove(array_agg(DISTINCT g.plan_id), NULL) AS plan_ids,
                ARRAY(SELECT p.id FROM recurring_plans p WHERE p.organization_id = :organization_id
                    AND p.contact_id = :contact_id AND p.status IN ('active', 'past_due')) AS live_plan_ids,
                {_START} AS fiscal_start,
                (SELECT jsonb_agg(jsonb_build_array(y.fiscal_year, y.total))
                 FROM (SELECT {FISCAL_YEAR_SQL.format(day="h.gift_date", start=_START)} AS fiscal_year,
                        CASE WHEN count(h.base_counted) > 0
                            THEN least(sum(h.base_counted), 9007199254740991) END AS total
                    FROM gifts h WHERE h.organization_id = :organization_id AND h.contact_id = :contact_id
                        AND h.counted > 0 AND h.gift_date <= CAST(:as_of AS date) GROUP BY 1) y) AS years,
                (SELECT h.channel FROM gifts h WHERE h.organization_id = :organization_id
                    AND h.contact_id = :contact_id AND h.counted > 0 AND h.gift_date <= CAST(:as_of AS date)
                    ORDER BY h.gift_date, h.id LIMIT 1) AS first_channel{more}
            FROM gifts g WHERE g.organization_id = :organization_id AND g.contact_id = :contact_id
                AND g.counted > 0 AND g.gift_date <= CAST(:as_of AS date)
            """
        )
    )


# Of a gift that somebody is credited with twice, the larger credit; of a part, its proportion of what is left of the
# gift, rounded down; of one's own gift, nothing. Figures of money received know none of it.
_SOFT_CREDITS = """,
                (SELECT ARRAY[count(*), CAST(least(coalesce(sum(c.base), 0), 9007199254740991) AS bigint),
                    count(*) - count(c.base)]
                 FROM (SELECT max(div(CAST(h.base_counted AS numeric) * least(coalesce(s.amount, h.amount), h.amount),
                        h.amount)) AS base
                    FROM soft_credits s JOIN gifts h ON h.organization_id = :organization_id AND h.id = s.gift_id
                    WHERE s.organization_id = :organization_id AND s.contact_id = :contact_id AND h.counted > 0
                        AND h.gift_date <= CAST(:as_of AS date) AND h.contact_id IS DISTINCT FROM s.contact_id
                    GROUP BY h.id) c) AS soft_credits,
                (SELECT to_jsonb(p) FROM donor_predictions p
                    WHERE p.organization_id = :organization_id AND p.contact_id = :contact_id) AS prediction"""
_ONE = _one()
_ONE_WITH_CREDITS = _one(_SOFT_CREDITS)
_BORDER_COLUMNS = ", ".join(f"b.{p}_{k}" for p in ("recency", "frequency", "monetary") for k in range(1, 5))
_STANDING = prepare(
    text(
        f"""
        SELECT o.fiscal_year_start_month, r.version AS rules_version, r.content AS rules, r.created_at AS rules_since,
            (SELECT jsonb_object_agg(s.part, jsonb_build_object('version', s.version, 'content', s.content))
                FROM scoring_settings s WHERE s.organization_id = :organization_id) AS settings,
            b.n, {_BORDER_COLUMNS}, coalesce(b.computed_at < (SELECT s.updated_at FROM scoring_settings s
                WHERE s.organization_id = :organization_id AND s.part = 'rfm'), false) AS borders_outdated
        FROM organizations o
        LEFT JOIN LATERAL (SELECT d.version, d.content, d.created_at FROM donor_status_rules d
            WHERE d.organization_id = :organization_id ORDER BY d.version DESC LIMIT 1) r ON true
        LEFT JOIN LATERAL (SELECT * FROM rfm_borders f WHERE f.organization_id = :organization_id
            AND f.as_of <= CAST(:as_of AS date) ORDER BY f.as_of DESC LIMIT 1) b ON true
        WHERE o.id = :organization_id
        """
    )
)
_WINDOW = prepare(
    text(
        """
        SELECT count(*) AS gift_count, count(g.base_counted) AS gifts_with_rate,
            CAST(least(coalesce(sum(g.base_counted), 0), 9007199254740991) AS bigint) AS total_given,
            CAST(:as_of AS date) - max(g.gift_date) AS days_since_last_gift
        FROM gifts g WHERE g.organization_id = :organization_id AND g.contact_id = :contact_id AND g.counted > 0
            AND g.gift_date <= CAST(:as_of AS date)
            AND g.gift_date >= CAST(:as_of AS date) - CAST(:look_back AS integer)
        """
    )
)
_SUMMARY = prepare(
    text("SELECT * FROM donor_summaries WHERE organization_id = :organization_id AND contact_id = :contact_id")
)
NO_GIFT_NO_SCORE = ", ".join(
    f"{name} = CASE WHEN excluded.gift_count > 0 THEN s.{name} END"
    for name in ("rfm_recency", "rfm_frequency", "rfm_monetary")
)
YEARS_TOO = ", ".join(
    f"{name} = excluded.{name}"
    for name in (
        "fiscal_year", "this_year_total", "last_year_total", "previous_year_total", "streak_years", "best_year",
        "best_year_total", "first_channel",
    )
)  # fmt: skip
_UPSERT = prepare(
    text(
        f"""
        INSERT INTO donor_summaries AS s (organization_id, contact_id, gift_count, gifts_without_rate, total_given,
            average_gift, largest_gift, total_last_365_days, first_gift_at, last_gift_at, first_gift_date,
            last_gift_date, fiscal_year, this_year_total, last_year_total, previous_year_total, streak_years, best_year,
            best_year_total, first_channel, donor_status, is_new, is_major, is_recurring, rules_version, as_of,
            computed_at)
        VALUES (:organization_id, :contact_id, :gift_count, :gifts_without_rate, :total_given, :average_gift,
            :largest_gift, :total_last_365_days, :first_gift_at, :last_gift_at, :first_gift_date, :last_gift_date,
            :fiscal_year, :this_year_total, :last_year_total, :previous_year_total, :streak_years, :best_year,
            :best_year_total, :first_channel, :donor_status, :is_new, :is_major, :is_recurring, :rules_version, :as_of,
            :computed_at)
        ON CONFLICT (organization_id, contact_id) DO UPDATE SET
            gift_count = excluded.gift_count, gifts_without_rate = excluded.gifts_without_rate,
            total_given = excluded.total_given, average_gift = excluded.average_gift,
            largest_gift = excluded.largest_gift, total_last_365_days = excluded.total_last_365_days,
            first_gift_at = excluded.first_gift_at, last_gift_at = excluded.last_gift_at,
            first_gift_date = excluded.first_gift_date, last_gift_date = excluded.last_gift_date,
            {YEARS_TOO}, donor_status = excluded.donor_status, is_new = excluded.is_new, is_major = excluded.is_major,
            is_recurring = excluded.is_recurring, rules_version = excluded.rules_version, as_of = excluded.as_of,
            computed_at = excluded.computed_at, {NO_GIFT_NO_SCORE}
        """
    )
)
_LOCK = prepare(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"))
_LOCK_SHARED = prepare(text("SELECT pg_advisory_xact_lock_shared(hashtextextended(:name, 0))"))


async def lock_donor(session: WriteSession, contact_id: UUID) -> None:
    """Let one worker at a time step a donor's figures."""
    await session.fetch(_LOCK, name=f"{session.organization_id}:donor:{contact_id}")


async def lock_all(session: WriteSession) -> None:
    """Let one worker at a time rebuild an organization's figures or borders, and nobody step a donor meanwhile."""
    await session.fetch(_LOCK, name=f"{session.organization_id}:scoring")


async def lock_shared(session: WriteSession) -> None:
    """Let nobody rebuild the organization's figures while one donor's are stepped: the rebuild would put what it read
    before over what is written now."""
    await session.fetch(_LOCK_SHARED, name=f"{session.organization_id}:scoring")


@dataclass(frozen=True, slots=True)
class Giving:
    """What a contact has given, with what its status needs beside."""

    summary: DonorSummary
    live_plan_ids: list[UUID]
    fiscal_year: int
    """That of the day the summary holds for."""
    years: YearFigures
    first_channel: str | None
    """Through which channel the first gift came, where that is known."""
    soft_credits: tuple[int, int, int] = (0, 0, 0)
    """Of how many gifts, their sum, and how many of them the sum leaves out for want of a rate."""
    prediction: Mapping[str, Any] | None = None
    """The stored prediction."""

    def columns(self) -> dict[str, Any]:
        """The columns of `donor_summaries` that are about fiscal years and where the donor came from."""
        return {
            "fiscal_year": self.fiscal_year,
            **{name: getattr(self.years, name) for name in YearFigures.__slots__},
            "first_channel": self.first_channel,
        }


@dataclass(frozen=True, slots=True)
class Standing:
    """What an organization's donors are judged by on a day."""

    rules: StatusRules
    borders: RfmBorders | None
    fiscal_start: int
    """First month of the fiscal year."""
    rules_since: datetime | None = None
    """When these rules were put in force; None for the defaults."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Stored settings by part, each with its version and content."""
    borders_outdated: bool = False
    """The borders were drawn before RFM was set to be drawn another way."""


async def standing(session: ReadSession, as_of: date) -> Standing:
    """Rules, quintile borders and fiscal year in force, in one trip."""
    row = await session.fetch_row(_STANDING, as_of=as_of)
    assert row is not None  # a session's organization is there
    return Standing(
        rules=rules_from_row(row["rules_version"], row["rules"], session.tenant.currency),
        borders=borders_from_row(dict(row)),
        fiscal_start=row["fiscal_year_start_month"],
        rules_since=row["rules_since"],
        settings=row["settings"] or {},
        borders_outdated=row["borders_outdated"],
    )


def rules_from_row(version: int | None, content: Mapping[str, Any] | None, currency: str) -> StatusRules:
    """The rules of a stored version; the defaults where none is stored."""
    return default_rules(currency) if content is None else StatusRules(version=version or 1, **content)


async def summarize_donor(session: ReadSession, contact_id: UUID, as_of: date) -> Giving:
    """A contact's giving as of a date, straight from its gifts, and its live plans."""
    row = await session.fetch_row(_ONE, contact_id=contact_id, as_of=as_of)
    assert row is not None  # an aggregate without GROUP BY always gives one row
    return _giving(session, row, as_of)


async def summarize_profile(session: ReadSession, contact_id: UUID, as_of: date) -> Giving:
    """The same, with soft credits and the stored prediction."""
    row = await session.fetch_row(_ONE_WITH_CREDITS, contact_id=contact_id, as_of=as_of)
    assert row is not None
    count, total, without_rate = row["soft_credits"]
    return replace(
        _giving(session, row, as_of), soft_credits=(count, total, without_rate), prediction=row["prediction"]
    )


def _giving(session: ReadSession, row: Row, as_of: date) -> Giving:
    current = fiscal_year(as_of, row["fiscal_start"])
    totals = {int(year): None if total is None else int(total) for year, total in row["years"] or ()}
    return Giving(
        summary=_summary(session, row, as_of),
        live_plan_ids=list(row["live_plan_ids"]),
        fiscal_year=current,
        years=year_figures(totals, current),
        first_channel=row["first_channel"],
    )


def _summary(session: ReadSession, row: Row, as_of: date) -> DonorSummary:
    total, rated = row["total_given"], row["gifts_with_rate"]
    plan_ids = frozenset(row["plan_ids"] or ())
    return DonorSummary(
        gift_count=row["gift_count"],
        base_currency=session.tenant.currency,
        total_given=total,
        average_gift=half_even_mean(total, rated) if rated else None,
        largest_gift=row["largest_gift"],
        first_gift_at=row["first_gift_at"],
        last_gift_at=row["last_gift_at"],
        first_gift_date=row["first_gift_date"],
        last_gift_date=row["last_gift_date"],
        total_last_365_days=row["total_last_365_days"],
        gifts_without_rate=row["gifts_without_rate"],
        has_counted_recurring_gift=bool(plan_ids),
        as_of=as_of,
        recurring_plan_ids=plan_ids,
    )


async def values_within(
    session: ReadSession, contact_id: UUID, as_of: date, look_back_days: int, basis: MonetaryBasis
) -> RfmValues | None:
    """What is scored of a donor where only gifts of so many days count; None without one."""
    row = await session.fetch_row(_WINDOW, contact_id=contact_id, as_of=as_of, look_back=look_back_days)
    if row is None or not row["gift_count"]:
        return None
    total, rated = row["total_given"], row["gifts_with_rate"]
    money = total if basis == "sum" else half_even_mean(total, rated) or 0
    return RfmValues(row["days_since_last_gift"], row["gift_count"], money)


async def stored_summary(session: ReadSession, contact_id: UUID) -> Row | None:
    """What was last stored of a donor."""
    return await session.fetch_row(_SUMMARY, contact_id=contact_id)


async def store_summary(session: WriteSession, contact_id: UUID, values: Mapping[str, Any]) -> None:
    """Store a donor's figures."""
    await session.execute(_UPSERT, contact_id=contact_id, **values)


async def latest_borders(session: ReadSession, as_of: date) -> RfmBorders | None:
    """The quintile borders in force on a date."""
    return (await standing(session, as_of)).borders
