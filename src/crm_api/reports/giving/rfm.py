"""RFM as of any day: the cube of 5 x 5 x 5, its eleven names, and who moved from which name to which (`scoring.md` §3).

RFM is drawn as the organization has set it, and scores stand against the borders in force on that day, as those of a
donor's profile do; where none were stored by then, against all donors of that day, as a rebuild then would have.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from sqlalchemy import text

from crm_api.kit.db import ReadSession, prepare
from crm_api.kit.problems import Invalid
from crm_api.kit.sums import exact
from crm_api.reports.giving.base import COUNTED, Asked, head, rate
from crm_api.reports.report import Column, Report
from crm_api.scoring.rfm import (
    RFM_AGAINST_BORDERS_SQL,
    RFM_BORDERS_SQL,
    TOO_FEW_FOR_QUINTILES,
    RfmBorders,
    borders_from_row,
    default_names,
)
from crm_api.scoring.service import rfm_on
from crm_api.scoring.settings import Rfm
from crm_api.scoring.summary import AVERAGE_GIFT_SQL

NO_GIFT = "prospect"
"""Where the donors of a later day stood before their first gift."""
_VALUES = f"""
    SELECT w.contact_id, w.days_since_last_gift, w.gift_count, w.total_given,
        CASE WHEN CAST(:by_average AS boolean) THEN coalesce({AVERAGE_GIFT_SQL}, 0) ELSE w.total_given
            END AS monetary_value
    FROM (SELECT g.contact_id, CAST(:as_of AS date) - max(g.gift_date) AS days_since_last_gift,
            count(*) AS gift_count, count(g.base_counted) AS gifts_with_rate,
            coalesce(sum(g.base_counted), 0) AS total_given
        FROM gifts g WHERE {COUNTED} AND (CAST(:look_back AS integer) IS NULL
            OR g.gift_date >= CAST(:as_of AS date) - CAST(:look_back AS integer))
        GROUP BY 1) w"""
_EARLIER = {":as_of": ":from_date", **{f":{name}_": f":from_{name}_" for name in ("recency", "frequency", "monetary")}}


def _earlier(sql: str) -> str:
    """The same of the earlier day, against borders of its own."""
    for name, other in _EARLIER.items():
        sql = sql.replace(name, other)
    return sql


_BORDERS = prepare(text(f"WITH rfm_values AS ({_VALUES}) {RFM_BORDERS_SQL}"))
_CUBE = prepare(
    text(
        f"""
        WITH rfm_values AS ({_VALUES}), scored AS ({RFM_AGAINST_BORDERS_SQL})
        SELECT s.recency, s.frequency, s.monetary, count(*) AS donors, sum(v.total_given) AS total
        FROM scored s JOIN rfm_values v USING (contact_id) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
        """
    )
)
_MOVES = prepare(
    text(
        f"""
        WITH later AS (WITH rfm_values AS ({_VALUES}) {RFM_AGAINST_BORDERS_SQL}),
        earlier AS (WITH rfm_values AS ({_earlier(_VALUES)}) {_earlier(RFM_AGAINST_BORDERS_SQL)})
        SELECT e.recency * 100 + e.frequency * 10 + e.monetary AS before,
            l.recency * 100 + l.frequency * 10 + l.monetary AS after, count(*) AS donors
        FROM later l FULL JOIN earlier e USING (contact_id) GROUP BY 1, 2
        """
    )
)
_NOBODY = RfmBorders(0, (0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0))


async def _drawn(session: ReadSession, question: Asked) -> tuple[Rfm, RfmBorders, dict[str, Any]]:
    """How the organization draws RFM, the borders that a donor's profile of the day is scored against, and the values
    of the statements' parameters. Of one fund or campaign: against the donors of that alone."""
    rfm, borders = await rfm_on(session, question.as_of)
    values = {
        **question.values,
        "by_average": rfm.monetary == "average",
        "look_back": rfm.look_back_days,
    }
    if question.fund_id is not None or question.campaign_id is not None:
        row = await session.fetch_row(_BORDERS, **values)
        borders = None if row is None else rfm.effective(borders_from_row(dict(row)))
    return rfm, borders or _NOBODY, values


async def rfm(session: ReadSession, question: Asked) -> dict[str, Any]:
    """How many donors are in each cell of the cube, and in each of the names."""
    drawn, borders, values = await _drawn(session, question)
    names = drawn.names or default_names()
    rows = await session.fetch(_CUBE, **values, **borders.sql_params())
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
        "flags": [TOO_FEW_FOR_QUINTILES] if donors and borders.too_few else [],
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
    drawn, borders, values = await _drawn(session, question)
    names = drawn.names or default_names()
    _, before_that, _ = await _drawn(session, replace(question, as_of=from_date))
    points = {f"from_{name}": point for name, point in before_that.sql_params().items()}
    rows = await session.fetch(_MOVES, from_date=from_date, **values, **borders.sql_params(), **points)
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
