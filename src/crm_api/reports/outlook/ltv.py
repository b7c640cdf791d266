"""What donors are worth, beside what it cost to win them: by channel, campaign, cohort, country or segment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import text

from crm_api.kit.db import ReadSession, prepare
from crm_api.kit.fiscal import FISCAL_YEAR_SQL
from crm_api.kit.problems import Invalid
from crm_api.kit.sums import exact
from crm_api.reports.donations.repository import names
from crm_api.reports.giving.base import COUNTED, Asked, head
from crm_api.reports.giving.spread import concentration
from crm_api.reports.report import Column, Report
from crm_api.scoring.acquisition import Acquired, acquisition
from crm_api.scoring.settings import bands_of, ltv_settings
from crm_api.scoring.summary import half_even_mean

By = Literal["channel", "campaign", "cohort", "country", "segment"]
EARLIEST = date(1900, 1, 1)
_DONORS = f"""
    WITH donors AS (
        SELECT g.contact_id, min(g.gift_date) AS first_date, coalesce(sum(g.base_counted), 0) AS given,
            count(*) - count(g.base_counted) AS without_rate
        FROM gifts g WHERE {COUNTED} GROUP BY 1 HAVING min(g.gift_date) >= CAST(:since AS date))
    SELECT {{key}} AS name, count(*) AS donors, sum(d.given) AS given, sum(d.without_rate) AS without_rate
    FROM donors d {{joined}} GROUP BY 1 ORDER BY 1 NULLS LAST"""
_GROUPED = {
    "cohort": prepare(
        text(_DONORS.format(key=f"CAST({FISCAL_YEAR_SQL.format(day='d.first_date')} AS text)", joined=""))
    ),
    "country": prepare(
        text(
            _DONORS.format(
                key="jsonb_path_query_first(c.addresses, '$[*] ? (@.is_primary == true)') ->> 'country'",
                joined="JOIN contacts c ON c.organization_id = :organization_id AND c.id = d.contact_id",
            )
        )
    ),
    "segment": prepare(
        text(
            _DONORS.format(
                key="CAST(m.segment_id AS text)",
                joined="""JOIN segment_memberships m ON m.organization_id = :organization_id
                    AND m.contact_id = d.contact_id""",
            )
        )
    ),
}
_SEGMENTS = prepare(
    text(
        "SELECT CAST(id AS text) AS id, name FROM segments WHERE organization_id = :organization_id "
        "AND id = ANY(CAST(:ids AS uuid[]))"
    )
)


async def lifetime_value(session: ReadSession, question: Asked, by: By, since: date | None) -> dict[str, Any]:
    """Donors by how they were won or where they are, with what each has given so far on average. What it cost to win
    them is known by channel and by campaign."""
    start = since or EARLIEST
    if start > question.as_of:
        raise Invalid.at("?from", "after_as_of", "from must not lie after as_of.")
    if by in ("channel", "campaign"):
        bands = bands_of(await ltv_settings(session))
        way: Literal["channel", "campaign"] = "channel" if by == "channel" else "campaign"
        groups = await acquisition(session, way, start, question.as_of, bands=bands)
    else:
        groups = await _plain(session, question, by, start)
    labels = await _labels(session, by, [one.name for one in groups if one.name is not None])
    ranked = sorted(groups, key=lambda one: (one.name is None, -one.given, one.name or ""))
    return {
        **await head(session, "ltv", f"Lifetime value by {by}", question),
        "by": by,
        "from_date": start,
        "groups": [_group(one, labels) for one in ranked],
        "warning": (await concentration(session, question, "all"))["warning"],
    }


async def _plain(session: ReadSession, question: Asked, by: str, since: date) -> list[Acquired]:
    """Groups of which nobody knows what they cost."""
    values = question.yearly if by == "cohort" else question.values
    return [
        Acquired(
            name=row["name"],
            donors=row["donors"],
            given=int(row["given"]),
            gifts_without_rate=int(row["without_rate"]),
            cost=None,
            costs_without_rate=0,
            appeals=0,
            cac=None,
            lifetime_value=half_even_mean(int(row["given"]), row["donors"]),
            ltv_cac=None,
            band=None,
        )
        for row in await session.fetch(_GROUPED[by], since=since, **values)
    ]


async def _labels(session: ReadSession, by: By, keys: Sequence[str]) -> Mapping[str, str]:
    if by == "segment" and keys:
        return {row["id"]: row["name"] for row in await session.fetch(_SEGMENTS, ids=[UUID(key) for key in keys])}
    return await names(session, by, list(keys)) if by == "campaign" else {}


def _group(one: Acquired, labels: Mapping[str, str]) -> dict[str, Any]:
    found = asdict(one)
    for name in ("given", "lifetime_value", "cost", "cac"):
        found[name] = None if found[name] is None else exact(found[name])
    del found["name"], found["appeals"]
    return {"key": one.name, "label": labels.get(one.name or ""), **found}


def ltv_table(found: Mapping[str, Any]) -> Report:
    """The groups as a table."""
    columns = (
        Column("key", "text", str(found["by"]).capitalize()),
        Column("label", "text", "Name"),
        Column("donors", "count", "Donors"),
        Column("given", "money", "Given", "currency"),
        Column("lifetime_value", "money", "Lifetime value", "currency"),
        Column("cost", "money", "Cost", "currency"),
        Column("cac", "money", "Cost of acquisition", "currency"),
        Column("ltv_cac", "text", "Value by cost"),
        Column("band", "text", "Band"),
        Column("currency", "text", "Currency"),
    )
    rows = [tuple({**one, "currency": found["currency"]}[c.name] for c in columns) for one in found["groups"]]
    return Report(found["title"], columns, rows)
