"""Cohorts: donors by the year or month of their first gift, and how many of them give in each period after."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Literal

from sqlalchemy import text

from crm_api.kit.db import ReadSession, prepare
from crm_api.kit.fiscal import FISCAL_YEAR_SQL
from crm_api.kit.sums import exact
from crm_api.reports.giving.base import COUNTED, Asked, head, rate
from crm_api.reports.report import Column, Report

By = Literal["year", "month"]
MOST: Mapping[By, int] = {"year": 40, "month": 60}
_MONTH = "CAST(EXTRACT(YEAR FROM g.gift_date) * 12 + EXTRACT(MONTH FROM g.gift_date) - 1 AS integer)"


def _statement(period: str, shifted: bool) -> Any:
    unused = "" if shifted else "AND CAST(:fiscal_shift AS integer) >= 0"
    return prepare(
        text(
            f"""
            WITH given AS (
                SELECT g.contact_id, {period} AS period, coalesce(sum(g.base_counted), 0) AS total
                FROM gifts g WHERE {COUNTED} {unused} GROUP BY 1, 2),
            firsts AS (SELECT contact_id, min(period) AS cohort FROM given GROUP BY 1)
            SELECT f.cohort, n.period - f.cohort AS age, count(*) AS donors, sum(n.total) AS total
            FROM firsts f JOIN given n USING (contact_id)
            WHERE f.cohort > CAST(:latest AS integer) - CAST(:most AS integer) GROUP BY 1, 2 ORDER BY 1, 2
            """
        )
    )


_BY: Mapping[By, Any] = {
    "year": _statement(FISCAL_YEAR_SQL.format(day="g.gift_date"), True),
    "month": _statement(_MONTH, False),
}


async def cohorts(session: ReadSession, question: Asked, by: By, most: int) -> dict[str, Any]:
    """The newest cohorts, each with the donors of every period up to now. A row need not fall: donors come back."""
    latest = question.year if by == "year" else question.as_of.year * 12 + question.as_of.month - 1
    rows = await session.fetch(_BY[by], latest=latest, most=most, **question.yearly)
    found: defaultdict[int, dict[int, tuple[int, int]]] = defaultdict(dict)
    for row in rows:
        found[row["cohort"]][row["age"]] = (row["donors"], int(row["total"]))
    return {
        **await head(session, "cohorts", f"Cohorts by {by} of the first gift", question),
        "by": by,
        "cohorts": [
            {
                "cohort": _label(by, cohort),
                "donors": parts[0][0],
                "periods": [
                    {
                        "period": age,
                        "donors": parts.get(age, (0, 0))[0],
                        "rate": rate(parts.get(age, (0, 0))[0], parts[0][0]),
                        "amount": exact(parts.get(age, (0, 0))[1]),
                    }
                    for age in range(latest - cohort + 1)
                ],
            }
            for cohort, parts in sorted(found.items())
        ],
    }


def _label(by: By, cohort: int) -> str:
    return str(cohort) if by == "year" else f"{cohort // 12:04}-{cohort % 12 + 1:02}"


def cohorts_table(found: Mapping[str, Any]) -> Report:
    """One row for each cohort and period."""
    columns = (
        Column("cohort", "text", "Cohort"),
        Column("period", "count", "Periods later"),
        Column("donors", "count", "Donors"),
        Column("rate", "text", "Rate"),
        Column("amount", "money", "Given", "currency"),
        Column("currency", "text", "Currency"),
    )
    rows = [
        (one["cohort"], part["period"], part["donors"], part["rate"], part["amount"], found["currency"])
        for one in found["cohorts"]
        for part in one["periods"]
    ]
    return Report(found["title"], columns, rows)
