"""Expected and received by month: the statement agrees with the schedule's own dates, and never adds two currencies."""

from __future__ import annotations

import random
from collections import Counter
from datetime import date
from typing import Any

from crm_api.donations.recurring import schedule
from tests.recurring.stories import at, card_plan, plan, settle
from tests.support.gateways import FakeGateway
from tests.support.world import World


def rows(answer: Any) -> dict[tuple[str, str], tuple[int, int, int]]:
    """(month, currency) → expected, received, missed."""
    return {
        (one["month"], one["currency"]): tuple(one[name]["amount"] for name in ("expected", "received", "missed"))
        for one in answer["data"]
    }


async def test_what_was_and_what_is_to_come(fund: World, bank: FakeGateway) -> None:
    await at(fund, "2026-01-31")
    who = await fund.contact()
    await card_plan(fund, who["id"])
    dollars = await plan(fund, who["id"], amount={"amount": 500, "currency": "USD"}, installments=2)
    await settle(fund)
    await fund.donation(who["id"], 500, "USD", received_at="2026-01-31T10:00:00Z")
    await at(fund, "2026-02-28")
    later = await plan(fund, who["id"], start_date="2026-03-15")
    pause = {"reason": "Відпустка", "resume_on": "2026-04-20"}
    await fund.post(f"/v1/recurring-plans/{later['id']}/pause", pause, expect=200)
    found = rows(await fund.get("/v1/recurring-plans/forecast", params={"from": "2026-01-01", "months": 5}))
    assert found[("2026-01", "USD")] == (500, 500, 0)
    assert found[("2026-02", "USD")] == (500, 0, 0)
    assert ("2026-03", "USD") not in found
    assert found[("2026-01", "UAH")][0] == 20000
    assert [found[(f"2026-0{month}", "UAH")][0] for month in (2, 3, 4, 5)] == [20000, 20000, 20000, 40000]
    await at(fund, "2026-03-15")
    found = rows(await fund.get("/v1/recurring-plans/forecast", params={"from": "2026-02-10", "months": 1}))
    assert found[("2026-02", "USD")] == (500, 0, 500)
    assert dollars["installments"] == 2


async def test_the_statement_has_the_dates_of_the_schedule(fund: World) -> None:
    """Random plans of every kind: the same dates as `schedule.Rhythm` gives, month by month."""
    await at(fund, "2026-01-15")
    who = await fund.contact()
    chance = random.Random(20261122)
    expected: Counter[str] = Counter()
    for _ in range(25):
        unit: Any = chance.choice(["day", "week", "month", "month", "year"])
        interval = chance.randint(1, 5) if unit != "day" else chance.randint(5, 40)
        start = date(2026, chance.randint(1, 4), chance.randint(16, 28))
        anchor = chance.choice([None, 1, 28, 29, 30, 31]) if unit in {"month", "year"} else None
        end = chance.choice([None, date(2027, chance.randint(1, 12), 28)])
        amount = chance.randint(1, 10**6)
        terms = {"frequency_unit": unit, "frequency_interval": interval, "start_date": start.isoformat()}
        more = {"anchor_day": anchor} if anchor else {}
        ends = {"end_date": end.isoformat()} if end else {}
        await plan(fund, who["id"], amount={"amount": amount, "currency": "UAH"}, **terms, **more, **ends)
        rhythm = schedule.begin(unit, interval, start, anchor)
        for day in rhythm.between(start, min(end or date(2028, 12, 31), date(2028, 12, 31))):
            expected[f"{day:%Y-%m}"] += amount
    answer = await fund.get("/v1/recurring-plans/forecast", params={"from": "2026-01-01", "months": 36})
    found = {month: values[0] for (month, _), values in rows(answer).items()}
    assert found == dict(expected)
