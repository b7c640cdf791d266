"""Expected and received regular gifts by month and currency, in one statement.

What was due is in rows: periods of our own schedules, and for a provider's plans the gifts that it tried to collect.
What is to come is reckoned from each plan's next date, by the same rule as `schedule` (the last day of a shorter month,
counted from the first date).
"""

from __future__ import annotations

from datetime import date
from typing import Any

from sqlalchemy import text

from crm_api.kit import clock
from crm_api.kit.db import ReadSession, prepare
from crm_api.kit.problems import Invalid

_FORECAST = prepare(
    text(
        """
        WITH running AS (
            SELECT p.id, p.amount, p.currency, p.end_on, p.frequency_unit IN ('month', 'year') AS by_month,
                p.frequency_interval * CASE p.frequency_unit WHEN 'week' THEN 7 WHEN 'year' THEN 12 ELSE 1 END AS step,
                CASE WHEN p.status = 'paused' THEN p.resume_on ELSE p.next_date END AS begins,
                coalesce(p.anchor_on, p.next_date) AS origin,
                coalesce(p.anchor_day, CAST(extract(day FROM p.next_date) AS integer)) AS anchor_day,
                p.installments - (SELECT count(*) FROM recurring_periods r
                    WHERE r.organization_id = :organization_id AND r.plan_id = p.id
                    AND r.state IN ('paid', 'due', 'charging', 'unknown', 'retrying', 'expected')) AS places
            FROM recurring_plans p
            WHERE p.organization_id = :organization_id AND p.amount IS NOT NULL AND p.currency IS NOT NULL
                AND p.frequency_unit IS NOT NULL AND p.frequency_interval IS NOT NULL AND (
                    (p.status IN ('pending', 'active', 'past_due') AND p.next_date IS NOT NULL)
                    OR (p.status = 'paused' AND p.resume_on IS NOT NULL AND p.anchor_on IS NOT NULL))
        ),
        numbered AS (
            SELECT q.*, date_trunc('month', origin) AS month,
                CASE WHEN by_month THEN CAST(12 * extract(year FROM begins) + extract(month FROM begins)
                    - 12 * extract(year FROM origin) - extract(month FROM origin) AS integer)
                    ELSE begins - origin END / step - 1 AS low,
                CASE WHEN by_month THEN CAST(12 * extract(year FROM CAST(:until AS date))
                    + extract(month FROM CAST(:until AS date))
                    - 12 * extract(year FROM origin) - extract(month FROM origin) AS integer)
                    ELSE CAST(:until AS date) - origin END / step + 1 AS high
            FROM running q
        ),
        dates AS (
            SELECT c.amount, c.currency, c.places, d.day, row_number() OVER (PARTITION BY c.id ORDER BY d.day) AS place
            FROM numbered c, LATERAL (
                SELECT CASE WHEN NOT c.by_month THEN c.origin + n * c.step ELSE least(
                    CAST(c.month + n * c.step * interval '1 month' AS date) + c.anchor_day - 1,
                    CAST(c.month + (n * c.step + 1) * interval '1 month' AS date) - 1) END AS day
                FROM generate_series(greatest(c.low, 0), c.high) AS n
            ) d
            WHERE d.day >= c.begins AND d.day < CAST(:until AS date) AND (c.end_on IS NULL OR d.day <= c.end_on)
        ),
        parts AS (
            SELECT date_trunc('month', day) AS month, currency, amount AS expected, 1 AS n_expected,
                0 AS received, 0 AS n_received, 0 AS missed, 0 AS n_missed
            FROM dates WHERE day >= CAST(:first AS date) AND (places IS NULL OR place <= places)
            UNION ALL
            SELECT date_trunc('month', r.due_on), r.currency, CASE WHEN r.state <> 'skipped' THEN r.amount ELSE 0 END,
                CAST(r.state <> 'skipped' AS integer), 0, 0,
                CASE WHEN r.state IN ('failed', 'missed') THEN r.amount ELSE 0 END,
                CAST(r.state IN ('failed', 'missed') AS integer)
            FROM recurring_periods r WHERE r.organization_id = :organization_id
                AND r.due_on >= CAST(:first AS date) AND r.due_on < CAST(:until AS date)
            UNION ALL
            SELECT date_trunc('month', g.gift_date), g.currency,
                CASE WHEN p.method = 'provider' THEN g.amount ELSE 0 END, CAST(p.method = 'provider' AS integer),
                g.counted, CAST(g.counted > 0 AS integer),
                CASE WHEN p.method = 'provider' AND g.status = 'failed' THEN g.amount ELSE 0 END,
                CAST(p.method = 'provider' AND g.status = 'failed' AS integer)
            FROM recurring_plans p JOIN gifts g ON g.organization_id = :organization_id AND g.plan_id = p.id
            WHERE p.organization_id = :organization_id AND g.superseded_by IS NULL AND g.status <> 'canceled'
                AND g.gift_date >= CAST(:first AS date) AND g.gift_date < CAST(:until AS date)
                AND g.received_at >= CAST(:first AS date) - interval '2 days'
                AND g.received_at < CAST(:until AS date) + interval '2 days'
        )
        SELECT to_char(month, 'YYYY-MM') AS month, currency, sum(expected) AS expected, sum(n_expected) AS n_expected,
            sum(received) AS received, sum(n_received) AS n_received, sum(missed) AS missed, sum(n_missed) AS n_missed
        FROM parts GROUP BY 1, 2 HAVING sum(n_expected) + sum(n_received) + sum(n_missed) > 0 ORDER BY 1, 2
        """
    )
)
_WITHOUT_DATE = prepare(
    text(
        "SELECT count(*) AS n FROM recurring_plans WHERE organization_id = :organization_id "
        "AND status IN ('active', 'past_due') AND method = 'provider' AND (next_date IS NULL OR amount IS NULL "
        "OR frequency_unit IS NULL OR frequency_interval IS NULL)"
    )
)


def _months_after(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, 1)


async def forecast(session: ReadSession, first: date | None, months: int) -> dict[str, Any]:
    """Expected, received and missed by month and currency, from the month of a day on. Months in which nothing was or
    is to be are left out. Sums are exact whatever their size."""
    if first is not None and not 1900 <= first.year <= 2200:
        raise Invalid.at("?from", "out_of_range", "from must lie between the years 1900 and 2200.")
    begin = (first or clock.local_date(session.now, session.tenant.timezone)).replace(day=1)
    rows = await session.fetch(_FORECAST, first=begin, until=_months_after(begin, months))
    data = [
        {
            "month": row["month"],
            "currency": row["currency"],
            **{
                name: {"amount": int(row[name]), "currency": row["currency"]}
                for name in ("expected", "received", "missed")
            },
            **{f"payments_{name}": int(row[f"n_{name}"]) for name in ("expected", "received", "missed")},
        }
        for row in rows
    ]
    return {"data": data, "plans_without_date": int(await session.fetch_val(_WITHOUT_DATE))}
