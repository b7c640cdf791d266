"""Who among the other donors looks like those who became major or recurring: plain logistic regression, shown openly.

Source: `scoring.md` §7. It learns from what was known a year ago: of donors who were neither major nor recurring then,
who became so in the year since? The same features of today then give each donor who is neither a chance for the year to
come. A part of the donors is held out; where the score does not beat the plain response rate on it, the answer is "no
gain" and everybody gets that rate.

Fitted by Newton's method (iteratively reweighted least squares) on standardized features with a light ridge penalty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from uuid import UUID

from sqlalchemy import text

from crm_api.kit.db import ReadSession, prepare
from crm_api.scoring.status import StatusRules

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[np.float64]

FEATURES: Final = (
    "log_gifts", "log_total", "log_average", "log_largest", "log_days_since_last", "log_days_since_first",
    "log_last_year", "gifts_last_year", "channels", "has_phone",
)  # fmt: skip
"""What a donor is judged by. Sums are logarithms of main units, days and counts logarithms of one more."""
FEWEST: Final = 200
"""Donors below which nothing is learnt."""
FEWEST_OF_EACH: Final = 20
"""Donors who did, and who did not, among those learnt from; a quarter of that among those held out."""
HELD_OUT: Final = 4
"""Every so manieth donor is held out, by a digest of the id: the same ones every time."""
RIDGE: Final = 1.0
YEAR_DAYS: Final = 365


@dataclass(frozen=True, slots=True)
class Learnt:
    """What came of learning. Without coefficients, the baseline is the score of everybody."""

    baseline: float
    """The plain response rate: how many of the donors became major or recurring within the year."""
    donors: int
    responders: int
    held_out: int
    auc: float | None
    """On the donors held out: the chance that one who did is ranked above one who did not. The baseline's is 0.5."""
    auc_low: float | None
    """Lower end of its 95 % interval (Hanley and McNeil)."""
    log_loss: float | None
    baseline_log_loss: float | None
    intercept: float | None
    coefficients: dict[str, float] | None
    """Change of the log-odds per standard deviation of each feature."""
    means: dict[str, float]
    deviations: dict[str, float]
    gain: bool
    reason: str | None
    """``no_gain``, ``too_few_donors``, ``too_few_responders``; None where the score is one."""


BASELINE_AUC: Final = 0.5
"""A score that is the same for everybody ranks nobody above anybody."""


def learn(features: Sequence[Sequence[float]], labels: Sequence[bool], held: Sequence[bool]) -> Learnt:
    """Learn from donors, one row each; `held` says who is held out. Order does not matter."""
    import numpy as np

    y, out = np.asarray(labels, dtype=np.float64), np.asarray(held, dtype=bool)
    base = float(y.mean()) if len(y) else 0.0
    none = _nothing(base, len(y), int(y.sum()), int(out.sum()))
    if len(y) < FEWEST:
        return none("too_few_donors")
    x = np.asarray(features, dtype=np.float64).reshape(len(y), -1)
    seen, test = ~out, out
    few = (y[seen].sum(), (1 - y[seen]).sum(), 4 * y[test].sum(), 4 * (1 - y[test]).sum())
    if min(few) < FEWEST_OF_EACH:
        return none("too_few_responders")
    mean, deviation = x[seen].mean(axis=0), x[seen].std(axis=0)
    deviation = np.where(deviation > 0, deviation, 1.0)
    z = (x - mean) / deviation
    weights = _newton(z[seen], y[seen])
    scores = _chance(z[test], weights)
    auc = area_under_curve(scores, y[test])
    low = auc - 1.96 * standard_error(auc, float(y[test].sum()), float((1 - y[test]).sum()))
    rate = float(y[seen].mean())
    loss, plain = _log_loss(scores, y[test]), _log_loss(np.full(len(scores), rate), y[test])
    gain = low > BASELINE_AUC and loss < plain
    names = FEATURES if x.shape[1] == len(FEATURES) else tuple(f"f{n}" for n in range(x.shape[1]))
    return Learnt(
        baseline=base,
        donors=len(y),
        responders=int(y.sum()),
        held_out=int(test.sum()),
        auc=auc,
        auc_low=low,
        log_loss=loss,
        baseline_log_loss=plain,
        intercept=float(weights[0]),
        coefficients=dict(zip(names, weights[1:].tolist(), strict=True)),
        means=dict(zip(names, mean.tolist(), strict=True)),
        deviations=dict(zip(names, deviation.tolist(), strict=True)),
        gain=gain,
        reason=None if gain else "no_gain",
    )


