"""Models of giving: what the gifts say of each donor (one statement per model), the fits, and each donor's prediction.

Only a worker comes here: numpy and scipy are loaded by `crm_api.scoring.predictions.giving`, which is imported when a
fit is made. The fit runs in a thread, so that the worker's loop goes on meanwhile.
"""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any

from sqlalchemy import text

from crm_api.kit.db import Row, WriteSession, prepare
from crm_api.kit.ids import new_id
from crm_api.kit.money import exponent
from crm_api.outbox.service import emit
from crm_api.scoring import repository
from crm_api.scoring.facts import ScoringRebuilt
from crm_api.scoring.fiscal import FIRST_YEAR, last_complete_year, year_starts
from crm_api.scoring.models import KINDS, scoring_models
from crm_api.scoring.predictions.statistics import Statistics

CHUNK = 20_000
"""Donors whose predictions are stored by one statement."""
# Gifts of one day are one. `mean` is of the repeat days that have a rate.
_DAYS = """
    days AS (
        SELECT g.contact_id, g.gift_date, CAST(sum(g.base_counted) AS float8) AS amount
        FROM gifts g WHERE g.organization_id = :organization_id AND g.contact_id IS NOT NULL AND g.counted > 0
            AND g.gift_date <= CAST(:as_of AS date)
        GROUP BY 1, 2
    )"""
_DONORS = prepare(
    text(
        f"""
        WITH {_DAYS},
        spans AS (
            SELECT d.contact_id, d.gift_date, d.amount, first_value(d.gift_date) OVER w AS first_date
            FROM days d WINDOW w AS (PARTITION BY d.contact_id ORDER BY d.gift_date)
        ),
        timed AS (
            SELECT s.contact_id, count(*) - 1 AS x, max(s.gift_date) - s.first_date AS tx,
                CAST(:as_of AS date) - s.first_date AS span,
                count(s.amount) FILTER (WHERE s.gift_date > s.first_date) AS rated,
                coalesce(avg(s.amount) FILTER (WHERE s.gift_date > s.first_date), 0) AS mean, s.first_date
            FROM spans s GROUP BY s.contact_id, s.first_date
        ),
        years AS (
            SELECT DISTINCT d.contact_id,
                {FIRST_YEAR - 1} + width_bucket(d.gift_date, CAST(:year_starts AS date[])) AS fiscal_year
            FROM days d
        ),
        yearly AS (
            SELECT y.contact_id, min(y.fiscal_year) AS first_year,
                count(*) FILTER (WHERE y.fiscal_year <= :last_year) - 1 AS x,
                max(y.fiscal_year) FILTER (WHERE y.fiscal_year <= :last_year) - min(y.fiscal_year) AS t
            FROM years y GROUP BY y.contact_id
        )
        SELECT array_agg(t.contact_id) AS contacts, array_agg(CAST(t.x AS float8)) AS x,
            array_agg(CAST(t.tx AS float8)) AS tx, array_agg(CAST(t.span AS float8)) AS span,
            array_agg(CAST(t.rated AS float8)) AS rated, array_agg(t.mean) AS mean,
            array_agg(CAST(greatest(y.x, 0) AS float8)) AS years_x,
            array_agg(CAST(coalesce(y.t, 0) AS float8)) AS years_t,
            array_agg(CAST(greatest(:last_year - y.first_year, 0) AS float8)) AS years_n
        FROM timed t JOIN yearly y USING (contact_id)
        """
    )
)
_STORE = prepare(
    text(
        """
        INSERT INTO donor_predictions AS d (organization_id, contact_id, p_alive, expected_gifts, expected_average,
            expected_value, churn_risk, reasons, as_of, computed_at)
        SELECT :organization_id, r.contact_id, r.p_alive, r.expected_gifts, r.expected_average, r.expected_value,
            r.churn_risk, r.reasons, :as_of, :computed_at
        FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(contact_id uuid, p_alive numeric, expected_gifts numeric,
            expected_average bigint, expected_value bigint, churn_risk numeric, reasons jsonb)
        WHERE EXISTS (SELECT 1 FROM contacts c WHERE c.organization_id = :organization_id AND c.id = r.contact_id)
        ON CONFLICT (organization_id, contact_id) DO UPDATE SET p_alive = excluded.p_alive,
            expected_gifts = excluded.expected_gifts, expected_average = excluded.expected_average,
            expected_value = excluded.expected_value, churn_risk = excluded.churn_risk, reasons = excluded.reasons,
            as_of = excluded.as_of, computed_at = excluded.computed_at
        """
    )
)
_FORGET = prepare(
    text(
        "DELETE FROM donor_predictions p WHERE p.organization_id = :organization_id "
        "AND NOT EXISTS (SELECT 1 FROM gifts g "
        "WHERE g.organization_id = :organization_id AND g.contact_id = p.contact_id AND g.counted > 0 "
        "AND g.gift_date <= CAST(:as_of AS date))"
    )
)


async def statistics(session: WriteSession, as_of: date, fiscal_start: int) -> Statistics:
    """What the models are fitted to, as of a day, in one statement."""
    row: Row | None = await session.fetch_row(
        _DONORS,
        as_of=as_of,
        year_starts=year_starts(as_of, fiscal_start),
        last_year=last_complete_year(as_of, fiscal_start),
    )
    assert row is not None  # an aggregate without GROUP BY always gives one row
    return Statistics(**{name: row[name] or [] for name in Statistics.__slots__})


async def refit(session: WriteSession, as_of: date, *, current: bool) -> list[dict[str, Any]]:
    """Fit every model as of a day and store the fits; with `current`, every donor's prediction too. The fits."""
    by = await repository.standing(session, as_of)
    found = await statistics(session, as_of, by.fiscal_start)
    fits, rows = await asyncio.to_thread(_think, found, exponent(session.tenant.currency), current)
    for fit in fits:
        session.later(
            scoring_models,
            id=new_id(),
            kind=fit["kind"],
            as_of=as_of,
            is_current=current,
            parameters=fit["parameters"],
            log_likelihood=fit["log_likelihood"],
            sample_size=fit["sample_size"],
            reason=fit["reason"],
            fitted_at=session.now,
        )
    if current:
        for start in range(0, len(rows), CHUNK):
            part = rows[start : start + CHUNK]
            await session.execute(_STORE, rows=part, as_of=as_of, computed_at=session.now)
        await session.execute(_FORGET, as_of=as_of)
        emit(session, ScoringRebuilt(as_of=as_of))
    return fits


def _think(found: Statistics, decimals: int, current: bool) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    from crm_api.scoring.predictions.giving import fit_all, foresee

    fits = fit_all(found, decimals)
    assert tuple(fits) == KINDS
    rows = foresee(found, fits, decimals) if current else []
    return [
        {
            "kind": kind,
            "parameters": None if fit.parameters is None else dict(fit.parameters),
            "log_likelihood": fit.log_likelihood,
            "sample_size": fit.sample_size,
            "reason": fit.reason,
        }
        for kind, fit in fits.items()
    ], rows
