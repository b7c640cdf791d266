"""How giving is spread over donors: the giving pyramid, and how much hangs on few."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, Literal

from sqlalchemy import text

from crm_api.kit.db import ReadSession, prepare
from crm_api.kit.money import exponent
from crm_api.kit.sums import exact
from crm_api.reports.giving.base import COUNTED, Asked, head, rate
from crm_api.reports.report import Column, Report

Span = Literal["last_365_days", "fiscal_year", "all"]
STEPS: Final = (0, 25, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000)
"""Lower ends of the pyramid's bands, in main units, unless others are asked for."""
TOPS: Final = (1, 5, 10, 20, 50)
WARNING: Final = 50
"""From which share of income, in percent, ten donors are too few to hang on."""
_TOTALS = f"""
    WITH totals AS MATERIALIZED (
        SELECT g.contact_id, coalesce(sum(g.base_counted), 0) AS total FROM gifts g
        WHERE {COUNTED} AND g.gift_date >= CAST(:since AS date) GROUP BY 1)"""
_PYRAMID = prepare(
    text(
        f"{_TOTALS} SELECT width_bucket(total, CAST(:steps AS numeric[])) AS band, count(*) AS donors, "
        "sum(total) AS total FROM totals GROUP BY 1"
    )
)
_SHARES = prepare(
    text(
        f"""
        {_TOTALS},
        ranked AS (
            SELECT total, row_number() OVER (ORDER BY total DESC, contact_id) AS place, count(*) OVER () AS donors,
                sum(total) OVER () AS whole FROM totals)
        SELECT max(donors) AS donors, max(whole) AS whole,
            sum(total) FILTER (WHERE place <= 10) AS ten, sum(total) FILTER (WHERE place = 1) AS one,
            sum((2 * place - donors - 1) * total) AS spread,
            ARRAY(SELECT coalesce(sum(r.total) FILTER (WHERE r.place * 100 <= t * r.donors), 0)
                FROM unnest(CAST(:tops AS integer[])) WITH ORDINALITY AS x(t, n), ranked r GROUP BY x.n ORDER BY x.n)
                AS tops,
            ARRAY(SELECT count(*) FILTER (WHERE r.place * 100 <= t * r.donors)
                FROM unnest(CAST(:tops AS integer[])) WITH ORDINALITY AS x(t, n), ranked r GROUP BY x.n ORDER BY x.n)
                AS heads
        FROM ranked
        """
    )
)


def _since(question: Asked, span: Span) -> Any:
    if span == "all":
        return question.as_of.replace(year=1800)
    return question.as_of - timedelta(days=365) if span == "last_365_days" else question.days_of(question.year)[0]


async def pyramid(
    session: ReadSession, question: Asked, span: Span, steps: Sequence[int] | None = None
) -> dict[str, Any]:
    """How many donors gave how much in a span of time, in bands from the smallest up."""
    bands = sorted(set(steps or STEPS))
    scale = 10 ** exponent(session.tenant.currency)
    minor = [step * scale for step in bands]
    rows = await session.fetch(_PYRAMID, since=_since(question, span), steps=minor, **question.values)
    by_band = {row["band"]: (row["donors"], int(row["total"])) for row in rows}
    if below := by_band.pop(0, None):  # less than the lowest step
        minor, by_band = [0, *minor], {0: below, **by_band}
        by_band = {band + 1: one for band, one in by_band.items()}
    donors, total = sum(one[0] for one in by_band.values()), sum(one[1] for one in by_band.values())
    levels = []
    for place, low in enumerate(minor, 1):
        held, amount = by_band.get(place, (0, 0))
        levels.append(
            {
                "from_amount": low,
                "below_amount": minor[place] if place < len(minor) else None,
                "donors": held,
                "donors_share": rate(held, donors),
                "amount": exact(amount),
                "amount_share": rate(amount, total),
            }
        )
    return {
        **await head(session, "giving-pyramid", "Giving pyramid", question),
        "span": span,
        "donors": donors,
        "total": exact(total),
        "levels": levels,
    }


async def concentration(session: ReadSession, question: Asked, span: Span) -> dict[str, Any]:
    """How much of the income comes from how few donors, and whether that is a danger.

    `gini` is 0 where all give alike and near 1 where one gives all (half the mean difference over the mean).
    """
    row = await session.fetch_row(_SHARES, since=_since(question, span), tops=list(TOPS), **question.values)
    assert row is not None
    donors, whole = int(row["donors"] or 0), int(row["whole"] or 0)
    ten = int(row["ten"] or 0)
    spread = -int(row["spread"] or 0)  # places count from the largest down
    return {
        **await head(session, "concentration", "Concentration of giving", question),
        "span": span,
        "donors": donors,
        "total": exact(whole),
        "shares": [
            {"top_percent": top, "donors": heads, "amount": exact(int(part)), "share": rate(int(part), whole)}
            for top, heads, part in zip(TOPS, row["heads"] or [0] * 5, row["tops"] or [0] * 5, strict=True)
        ],
        "largest_donor_share": rate(int(row["one"] or 0), whole),
        "top_ten_share": rate(ten, whole),
        "gini": rate(spread, donors * whole),
        "warning": "ten_donors_carry_half" if donors > 10 and whole and ten * 100 >= WARNING * whole else None,
    }


def pyramid_table(found: Mapping[str, Any]) -> Report:
    """The levels as a table."""
    columns = (
        Column("from_amount", "money", "From", "currency"),
        Column("below_amount", "money", "Below", "currency"),
        Column("donors", "count", "Donors"),
        Column("donors_share", "text", "Share of donors"),
        Column("amount", "money", "Given", "currency"),
        Column("amount_share", "text", "Share of giving"),
        Column("currency", "text", "Currency"),
    )
    rows = [tuple({**one, "currency": found["currency"]}[c.name] for c in columns) for one in found["levels"]]
    return Report(found["title"], columns, rows)


def concentration_table(found: Mapping[str, Any]) -> Report:
    """The shares as a table."""
    columns = (
        Column("top_percent", "count", "Top percent of donors"),
        Column("donors", "count", "Donors"),
        Column("amount", "money", "Given", "currency"),
        Column("share", "text", "Share"),
        Column("currency", "text", "Currency"),
    )
    rows = [tuple({**one, "currency": found["currency"]}[c.name] for c in columns) for one in found["shares"]]
    return Report(found["title"], columns, rows)
