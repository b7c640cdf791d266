"""The report on giving levels: who is on which, and on which they were before. Straight from the gifts, of any day."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.kit.cursors import mark, unmark
from crm_api.kit.db import ReadSession, Row, prepare
from crm_api.kit.problems import Invalid
from crm_api.kit.sums import exact
from crm_api.reports.giving.base import COUNTED, Asked, head, rate
from crm_api.reports.giving.spread import Span
from crm_api.reports.report import Column, Report

_TOTALS = f"""
    WITH totals AS (
        SELECT g.contact_id,
            coalesce(sum(g.base_counted) FILTER (WHERE g.gift_date >= CAST(:since AS date)), 0) AS total,
            coalesce(sum(g.base_counted) FILTER (WHERE g.gift_date
                BETWEEN CAST(:since_before AS date) AND CAST(:until_before AS date)), 0) AS before
        FROM gifts g WHERE {COUNTED} AND g.gift_date >= CAST(:since_before AS date) GROUP BY 1)"""
_LEVELS = prepare(
    text(
        "SELECT id, program, name, min_amount FROM giving_levels WHERE organization_id = :organization_id "
        "AND (CAST(:program AS text) IS NULL OR program = CAST(:program AS text)) ORDER BY program, min_amount"
    )
)
_MOVES = prepare(
    text(
        f"""
        {_TOTALS},
        programs AS (
            SELECT program, array_agg(CAST(min_amount AS numeric) ORDER BY min_amount) AS steps FROM giving_levels
            WHERE organization_id = :organization_id
                AND (CAST(:program AS text) IS NULL OR program = CAST(:program AS text)) GROUP BY 1)
        SELECT p.program, width_bucket(t.before, p.steps) AS earlier, width_bucket(t.total, p.steps) AS later,
            count(*) AS donors, count(*) FILTER (WHERE t.total > 0) AS givers, sum(t.total) AS total
        FROM programs p CROSS JOIN totals t GROUP BY 1, 2, 3
        """
    )
)
_DONORS = prepare(
    text(
        f"""
        {_TOTALS}
        SELECT t.contact_id, c.display_name, t.total, t.before,
            width_bucket(t.total, CAST(:steps AS numeric[])) AS later,
            width_bucket(t.before, CAST(:steps AS numeric[])) AS earlier
        FROM totals t JOIN contacts c ON c.organization_id = :organization_id AND c.id = t.contact_id
        WHERE (t.total >= CAST(:lowest AS numeric) OR t.before >= CAST(:lowest AS numeric))
            AND (CAST(:after_total AS numeric) IS NULL
                OR (t.total, t.contact_id) < (CAST(:after_total AS numeric), CAST(:after_id AS uuid)))
        ORDER BY t.total DESC, t.contact_id DESC LIMIT :most
        """
    )
)


def _spans(question: Asked, span: Span) -> dict[str, date]:
    """The span of time, from its first day to `as_of`, and the one before it."""
    if span == "fiscal_year":
        first, last = question.days_of(question.year - 1)
        return {"since": last + timedelta(days=1), "since_before": first, "until_before": last}
    since = question.as_of - timedelta(days=365)
    if span == "last_365_days":
        before = {"since_before": since - timedelta(days=365), "until_before": since - timedelta(days=1)}
        return {"since": since, **before}
    return {"since": date(1800, 1, 1), "since_before": date(1800, 1, 1), "until_before": since}


async def giving_levels(session: ReadSession, question: Asked, span: Span, program: str | None) -> dict[str, Any]:
    """Every program's levels with who is on them, what they gave, and who moved from which level to which."""
    levels: defaultdict[str, list[Row]] = defaultdict(list)
    for row in await session.fetch(_LEVELS, program=program):
        levels[row["program"]].append(row)
    moves: defaultdict[str, list[Row]] = defaultdict(list)
    if levels:
        for row in await session.fetch(_MOVES, program=program, **_spans(question, span), **question.values):
            moves[row["program"]].append(row)
    return {
        **await head(session, "giving-levels", "Giving levels", question),
        "span": span,
        "programs": [_program(name, rows, moves[name]) for name, rows in levels.items()],
    }


