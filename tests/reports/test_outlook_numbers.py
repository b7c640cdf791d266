"""Lifetime value, the forecast of income and prospects against slow oracles that go through the gifts one by one."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from hashlib import md5
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from scipy.optimize import minimize
from sqlalchemy import text

from crm_api.kit.db import prepare
from crm_api.kit.ids import new_id
from tests.support.world import World

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TODAY = NOW.date()
_LOAD = prepare(
    text(
        """
        WITH rows AS (
            SELECT r.* FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(contact_id uuid, id uuid, day date,
                amount bigint, counted bigint, currency text, channel text, plan_id uuid, phone boolean, deceased boolean)
        ), people AS (
            INSERT INTO contacts (organization_id, id, kind, display_name, deceased, version, created_at, updated_at)
            SELECT DISTINCT CAST(:organization_id AS uuid), contact_id, 'person', 'Donor', deceased, 1,
                CAST(:now AS timestamptz), CAST(:now AS timestamptz)
            FROM rows RETURNING id
        ), phones AS (
            INSERT INTO contact_keys (organization_id, kind, value, contact_id)
            SELECT DISTINCT CAST(:organization_id AS uuid), 'phone', '+380501234567', r.contact_id
            FROM rows r JOIN people p ON p.id = r.contact_id WHERE r.phone
        )
        INSERT INTO gifts (organization_id, id, contact_id, amount, currency, status, counted, base_amount, base_counted,
            channel, plan_id, method, received_at, gift_date, created_at, updated_at)
        SELECT CAST(:organization_id AS uuid), r.id, r.contact_id, r.amount, r.currency,
            CASE WHEN r.counted = 0 THEN 'refunded' WHEN r.counted < r.amount THEN 'partially_refunded'
                ELSE 'succeeded' END, r.counted, CASE WHEN r.currency = 'USD' THEN r.amount END,
            CASE WHEN r.currency = 'USD' THEN r.counted END, r.channel, r.plan_id, 'card',
            r.day + interval '12 hours', r.day, CAST(:now AS timestamptz), CAST(:now AS timestamptz)
        FROM rows r JOIN people p ON p.id = r.contact_id
        """
    )
)


class Gift(NamedTuple):
    """One gift: what of it counts, in its own currency."""

    who: str
    day: date
    counted: int
    currency: str = "USD"
    channel: str | None = None
    regular: bool = False
    refunded: int = 0


async def load(
    world: World,
    gifts: Iterable[Gift],
    *,
    plan: str | None = None,
    phones: frozenset[str] = frozenset(),
    dead: frozenset[str] = frozenset(),
) -> None:
    """The gifts and their donors, straight into the tables."""
    rows = [
        {
            "contact_id": one.who, "id": str(new_id()), "day": one.day.isoformat(), "counted": one.counted,
            "amount": one.counted + one.refunded, "currency": one.currency, "channel": one.channel,
            "plan_id": plan if one.regular else None, "phone": one.who in phones, "deceased": one.who in dead,
        }
        for one in gifts
    ]  # fmt: skip
    async with world.database.write(world.tenant) as session:
        await session.execute(_LOAD, rows=rows, now=session.now)


def half_even(part: Fraction) -> int:
    return round(part)


# What donors are worth


def worth(donors: Sequence[str], gifts: Sequence[Gift], as_of: date) -> dict[str, Any]:
    """What a group has given so far: of everything, whatever brought the later gifts."""
    own = [one for one in gifts if one.who in donors and one.counted and one.day <= as_of]
    given = sum(one.counted for one in own if one.currency == "USD")
    return {
        "donors": len(donors),
        "given": given,
        "lifetime_value": half_even(Fraction(given, len(donors))) if donors else None,
        "gifts_without_rate": sum(one.currency != "USD" for one in own),
    }


def spent(donors: int, given: int, cost: int | None) -> dict[str, Any]:
    """What winning a group cost, by the words of the definition."""
    if cost is None:
        return {"cost": None, "cac": None, "ltv_cac": None, "band": None}
    cac = half_even(Fraction(cost, donors)) if donors else None
    if not cost or not donors:
        return {"cost": cost, "cac": cac, "ltv_cac": None, "band": None}
    ratio = Fraction(given, donors) / Fraction(cost, donors)
    band = "loss" if ratio < 1 else "weak" if ratio < 3 else "healthy" if ratio <= 5 else "possibly_under_investing"
    return {"cost": cost, "cac": cac, "ltv_cac": f"{float(round(ratio * 100)) / 100:.2f}", "band": band}


async def test_what_donors_are_worth_by_every_grouping(world: World) -> None:
    rng = random.Random(3)
    await world.set_clock(NOW)
    await world.patch("/v1/organization", {"fiscal_year_start_month": 7})
    rate = {"source_currency": "EUR", "target_currency": "USD", "rate": "1.1", "rate_date": "2022-01-01"}
    await world.post("/v1/exchange-rates", rate)
    campaigns = [
        (await world.post("/v1/campaigns", {"code": c, "name": c.title()}))["id"] for c in ("winter", "spring")
    ]
    costs = [("mail", 0, 33_001, "EUR"), ("mail", 1, 9_000, "USD"), ("email", 0, 0, "USD"), ("phone", 1, 70_000, "USD"),
             ("sms", 1, 5_000, "GEL"), ("social", 0, 4_000, "USD")]  # fmt: skip
    appeals = []
    for number, (channel, campaign, cost, currency) in enumerate(costs):
        body = {"campaign_id": campaigns[campaign], "code": f"a{number}", "name": "A", "channel": channel,
                "sent_on": "2024-02-01", "cost": {"amount": cost, "currency": currency}}  # fmt: skip
        appeals.append((await world.post("/v1/appeals", body))["id"])
    gifts: list[Gift] = []
    first: dict[str, tuple[date, int | None]] = {}
    country: dict[str, str | None] = {}
    for _ in range(14):
        place = rng.choice(["UA", "GE", None])
        abroad = {"city": "Oslo", "country": "NO"}
        homes = [abroad, {"city": "Home", "country": place, "is_primary": True}] if place else []
        who = (await world.contact(emails=[], addresses=homes))["id"]
        country[who] = place
        days = sorted(rng.sample(range(20, 1400), rng.randint(1, 3)), reverse=True)
        for back in days:
            day, appeal = TODAY - timedelta(days=back), rng.choice([0, 1, 2, 3, 4, None])
            amount, currency = rng.choice([700, 2_501, 40_000]), "GEL" if rng.random() < 0.15 else "USD"
            more: dict[str, Any] = {} if appeal is None else {"appeal_id": appeals[appeal]}
            gift = await world.donation(who, amount, currency, received_at=f"{day}T09:00:00Z", **more)
            back_again = rng.choice([0, 0, 0, 300, amount])
            if back_again:
                said = {"amount": {"amount": back_again, "currency": currency}}
                await world.post(f"/v1/donations/{gift['id']}/refunds", said)
            gifts.append(Gift(who, day, amount - back_again, currency))
            if amount > back_again:
                first.setdefault(who, (day, appeal))
    segment = (await world.post("/v1/segments", {"name": "Friends"}))["id"]
    friends = sorted(first)[:5]
    await world.post(
        f"/v1/segments/{segment}/members", {"contact_ids": [*friends, str(new_id_of(country, first))]}, expect=200
    )
    await world.drain()

    for as_of, since in ((TODAY, None), (date(2025, 9, 30), None), (TODAY, date(2024, 1, 1))):
        won = {w: seen for w, seen in earliest(as_of, first).items() if seen[0] >= (since or date.min)}
        query = {"as_of": as_of.isoformat(), **({"from": since.isoformat()} if since else {})}
        for by in ("cohort", "country", "channel", "campaign", "segment"):
            groups: defaultdict[str | None, list[str]] = defaultdict(list)
            for who in won:
                day, appeal = won[who]
                if by == "cohort":
                    groups[str(day.year + (day.month >= 7))].append(who)
                elif by == "country":
                    groups[country[who]].append(who)
                elif by == "channel":
                    groups[None if appeal is None else costs[appeal][0]].append(who)
                elif by == "campaign":
                    groups[None if appeal is None else campaigns[costs[appeal][1]]].append(who)
                elif who in friends:
                    groups[segment].append(who)
            paid: dict[str | None, int] = {}
            without: defaultdict[str | None, int] = defaultdict(int)
            if by in ("channel", "campaign"):
                for channel, campaign, cost, currency in costs:
                    key = channel if by == "channel" else campaigns[campaign]
                    if currency == "GEL":
                        without[key] += 1
                    else:
                        paid[key] = paid.get(key, 0) + cost * (110 if currency == "EUR" else 100)
                    groups[key]
            expected = {}
            for key, donors in groups.items():
                told = worth(donors, gifts, as_of)
                price = half_even(Fraction(paid[key], 100)) if key in paid else None
                label = "Friends" if by == "segment" else None
                if by == "campaign" and key is not None:
                    label = "Winter" if key == campaigns[0] else "Spring"
                expected[key] = {**told, **spent(told["donors"], told["given"], price), "label": label,
                                 "costs_without_rate": without[key]}  # fmt: skip
            found = await world.get("/v1/reports/ltv", params={"by": by, **query})
            shown = {one.pop("key"): one for one in found["groups"]}
            assert len(shown) == len(found["groups"]), "each group once"
            assert shown == expected, (by, as_of, since)
        totals = sorted((sum(g.counted for g in gifts if g.who == w and g.day <= as_of and g.currency == "USD")
                         for w in earliest(as_of, first)), reverse=True)  # fmt: skip
        half = len(totals) > 10 and sum(totals[:10]) * 2 >= sum(totals)
        assert found["warning"] == ("ten_donors_carry_half" if half else None)


def new_id_of(country: dict[str, str | None], first: dict[str, Any]) -> str:
    """A contact whose gifts have all been given back, or the last donor: a member who may be no donor."""
    return next((who for who in country if who not in first), list(country)[-1])


def earliest(as_of: date, first: dict[str, tuple[date, int | None]]) -> dict[str, tuple[date, int | None]]:
    """Each donor's first counted gift by a day: its date and its appeal."""
    return {who: seen for who, seen in first.items() if seen[0] <= as_of}


