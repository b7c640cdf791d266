"""BG/NBD: giving at a rate of one's own, at any time, until the donor is gone for good after some gift.

Source: Fader, Hardie, Lee (2005), *"Counting Your Customers" the Easy Way*, Marketing Science 24(2), equations 6
(likelihood) and 10 (conditional expectation). Per donor: `x` repeat gifts (those of one day are one), `tx` the time of
the last of them after the first gift (0 if none), `span` the time observed after the first gift; any one unit of time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from scipy.special import digamma, gammaln, hyp2f1

from crm_api.scoring.predictions.fits import FEWEST, Array, Fit, maximize, unfit

NAMES: Final = ("r", "alpha", "a", "b")
_NEAR_ONE: Final = 1e-6


def fit(x: Array, tx: Array, span: Array) -> Fit:
    """Fit to donors, one row each.

    What depends on the count alone (gamma functions of it) is reckoned once per different count, and the gradient is
    exact, so a hundred thousand donors take a fraction of a second.
    """
    size = len(x)
    if size < FEWEST:
        return unfit("bg_nbd", size, "too_few_donors")
    repeat = x > 0
    if not np.any(repeat):
        return unfit("bg_nbd", size, "no_repeat_gifts")
    counts, index, weights = np.unique(x, return_inverse=True, return_counts=True)
    scale = float(np.mean(span)) or 1.0
    once, many = span[~repeat] / scale, span[repeat] / scale
    last, xs = tx[repeat] / scale, x[repeat]
    seen = counts[counts > 0]
    place = index[repeat] - int(counts[0] == 0)

    def objective(logs: Array) -> tuple[float, Array]:
        r, alpha, a, b = np.exp(logs)
        by_count = (
            gammaln(r + counts) - gammaln(r) + gammaln(a + b) + gammaln(b + counts)
            - gammaln(b) - gammaln(a + b + counts)
        )  # fmt: skip
        value = float(weights @ by_count) + size * r * np.log(alpha)
        wait, age = np.log(alpha + many), np.log(alpha + last)
        odds = (np.log(a) - np.log(b + seen - 1))[place]  # for each donor with a repeat gift
        stays = -(r + xs) * wait
        leaves = odds - (r + xs) * age
        both = np.logaddexp(stays, leaves)
        alone = np.log(alpha + once)
        value += float(both.sum()) - r * float(alone.sum())
        left = np.exp(leaves - both)
        stayed = 1.0 - left
        psi_ab = weights @ (digamma(a + b) - digamma(a + b + counts))
        grad_r = weights @ (digamma(r + counts) - digamma(r)) + size * np.log(alpha) - alone.sum()
        grad_r -= (stayed * wait + left * age).sum()
        grad_alpha = size * r / alpha - r * (1.0 / (alpha + once)).sum()
        grad_alpha -= ((r + xs) * (stayed / (alpha + many) + left / (alpha + last))).sum()
        grad_a = psi_ab + left.sum() / a
        grad_b = psi_ab + weights @ (digamma(b + counts) - digamma(b)) - (left / (b + xs - 1)).sum()
        return value, np.array([grad_r * r, grad_alpha * alpha, grad_a * a, grad_b * b])

    found = maximize("bg_nbd", NAMES, objective, size, [(0.5, 0.5, 0.8, 2.0)])
    if found.parameters is None or found.log_likelihood is None:
        return found
    values = {**found.parameters, "alpha": found.parameters["alpha"] * scale}
    # The likelihood is a density in the times of the gifts: back from our unit of time to the caller's.
    return Fit("bg_nbd", size, values, found.log_likelihood - float(x.sum()) * float(np.log(scale)))


def p_alive(x: Array, tx: Array, span: Array, parameters: Mapping[str, float]) -> Array:
    """Probability that the donor is not gone. Without a repeat gift it is 1 by construction: show it for x ≥ 1."""
    r, alpha, a, b = (parameters[name] for name in NAMES)
    safe = np.where(x > 0, b + x - 1, 1.0)
    odds = np.where(x > 0, a / safe * ((alpha + span) / (alpha + tx)) ** (r + x), 0.0)
    found: Array = 1.0 / (1.0 + odds)
    return found


def expected(x: Array, tx: Array, span: Array, ahead: float, parameters: Mapping[str, float]) -> Array:
    """Gifts to expect of each donor in the next `ahead` units of time."""
    r, alpha, a, b = (parameters[name] for name in NAMES)
    if abs(a - 1) < _NEAR_ONE:
        a = 1 + _NEAR_ONE  # the formula's limit there is smooth
    z = ahead / (alpha + span + ahead)
    series = hyp2f1(r + x, b + x, a + b + x - 1, z)
    gone = ((alpha + span) / (alpha + span + ahead)) ** (r + x) * series
    found: Array = (a + b + x - 1) / (a - 1) * (1 - gone) * p_alive(x, tx, span, parameters)
    return np.maximum(found, 0.0)