def chances(learnt: Learnt, features: Sequence[Sequence[float]]) -> list[float]:
    """The chance of each donor to become major or recurring within a year; the baseline where nothing was gained."""
    import numpy as np

    if not learnt.gain or learnt.coefficients is None or learnt.intercept is None:
        return [learnt.baseline] * len(features)
    x = np.asarray(features, dtype=np.float64).reshape(len(features), len(learnt.coefficients))
    mean, deviation = np.array(list(learnt.means.values())), np.array(list(learnt.deviations.values()))
    weights = np.array([learnt.intercept, *learnt.coefficients.values()])
    found: list[float] = _chance((x - mean) / deviation, weights).tolist()
    return found


def area_under_curve(scores: Array, labels: Array) -> float:
    """The chance that a random responder is scored above a random other; ties count half."""
    import numpy as np

    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2.0)[place]
    positive = float(labels.sum())
    negative = len(labels) - positive
    return float((ranks[labels > 0].sum() - positive * (positive + 1) / 2) / (positive * negative))


def _nothing(base: float, donors: int, responders: int, held_out: int) -> Callable[[str], Learnt]:
    def because(reason: str) -> Learnt:
        return Learnt(
            baseline=base,
            donors=donors,
            responders=responders,
            held_out=held_out,
            auc=None,
            auc_low=None,
            log_loss=None,
            baseline_log_loss=None,
            intercept=None,
            coefficients=None,
            means={},
            deviations={},
            gain=False,
            reason=reason,
        )

    return because


def _chance(z: Array, weights: Array) -> Array:
    import numpy as np

    odds = np.clip(weights[0] + z @ weights[1:], -30.0, 30.0)
    found: Array = 1.0 / (1.0 + np.exp(-odds))
    return found


def _newton(z: Array, y: Array) -> Array:
    import numpy as np

    design = np.column_stack([np.ones(len(y)), z])
    penalty = np.diag([0.0] + [RIDGE] * z.shape[1])
    weights = np.zeros(design.shape[1])
    rate = float(y.mean())
    weights[0] = np.log(rate / (1 - rate))
    for _ in range(50):
        chance = _chance(z, weights)
        spread = np.maximum(chance * (1 - chance), 1e-9)
        slope = design.T @ (y - chance) - penalty @ weights
        curve = design.T @ (design * spread[:, None]) + penalty
        step = np.linalg.solve(curve, slope)
        weights = weights + step
        if float(np.abs(step).max()) < 1e-9:
            break
    return weights


def standard_error(auc: float, positive: float, negative: float) -> float:
    """How far an area under the curve may be off, from so many responders and others (Hanley and McNeil, 1982: "The
    meaning and use of the area under a receiver operating characteristic curve", their Q1 and Q2 for exponential
    scores)."""
    first, second = auc / (2 - auc), 2 * auc * auc / (1 + auc)
    spread = auc * (1 - auc) + (positive - 1) * (first - auc * auc) + (negative - 1) * (second - auc * auc)
    return float((max(spread, 0.0) / (positive * negative)) ** 0.5)


def _log_loss(scores: Array, y: Array) -> float:
    import numpy as np

    safe = np.clip(scores, 1e-12, 1 - 1e-12)
    return float(-(y * np.log(safe) + (1 - y) * np.log(1 - safe)).mean())


# From the gifts

