"""The dunning policy: a pure decision, and the organization's own version of it."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_api.payments.dunning.policy import Decision, Policy, Rule, decide
from tests.recurring.stories import at, attempts, card_plan, periods, settle, shown
from tests.support.gateways import FakeGateway
from tests.support.world import World

TODAY = date(2026, 5, 4)


@pytest.mark.parametrize(
    ("rule", "failures", "in_a_row", "late", "next_in", "expected"),
    [
        (Rule((3, 7), (1,), 8), 1, 1, 0, 30, (3, True, None)),
        (Rule((3, 7), (1,), 8), 2, 2, 3, 30, (4, False, None)),
        (Rule((3, 7), (1,), 8), 2, 2, 9, 30, (1, False, None)),
        (Rule((3, 7), (3,), 8), 3, 3, 7, 30, (None, True, None)),
        (Rule((3, 7), (1,), 8), 1, 1, 0, 3, (None, True, None)),
        (Rule((3, 7), (1,), 2, "cancel"), 2, 2, 3, 30, (None, False, "cancel")),
        (Rule((), (1,), None), 1, 99, 0, 30, (None, True, None)),
    ],
)
def test_decisions(
    rule: Rule, failures: int, in_a_row: int, late: int, next_in: int, expected: tuple[int | None, bool, str | None]
) -> None:
    found = decide(
        rule, failures=failures, in_a_row=in_a_row, failed_on=TODAY - timedelta(days=late), today=TODAY,
        next_date=TODAY + timedelta(days=next_in),
    )  # fmt: skip
    days = None if found.retry_on is None else (found.retry_on - TODAY).days
    assert (days, found.letter, found.give_up) == expected


@given(
    st.lists(st.integers(1, 90), max_size=10, unique=True).map(sorted), st.integers(1, 12), st.integers(1, 40),
    st.integers(0, 60), st.none() | st.integers(1, 40), st.none() | st.integers(1, 30),
)  # fmt: skip
def test_a_retry_is_after_today_and_before_the_next_payment(
    days: list[int], failures: int, in_a_row: int, late: int, next_in: int | None, after: int | None
) -> None:
    next_date = None if next_in is None else TODAY + timedelta(days=next_in)
    found: Decision = decide(
        Rule(tuple(days), (), after), failures=failures, in_a_row=in_a_row, failed_on=TODAY - timedelta(days=late),
        today=TODAY, next_date=next_date,
    )  # fmt: skip
    if found.retry_on is not None:
        assert found.retry_on > TODAY
        assert next_date is None or found.retry_on < next_date
        assert found.give_up is None
        assert failures <= len(days)
    assert (found.give_up is not None) == (after is not None and in_a_row >= after)


def test_an_unknown_word_is_an_unknown_decline() -> None:
    assert Policy().rule("nonsense") == Policy().rule("unknown")


async def test_an_organization_has_its_own(fund: World, bank: FakeGateway) -> None:
    await at(fund, "2026-05-04")
    first = await fund.get("/v1/dunning-policy")
    assert first["version"] == 0
    rule = {"retry_days": [1, 2], "letters": [], "give_up_after": 3, "give_up": "cancel"}
    changed = await fund.put("/v1/dunning-policy", {"rules": {"insufficient_funds": rule}, "late_days": 3})
    assert (changed["version"], changed["late_days"]) == (1, 3)
    assert changed["rules"]["insufficient_funds"] == rule
    assert changed["rules"]["expired_card"] == first["rules"]["expired_card"]
    stale = await fund.put("/v1/dunning-policy", {}, headers={"If-Match": '"0"'}, expect=412)
    assert stale["code"] == "precondition_failed"
    refused = await fund.put("/v1/dunning-policy", {"rules": {"unknown": {"retry_days": [7, 3]}}}, expect=422)
    assert refused["errors"][0]["pointer"].startswith("/rules/unknown/retry_days")
    who = await fund.contact()
    made = await card_plan(fund, who["id"])
    bank.charge_as = {"status": "failure", "errCode": "59"}
    await settle(fund)
    for day in ("2026-05-05", "2026-05-06", "2026-05-07"):
        await at(fund, day)
    assert [one["decline_class"] for one in await attempts(fund, made["id"])] == ["insufficient_funds"] * 3
    assert await periods(fund, made["id"]) == [("2026-05-04", "failed")]
    known = await shown(fund, made["id"])
    assert (known["status"], known["cancel_reason"]) == ("canceled", "given_up:insufficient_funds")
