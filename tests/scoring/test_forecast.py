"""Income to come, prospects, and what winning donors costs."""

from __future__ import annotations

import math
import random
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_api.scoring import acquisition, forecast, prospects
from crm_api.scoring.status import default_rules
from tests.scoring.test_scoring_api import load
from tests.support.donors import T0, give, z
from tests.support.effort import examples
from tests.support.world import World

SEASON = [100, 90, 110, 100, 80, 70, 60, 70, 110, 130, 180, 400]


def test_a_series_that_repeats_is_forecast_as_it_is() -> None:
    found = forecast.forecast(SEASON * 4)
    assert [month.expected for month in found.months] == SEASON
    assert (found.wape, found.mase, found.reason) == (0.0, None, None)  # the naive scale is 0: no MASE
    assert all(month.low == month.expected == month.high for month in found.months)


def test_growth_is_told_by_the_share_of_the_month_and_the_error_is_measured() -> None:
    rng = random.Random(3)
    series = [round(value * 1.3**year * rng.uniform(0.9, 1.1)) for year in range(5) for value in SEASON]
    found = forecast.forecast(series)
    assert found.method == min(found.candidates, key=lambda name: found.candidates[name] or 0.0)
    assert found.origins == 24 and found.history == 60
    assert found.wape is not None and 0 < found.wape < 0.5
    assert found.mase is not None and found.mase > 0
    for month in found.months:
        assert month.low is not None and month.high is not None
        assert 0 <= month.low <= month.expected <= month.high
    december = found.months[11]
    assert december.expected == max(month.expected for month in found.months)


@pytest.mark.parametrize(
    ("series", "reason"), [([], "no_history"), ([600, 1200], "short_history"), ([5] * 23, "short_history")]
)
def test_short_histories_give_the_trailing_mean_and_say_so(series: list[int], reason: str) -> None:
    found = forecast.forecast(series, 3)
    mean = round(sum(series[-12:]) / max(len(series[-12:]), 1))
    assert (found.method, found.reason, found.mase) == ("trailing_mean", reason, None)
    assert [(m.ahead, m.expected, m.low) for m in found.months] == [(1, mean, None), (2, mean, None), (3, mean, None)]


@given(st.lists(st.integers(0, 10**9), min_size=24, max_size=60))
@settings(max_examples=examples(25), deadline=None)
def test_any_history_gives_months_in_order_with_intervals_around_them(series: list[int]) -> None:
    found = forecast.forecast(series)
    assert [month.ahead for month in found.months] == list(range(1, 13))
    for month in found.months:
        assert month.expected >= 0
        assert (month.low is None) == (month.high is None) == (found.origins == 0)
        if month.low is not None and month.high is not None:
            assert month.low <= month.expected <= month.high
    assert found.wape is None or math.isfinite(found.wape)


def people(rng: random.Random, count: int, weight: float) -> tuple[list[list[float]], list[bool], list[bool]]:
    rows = [[rng.gauss(0, 1) for _ in prospects.FEATURES] for _ in range(count)]
    labels = [rng.random() < 1 / (1 + math.exp(1.5 - weight * row[1])) for row in rows]
    return rows, labels, [number % 4 == 0 for number in range(count)]


def test_a_feature_that_tells_is_found_and_its_weight_shown() -> None:
    rows, labels, held = people(random.Random(5), 3000, 1.5)
    found = prospects.learn(rows, labels, held)
    assert found.gain and found.reason is None
    assert found.auc is not None and found.auc > 0.75
    assert found.coefficients is not None
    assert max(found.coefficients, key=lambda name: abs(found.coefficients[name])) == "log_total"  # type: ignore[index]
    assert found.coefficients["log_total"] == pytest.approx(1.5, abs=0.25)
    scores = prospects.chances(found, rows)
    assert np.mean(scores) == pytest.approx(found.baseline, abs=0.02)
    order = list(range(len(rows)))
    random.Random(1).shuffle(order)
    again = prospects.learn([rows[n] for n in order], [labels[n] for n in order], [held[n] for n in order])
    assert again.coefficients == pytest.approx(found.coefficients)
    assert again.auc == pytest.approx(found.auc)


def test_no_gain_is_said_openly() -> None:
    rows, labels, held = people(random.Random(5), 2000, 0.0)
    found = prospects.learn(rows, labels, held)
    assert (found.gain, found.reason) == (False, "no_gain")
    assert found.auc is not None and abs(found.auc - 0.5) < 0.1
    assert prospects.chances(found, rows[:3]) == [found.baseline] * 3
    assert prospects.learn(rows[:50], labels[:50], held[:50]).reason == "too_few_donors"
    assert prospects.learn(rows, [False] * 2000, held).reason == "too_few_responders"


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
@settings(max_examples=examples(40), deadline=None)
def test_the_area_under_the_curve_is_the_share_of_pairs_in_order(rows: list[tuple[int, bool]]) -> None:
    scores, labels = np.array([float(s) for s, _ in rows]), np.array([float(one) for _, one in rows])
    pairs = [(a, b) for a, good in rows if good for b, bad in rows if not bad]
    if pairs:
        expected = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs) / len(pairs)
        assert prospects.area_under_curve(scores, labels) == pytest.approx(expected)


