"""What winning donors costs and brings, by channel and by campaign: CAC and LTV:CAC, in one statement.

A donor was won by the first counted gift: its channel, its campaign. The cost is that of the appeals of that channel
or campaign, in the organization's currency by the newest rate on or before the day they were sent; what has no rate is
left out, and said. CAC = cost / donors won; lifetime value is what these donors have given so far (all of it, through
whatever channel later gifts came), per donor won.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Any, Literal

from sqlalchemy import text

from crm_api.kit.db import ReadSession, Row, prepare
from crm_api.scoring import ltv
from crm_api.scoring.summary import half_even_mean

By = Literal["channel", "campaign"]
_KEYS: dict[str, tuple[str, str]] = {
    "channel": ("f.channel", "a.channel"),
    "campaign": ("CAST(f.campaign_id AS text)", "CAST(a.campaign_id AS text)"),
}


def _statement(of_gift: str, of_appeal: str) -> Any:
    return prepare(
        text(
            f"""
            WITH f AS (
                SELECT DISTINCT ON (g.contact_id) g.contact_id, g.gift_date, g.channel, g.campaign_id
                FROM gifts g WHERE g.organization_id = :organization_id AND g.contact_id IS NOT NULL
                    AND g.counted > 0 AND g.gift_date <= CAST(:until AS date)
                ORDER BY g.contact_id, g.gift_date, g.id
            ),
            won AS (
                SELECT {of_gift} AS name, f.contact_id FROM f WHERE f.gift_date >= CAST(:since AS date)
            ),
            worth AS (
                SELECT w.name, count(DISTINCT w.contact_id) AS donors, coalesce(sum(g.base_counted), 0) AS given,
                    count(*) - count(g.base_counted) AS gifts_without_rate
                FROM won w JOIN gifts g ON g.organization_id = :organization_id AND g.contact_id = w.contact_id
                    AND g.counted > 0 AND g.gift_date <= CAST(:until AS date)
                GROUP BY w.name
            ),
            spent AS (
                SELECT {of_appeal} AS name, count(*) AS appeals, sum(c.base) AS cost,
                    count(*) - count(c.base) AS costs_without_rate
                FROM appeals a CROSS JOIN LATERAL (
                    SELECT CASE WHEN a.cost_currency = :currency THEN CAST(a.cost_amount AS numeric)
                        ELSE a.cost_amount * power(CAST(10 AS numeric), :decimals
                            - coalesce(CAST(CAST(:exponents AS jsonb) ->> a.cost_currency AS integer), 2))
                            * (SELECT r.rate FROM exchange_rates r
                            WHERE r.organization_id = :organization_id AND r.source_currency = a.cost_currency
                                AND r.target_currency = :currency
                                AND r.rate_date <= coalesce(a.sent_on, CAST(a.created_at AS date))
                            ORDER BY r.rate_date DESC LIMIT 1) END AS base) c
                WHERE a.organization_id = :organization_id AND a.cost_amount IS NOT NULL
                    AND coalesce(a.sent_on, CAST(a.created_at AS date))
                        BETWEEN CAST(:since AS date) AND CAST(:until AS date)
                GROUP BY 1
            )
            SELECT coalesce(w.name, s.name) AS name, coalesce(w.donors, 0) AS donors, coalesce(w.given, 0) AS given,
                coalesce(w.gifts_without_rate, 0) AS gifts_without_rate, s.cost,
                coalesce(s.costs_without_rate, 0) AS costs_without_rate, coalesce(s.appeals, 0) AS appeals
            FROM worth w FULL JOIN spent s ON s.name = w.name ORDER BY 1 NULLS LAST
            """
        )
    )


_STATEMENTS = {by: _statement(*keys) for by, keys in _KEYS.items()}


@dataclass(frozen=True, slots=True)
class Acquired:
    """Donors won through one channel or campaign. Money is minor units of the organization's currency."""

    name: str | None
    """The channel, or the campaign's id; None where the first gift names none."""
    donors: int
    given: int
    """What these donors have given so far."""
    gifts_without_rate: int
    cost: int | None
    """None where no appeal says what it cost, or none of them has a rate."""
    costs_without_rate: int
    appeals: int
    """Appeals with a cost."""
    cac: int | None
    """Cost per donor won, half to even; None without a cost or without a donor."""
    lifetime_value: int | None
    """Given so far per donor won."""
    ltv_cac: str | None
    """Two decimals; None without a cost, or one of zero."""
    band: str | None


async def acquisition(
    session: ReadSession, by: By, since: date, until: date, *, bands: tuple[ltv.Band, ...] = ltv.BANDS
) -> list[Acquired]:
    """Donors whose first gift lies within the days, by its channel or campaign, beside what appeals of these days
    cost."""
    from crm_api.kit.money import CURRENCIES, exponent

    exponents = {code: exponent(code) for code in CURRENCIES}
    rows = await session.fetch(
        _STATEMENTS[by],
        since=since,
        until=until,
        currency=session.tenant.currency,
        decimals=exponent(session.tenant.currency),
        exponents=exponents,
    )
    return [_acquired(row, bands) for row in rows]


def _acquired(row: Row, bands: tuple[ltv.Band, ...]) -> Acquired:
    cost = None if row["cost"] is None else round(Fraction(row["cost"]))
    donors, given = row["donors"], int(row["given"])
    ratio = None
    if cost and donors:
        ratio = Fraction(given, cost)
    return Acquired(
        name=row["name"],
        donors=donors,
        given=given,
        gifts_without_rate=row["gifts_without_rate"],
        cost=cost,
        costs_without_rate=row["costs_without_rate"],
        appeals=row["appeals"],
        cac=None if cost is None else half_even_mean(cost, donors),
        lifetime_value=half_even_mean(given, donors),
        ltv_cac=None if ratio is None else ltv.rounded(ratio, 2),
        band=None if ratio is None else ltv.band_of(ratio, bands),
    )
