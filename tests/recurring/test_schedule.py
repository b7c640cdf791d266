"""Dates of regular gifts: month ends, leap days, time zones, and nothing that happens on the way moves them."""

from __future__ import annotations

from calendar import monthrange
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from crm_api.donations.recurring import schedule
from crm_api.donations.recurring.schedule import Rhythm, begin
from crm_api.kit.clock import from_unix
from tests.support.effort import examples

DAYS = st.dates(min_value=date(2019, 1, 1), max_value=date(2040, 12, 31))
UNITS = st.sampled_from(["day", "week", "month", "year"])
ANCHORS = st.none() | st.integers(1, 31)
ZONES = st.sampled_from(["UTC", "Europe/Kyiv", "Asia/Tbilisi", "America/St_Johns", "Pacific/Apia", "Africa/Cairo"])


@pytest.mark.parametrize(
    ("unit", "interval", "start", "anchor", "expected"),
    [
        ("month", 1, "2026-01-31", None, ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"]),
        ("month", 1, "2027-12-31", 31, ["2027-12-31", "2028-01-31", "2028-02-29", "2028-03-31"]),
        ("month", 1, "2026-11-20", 5, ["2026-12-05", "2027-01-05"]),
        ("month", 1, "2026-11-20", 31, ["2026-11-30", "2026-12-31", "2027-01-31", "2027-02-28"]),
        ("month", 3, "2026-11-30", None, ["2026-11-30", "2027-02-28", "2027-05-30"]),
        ("year", 1, "2028-02-29", None, ["2028-02-29", "2029-02-28", "2030-02-28", "2031-02-28", "2032-02-29"]),
        ("year", 1, "2026-11-20", 5, ["2026-12-05", "2027-12-05"]),
        ("week", 2, "2026-12-25", 3, ["2026-12-25", "2027-01-08", "2027-01-22"]),
        ("day", 10, "2028-02-25", None, ["2028-02-25", "2028-03-06", "2028-03-16"]),
    ],
)
def test_series(unit: schedule.Unit, interval: int, start: str, anchor: int | None, expected: list[str]) -> None:
    rhythm = begin(unit, interval, date.fromisoformat(start), anchor)
    assert [rhythm.nth(number).isoformat() for number in range(len(expected))] == expected


@settings(max_examples=examples(60))
@given(UNITS, st.integers(1, 30), DAYS, ANCHORS, DAYS)
def test_the_next_date_is_the_first_one_from_a_day_on(
    unit: schedule.Unit, interval: int, start: date, anchor: int | None, day: date
) -> None:
    rhythm = begin(unit, interval, start, anchor)
    assert start <= rhythm.nth(0) <= start + timedelta(days=62)
    number = rhythm.number_from(day)
    assert rhythm.nth(number) >= day
    assert number == 0 or rhythm.nth(number - 1) < day
    assert rhythm.nth(number) < rhythm.nth(number + 1)
    if unit in {"month", "year"}:
        found = rhythm.nth(number)
        assert found.day == min(rhythm.anchor_day, monthrange(found.year, found.month)[1])


@settings(max_examples=examples(50))
@given(UNITS, st.integers(1, 12), DAYS, ANCHORS, st.lists(st.integers(0, 40), min_size=1, max_size=12))
def test_lateness_never_moves_what_follows(
    unit: schedule.Unit, interval: int, start: date, anchor: int | None, late: list[int]
) -> None:
    """Each payment is handled some days late, as retries do; the dates are those of a series that was never late."""
    rhythm = begin(unit, interval, start, anchor)
    due, today = rhythm.nth(0), rhythm.nth(0)
    for days in late:
        today = max(today, due) + timedelta(days=days)
        due = rhythm.after(due)
    assert due == rhythm.nth(len(late))


@settings(max_examples=examples(50))
@given(DAYS, st.integers(1, 31), st.integers(1, 12), st.integers(1, 31), st.integers(0, 70))
def test_another_day_of_the_month_gives_no_month_two_payments(
    start: date, anchor: int, interval: int, other: int, passed: int
) -> None:
    before = begin("month", interval, start, anchor)
    paid = before.nth(2)
    following = before.after(paid)
    today = paid + timedelta(days=passed)
    after = schedule.moved(before, following, other, today)
    first = after.nth(0)
    assert first >= today
    assert (first.year, first.month) > (paid.year, paid.month)
    if after.nth(0).replace(day=1) != following.replace(day=1):
        assert today > Rhythm("month", 1, following, other).nth(0)


@settings(max_examples=examples(50))
@given(st.integers(1_546_300_800, 1_956_528_000).map(from_unix), ZONES)
def test_a_day_is_due_from_nine_in_the_morning_there(now: datetime, zone: str) -> None:
    day = schedule.due_day(now, zone)
    assert schedule.due_moment(day, zone) <= now < schedule.due_moment(day + timedelta(days=2), zone)
    local = now.astimezone(ZoneInfo(zone))
    assume((local.year, local.month, local.day) != (2011, 12, 30))  # a day that Apia did not have
    assert day == (local.date() if local.hour >= 9 else local.date() - timedelta(days=1))


@given(st.integers(1, 2**53 - 1), st.integers(1, 600))
def test_parts_add_up(total: int, parts: int) -> None:
    found = schedule.split(total, parts)
    assert (sum(found), len(found)) == (total, parts)
    assert max(found) - min(found) <= 1
    assert found == sorted(found, reverse=True)


def test_annual_values() -> None:
    assert schedule.annual(1000, "month", 1) == 12_000
    assert schedule.annual(1000, "month", 3) == 4_000
    assert schedule.annual(700, "week", 1) == 36_525
    assert schedule.annual(5000, "year", 2) == 2_500
    assert schedule.annual(2**53 - 1, "day", 1) > 2**53
