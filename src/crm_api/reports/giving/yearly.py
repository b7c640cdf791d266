"""Gains and losses, retention, LYBUNT and SYBUNT: each donor's fiscal year beside the one before (`scoring.md` §2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text

from crm_api.kit.cursors import mark, unmark
from crm_api.kit.db import ReadSession, Row, prepare
from crm_api.kit.sums import exact
from crm_api.reports.giving.base import YEARS, Asked, head, rate
from crm_api.reports.report import Column, Report

STATES: Final = (
    "new", "recapture", "upgrade", "same", "downgrade", "lapsed_new", "lapsed_repeat", "lapsed_multiple_years",
)  # fmt: skip
GAINS: Final = ("new", "recapture", "upgrade")
LOSSES: Final = ("downgrade", "lapsed_new", "lapsed_repeat")
MOST_YEARS: Final = 30
_STATE = """
    CASE
        WHEN y.total IS NOT NULL AND o.first_year = w.year THEN 'new'
        WHEN y.total IS NOT NULL AND p.total IS NULL THEN 'recapture'
        WHEN y.total > p.total THEN 'upgrade'
        WHEN y.total = p.total THEN 'same'
        WHEN y.total < p.total THEN 'downgrade'
        WHEN p.total IS NOT NULL AND o.first_year = w.year - 1 THEN 'lapsed_new'
        WHEN p.total IS NOT NULL THEN 'lapsed_repeat'
        ELSE 'lapsed_multiple_years'
    END"""
# Every donor who had given by the end of a year, with that year and the one before.
_STANDING = f"""
    WITH {YEARS},
    donors AS (SELECT contact_id, min(year) AS first_year FROM years GROUP BY 1),
    wanted AS (SELECT generate_series(CAST(:first_year AS integer), CAST(:last_year AS integer)) AS year),
    standing AS (
        SELECT w.year, o.contact_id, {_STATE} AS state, coalesce(y.total, 0) AS total, coalesce(p.total, 0) AS before
        FROM wanted w JOIN donors o ON o.first_year <= w.year
            LEFT JOIN years y ON y.contact_id = o.contact_id AND y.year = w.year
            LEFT JOIN years p ON p.contact_id = o.contact_id AND p.year = w.year - 1)"""
_BY_STATE = prepare(
    text(
        f"{_STANDING} SELECT year, state, count(*) AS donors, sum(total) AS total, sum(before) AS before "
        "FROM standing GROUP BY 1, 2"
    )
)
# Who gave in a year before and not in this one, the most generous first.
_ABSENT = f"""
    WITH {YEARS},
    found AS (
        SELECT contact_id, max(year) AS last_year, min(year) AS first_year, count(*) AS years,
            sum(total) FILTER (WHERE year = CAST(:year AS integer) - 1) AS last_year_total, sum(total) AS total,
            bool_or(year = CAST(:year AS integer)) AS gave
        FROM years WHERE year <= CAST(:year AS integer) GROUP BY 1),
    chosen AS (
        SELECT f.contact_id, f.last_year, f.first_year, f.years, f.last_year_total, f.total,
            CASE WHEN CAST(:latest AS boolean) THEN f.last_year_total ELSE f.total END AS rank_total
        FROM found f WHERE NOT f.gave AND CASE
            WHEN CAST(:latest AS boolean) THEN f.last_year = CAST(:year AS integer) - 1
            ELSE f.last_year < CAST(:year AS integer) - 1
                OR (CAST(:include_last_year AS boolean) AND f.last_year = CAST(:year AS integer) - 1) END)"""
_ABSENT_PAGE = prepare(
    text(
        f"""
        {_ABSENT}
        SELECT h.*, c.display_name FROM chosen h
        JOIN contacts c ON c.organization_id = :organization_id AND c.id = h.contact_id
        WHERE CAST(:after_total AS numeric) IS NULL
            OR (h.rank_total, h.contact_id) < (CAST(:after_total AS numeric), CAST(:after_id AS uuid))
        ORDER BY h.rank_total DESC, h.contact_id DESC LIMIT :most
        """
    )
)
_ABSENT_SUMS = prepare(text(f"{_ABSENT} SELECT count(*) AS donors, coalesce(sum(rank_total), 0) AS total FROM chosen"))


def _year(rows: Sequence[Row], year: int) -> dict[str, dict[str, int]]:
    found = {state: {"donors": 0, "total": 0, "before": 0} for state in STATES}
    for row in rows:
        if row["year"] == year:
            found[row["state"]] = {name: int(row[name]) for name in ("donors", "total", "before")}
    return found


async def gain_loss(session: ReadSession, question: Asked, year: int | None) -> dict[str, Any]:
    """What each kind of donor brought or took away against the year before; gains less losses is the growth."""
    wanted = question.year_or(year)
    rows = await session.fetch(_BY_STATE, first_year=wanted, last_year=wanted, **question.yearly)
    states = _year(rows, wanted)
    money = {name: one["total"] - one["before"] for name, one in states.items()}
    gains, losses = sum(money[name] for name in GAINS), -sum(money[name] for name in LOSSES)
    first, last = question.days_of(wanted)
    return {
        **await head(session, "gain-loss", f"Gains and losses, {wanted}", question),
        "year": wanted,
        "from_date": first,
        "to_date": min(last, question.as_of),
        "states": [
            {"state": name, "donors": one["donors"], "amount": exact(money[name])} for name, one in states.items()
        ],
        "gains": exact(gains),
        "losses": exact(losses),
        "net": exact(gains - losses),
        "total": exact(sum(one["total"] for one in states.values())),
        "previous_total": exact(sum(one["before"] for one in states.values())),
    }


async def retention(session: ReadSession, question: Asked, years: int) -> dict[str, Any]:
    """How many of last year's donors gave again, year by year; first-timers and others apart."""
    last = question.year
    rows = await session.fetch(_BY_STATE, first_year=last - years, last_year=last, **question.yearly)
    return {
        **await head(session, "retention", "Donor retention", question),
        "years": [
            _retained(year, _year(rows, year), _year(rows, year - 1)["new"]["donors"])
            for year in range(last - years + 1, last + 1)
        ],
    }