# Income to come


def month(first: tuple[int, int], later: int) -> str:
    year, place = divmod(first[0] * 12 + first[1] - 1 + later, 12)
    return f"{year}-{place + 1:02d}"


def naive(y: Sequence[int], steps: int) -> list[Fraction]:
    return [Fraction(y[len(y) - 12 + h % 12]) for h in range(steps)]


def shared(y: Sequence[int], steps: int) -> list[Fraction]:
    """The month's mean share of the last up to three years, times what came in the last twelve months."""
    years = [y[len(y) - 12 * n : len(y) - 12 * (n - 1)] for n in range(1, min(len(y) // 12, 3) + 1)]
    years = [one for one in years if sum(one)]
    shares = [sum((Fraction(one[m], sum(one)) for one in years), Fraction()) / len(years) for m in range(12)]
    return [shares[h % 12] * sum(y[-12:]) for h in range(steps)]


def quantile(values: Sequence[Fraction], q: Fraction) -> Fraction:
    ordered = sorted(values)
    place = (len(ordered) - 1) * q
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def expected_forecast(y: list[int], horizon: int) -> dict[str, Any]:
    """By the words of the definition, in fractions."""
    if len(y) < 24:
        mean = Fraction(sum(y[-12:]), len(y[-12:]))
        short: list[tuple[int, int | None, int | None]] = [(half_even(mean), None, None)] * horizon
        return {"method": "trailing_mean", "reason": "short_history", "origins": 0, "mase": None, "wape": None,
                "candidates": {}, "months": short}  # fmt: skip
    origins = range(max(24, len(y) - 24), len(y))
    errors: dict[str, dict[int, list[Fraction]]] = {}
    came = 0
    for name, method in (("seasonal_naive", naive), ("monthly_share", shared)):
        errors[name], came = defaultdict(list), 0
        for origin in origins:
            steps = min(horizon, len(y) - origin)
            for h, point in enumerate(method(y[:origin], steps), 1):
                errors[name][h].append(y[origin + h - 1] - point)
                came += y[origin + h - 1]
    every = {name: [e for step in by.values() for e in step] for name, by in errors.items()}
    size = {name: sum((abs(e) for e in them), Fraction()) for name, them in every.items()}
    best = "seasonal_naive" if size["seasonal_naive"] <= size["monthly_share"] else "monthly_share"
    scale = Fraction(sum(abs(y[t] - y[t - 12]) for t in range(12, len(y))), len(y) - 12)
    points = (naive if best == "seasonal_naive" else shared)(y, horizon)
    months = []
    for h, point in enumerate(points, 1):
        own = errors[best][h] if len(errors[best].get(h, [])) >= 5 else every[best]
        low, high = point + quantile(own, Fraction(1, 10)), point + quantile(own, Fraction(9, 10))
        months.append((half_even(point), max(0, half_even(min(point, low))), max(0, half_even(max(point, high)))))
    return {
        "method": best,
        "reason": None,
        "origins": len(origins),
        "mase": float(size[best] / len(every[best]) / scale),
        "wape": float(size[best] / came),
        "candidates": {name: float(one / came) for name, one in size.items()},
        "months": months,
    }


async def test_income_to_come_and_its_measured_error(world: World) -> None:
    rng = random.Random(11)
    await world.set_clock(NOW)
    gifts = []
    donors = [str(new_id()) for _ in range(6)]
    for back in range(44):  # the month under way among them
        day = date.fromisoformat(month((2026, 11), -back) + "-01")
        season = 5 if day.month == 12 else 1
        for _ in range(rng.randint(0, 3) if back % 7 else 0):
            amount = rng.randrange(1_000, 9_000) * season
            gifts.append(Gift(rng.choice(donors), day + timedelta(days=rng.randrange(20)), amount,
                              refunded=rng.choice([0, 0, 55])))  # fmt: skip
        if back in {2, 9}:
            gifts.append(Gift(rng.choice(donors), day, 3_333, "GEL"))
    gifts.append(Gift(donors[0], date(2026, 5, 31), 0, refunded=90_000))
    gifts.append(Gift(donors[0], date(2025, 12, 31), 7_001))
    await load(world, gifts)
    for as_of, over, horizon in (
        ("2026-11-22", (2026, 10), 12),
        ("2025-12-31", (2025, 12), 18),
        ("2025-12-30", (2025, 11), 3),
    ):
        found = await world.get("/v1/reports/income-forecast", params={"as_of": as_of, "months": horizon})
        by_currency = {one["currency"]: one for one in found["currencies"]}
        for currency, shown in by_currency.items():
            sums: defaultdict[str, int] = defaultdict(int)
            for gift in gifts:
                if (
                    gift.currency == currency
                    and gift.counted
                    and gift.day.strftime("%Y-%m") <= "{}-{:02d}".format(*over)
                ):
                    sums[gift.day.strftime("%Y-%m")] += gift.counted
            names = [month(over, -n) for n in range(120)]
            names = names[: names.index(min(sums)) + 1][::-1]
            y = [sums.get(name, 0) for name in names]
            expected = expected_forecast(y, horizon)
            assert [(one["month"], one["amount"]) for one in shown["history"]] == list(zip(names, y, strict=True))[-36:]
            assert (shown["method"], shown["reason"], shown["origins"]) == (
                expected["method"], expected["reason"], expected["origins"])  # fmt: skip
            for name in ("mase", "wape"):
                told = None if shown[name] is None else float(shown[name])
                assert told == (None if expected[name] is None else pytest.approx(expected[name], abs=6e-5)), name
            tried = {one["method"]: float(one["wape"]) for one in shown["candidates"]}
            assert tried == pytest.approx(expected["candidates"], abs=6e-5)
            assert [one["month"] for one in shown["months"]] == [month(over, n) for n in range(1, horizon + 1)]
            for one, (point, low, high) in zip(shown["months"], expected["months"], strict=True):
                assert abs(one["expected"] - point) <= 1, "floats may round a half the other way"
                assert (one["low"] is None) == (low is None)
                assert low is None or (abs(one["low"] - low) <= 1 and abs(one["high"] - high) <= 1)
        methods = {name: one["method"] for name, one in by_currency.items()}
        assert methods.get("GEL", "trailing_mean") == "trailing_mean"
        assert methods["USD"] != "trailing_mean"
    only = await world.get("/v1/reports/income-forecast", params={"currency": "GEL"})
    assert [one["currency"] for one in only["currencies"]] == ["GEL"]


# Prospects


def features(gifts: Sequence[Gift], day: date, phone: bool) -> list[float]:
    """The stated features of one donor, from the gifts by that day."""
    seen = [one for one in gifts if one.day <= day]
    usd = [one.counted / 100 for one in seen if one.currency == "USD"]
    recent = [one for one in seen if (day - one.day).days <= 365]
    return [
        math.log(1 + len(seen)),
        math.log(1 + sum(usd)),
        math.log(1 + sum(usd) / len(seen)),
        math.log(1 + max(usd, default=0)),
        math.log(1 + (day - max(one.day for one in seen)).days),
        math.log(1 + (day - min(one.day for one in seen)).days),
        math.log(1 + sum(one.counted / 100 for one in recent if one.currency == "USD")),
        math.log(1 + len(recent)),
        float(len({one.channel for one in seen if one.channel})),
        float(phone),
    ]


def logistic(rows: Sequence[Sequence[float]], labels: Sequence[bool]) -> list[float]:
    """Weights of a logistic regression with a ridge of 1, by a general minimizer; the constant is not held down."""

    def loss(weights: Any) -> float:
        total = 0.5 * sum(w * w for w in weights[1:])
        for row, label in zip(rows, labels, strict=True):
            odds = weights[0] + sum(w * v for w, v in zip(weights[1:], row, strict=True))
            total += math.log1p(math.exp(-odds if label else odds))
        return float(total)

    start = [0.0] * (len(rows[0]) + 1)
    found = minimize(loss, start, method="BFGS", options={"gtol": 1e-4})
    return [float(w) for w in found.x]


def is_major(gifts: Sequence[Gift], day: date, threshold: int) -> bool:
    recent = (one.counted for one in gifts if one.currency == "USD" and 0 <= (day - one.day).days <= 365)
    return sum(recent) >= threshold


async def test_prospects_their_chances_and_what_the_score_is_worth(world: World) -> None:
    rng = random.Random(4)
    await world.set_clock(NOW)
    threshold = (await world.get("/v1/scoring/donor-status-rules"))["major_gift_threshold"]["amount"]
    plan = (await world.post("/v1/recurring-plans", {
        "contact_id": (await world.contact())["id"], "method": "bank_standing_order", "frequency_unit": "month",
        "amount": {"amount": 1_000, "currency": "USD"}, "frequency_interval": 1, "start_date": "2026-12-01",
    }))["id"]  # fmt: skip
    history: dict[str, list[Gift]] = {}
    for _ in range(240):
        who, loyal = str(UUID(int=rng.getrandbits(128))), rng.random() < 0.4  # an id decides who is held out
        days = rng.sample(range(370, 1400), rng.randint(3, 6) if loyal else rng.randint(1, 2))
        own = [
            Gift(who, TODAY - timedelta(days=n), rng.randrange(500, 4_000), rng.choice(["USD"] * 9 + ["GEL"]),
                 rng.choice(["mail", "email", None]), refunded=rng.choice([0, 0, 0, 100]))
            for n in days
        ]  # fmt: skip
        if rng.random() < (0.7 if loyal else 0.1):
            own.append(
                Gift(who, TODAY - timedelta(days=rng.randrange(10, 300)), threshold + 5, regular=rng.random() < 0.2)
            )
        elif rng.random() < 0.1:
            own.append(
                Gift(who, TODAY - timedelta(days=rng.randrange(1, 300)), 900, channel="web", regular=rng.random() < 0.4)
            )
        history[who] = own
    phones = frozenset(who for who in history if rng.random() < 0.5)
    dead = frozenset(who for who in history if rng.random() < 0.05)
    await load(world, (one for own in history.values() for one in own), plan=plan, phones=phones, dead=dead)

    then = TODAY - timedelta(days=365)
    rows, labels, held = [], [], []
    for who, own in history.items():
        before = [one for one in own if one.day <= then]
        if not before or any(one.regular for one in before) or is_major(before, then, threshold):
            continue
        later = [one for one in own if then < one.day <= TODAY]
        rows.append(features(before, then, who in phones))
        total = sum(one.counted for one in later if one.currency == "USD")
        labels.append(any(one.regular for one in later) or total >= threshold)
        held.append(md5(who.encode(), usedforsecurity=False).digest()[0] % 4 == 0)
    seen = [row for row, out in zip(rows, held, strict=True) if not out]
    means = [sum(column) / len(seen) for column in zip(*seen, strict=True)]
    spreads = [
        math.sqrt(sum((v - m) ** 2 for v in column) / len(seen)) or 1.0
        for column, m in zip(zip(*seen, strict=True), means, strict=True)
    ]

    def scaled(row: Sequence[float]) -> list[float]:
        return [(v - m) / s for v, m, s in zip(row, means, spreads, strict=True)]

    weights = logistic([scaled(r) for r in seen], [y for y, out in zip(labels, held, strict=True) if not out])

    def chance(row: Sequence[float]) -> float:
        return 1 / (1 + math.exp(-weights[0] - sum(w * v for w, v in zip(weights[1:], scaled(row), strict=True))))

    tested = [(chance(row), y) for row, y, out in zip(rows, labels, held, strict=True) if out]
    good, bad = [p for p, y in tested if y], [p for p, y in tested if not y]
    auc = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a in good for b in bad) / (len(good) * len(bad))
    rate = sum(y for y, out in zip(labels, held, strict=True) if not out) / len(seen)
    loss = -sum(math.log(p if y else 1 - p) for p, y in tested) / len(tested)
    plain = -sum(math.log(rate if y else 1 - rate) for _, y in tested) / len(tested)

    found = await world.get("/v1/reports/prospects", params={"most": 1000})
    assert (found["donors"], found["responders"], found["held_out"]) == (len(rows), sum(labels), len(tested))
    assert float(found["baseline"]) == pytest.approx(sum(labels) / len(labels), abs=6e-5)
    assert float(found["auc"]) == pytest.approx(auc, abs=6e-5)
    assert (float(found["log_loss"]), float(found["baseline_log_loss"])) == pytest.approx((loss, plain), abs=2e-4)
    assert (found["baseline_auc"], found["gain"], found["reason"]) == ("0.5000", True, None)
    shown = [float(found["intercept"]), *(float(one["value"]) for one in found["coefficients"])]
    assert shown == pytest.approx(weights, abs=2e-3)

    expected = {
        who: chance(features(own, TODAY, who in phones))
        for who, own in history.items()
        if who not in dead and not any(one.regular for one in own) and not is_major(own, TODAY, threshold)
    }
    told = {one["contact_id"]: float(one["chance"]) for one in found["data"]}
    assert told == pytest.approx(expected, abs=1e-3)
    assert list(told.values()) == sorted(told.values(), reverse=True)
    one = found["data"][0]
    values = features(history[one["contact_id"]], TODAY, one["contact_id"] in phones)
    assert [float(each["value"]) for each in one["features"]] == pytest.approx(values, abs=6e-5)
