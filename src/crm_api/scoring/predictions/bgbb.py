"""BG/BB: giving once a year or not, until the donor is gone for good.

Source: Fader, Hardie, Shang (2010), *Customer-Base Analysis in a Discrete-Time Noncontractual Setting*, Marketing
Science 29(6): likelihood and conditional expectation. Per donor: `x` years with a repeat gift, `t` the last such
year (0 if none), `n` years observed after the year of the first gift, which itself is left out. The model
under-predicts donors without a repeat gift.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from scipy.special import betaln, digamma, gammaln, logsumexp

from crm_api.scoring.predictions.fits import FEWEST, Array, Fit, maximize, unfit

NAMES: Final = ("alpha", "beta", "gamma", "delta")
_MOST_YEARS: Final = 60
_NEAR_ONE: Final = 1e-6


def _terms(x: Array, t: Array, n: Array, alpha: float, beta: float, gamma: float, delta: float) -> Array:
    """Logarithms of the summands of the likelihood, one row per donor: alive to the end, then gone after year t+i."""
    alive = betaln(alpha + x, beta + n - x) - betaln(alpha, beta) + betaln(gamma, delta + n) - betaln(gamma, delta)
    steps = np.arange(int(np.max(n - t, initial=0)), dtype=np.float64)
    i = np.where(steps[None, :] < (n - t)[:, None], steps[None, :], 0.0)
    gone = (
        betaln(alpha + x[:, None], beta + (t - x)[:, None] + i)
        - betaln(alpha, beta)
        + betaln(gamma + 1, delta + t[:, None] + i)
        - betaln(gamma, delta)
    )
    gone = np.where(steps[None, :] < (n - t)[:, None], gone, -np.inf)
    found: Array = np.concatenate([alive[:, None], gone], axis=1)
    return found


def log_likelihoods(x: Array, t: Array, n: Array, parameters: Mapping[str, float]) -> Array:
    """Logarithm of the likelihood of each donor."""
    found: Array = logsumexp(_terms(x, t, n, *(parameters[name] for name in NAMES)), axis=1)
    return found


def fit(x: Array, t: Array, n: Array, donors: Array) -> Fit:
    """Fit to cells: `donors` of each (x, t, n). The gradient is taken by differences of the smooth likelihood, which
    costs little, since there are few cells however many the donors."""
    size = int(donors.sum())
    if size < FEWEST:
        return unfit("bg_bb", size, "too_few_donors")
    if not np.any(x > 0):
        return unfit("bg_bb", size, "no_repeat_gifts")
    if np.max(n) > _MOST_YEARS:
        keep = n <= _MOST_YEARS
        x, t, n, donors = x[keep], t[keep], n[keep], donors[keep]

    def value(logs: Array) -> float:
        alpha, beta, gamma, delta = np.exp(logs)
        return float(donors @ logsumexp(_terms(x, t, n, alpha, beta, gamma, delta), axis=1))

    def objective(logs: Array) -> tuple[float, Array]:
        step = 1e-5
        gradient = np.empty(4)
        for k in range(4):
            shift = np.zeros(4)
            shift[k] = step
            gradient[k] = (value(logs + shift) - value(logs - shift)) / (2 * step)
        return value(logs), gradient

    return maximize("bg_bb", NAMES, objective, size, [(1.0, 1.0, 0.5, 2.0), (0.5, 2.0, 1.0, 5.0)])


def expected(x: Array, t: Array, n: Array, years: int, parameters: Mapping[str, float]) -> Array:
    """Years with a gift to expect of each donor in the next `years` years."""
    alpha, beta, gamma, delta = (parameters[name] for name in NAMES)
    if years <= 0:
        return np.zeros_like(x)
    gives = betaln(alpha + x + 1, beta + n - x) - betaln(alpha, beta)
    found: Array = np.exp(gives - log_likelihoods(x, t, n, parameters)) * _stays(n, years, gamma, delta)
    return found


def _stays(n: Array, years: int, gamma: float, delta: float) -> Array:
    """How many of the next years the donor is expected to see, counted from the first: the sum over s = 1..years of
    B(γ, δ+n+s) / B(γ, δ), in the paper's closed form; where γ is near 1, in its limit, a difference of digammas."""
    if abs(gamma - 1) < _NEAR_ONE:
        limit: Array = delta * (digamma(1 + delta + n + years) - digamma(1 + delta + n))
        return limit
    head = gammaln(gamma + delta) - gammaln(1 + delta)
    first = np.exp(head + gammaln(1 + delta + n) - gammaln(gamma + delta + n))
    last = np.exp(head + gammaln(1 + delta + n + years) - gammaln(gamma + delta + n + years))
    found: Array = delta / (gamma - 1) * (first - last)
    return found


def p_alive(x: Array, t: Array, n: Array, parameters: Mapping[str, float]) -> Array:
    """Probability that the donor is still one in the coming year."""
    alpha, beta, gamma, delta = (parameters[name] for name in NAMES)
    still = betaln(alpha + x, beta + n - x) - betaln(alpha, beta)
    still = still + betaln(gamma, delta + n + 1) - betaln(gamma, delta)
    found: Array = np.exp(still - log_likelihoods(x, t, n, parameters))
    return found