def _retained(year: int, states: Mapping[str, Mapping[str, int]], firsts_before: int) -> dict[str, Any]:
    count = {name: one["donors"] for name, one in states.items()}
    both = count["upgrade"] + count["same"] + count["downgrade"]
    gave_before = both + count["lapsed_new"] + count["lapsed_repeat"]
    firsts_kept = firsts_before - count["lapsed_new"]
    away = count["recapture"] + count["lapsed_multiple_years"]
    return {
        "year": year,
        "donors": both + count["new"] + count["recapture"],
        "gave_the_year_before": gave_before,
        "retained": both,
        "retention_rate": rate(both, gave_before),
        "new_donor_retention_rate": rate(firsts_kept, firsts_before),
        "repeat_donor_retention_rate": rate(both - firsts_kept, gave_before - firsts_before),
        "recaptured": count["recapture"],
        "recapture_rate": rate(count["recapture"], away),
        "new": count["new"],
        "upgraded": count["upgrade"],
        "downgraded": count["downgrade"],
    }


async def absent(
    session: ReadSession,
    question: Asked,
    name: str,
    *,
    year: int | None,
    include_last_year: bool,
    limit: int,
    cursor: str | None,
) -> dict[str, Any]:
    """LYBUNT (gave last year but not this) or SYBUNT (some year before): the donors, the most generous first."""
    wanted, latest = question.year_or(year), name == "lybunt"
    values = {**question.yearly, "year": wanted, "latest": latest, "include_last_year": include_last_year}
    bound = f"{name}:{question}:{wanted}:{include_last_year}"
    after_total, after_id = unmark(cursor, bound) if cursor else (None, None)
    rows = await session.fetch(
        _ABSENT_PAGE,
        after_total=after_total,
        after_id=UUID(str(after_id)) if after_id else None,
        most=limit + 1,
        **values,
    )
    sums = await session.fetch_row(_ABSENT_SUMS, **values)
    assert sums is not None
    more, rows = len(rows) > limit, rows[:limit]
    return {
        **await head(session, name, f"{name.upper()}, {wanted}", question),
        "year": wanted,
        "donors": sums["donors"],
        "total": exact(int(sums["total"])),
        "data": [
            {
                "contact_id": row["contact_id"],
                "display_name": row["display_name"],
                "first_year": row["first_year"],
                "last_year": row["last_year"],
                "years": row["years"],
                "last_year_total": exact(int(row["last_year_total"] or 0)),
                "total": exact(int(row["total"])),
            }
            for row in rows
        ],
        "has_more": more,
        "next_cursor": mark(bound, str(rows[-1]["rank_total"]), rows[-1]["contact_id"]) if more else None,
    }


def gain_loss_table(found: Mapping[str, Any]) -> Report:
    """The states as a table."""
    columns = (
        Column("state", "text", "Donors who are"),
        Column("donors", "count", "Donors"),
        Column("amount", "money", "Change", "currency"),
        Column("currency", "text", "Currency"),
    )
    rows = [(one["state"], one["donors"], one["amount"], found["currency"]) for one in found["states"]]
    return Report(found["title"], columns, rows)


def retention_table(found: Mapping[str, Any]) -> Report:
    """The years as a table."""
    names = list(found["years"][0])
    columns = tuple(
        Column(name, "text" if name.endswith("_rate") else "count", name.replace("_", " ").capitalize())
        for name in names
    )
    return Report(found["title"], columns, [tuple(one[name] for name in names) for one in found["years"]])


def absent_table(found: Mapping[str, Any]) -> Report:
    """The donors as a table."""
    columns = (
        Column("contact_id", "text", "Contact"),
        Column("display_name", "text", "Name"),
        Column("first_year", "count", "First year"),
        Column("last_year", "count", "Last year"),
        Column("years", "count", "Years"),
        Column("last_year_total", "money", "Given last year", "currency"),
        Column("total", "money", "Given in all", "currency"),
        Column("currency", "text", "Currency"),
    )
    rows = [
        tuple({**one, "contact_id": str(one["contact_id"]), "currency": found["currency"]}[c.name] for c in columns)
        for one in found["data"]
    ]
    return Report(found["title"], columns, rows)