def _program(name: str, levels: Sequence[Row], moves: Sequence[Row]) -> dict[str, Any]:
    donors = sum(row["givers"] for row in moves)
    total = sum(int(row["total"]) for row in moves)
    names = [None, *(row["name"] for row in levels)]
    below = [row for row in moves if row["later"] == 0]
    return {
        "program": name,
        "donors": donors,
        "total": exact(total),
        "levels": [_level(place, levels, moves, donors, total) for place in range(1, len(levels) + 1)],
        "below_donors": sum(row["givers"] for row in below),
        "below_amount": exact(sum(int(row["total"]) for row in below)),
        "moves": [
            {"from_level": names[row["earlier"]], "to_level": names[row["later"]], "donors": row["donors"]}
            for row in sorted(moves, key=lambda row: (-row["later"], -row["earlier"]))
            if row["earlier"] or row["later"]
        ],
    }


def _level(place: int, levels: Sequence[Row], moves: Sequence[Row], donors: int, total: int) -> dict[str, Any]:
    here = [row for row in moves if row["later"] == place]
    held, amount = sum(row["donors"] for row in here), sum(int(row["total"]) for row in here)
    return {
        "giving_level_id": levels[place - 1]["id"],
        "name": levels[place - 1]["name"],
        "from_amount": levels[place - 1]["min_amount"],
        "below_amount": levels[place]["min_amount"] if place < len(levels) else None,
        "donors": held,
        "donors_share": rate(held, donors),
        "amount": exact(amount),
        "amount_share": rate(amount, total),
        "stayed": sum(row["donors"] for row in here if row["earlier"] == place),
        "risen": sum(row["donors"] for row in here if row["earlier"] < place),
        "fallen": sum(row["donors"] for row in here if row["earlier"] > place),
        "left": sum(row["donors"] for row in moves if row["earlier"] == place and row["later"] < place),
    }


async def level_donors(
    session: ReadSession, question: Asked, span: Span, program: str, *, limit: int, cursor: str | None
) -> dict[str, Any]:
    """Who is on a level of a program, or was on one before, the most generous first."""
    levels = await session.fetch(_LEVELS, program=program)
    if not levels:
        raise Invalid.at("?program", "unknown_program", "No level has this program; GET /v1/giving-levels lists them.")
    bound = f"giving-levels:{question}:{span}:{program}"
    after_total, after_id = unmark(cursor, bound) if cursor else (None, None)
    rows = await session.fetch(
        _DONORS,
        steps=[row["min_amount"] for row in levels],
        lowest=levels[0]["min_amount"],
        after_total=after_total,
        after_id=UUID(str(after_id)) if after_id else None,
        most=limit + 1,
        **_spans(question, span),
        **question.values,
    )
    more, rows = len(rows) > limit, rows[:limit]
    names = [None, *(row["name"] for row in levels)]
    return {
        **await head(session, "giving-level-donors", f"Donors by level: {program}", question),
        "program": program,
        "span": span,
        "data": [
            {
                "contact_id": row["contact_id"],
                "display_name": row["display_name"],
                "level": names[row["later"]],
                "previous_level": names[row["earlier"]],
                "total": exact(int(row["total"])),
                "previous_total": exact(int(row["before"])),
            }
            for row in rows
        ],
        "has_more": more,
        "next_cursor": mark(bound, str(rows[-1]["total"]), rows[-1]["contact_id"]) if more else None,
    }


def levels_table(found: Mapping[str, Any]) -> Report:
    """One row for each level."""
    columns = (
        Column("program", "text", "Program"),
        Column("name", "text", "Level"),
        Column("from_amount", "money", "From", "currency"),
        Column("donors", "count", "Donors"),
        Column("amount", "money", "Given", "currency"),
        Column("stayed", "count", "Stayed"),
        Column("risen", "count", "Risen"),
        Column("fallen", "count", "Fallen"),
        Column("left", "count", "Left"),
        Column("currency", "text", "Currency"),
    )
    rows = [
        tuple({**level, "program": one["program"], "currency": found["currency"]}[c.name] for c in columns)
        for one in found["programs"]
        for level in one["levels"]
    ]
    return Report(found["title"], columns, rows)
