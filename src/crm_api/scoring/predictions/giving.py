"""The three models over one donor base: fitted together, and what they foresee of each donor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from crm_api.kit.money import MAX_MINOR
from crm_api.scoring.predictions import bgbb, bgnbd, gamma_gamma
from crm_api.scoring.predictions.fits import Array, Fit
from crm_api.scoring.predictions.statistics import Statistics

WEEK: Final = 7.0
"""Days of BG/NBD's unit of time."""
YEAR_WEEKS: Final = 365 / WEEK
"""How far predictions look ahead, in weeks."""
_DIGITS: Final = 6


def _array(values: Any) -> Array:
    return np.asarray(values, dtype=np.float64)


def fit_all(found: Statistics, decimals: int) -> dict[str, Fit]:
    """The fits of all three models, by kind. Gamma-Gamma's amounts are in main units of a currency with so many
    decimals, BG/BB leaves out donors without a year that is over after their first."""
    x, t, n = _array(found.years_x), _array(found.years_t), _array(found.years_n)
    seen = n > 0
    cells, donors = np.unique(np.stack([x[seen], t[seen], n[seen]], axis=1), axis=0, return_counts=True)
    weeks = bgnbd.fit(_array(found.x), _array(found.tx) / WEEK, _array(found.span) / WEEK)
    return {
        "bg_bb": bgbb.fit(cells[:, 0], cells[:, 1], cells[:, 2], donors.astype(np.float64)),
        "bg_nbd": weeks,
        "gamma_gamma": gamma_gamma.fit(_array(found.rated), _array(found.mean) / 10**decimals),
    }


def foresee(found: Statistics, fits: Mapping[str, Fit], decimals: int) -> list[dict[str, Any]]:
    """A row for each donor: every figure, or in `reasons` why there is none."""
    x, tx, span = _array(found.x), _array(found.tx) / WEEK, _array(found.span) / WEEK
    size = len(x)
    columns: dict[str, list[Any]] = {}
    reasons: dict[str, str] = {}
    nbd, money, yearly = fits["bg_nbd"], fits["gamma_gamma"], fits["bg_bb"]
    gifts = average = None
    if size and nbd.parameters is not None:
        gifts = bgnbd.expected(x, tx, span, YEAR_WEEKS, nbd.parameters)
        columns["expected_gifts"] = _plain(gifts)
        columns["p_alive"] = _plain(bgnbd.p_alive(x, tx, span, nbd.parameters))
    else:
        reasons |= dict.fromkeys(("expected_gifts", "p_alive", "expected_value"), nbd.reason or "too_few_donors")
    if size and money.parameters is not None:
        average = gamma_gamma.expected_mean(_array(found.rated), _array(found.mean) / 10**decimals, money.parameters)
        columns["expected_average"] = _minor(average * 10**decimals)
    else:
        reasons |= dict.fromkeys(("expected_average", "expected_value"), money.reason or "too_few_donors")
    if gifts is not None and average is not None:
        columns["expected_value"] = _minor(gifts * average * 10**decimals)
    if size and yearly.parameters is not None:
        given = bgbb.expected(_array(found.years_x), _array(found.years_t), _array(found.years_n), 1, yearly.parameters)
        columns["churn_risk"] = _plain(np.clip(1.0 - given, 0.0, 1.0))
    else:
        reasons["churn_risk"] = yearly.reason or "too_few_donors"
    names, lists = list(columns), list(columns.values())
    once = {**reasons, "p_alive": "no_repeat_gift"} if "p_alive" in columns else reasons
    rows = []
    for contact, repeats, *values in zip(found.contacts, x, *lists, strict=True):
        row = {"contact_id": str(contact), **dict(zip(names, values, strict=True)), "reasons": reasons}
        if repeats < 1:  # alive by construction: the figure would say nothing
            row |= {"p_alive": None, "reasons": once}
        rows.append(row)
    return rows


def _plain(values: Array) -> list[float | None]:
    return [value if np.isfinite(value) else None for value in np.round(values, _DIGITS).tolist()]


def _minor(values: Array) -> list[int | None]:
    return [round(value) if np.isfinite(value) and abs(value) <= MAX_MINOR else None for value in values.tolist()]
