"""The fits that were published, and what must hold of any."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable
from datetime import date
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime
from scipy.special import beta, betaln

from crm_api.scoring.predictions import bgbb, bgnbd, fits, gamma_gamma
from tests.support.effort import examples

DATA = Path(__file__).parents[1] / "fixtures" / "giving"
POSITIVE = st.floats(0.05, 20.0)


def cells() -> dict[str, np.ndarray]:
    """The donors of 1995, as cells of (frequency, recency, opportunities)."""
    with (DATA / "bgbb_donors_1995_calibration.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


def cdnow() -> tuple[np.ndarray, ...]:
    """Repeat purchases, weeks of the last and of the observation, and the mean repeat purchase of each customer."""
    bought: defaultdict[str, defaultdict[date, float]] = defaultdict(lambda: defaultdict(float))
    with (DATA / "cdnow_sample_transactions.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            bought[row["customer_id"]][date.fromisoformat(row["date"])] += float(row["amount"])
    end = date(1997, 9, 30)
    found = []
    for purchases in bought.values():
        days = sorted(day for day in purchases if day <= end)
        first, last = days[0], days[-1]
        mean = sum(purchases[day] for day in days[1:]) / max(len(days) - 1, 1)
        found.append((len(days) - 1, (last - first).days / 7, (end - first).days / 7, mean))
    return tuple(np.array(column, dtype=np.float64) for column in zip(*found, strict=True))


def test_bg_bb_finds_the_published_parameters_of_the_donors_of_1995() -> None:
    donors = cells()
    fit = bgbb.fit(donors["frequency"], donors["recency"], donors["opportunities"], donors["donors"])
    assert fit.parameters is not None
    assert fit.log_likelihood == pytest.approx(-33225.58, abs=0.01)
    assert fit.parameters == pytest.approx(
        {"alpha": 1.2035, "beta": 0.7497, "gamma": 0.6568, "delta": 2.7838}, abs=1e-3
    )
    assert fit.sample_size == 11_104
    expected = bgbb.expected(np.array([0.0, 6.0]), np.array([0.0, 6.0]), np.array([6.0, 6.0]), 5, fit.parameters)
    assert expected == pytest.approx([0.07, 3.75], abs=0.005)  # the corners of the paper's table of expectations


def test_bg_nbd_finds_the_published_parameters_of_the_cdnow_customers() -> None:
    x, tx, span, _ = cdnow()
    fit = bgnbd.fit(x, tx, span)
    assert (fit.sample_size, fit.reason) == (2_357, None)
    assert fit.parameters is not None
    assert fit.log_likelihood == pytest.approx(-9582.429, abs=0.005)
    assert fit.parameters == pytest.approx({"r": 0.2426, "alpha": 4.4137, "a": 0.7930, "b": 2.4262}, abs=2e-3)
    seen, last, weeks = (np.array([value]) for value in (2.0, 30.43, 38.86))  # the paper's own example, 39 weeks ahead
    assert bgnbd.expected(seen, last, weeks, 39.0, fit.parameters) == pytest.approx([1.226], abs=0.001)


def test_units_of_time_and_money_change_nothing_but_their_own_parameter() -> None:
    x, tx, span, mean = cdnow()
    weeks, days = bgnbd.fit(x, tx, span), bgnbd.fit(x, tx * 7, span * 7)
    assert weeks.parameters is not None
    assert days.parameters == pytest.approx({**weeks.parameters, "alpha": weeks.parameters["alpha"] * 7}, rel=1e-3)
    dollars, cents = gamma_gamma.fit(x, mean), gamma_gamma.fit(x, mean * 100)
    assert dollars.parameters is not None
    assert cents.parameters == pytest.approx({**dollars.parameters, "v": dollars.parameters["v"] * 100}, rel=1e-3)
    assert dollars.parameters == pytest.approx({"p": 6.25, "q": 3.74, "v": 15.45}, rel=0.01)  # Fader and Hardie (2013)


def test_the_order_of_donors_changes_nothing() -> None:
    x, tx, span, mean = cdnow()
    order = np.random.default_rng(3).permutation(len(x))
    first, second = bgnbd.fit(x, tx, span), bgnbd.fit(x[order], tx[order], span[order])
    assert first.parameters == pytest.approx(second.parameters, rel=1e-5)
    assert gamma_gamma.fit(x, mean).parameters == pytest.approx(
        gamma_gamma.fit(x[order], mean[order]).parameters, rel=1e-5
    )


@pytest.mark.parametrize("fit", [bgnbd.fit, lambda x, tx, span: gamma_gamma.fit(x, tx)])
def test_where_the_data_cannot_carry_a_model_there_is_a_reason_and_no_number(fit: Callable[..., fits.Fit]) -> None:
    few = fit(np.ones(99), np.ones(99), np.full(99, 2.0))
    assert (few.parameters, few.log_likelihood, few.reason) == (None, None, "too_few_donors")
    once = fit(np.zeros(500), np.zeros(500), np.full(500, 2.0))
    assert once.parameters is None
    assert once.reason in {"no_repeat_gifts", "too_few_donors"}
    alike = fit(np.ones(500), np.ones(500), np.full(500, 2.0))  # no difference between donors to learn from
    assert alike.reason in {"at_bounds", "not_converged", "no_finite_mean"}


def test_bg_bb_says_why_it_has_no_number() -> None:
    assert bgbb.fit(*(np.array([value]) for value in (1.0, 1.0, 2.0, 99.0))).reason == "too_few_donors"
    assert bgbb.fit(*(np.array([value]) for value in (0.0, 0.0, 2.0, 900.0))).reason == "no_repeat_gifts"
    assert bgbb.fit(*(np.array([value]) for value in (2.0, 2.0, 2.0, 900.0))).parameters is None


@settings(max_examples=examples(20), deadline=None)
@given(POSITIVE, POSITIVE, POSITIVE, POSITIVE, st.integers(1, 6))
def test_bg_bb_probabilities_of_all_histories_are_one(a: float, b: float, g: float, d: float, years: int) -> None:
    parameters = dict(zip(bgbb.NAMES, (a, b, g, d), strict=True))
    histories = [tuple(bits) for bits in product((0, 1), repeat=years)]
    x = np.array([float(sum(bits)) for bits in histories])
    t = np.array([float(max((k + 1 for k, bit in enumerate(bits) if bit), default=0)) for bits in histories])
    n = np.full(len(histories), float(years))
    likelihood = np.exp(bgbb.log_likelihoods(x, t, n, parameters))
    assert likelihood.sum() == pytest.approx(1.0, abs=1e-9)
    # What is expected of a donor agrees with the histories one year longer.
    ahead = bgbb.expected(x, t, n, 1, parameters)
    more = bgbb.log_likelihoods(x + 1, n + 1, n + 1, parameters)
    assert ahead == pytest.approx(np.exp(more) / likelihood, rel=1e-6)
    alive = bgbb.p_alive(x, t, n, parameters)
    assert np.all((alive >= ahead - 1e-9) & (alive <= 1 + 1e-9))


@settings(max_examples=examples(20), deadline=None)
@given(st.one_of(POSITIVE, st.just(1.0)), POSITIVE, st.integers(0, 8), st.integers(1, 8))
def test_the_closed_form_of_the_years_a_donor_stays_is_the_sum(gamma: float, delta: float, n: int, years: int) -> None:
    parameters = {"alpha": 1.0, "beta": 1.0, "gamma": gamma, "delta": delta}
    found = bgbb.expected(np.zeros(1), np.zeros(1), np.array([float(n)]), years, parameters)
    stays = sum(beta(gamma, delta + n + s) for s in range(1, years + 1)) / beta(gamma, delta)
    gives = np.exp(betaln(2.0, 1.0 + n) - betaln(1.0, 1.0))
    likelihood = np.exp(bgbb.log_likelihoods(np.zeros(1), np.zeros(1), np.array([float(n)]), parameters))
    assert found == pytest.approx(gives * stays / likelihood, rel=1e-5)


def test_the_gradients_are_those_of_the_likelihoods(monkeypatch: pytest.MonkeyPatch) -> None:
    x, tx, span, mean = (column[:300] for column in cdnow())
    seen: list[fits.Objective] = []

    def look(kind: fits.Kind, names: object, objective: fits.Objective, size: int, starts: object) -> fits.Fit:
        seen.append(objective)
        return fits.unfit(kind, size, "not_converged")

    monkeypatch.setattr(bgnbd, "maximize", look)
    monkeypatch.setattr(gamma_gamma, "maximize", look)
    bgnbd.fit(x, tx, span)
    gamma_gamma.fit(x, mean)
    for objective, at in zip(seen, ([-0.7, 0.3, -0.2, 0.9], [1.1, 0.8, 0.4]), strict=True):
        value_of = lambda logs, objective=objective: objective(logs)[0]  # noqa: E731
        slope = approx_fprime(np.array(at), value_of, 1e-6)
        assert objective(np.array(at))[1] == pytest.approx(slope, rel=1e-3, abs=0.02)


def test_expectations_grow_with_the_horizon_and_with_the_gifts() -> None:
    parameters = {"r": 0.24, "alpha": 4.41, "a": 0.79, "b": 2.43}
    x, span = np.arange(0, 6, dtype=float), np.full(6, 40.0)
    tx = np.where(x > 0, 39.0, 0.0)
    near, far = (bgnbd.expected(x, tx, span, ahead, parameters) for ahead in (10.0, 50.0))
    assert np.all(far > near)
    assert np.all(np.diff(near) > 0)
    assert bgnbd.expected(x, tx, span, 0.0, parameters) == pytest.approx(np.zeros(6), abs=1e-9)
    at_one = bgnbd.expected(x, tx, span, 10.0, {**parameters, "a": 1.0})
    beside = bgnbd.expected(x, tx, span, 10.0, {**parameters, "a": 1.001})
    assert at_one == pytest.approx(beside, rel=1e-2)
    worth = gamma_gamma.expected_mean(
        np.array([0.0, 1.0, 40.0]), np.array([0.0, 90.0, 90.0]), {"p": 6.25, "q": 3.74, "v": 15.4}
    )
    assert worth[0] == pytest.approx(6.25 * 15.4 / 2.74)
    assert worth[0] < worth[1] < worth[2] < 90
