"""What the demo will load, before any database: the same for the same seed and day, and like a real fund."""

from __future__ import annotations

import unicodedata
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from crm_api.contacts.schemas import ContactCreate
from crm_api.demo.people import known
from crm_api.demo.rates import CURRENCIES, make_rates
from crm_api.demo.script import Script, by_stripe, write_script
from crm_api.demo.stripe import _STORIES
from crm_api.kit import clock

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def script() -> Script:
    return write_script(1, NOW, "UTC")


def test_one_seed_and_day_are_one_script(script: Script) -> None:
    later = write_script(1, NOW + timedelta(hours=14), "UTC")
    assert (later.donors, later.gifts, later.plans, later.campaigns) == (
        script.donors,
        script.gifts,
        script.plans,
        script.campaigns,
    )
    assert write_script(2, NOW, "UTC").gifts != script.gifts


@pytest.mark.parametrize(("seed", "day"), [(2, "2024-02-29"), (3, "2026-01-01"), (0, "2026-12-31"), (4, "2031-07-15")])
def test_any_seed_on_any_day_is_a_whole_fund(seed: int, day: str) -> None:
    now = datetime.fromisoformat(day).replace(hour=1, tzinfo=UTC)
    script = write_script(seed, now, "Europe/Kyiv")
    assert 400 <= len(script.donors) <= 600
    assert 2_500 <= len(script.gifts) <= 4_000
    assert {gift.outcome for gift in script.gifts} >= set(_STORIES) - {"canceled"}
    assert {gift.currency for gift in script.gifts} == set(CURRENCIES)
    assert {plan.statements[-1].status for plan in script.plans} >= {"active", "canceled", "past_due"}
    assert min(gift.moment for gift in script.gifts) >= script.calendar.midnight(script.calendar.first)
    assert max(gift.moment for gift in script.gifts) <= script.ends < now
    assert max(statement.moment for plan in script.plans for statement in plan.statements) <= script.ends
    assert {campaign.status for campaign in script.campaigns} >= {"completed"}
    assert len({donor.email for _, donor in script.donors}) == len(script.donors)


def test_a_donor_is_known_before_the_first_gift(script: Script) -> None:
    since = {donor.number: moment for moment, donor in script.donors}
    assert all(gift.donor is None or since[gift.donor.number] < gift.moment for gift in script.gifts)


def test_nobody_can_be_reached_by_mistake(script: Script) -> None:
    prefixes = tuple(value[0] for name, value in known()["people"]["phones"].items() if name != "about")
    for _, donor in script.donors:
        body = ContactCreate.model_validate(donor.body)
        assert all(email.address.rpartition("@")[2].startswith("example.") for email in body.emails)
        assert all(phone.number.startswith(prefixes) for phone in body.phones)


def test_people_write_their_names_in_their_own_scripts(script: Script) -> None:
    names = "".join(donor.name for _, donor in script.donors)
    assert set(names) >= set("іნლöłñí")
    for script_name in "CYRILLIC", "GEORGIAN", "ARABIC", "LATIN":
        assert any(unicodedata.name(letter, "").startswith(script_name) for letter in names)
    assert {donor.body["language"] for _, donor in script.donors} >= {"uk", "ka", "ru", "ar", "en", "de"}


def test_december_stands_out(script: Script) -> None:
    gifts = Counter(gift.moment.month for gift in script.gifts if gift.plan is None)
    assert gifts[12] > 1.5 * max(count for month, count in gifts.items() if month != 12)


def test_cards_have_a_payer_and_rates_are_plausible(script: Script) -> None:
    assert all(gift.donor is not None for gift in script.gifts if by_stripe(gift))
    import random

    rates = list(make_rates(random.Random(1), script.calendar.first, script.calendar.today, "USD"))
    assert min(day for _, day, _ in rates) <= script.calendar.first
    hryvnias = [float(rate) for currency, _, rate in rates if currency == "UAH"]
    assert len(hryvnias) == 49
    assert 0.018 < min(hryvnias) < max(hryvnias) < 0.035
    assert clock.local_date(NOW, "UTC") == script.calendar.today
