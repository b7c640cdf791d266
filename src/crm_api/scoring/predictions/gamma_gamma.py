"""Gamma-Gamma: what a donor's gifts are worth on average, leaning on everybody's where few are known.

Source: Fader, Hardie, Lee (2005), *RFM and CLV: Using Iso-Value Curves for Customer Base Analysis*, Journal of
Marketing Research 42; and Fader, Hardie (2013), *The Gamma-Gamma Model of Monetary Value*. Per donor: `x` repeat gifts
and their `mean`; only donors with x ≥ 1 and a mean above zero are fitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from scipy.special import digamma, gammaln

from crm_api.scoring.predictions.fits import FEWEST, Array, Fit, maximize, unfit

NAMES: Final = ("p", "q", "v")


def fit(x: Array, mean: Array) -> Fit:
    """Fit to donors with repeat gifts, one row each. Means in any unit; q must pass 1, else there is no average."""
    keep = (x >= 1) & (mean > 0)
    x, mean = x[keep], mean[keep]
    size = len(x)
    if size < FEWEST:
        return unfit("gamma_gamma", size, "too_few_donors")
    scale = float(np.mean(mean))
    m = mean / scale
    counts, weights = np.unique(x, return_counts=True)
    log_m, log_x = np.log(m), np.log(x)
    total = x * m
    x_log = float((x * (log_m + log_x)).sum())
    sum_log_m = float(log_m.sum())

    def objective(logs: Array) -> tuple[float, Array]:
        p, q, v = np.exp(logs)
        spread = np.log(total + v)
        by_count = gammaln(p * counts + q) - gammaln(p * counts)
        value = float(weights @ by_count) + size * (q * np.log(v) - gammaln(q)) + p * x_log - sum_log_m
        value -= float(((p * x + q) * spread).sum())
        psi = digamma(p * counts + q)
        grad_p = weights @ (counts * (psi - digamma(p * counts))) + x_log - (x * spread).sum()
        grad_q = weights @ psi + size * (np.log(v) - digamma(q)) - spread.sum()
        grad_v = size * q / v - ((p * x + q) / (total + v)).sum()
        return value, np.array([grad_p * p, grad_q * q, grad_v * v])

    found = maximize("gamma_gamma", NAMES, objective, size, [(2.0, 3.0, 2.0), (5.0, 2.0, 0.5)])
    if found.parameters is None or found.log_likelihood is None:
        return found
    if found.parameters["q"] <= 1:
        return unfit("gamma_gamma", size, "no_finite_mean")
    values = {**found.parameters, "v": found.parameters["v"] * scale}
    return Fit("gamma_gamma", size, values, found.log_likelihood - size * float(np.log(scale)))


def expected_mean(x: Array, mean: Array, parameters: Mapping[str, float]) -> Array:
    """The average gift to expect of each donor; without a repeat gift that of the whole population, p·v / (q − 1)."""
    p, q, v = (parameters[name] for name in NAMES)
    total = np.where(x > 0, x * mean, 0.0)
    found: Array = p * (v + total) / (p * x + q - 1)
    return found
