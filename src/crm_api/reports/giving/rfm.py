"""RFM as of any day: the cube of 5 x 5 x 5, its eleven names, and who moved from which name to which (`scoring.md` §3).

Scores are taken against all donors of that day, as a rebuild on that day would have.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from typing import Any

from sqlalchemy import text

from crm_api.kit.db import ReadSession, prepare
from crm_api.kit.problems import Invalid
from crm_api.kit.sums import exact
from crm_api.reports.giving.base import COUNTED, Asked, head, rate
from crm_api.reports.report import Column, Report
from crm_api.scoring.rfm import MIN_DONORS_FOR_QUINTILES, RFM_SCORES_SQL, TOO_FEW_FOR_QUINTILES, default_names

NO_GIFT = "prospect"
"""Where the donors of a later day stood before their first gift."""


def _values(counted: str, as_of: str) -> str:
    return f"""
        SELECT g.contact_id, CAST({as_of} AS date) - max(g.gift_date) AS days_since_last_gift, count(*) AS gift_count,
            coalesce(sum(g.base_counted), 0) AS monetary_value
        FROM gifts g WHERE {counted} GROUP BY 1"""


_EARLIER = COUNTED.replace(":as_of", ":from_date")
_CUBE = prepare(
    text(
        f"""
        WITH rfm_values AS ({_values(COUNTED, ":as_of")}), scored AS ({RFM_SCORES_SQL})
        SELECT s.recency, s.frequency, s.monetary, count(*) AS donors, sum(v.monetary_value) AS total
        FROM scored s JOIN rfm_values v USING (contact_id) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
        """
    )
)
_MOVES = prepare(
    text(
        f"""
        WITH later AS (
            WITH rfm_values AS ({_values(COUNTED, ":as_of")}) {RFM_SCORES_SQL}),
        earlier AS (
            WITH rfm_values AS ({_values(_EARLIER, ":from_date")}) {RFM_SCORES_SQL})
        SELECT e.recency * 100 + e.frequency * 10 + e.monetary AS before,
            l.recency * 100 + l.frequency * 10 + l.monetary AS after, count(*) AS donors
        FROM later l FULL JOIN earlier e USING (contact_id) GROUP BY 1, 2
        """
    )
)


async def rfm(session: ReadSession, question: Asked) -> dict[str, Any]:
    """How many donors are in each cell of the cube, and in each of the names."""
    names = default_names()
    rows = await session.fetch(_CUBE, **question.values)
    cells, by_name = [], defaultdict[str, list[int]](lambda: [0, 0])
    for row in rows:
        code = f"{row['recency']}{row['frequency']}{row['monetary']}"
        amount = int(row["total"])
        cells.append(
            {
                "code": code,
                "recency": row["recency"],
                "frequency": row["frequency"],
                "monetary": row["monetary"],
                "name": names[code],
                "donors": row["donors"],
                "amount": exact(amount),
            }
        )
        by_name[names[code]][0] += row["donors"]
        by_name[names[code]][1] += amount
    donors = sum(cell["donors"] for cell in cells)
    total = sum(one[1] for one in by_name.values())
    return {
        **await head(session, "rfm", "RFM", question),
        "donors": donors,
        "total": exact(total),
        "flags": [TOO_FEW_FOR_QUINTILES] if 0 < donors < MIN_DONORS_FOR_QUINTILES else [],
        "names": [
            {
                "name": name,
                "donors": by_name[name][0],
                "donors_share": rate(by_name[name][0], donors),
                "amount": exact(by_name[name][1]),
                "amount_share": rate(by_name[name][1], total),
            }
            for name in dict.fromkeys(names[code] for code in sorted(names, reverse=True))
        ],
        "cells": cells,
    }


async def migration(session: ReadSession, question: Asked, from_date: date) -> dict[str, Any]:
    """From which name to which the donors went between two days. Who had not given by the first day comes from
    `prospect`; whose gifts were all given back since goes there."""
    if from_date >= question.as_of:
        raise Invalid.at("?from", "after_as_of", "from must lie before as_of.")
    names = default_names()
    rows = await session.fetch(_MOVES, from_date=from_date, **question.values)
    moves: defaultdict[tuple[str, str], int] = defaultdict(int)
    for row in rows:
        before = names[str(row["before"])] if row["before"] is not None else NO_GIFT
        after = names[str(row["after"])] if row["after"] is not None else NO_GIFT
        moves[before, after] += row["donors"]
    return {
        **await head(session, "rfm-migration", "RFM migration", question),
        "from_date": from_date,
        "names": [*dict.fromkeys(names[code] for code in sorted(names, reverse=True)), NO_GIFT],
        "moves": [
            {"from_name": before, "to_name": after, "donors": donors}
            for (before, after), donors in sorted(moves.items(), key=lambda one: (-one[1], one[0]))
        ],
    }


def year_before(day: date) -> date:
    """The day that moves are counted from unless another is asked for."""
    return day.replace(year=day.year - 1, day=min(day.day, 28) if day.month == 2 else day.day)


def rfm_table(found: Mapping[str, Any]) -> Report:
    """The cells as a table."""
    columns = (
        Column("code", "text", "Cell"),
        Column("name", "text", "Name"),
        Column("donors", "count", "Donors"),
        Column("amount", "money", "Given", "currency"),
        Column("currency", "text", "Currency"),
    )
    rows = [tuple({**one, "currency": found["currency"]}[c.name] for c in columns) for one in found["cells"]]
    return Report(found["title"], columns, rows)


def migration_table(found: Mapping[str, Any]) -> Report:
    """The moves as a table."""
    columns = (
        Column("from_name", "text", "From"),
        Column("to_name", "text", "To"),
        Column("donors", "count", "Donors"),
    )
    return Report(found["title"], columns, [tuple(one[c.name] for c in columns) for one in found["moves"]])
