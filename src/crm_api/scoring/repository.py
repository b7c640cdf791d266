"""SQL of scoring: one donor from its gifts, and every donor of an organization in single statements."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.kit.db import ReadSession, Row, Statement, WriteSession, prepare
from crm_api.kit.ids import new_id
from crm_api.scoring.rfm import (
    RFM_AGAINST_BORDERS_SQL,
    RFM_BORDERS_SQL,
    RfmBorders,
    borders_from_row,
)
from crm_api.scoring.status import (
    IS_MAJOR_SQL,
    IS_NEW_SQL,
    IS_RECURRING_SQL,
    REASONS_SQL,
    STATUS_SQL,
    StatusRules,
)
from crm_api.scoring.summary import AVERAGE_GIFT_SQL, DonorSummary, half_even_mean

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


def _one(more: str = "") -> Statement:
    """One donor's figures."""
    return prepare(
        text(
            f"""
            SELECT {_AGGREGATES},
                array_remove(array_agg(DISTINCT g.plan_id), NULL) AS plan_ids,
                ARRAY(SELECT p.id FROM recurring_plans p WHERE p.organization_id = :organization_id
                    AND p.contact_id = :contact_id AND p.status IN ('active', 'past_due')) AS live_plan_ids{more}
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
                    GROUP BY h.id) c) AS soft_credits"""
_ONE = _one()
_ONE_WITH_CREDITS = _one(_SOFT_CREDITS)
_LATEST_BORDERS = prepare(
    text(
        "SELECT * FROM rfm_borders WHERE organization_id = :organization_id AND as_of <= :as_of "
        "ORDER BY as_of DESC LIMIT 1"
    )
)
_SUMMARY = prepare(
    text("SELECT * FROM donor_summaries WHERE organization_id = :organization_id AND contact_id = :contact_id")
)
_NO_GIFT_NO_SCORE = ", ".join(
    f"{name} = CASE WHEN excluded.gift_count > 0 THEN s.{name} END"
    for name in ("rfm_recency", "rfm_frequency", "rfm_monetary")
)
_UPSERT = prepare(
    text(
        f"""
        INSERT INTO donor_summaries AS s (organization_id, contact_id, gift_count, gifts_without_rate, total_given,
            average_gift, largest_gift, total_last_365_days, first_gift_at, last_gift_at, first_gift_date,
            last_gift_date, donor_status, is_new, is_major, is_recurring, rules_version, as_of, computed_at)
        VALUES (:organization_id, :contact_id, :gift_count, :gifts_without_rate, :total_given, :average_gift,
            :largest_gift, :total_last_365_days, :first_gift_at, :last_gift_at, :first_gift_date, :last_gift_date,
            :donor_status, :is_new, :is_major, :is_recurring, :rules_version, :as_of, :computed_at)
        ON CONFLICT (organization_id, contact_id) DO UPDATE SET
            gift_count = excluded.gift_count, gifts_without_rate = excluded.gifts_without_rate,
            total_given = excluded.total_given, average_gift = excluded.average_gift,
            largest_gift = excluded.largest_gift, total_last_365_days = excluded.total_last_365_days,
            first_gift_at = excluded.first_gift_at, last_gift_at = excluded.last_gift_at,
            first_gift_date = excluded.first_gift_date, last_gift_date = excluded.last_gift_date,
            donor_status = excluded.donor_status, is_new = excluded.is_new, is_major = excluded.is_major,
            is_recurring = excluded.is_recurring, rules_version = excluded.rules_version, as_of = excluded.as_of,
            computed_at = excluded.computed_at, {_NO_GIFT_NO_SCORE}
        """
    )
)
_VALUES = """
    rfm_values AS (
        SELECT contact_id, CAST(:as_of AS date) - last_gift_date AS days_since_last_gift, gift_count,
            total_given AS monetary_value
        FROM donor_summaries WHERE organization_id = :organization_id AND gift_count > 0 {only}
    )"""
_BORDERS = prepare(text(f"WITH {_VALUES.format(only='')} {RFM_BORDERS_SQL}"))


def _rescore(only: str) -> str:
    return f"""
        WITH {_VALUES.format(only=only)}, scored AS ({RFM_AGAINST_BORDERS_SQL})
        UPDATE donor_summaries d SET rfm_recency = scored.recency, rfm_frequency = scored.frequency,
            rfm_monetary = scored.monetary
        FROM scored WHERE d.organization_id = :organization_id AND d.contact_id = scored.contact_id
            AND (d.rfm_recency, d.rfm_frequency, d.rfm_monetary)
                IS DISTINCT FROM (scored.recency, scored.frequency, scored.monetary)
    """


_RESCORE_ALL = prepare(text(_rescore("")))
_RESCORE_FEW = prepare(text(_rescore("") + " RETURNING d.contact_id"))
_RESCORE_ONE = prepare(text(_rescore("AND contact_id = :contact_id")))
_STORE_BORDERS = prepare(
    text(
        "INSERT INTO rfm_borders (organization_id, n, {names}, as_of, computed_at) "
        "VALUES (:organization_id, :n, {values}, :as_of, :computed_at) "
        "ON CONFLICT (organization_id, as_of) DO UPDATE SET n = excluded.n, {updates}, "
        "computed_at = excluded.computed_at".format(
            names=", ".join(f"{p}_{k}" for p in ("recency", "frequency", "monetary") for k in range(1, 5)),
            values=", ".join(f":{p}_{k}" for p in ("recency", "frequency", "monetary") for k in range(1, 5)),
            updates=", ".join(
                f"{p}_{k} = excluded.{p}_{k}" for p in ("recency", "frequency", "monetary") for k in range(1, 5)
            ),
        )
    )
)
# A UUIDv7 of now for every row: its first part is the same for all of them, the rest is random.
_NEW_ID = "CAST(overlay(CAST(gen_random_uuid() AS text) PLACING :id_head FROM 1 FOR 15) AS uuid)"
_REBUILD = prepare(
    text(
        f"""
        WITH given AS (
            SELECT g.contact_id, {_AGGREGATES},
                bool_or(p.status IN ('active', 'past_due') AND p.contact_id = g.contact_id) AS is_live_recurring
            FROM gifts g LEFT JOIN recurring_plans p
                ON p.organization_id = :organization_id AND p.id = g.plan_id
            WHERE g.organization_id = :organization_id AND g.contact_id IS NOT NULL AND g.counted > 0
                AND g.gift_date <= CAST(:as_of AS date)
            GROUP BY g.contact_id
        ),
        donors AS (
            SELECT contact_id FROM given
            UNION SELECT contact_id FROM donor_summaries WHERE organization_id = :organization_id
        ),
        figures AS (
            SELECT d.contact_id, coalesce(g.gift_count, 0) AS gift_count,
                coalesce(g.gifts_with_rate, 0) AS gifts_with_rate,
                coalesce(g.gifts_without_rate, 0) AS gifts_without_rate, coalesce(g.total_given, 0) AS total_given,
                g.largest_gift, coalesce(g.total_last_365_days, 0) AS total_last_365_days, g.first_gift_at,
                g.last_gift_at, g.first_gift_date, g.last_gift_date,
                coalesce(g.is_live_recurring, false) AS is_live_recurring,
                CAST(:as_of AS date) - g.last_gift_date AS days_since_last_gift,
                CAST(:as_of AS date) - g.first_gift_date AS days_since_first_gift
            FROM donors d LEFT JOIN given g USING (contact_id)
        ),
        judged AS (
            SELECT f.*, {AVERAGE_GIFT_SQL} AS average_gift, {STATUS_SQL} AS donor_status, {IS_NEW_SQL} AS is_new,
                {IS_MAJOR_SQL} AS is_major, {IS_RECURRING_SQL} AS is_recurring
            FROM figures f
        ),
        changed AS (
            INSERT INTO donor_status_changes (organization_id, id, contact_id, previous_status, status, rules_version,
                reasons, as_of, changed_at)
            SELECT :organization_id, {_NEW_ID}, j.contact_id, s.donor_status, j.donor_status, :rules_version,
                {REASONS_SQL}, CAST(:as_of AS date), :computed_at
            FROM judged j LEFT JOIN donor_summaries s
                ON s.organization_id = :organization_id AND s.contact_id = j.contact_id
            WHERE s.donor_status IS DISTINCT FROM j.donor_status
        )
        INSERT INTO donor_summaries AS s (organization_id, contact_id, gift_count, gifts_without_rate, total_given,
            average_gift, largest_gift, total_last_365_days, first_gift_at, last_gift_at, first_gift_date,
            last_gift_date, donor_status, is_new, is_major, is_recurring, rules_version, as_of, computed_at)
        SELECT :organization_id, contact_id, gift_count, gifts_without_rate, total_given, average_gift, largest_gift,
            total_last_365_days, first_gift_at, last_gift_at, first_gift_date, last_gift_date, donor_status, is_new,
            is_major, is_recurring, :rules_version, CAST(:as_of AS date), :computed_at
        FROM judged
        ON CONFLICT (organization_id, contact_id) DO UPDATE SET
            gift_count = excluded.gift_count, gifts_without_rate = excluded.gifts_without_rate,
            total_given = excluded.total_given, average_gift = excluded.average_gift,
            largest_gift = excluded.largest_gift, total_last_365_days = excluded.total_last_365_days,
            first_gift_at = excluded.first_gift_at, last_gift_at = excluded.last_gift_at,
            first_gift_date = excluded.first_gift_date, last_gift_date = excluded.last_gift_date,
            donor_status = excluded.donor_status, is_new = excluded.is_new, is_major = excluded.is_major,
            is_recurring = excluded.is_recurring, rules_version = excluded.rules_version, as_of = excluded.as_of,
            computed_at = excluded.computed_at, {_NO_GIFT_NO_SCORE}
        """
    )
)
_UNNOTED = prepare(
    text(
        """
        SELECT s.contact_id FROM donor_summaries s
        WHERE s.organization_id = :organization_id AND s.gift_count > 0 AND NOT EXISTS (
            SELECT 1 FROM contact_keys k WHERE k.organization_id = :organization_id AND k.kind = 'role'
                AND k.value = 'donor' AND k.contact_id = s.contact_id)
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


async def summarize_donor(session: ReadSession, contact_id: UUID, as_of: date) -> tuple[DonorSummary, list[UUID]]:
    """A contact's giving as of a date, straight from its gifts, and its live plans."""
    row = await session.fetch_row(_ONE, contact_id=contact_id, as_of=as_of)
    assert row is not None  # an aggregate without GROUP BY always gives one row
    return _summary(session, row, as_of)


async def summarize_profile(
    session: ReadSession, contact_id: UUID, as_of: date
) -> tuple[DonorSummary, list[UUID], tuple[int, int, int]]:
    """The same, and soft credits beside it: of how many gifts, their sum, and how many of them the sum leaves out for
    want of a rate."""
    row = await session.fetch_row(_ONE_WITH_CREDITS, contact_id=contact_id, as_of=as_of)
    assert row is not None
    count, total, without_rate = row["soft_credits"]
    return *_summary(session, row, as_of), (count, total, without_rate)


def _summary(session: ReadSession, row: Row, as_of: date) -> tuple[DonorSummary, list[UUID]]:
    total, rated = row["total_given"], row["gifts_with_rate"]
    plan_ids = frozenset(row["plan_ids"] or ())
    summary = DonorSummary(
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
    return summary, list(row["live_plan_ids"])


async def stored_summary(session: ReadSession, contact_id: UUID) -> Row | None:
    """What was last stored of a donor."""
    return await session.fetch_row(_SUMMARY, contact_id=contact_id)


async def store_summary(session: WriteSession, contact_id: UUID, values: Mapping[str, Any]) -> None:
    """Store a donor's figures."""
    await session.execute(_UPSERT, contact_id=contact_id, **values)


async def latest_borders(session: ReadSession, as_of: date) -> RfmBorders | None:
    """The quintile borders in force on a date."""
    row = await session.fetch_row(_LATEST_BORDERS, as_of=as_of)
    return None if row is None else borders_from_row(dict(row))


async def rebuild_borders(session: WriteSession, as_of: date) -> RfmBorders | None:
    """Compute and store the borders of a date from the stored figures."""
    row = await session.fetch_row(_BORDERS, as_of=as_of)
    borders = None if row is None else borders_from_row(dict(row))
    if borders is not None:
        await session.execute(_STORE_BORDERS, n=borders.n, **borders.sql_params(), as_of=as_of, computed_at=session.now)
    return borders


async def rescore(session: WriteSession, borders: RfmBorders, as_of: date, contact_id: UUID | None = None) -> None:
    """Score every donor, or one, against borders."""
    if contact_id is None:
        await session.execute(_RESCORE_ALL, as_of=as_of, **borders.sql_params())
    else:
        await session.execute(_RESCORE_ONE, as_of=as_of, contact_id=contact_id, **borders.sql_params())


async def rescore_few(session: WriteSession, borders: RfmBorders, as_of: date) -> list[UUID]:
    """Score every donor of an organization with few; those whose scores changed."""
    rows = await session.fetch(_RESCORE_FEW, as_of=as_of, **borders.sql_params())
    return [row["contact_id"] for row in rows]


async def rebuild_summaries(session: WriteSession, rules: StatusRules, as_of: date) -> int:
    """Every donor's figures and status in one statement, with a row for each change of status; how many donors."""
    return await session.execute(
        _REBUILD,
        as_of=as_of,
        computed_at=session.now,
        currency=session.tenant.currency,
        id_head=str(new_id())[:15],
        rules_version=rules.version,
        **rules.sql_params(),
    )


async def unnoted_donors(session: ReadSession) -> list[UUID]:
    """Contacts with a counted gift that do not have the role of a donor yet."""
    return [row["contact_id"] for row in await session.fetch(_UNNOTED)]
