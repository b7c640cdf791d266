"""Fitting a model by maximum likelihood, and saying openly where the data cannot carry it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Array: TypeAlias = NDArray[np.float64]
Kind = Literal["bg_bb", "bg_nbd", "gamma_gamma"]
FEWEST: Final = 100
"""Donors below which no model is fitted (scoring.md §5)."""
_BOUND: Final = 9.0
"""Of each parameter's logarithm: beyond e^±9 a parameter has run away and says nothing."""
_CLOSE: Final = 1e-3

Objective = Callable[[Array], tuple[float, Array]]
"""Log-likelihood and its gradient, at the logarithms of the parameters."""


@dataclass(frozen=True, slots=True)
class Fit:
    """What came of fitting one model. Either the parameters are there or the reason why they are not."""

    kind: Kind
    sample_size: int
    parameters: Mapping[str, float] | None
    log_likelihood: float | None
    reason: str | None = None
    """``too_few_donors``, ``no_repeat_gifts``, ``not_converged``, ``at_bounds``, ``no_finite_mean``."""


def unfit(kind: Kind, sample_size: int, reason: str) -> Fit:
    """No parameters, and why."""
    return Fit(kind, sample_size, None, None, reason)


def maximize(
    kind: Kind, names: Sequence[str], objective: Objective, sample_size: int, starts: Sequence[Sequence[float]]
) -> Fit:
    """The parameters of greatest likelihood, from the best of several starts (all positive, in the order of `names`).

    L-BFGS-B on the logarithms. A fit that did not converge, or that ran into the bounds, is none: its numbers would be
    the optimizer's, not the donors'.
    """
    scale = float(max(sample_size, 1))

    def minus(logs: Array) -> tuple[float, Array]:
        value, gradient = objective(logs)
        if not np.isfinite(value):
            return 1e12, np.zeros_like(logs)
        return -value / scale, -gradient / scale

    best: Any = None
    for start in starts:
        found = minimize(
            minus,
            np.log(np.asarray(start, dtype=np.float64)),
            jac=True,
            method="L-BFGS-B",
            bounds=[(-_BOUND, _BOUND)] * len(names),
            options={"maxiter": 500, "ftol": 1e-12, "gtol": 1e-8},
        )
        if best is None or found.fun < best.fun:
            best = found
    steep = float(np.max(np.abs(best.jac)))
    if not np.all(np.isfinite(best.x)) or (not best.success and steep > 1e-5):
        return unfit(kind, sample_size, "not_converged")
    if np.any(np.abs(best.x) > _BOUND - _CLOSE):
        return unfit(kind, sample_size, "at_bounds")
    values = {name: float(value) for name, value in zip(names, np.exp(best.x), strict=True)}
    return Fit(kind, sample_size, values, float(-best.fun * scale))
