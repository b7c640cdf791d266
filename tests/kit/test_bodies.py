"""What a refused body is answered: the place in what was sent, and what would do there."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from pydantic import BaseModel

from crm_api.contacts.dedupe.schemas import MergeCreate
from crm_api.contacts.schemas import ContactCreate
from crm_api.kit.body import parse_model
from crm_api.kit.problems import FieldError, Invalid
from crm_api.tasks.schemas import TaskCreate


def refused(model: type[BaseModel], body: Any) -> dict[str, list[FieldError]]:
    """What is wrong, by place."""
    with pytest.raises(Invalid) as caught:
        parse_model(model, orjson.dumps(body))
    found: dict[str, list[FieldError]] = {}
    for error in caught.value.errors:
        found.setdefault(error.pointer, []).append(error)
    return found


def test_an_unknown_member_is_answered_by_the_known_ones() -> None:
    found = refused(ContactCreate, {"name": "x", "addresses": [{"city": "Kyiv", "street": "x"}]})
    assert set(found) == {"/name", "/addresses/0/street"}
    assert "given_name" in found["/name"][0].detail
    assert found["/addresses/0/street"][0].detail.startswith("There is no such member here. Known are: line1, line2,")


def test_a_pattern_is_told_with_an_example() -> None:
    found = refused(ContactCreate, {"given_name": "x", "language": "ukrainian", "addresses": [{"country": "Ukraine"}]})
    assert found["/language"][0].detail.endswith(", such as uk.")
    assert found["/addresses/0/country"][0].detail.endswith(", such as UA.")


def test_places_are_those_of_the_body_and_not_of_our_alternatives() -> None:
    fields = {"language": 1, "given_name": {"other": "x"}, "custom.size": None}
    found = refused(MergeCreate, {"from": ["01989c5e-1b2c-7d3e-8a53-6f1d2b7c8e92"], "fields": fields})
    assert set(found) == {
        "/fields/language", "/fields/given_name", "/fields/given_name/value", "/fields/given_name/other",
        "/fields/custom.size",
    }  # fmt: skip
    assert [error.code for error in found["/fields/given_name/value"]] == ["missing"]


def test_a_member_with_a_name_of_another_place_is_told_where_it_stands() -> None:
    found = refused(ContactCreate, {"emails": [{"address": "a@example.org", "emails": []}], "given_name": 5})
    assert set(found) == {"/emails/0/emails", "/given_name"}


@pytest.mark.parametrize("text", ["1", "1795338000", "2026-11-22", "2026-11-22T09:00:00", "2026-13-22T09:00:00Z", 1])
def test_a_number_is_no_instant_and_the_answer_shows_one(text: Any) -> None:
    (error,) = refused(TaskCreate, {"title": "Call", "due_at": text})["/due_at"]
    assert error.detail == "must be an instant with its zone, such as 2026-11-22T09:00:00Z."


@pytest.mark.parametrize(
    "text",
    ["2026-11-22T09:00:00Z", "2026-11-22t11:00:00.000+02:00", "2026-11-22T09:00Z", "2026-11-22 09:00:00.000000999Z"],
)
def test_instants_as_programs_write_them(text: str) -> None:
    sent = parse_model(TaskCreate, orjson.dumps({"title": "Call", "due_at": text}))
    assert sent.due_at is not None
    assert sent.due_at.isoformat().startswith(("2026-11-22T09:00:00+00:00", "2026-11-22T11:00:00+02:00"))
