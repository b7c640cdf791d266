"""Whether a person may be contacted: the rules, and that the order of arrival changes nothing."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_api.contacts.consents.rules import Event, Person, Verdict, can_contact, current, person_of
from crm_api.kit.ids import new_id

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
REACHABLE = Person(reach={"email": "valid", "sms": "valid"})


def event(
    status: str,
    purpose: str | None = None,
    channel: str | None = None,
    list_: str | None = None,
    *,
    day: int = 0,
    basis: str = "consent",
) -> Event:
    at = NOW - timedelta(days=100 - day)
    return Event(new_id(), purpose, channel, list_, status, basis if status == "granted" else None, at)


def ask(*events: Event, purpose: str = "newsletter", person: Person = REACHABLE, **more: Any) -> Verdict:
    return can_contact(person, events, more.pop("channel", "email"), purpose, NOW, **more)


def test_without_a_word_the_default_basis_decides() -> None:
    assert ask() == Verdict(False, "no_consent")
    assert ask(default_basis="legitimate_interest") == Verdict(True, "legal_basis", None, "legitimate_interest")
    assert ask(purpose="transactional") == Verdict(True, "legal_basis", None, "contract")


def test_a_grant_permits_what_it_names_and_nothing_else() -> None:
    granted = event("granted", "newsletter", "email")
    assert ask(granted) == Verdict(True, "granted", granted.id, "consent")
    assert ask(granted, list_="monthly").allowed, "a grant of the purpose is one of its lists"
    assert ask(granted, purpose="fundraising").reason == "no_consent"
    assert ask(granted, channel="sms").reason == "no_consent"
    only_list = event("granted", "newsletter", "email", "monthly")
    assert ask(only_list, list_="monthly").allowed
    assert not ask(only_list).allowed
    assert not ask(only_list, list_="weekly").allowed


def test_a_refusal_holds_for_all_inside_it_until_a_newer_grant() -> None:
    old, left = event("granted", "newsletter", "email", day=1), event("withdrawn", day=2)
    assert ask(old, left) == Verdict(False, "withdrawn", left.id)
    again = event("granted", "newsletter", "email", day=3)
    assert ask(old, left, again) == Verdict(True, "granted", again.id, "consent")
    assert ask(old, left, again, purpose="fundraising", default_basis="legitimate_interest").reason == "withdrawn"


def test_a_general_grant_does_not_bring_back_a_list_that_was_left() -> None:
    left, general = event("withdrawn", "newsletter", "email", "weekly", day=1), event("granted", day=2)
    assert ask(left, general, list_="weekly") == Verdict(False, "withdrawn", left.id)
    assert ask(left, general, list_="monthly").allowed


def test_letters_of_record_stop_for_an_objection_to_everything_only() -> None:
    everything = event("withdrawn", day=1)
    assert ask(everything, purpose="transactional").allowed
    objected = event("objected", day=2)
    assert ask(everything, objected, purpose="transactional") == Verdict(False, "objected", objected.id)
    assert ask(event("objected", channel="sms"), purpose="transactional").allowed
    assert not ask(event("withdrawn", "transactional"), purpose="transactional").allowed


@pytest.mark.parametrize(
    ("person", "reason"),
    [
        (Person(deceased=True, do_not_contact=True), "deceased"),
        (Person(do_not_contact=True), "do_not_contact"),
        (Person(erased=True), "erased"),
        (Person(reach={}), "no_address"),
        (Person(reach={"email": "bouncing"}), "address_bouncing"),
        (Person(reach={"email": "invalid"}), "address_invalid"),
        (Person(reach={"email": "opted_out"}), "address_opted_out"),
    ],
)
def test_the_contact_itself_comes_first(person: Person, reason: str) -> None:
    for purpose in ("newsletter", "transactional"):
        assert ask(event("granted"), person=person, purpose=purpose) == Verdict(False, reason)


def test_what_is_said_for_later_does_not_count_yet() -> None:
    assert ask(event("granted", day=101)).reason == "no_consent"


def test_reach_is_the_primary_address_of_each_channel() -> None:
    row = {
        "do_not_contact": False,
        "deceased": False,
        "erased_at": None,
        "emails": [{"is_primary": False, "status": "valid"}, {"is_primary": True, "status": "bouncing"}],
        "phones": [{"is_primary": True}],
        "addresses": [{"is_primary": True, "status": "unverified"}],
        "handles": [{"network": "viber", "status": "invalid"}, {"network": "viber", "status": "valid"}],
    }
    assert person_of(row).reach == {
        "email": "bouncing", "phone": "valid", "sms": "valid", "post": "unverified", "viber": "valid",
    }  # fmt: skip


_EVENTS = st.lists(
    st.builds(
        lambda number, purpose, channel, list_, status, minute: Event(
            UUID(int=number), purpose, channel, list_ if purpose else None, status,
            "consent" if status == "granted" else None, NOW - timedelta(minutes=minute),
        ),
        st.integers(0, 2**64),
        st.sampled_from([None, "newsletter", "fundraising", "transactional"]),
        st.sampled_from([None, "email", "sms"]),
        st.sampled_from([None, "a", "b"]),
        st.sampled_from(["granted", "withdrawn", "objected"]),
        st.integers(-2, 4),
    ),
    max_size=12,
    unique_by=lambda one: one.id,
)  # fmt: skip


@given(_EVENTS, st.randoms(use_true_random=False), st.sampled_from(["newsletter", "fundraising", "transactional"]),
       st.sampled_from(["email", "sms"]), st.sampled_from([None, "a", "b"]))  # fmt: skip
def test_any_order_of_arrival_gives_the_same_verdict(
    events: list[Event], chance: random.Random, purpose: str, channel: str, list_: str | None
) -> None:
    shuffled = [*events, *events[: len(events) // 2]]  # some arrive twice
    chance.shuffle(shuffled)
    said = can_contact(REACHABLE, events, channel, purpose, NOW, list_=list_)
    assert can_contact(REACHABLE, shuffled, channel, purpose, NOW, list_=list_) == said
    assert current(shuffled) == current(events)


@given(_EVENTS, st.sampled_from(["newsletter", "fundraising"]), st.sampled_from(["email", "sms"]))
def test_whoever_leaves_everything_last_gets_nothing(events: list[Event], purpose: str, channel: str) -> None:
    left = Event(UUID(int=2**65), None, None, None, "withdrawn", None, NOW)
    verdict = can_contact(REACHABLE, [*events, left], channel, purpose, NOW, default_basis="legitimate_interest")
    assert not verdict.allowed