# Features stand as of a day; who was major or recurring by then is left out. The label is of the year after it.
_DONORS = prepare(
    text(
        """
        WITH own AS (
            SELECT g.contact_id, count(*) AS gifts, coalesce(sum(g.base_counted), 0) AS total,
                coalesce(max(g.base_counted), 0) AS largest, max(g.gift_date) AS last_date,
                min(g.gift_date) AS first_date,
                coalesce(sum(g.base_counted) FILTER (WHERE g.gift_date >= CAST(:day AS date) - 365), 0) AS recent,
                count(*) FILTER (WHERE g.gift_date >= CAST(:day AS date) - 365) AS recent_gifts,
                count(DISTINCT g.channel) AS channels
            FROM gifts g WHERE g.organization_id = :organization_id AND g.contact_id IS NOT NULL AND g.counted > 0
                AND g.gift_date <= CAST(:day AS date)
            GROUP BY 1
            HAVING NOT bool_or(g.plan_id IS NOT NULL)
        ),
        later AS (
            SELECT g.contact_id, coalesce(sum(g.base_counted), 0) AS total, bool_or(g.plan_id IS NOT NULL) AS regular
            FROM gifts g WHERE g.organization_id = :organization_id AND g.contact_id IS NOT NULL AND g.counted > 0
                AND g.gift_date > CAST(:day AS date) AND g.gift_date <= CAST(:day AS date) + 365
            GROUP BY 1
        )
        SELECT o.contact_id, ARRAY[ln(1.0 + o.gifts), ln(1.0 + o.total / :unit), ln(1.0 + o.total / :unit / o.gifts),
                ln(1.0 + o.largest / :unit), ln(1.0 + (CAST(:day AS date) - o.last_date)),
                ln(1.0 + (CAST(:day AS date) - o.first_date)), ln(1.0 + o.recent / :unit), ln(1.0 + o.recent_gifts),
                o.channels, CASE WHEN EXISTS (SELECT 1 FROM contact_keys k WHERE k.organization_id = :organization_id
                    AND k.contact_id = o.contact_id AND k.kind = 'phone') THEN 1.0 ELSE 0.0 END]::float8[] AS features,
            coalesce(l.regular OR l.total >= CAST(:threshold AS bigint), false) AS responded,
            get_byte(decode(md5(CAST(o.contact_id AS text)), 'hex'), 0) % :parts = 0 AS held
        FROM own o JOIN contacts c ON c.organization_id = :organization_id AND c.id = o.contact_id
        LEFT JOIN later l ON l.contact_id = o.contact_id
        WHERE (CAST(:threshold AS bigint) IS NULL OR o.recent < CAST(:threshold AS bigint))
            AND NOT (CAST(:living AS boolean) AND c.deceased) ORDER BY o.contact_id
        """
    )
)


@dataclass(frozen=True, slots=True)
class Prospect:
    """A donor who is neither major nor recurring, and the chance to become so within a year."""

    contact_id: UUID
    chance: float
    features: dict[str, float]


async def prospects(
    session: ReadSession, rules: StatusRules, as_of: date, most: int = 1_000
) -> tuple[Learnt, list[Prospect]]:
    """What was learnt as of a day, and the donors with the best chances, the best first, without those who have died.
    Where nothing was gained the list is empty: nobody stands out."""
    import asyncio

    from crm_api.kit.money import exponent

    values: dict[str, Any] = {
        "threshold": rules.major_gift_threshold,
        "unit": 10 ** exponent(session.tenant.currency),
        "parts": HELD_OUT,
    }
    then = await session.fetch(_DONORS, day=as_of - timedelta(days=YEAR_DAYS), living=False, **values)
    learnt = await asyncio.to_thread(
        learn, [row["features"] for row in then], [row["responded"] for row in then], [row["held"] for row in then]
    )
    if not learnt.gain:
        return learnt, []
    now = await session.fetch(_DONORS, day=as_of, living=True, **values)
    scores = chances(learnt, [row["features"] for row in now])
    best = sorted(zip(scores, now, strict=True), key=lambda one: (-one[0], one[1]["contact_id"]))[:most]
    return learnt, [
        Prospect(row["contact_id"], score, dict(zip(FEATURES, row["features"], strict=True))) for score, row in best
    ]