def test_the_error_of_an_area_is_the_published_one() -> None:
    """Hanley and McNeil's own example: 51 abnormal and 58 normal images, an area of 0.893, an error of 0.032."""
    assert prospects.standard_error(0.893, 51, 58) == pytest.approx(0.0325, abs=0.0005)


async def test_prospects_are_learnt_from_the_year_before(world: World) -> None:
    await world.set_clock(T0)
    rng, today = random.Random(2), T0.date()
    givings = []
    for _ in range(600):
        loyal = rng.random() < 0.4
        days = rng.sample(range(400, 1400), 6 if loyal else 1)
        giving = [(today - timedelta(days=n), rng.randint(500, 3_000)) for n in days]
        if rng.random() < (0.6 if loyal else 0.05):
            giving.append((today - timedelta(days=rng.randint(10, 300)), 150_000))
        givings.append(giving)
    await load(world, givings)
    session = world.database.read(world.tenant)
    learnt, best = await prospects.prospects(session, default_rules("USD"), today)
    assert learnt.gain and learnt.donors == 600
    chances = [one.chance for one in best]
    assert chances == sorted(chances, reverse=True)
    assert best[0].features.keys() == set(prospects.FEATURES)
    became = sum(any(amount == 150_000 for _, amount in giving) for giving in givings)
    assert learnt.responders == became
    assert len(best) == 600 - became, "who is major already is no prospect"


async def test_the_cost_of_a_donor_and_what_donors_bring_by_channel(world: World) -> None:
    await world.set_clock(T0)
    campaign = await world.post("/v1/campaigns", {"code": "winter", "name": "Winter"})
    rate = {"source_currency": "EUR", "target_currency": "USD", "rate": "1.1", "rate_date": "2019-01-01"}
    await world.post("/v1/exchange-rates", rate)
    appeals = {}
    for code, channel, cost in [("m", "mail", ("EUR", 10_000)), ("e", "email", ("USD", 500)), ("p", "phone", None)]:
        body = {"campaign_id": campaign["id"], "code": code, "name": code, "channel": channel, "sent_on": "2024-01-02"}
        if cost:
            body["cost"] = {"amount": cost[1], "currency": cost[0]}
        appeals[code] = await world.post("/v1/appeals", body)
    for number, code in enumerate(["m", "m", "e", "p", ""]):
        contact = await world.contact(emails=[{"address": f"a{number}@example.org"}])
        more = {"appeal_id": appeals[code]["id"]} if code else {}
        await world.donation(contact["id"], 20_000, "USD", received_at=z(T0 - timedelta(days=9)), **more)
        await world.donation(contact["id"], 10_000, "USD", received_at=z(T0))
    session = world.database.read(world.tenant)
    by_channel = {
        one.name: one for one in await acquisition.acquisition(session, "channel", date(2024, 1, 1), T0.date())
    }
    mail = by_channel["mail"]
    assert (mail.donors, mail.cost, mail.cac, mail.lifetime_value) == (2, 11_000, 5_500, 30_000)
    assert (mail.ltv_cac, mail.band) == ("5.45", "possibly_under_investing")
    assert (by_channel["email"].cac, by_channel["email"].ltv_cac) == (500, "60.00")
    assert (by_channel["phone"].cost, by_channel["phone"].cac, by_channel["phone"].ltv_cac) == (None, None, None)
    assert (by_channel[None].donors, by_channel[None].given) == (1, 30_000)
    by_campaign = {
        one.name: one for one in await acquisition.acquisition(session, "campaign", date(2024, 1, 1), T0.date())
    }
    assert (by_campaign[campaign["id"]].donors, by_campaign[campaign["id"]].cost) == (4, 11_500)
    later = await acquisition.acquisition(session, "channel", T0.date(), T0.date())
    assert later == [], "who gave before is not won again"


async def test_income_by_month_stands_beside_what_is_committed(world: World) -> None:
    await world.set_clock(T0)
    contact = await world.contact()
    await give(world, contact, T0 - timedelta(days=70), 5_000)
    await give(world, contact, T0, 700)  # the month under way is left out
    (income,) = await forecast.monthly_income(world.database.read(world.tenant), T0.date())
    assert (income.currency, income.first, income.totals) == ("USD", date(2023, 12, 1), (5_000, 0, 0))
    await world.post(
        "/v1/pledges",
        {
            "contact_id": contact["id"],
            "amount": {"amount": 3_000, "currency": "USD"},
            "installments": [{"due_on": "2024-05-10", "amount": {"amount": 3_000, "currency": "USD"}}],
        },
    )
    pipeline = await world.post("/v1/pipelines", {"name": "Grants"})
    stage = next(one for one in pipeline["stages"] if one["probability"] == 50)
    deal = {
        "pipeline_id": pipeline["id"],
        "stage_id": stage["id"],
        "title": "Grant",
        "amount": {"amount": 9_000, "currency": "USD"},
        "expected_on": "2024-05-20",
    }
    await world.post("/v1/deals", deal)
    (month,) = await forecast.committed(world.database.read(world.tenant), T0.date())
    assert (month.month, month.plans, month.pledges, month.pipeline) == (date(2024, 5, 1), 0, 3_000, 4_500)
