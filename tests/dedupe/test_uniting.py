"""The survivor's content: the same after every order of merges."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from hypothesis import given, settings
from hypothesis import strategies as st

from crm_api.contacts.dedupe.uniting import (
    CONTENT,
    DOCUMENTS,
    LISTS,
    SCALARS,
    STICKY,
    Record,
    own_content,
    taken_back,
    unite,
)
from tests.support.effort import examples
from tests.support.world import World

_SPACE = UUID("01989c5e-1b2c-7d3e-8a53-6f1d2b7c8e91")
BLANK: dict[str, Any] = {
    "kind": "person",
    **dict.fromkeys(SCALARS),
    **dict.fromkeys(STICKY, False),
    **{name: {} for name in DOCUMENTS},
    **{name: [] for name in LISTS},
    "source": None,
}


def _items(maker: Any) -> Any:
    return st.lists(maker, max_size=3)


def _with_primary(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**item, "is_primary": number == 0} for number, item in enumerate(items)]


EMAILS = st.lists(
    st.fixed_dictionaries(
        {
            "address": st.sampled_from(["a@x.org", "A@x.org", "b@x.org", "c@x.org"]),
            "label": st.sampled_from([None, "work"]),
            "status": st.sampled_from(["valid", "bouncing", "opted_out"]),
        }
    ),
    max_size=3,
    unique_by=lambda item: str(item["address"]).casefold(),
).map(_with_primary)
ROLES = st.lists(
    st.fixed_dictionaries(
        {
            "role": st.sampled_from(["donor", "volunteer"]),
            "stage": st.sampled_from(["active", "lapsed"]),
            "since": st.sampled_from([None, "2020-01-01", "2024-01-01"]),
            "until": st.sampled_from([None, "2025-01-01"]),
        }
    ),
    max_size=2,
    unique_by=lambda item: (item["role"], item["until"]),
)
CONTENTS = st.fixed_dictionaries(
    {
        "given_name": st.sampled_from([None, "Олена", "Olena", "Lena"]),
        "family_name": st.sampled_from([None, "Шевченко", "Bondar"]),
        "birth_date": st.sampled_from([None, "1980", "1980-05-17"]),
        "do_not_contact": st.booleans(),
        "emails": EMAILS,
        "tags": st.lists(st.sampled_from(["x", "y", "z"]), unique=True),
        "role_details": ROLES,
        "custom": st.dictionaries(st.sampled_from(["a", "b"]), st.integers(0, 3)),
        "source": st.sampled_from([None, {"channel": "api"}, {"channel": "form"}]),
    }
).map(lambda some: {**BLANK, **some})


class Desk:
    """Merges as the service does them, without a database: contents, and what each merge knew."""

    def __init__(self, contents: list[dict[str, Any]], ages: list[int]) -> None:
        self.now = dict(enumerate(contents))
        self.ages = ages
        self.merges: dict[int, list[tuple[dict[str, Any], dict[str, Any], dict[int, dict[str, Any]]]]] = {}

    def _record(self, number: int, own: dict[str, Any]) -> Record:
        return Record(uuid5(_SPACE, str(number)), datetime(2020, 1, 1 + self.ages[number], tzinfo=UTC), own)

    def own(self, number: int) -> dict[str, Any]:
        """What a record has of its own."""
        if not self.merges.get(number):
            return self.now[number]
        own, produced, _ = self.merges[number][-1]
        return own_content(self.now[number], own, produced, ())

    def brought(self, number: int) -> list[Record]:
        """Every record that merges brought to this one."""
        found = []
        for _, _, retired in self.merges.get(number, []):
            for one, own in retired.items():
                found += [self._record(one, own), *self.brought(one)]
        return found

    def merge(self, survivor: int, retired: list[int]) -> dict[str, Any]:
        """Merge some into one; what it is then."""
        own = self.own(survivor)
        theirs = {one: self.own(one) for one in retired}
        others = [self._record(one, theirs[one]) for one in retired]
        for one in (survivor, *retired):
            others += self.brought(one)
        produced = unite(self._record(survivor, own), others, {})
        self.merges.setdefault(survivor, []).append((own, produced, theirs))
        self.now[survivor] = produced
        return produced


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(CONTENTS, min_size=4, max_size=4), st.permutations(range(4)))
def test_any_order_of_merges_gives_the_same_content(contents: list[dict[str, Any]], ages: list[int]) -> None:
    ways = (
        [(0, [1, 2, 3])],
        [(0, [3, 1, 2])],
        [(0, [1]), (0, [2]), (0, [3])],
        [(0, [3]), (0, [2]), (0, [1])],
        [(2, [3]), (1, [2]), (0, [1])],
        [(1, [2]), (0, [3]), (0, [1])],
        [(3, [1, 2]), (0, [3])],
    )
    results = []
    for way in ways:
        desk = Desk(contents, list(ages))
        for survivor, retired in way:
            result = desk.merge(survivor, retired)
        results.append(result)
    assert all(result == results[0] for result in results[1:])


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(CONTENTS, min_size=3, max_size=3))
def test_nothing_is_lost_and_nothing_widened(contents: list[dict[str, Any]]) -> None:
    desk = Desk(contents, [0, 1, 2])
    result = desk.merge(0, [1, 2])
    for name in SCALARS:
        values = [content[name] for content in contents if content[name] is not None]
        assert (result[name] is None) == (not values)
        if contents[0][name] is not None:
            assert result[name] == contents[0][name]
    assert result["do_not_contact"] == any(content["do_not_contact"] for content in contents)
    addresses = {item["address"].casefold() for content in contents for item in content["emails"]}
    assert {item["address"].casefold() for item in result["emails"]} == addresses
    assert len(result["emails"]) == len(addresses)
    assert sum(item["is_primary"] for item in result["emails"]) == min(1, len(addresses))
    refused = {i["address"].casefold() for c in contents for i in c["emails"] if i["status"] == "opted_out"}
    assert {i["address"].casefold() for i in result["emails"] if i["status"] == "opted_out"} == refused
    if contents[0]["emails"]:
        (primary,) = [item for item in result["emails"] if item["is_primary"]]
        assert primary["address"] == contents[0]["emails"][0]["address"]
    assert set(result["tags"]) == {tag for content in contents for tag in content["tags"]}


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(CONTENTS, min_size=2, max_size=2), CONTENTS, st.sets(st.sampled_from(CONTENT)))
def test_taking_back_keeps_what_was_changed_since(
    contents: list[dict[str, Any]], later: dict[str, Any], changed: set[str]
) -> None:
    produced = Desk(contents, [0, 1]).merge(0, [1])
    assert taken_back(contents[0], produced, produced) == contents[0]
    now = {**produced, **{name: later[name] for name in changed & set(SCALARS)}}
    back = taken_back(contents[0], produced, now)
    for name in SCALARS:
        assert back[name] == (contents[0][name] if now[name] == produced[name] else now[name])


async def test_any_order_over_http(world: World) -> None:
    """Three contacts, each way to make them one that leaves the first: the same contact."""
    bodies = [
        {"given_name": "Олена", "emails": [{"address": "a@example.org"}], "tags": ["x"]},
        {"given_name": "Olena", "family_name": "Bondar", "emails": [{"address": "b@example.org"}], "language": "en"},
        {"family_name": "Шевченко", "phones": [{"number": "+380501234567"}], "language": "uk", "tags": ["y", "x"]},
    ]
    ways = ([(0, [1, 2])], [(0, [2]), (0, [1])], [(1, [2]), (0, [1])], [(2, [1]), (0, [2])])
    seen = []
    for way in ways:
        ids = [(await world.post("/v1/contacts", body))["id"] for body in bodies]
        for survivor, retired in way:
            await world.post(f"/v1/contacts/{ids[survivor]}/merge", {"from": [ids[one] for one in retired]})
        contact = await world.get(f"/v1/contacts/{ids[0]}")
        for name in ("id", "version", "created_at", "updated_at"):
            contact.pop(name)
        seen.append(contact)
    assert all(contact == seen[0] for contact in seen[1:])
    assert (seen[0]["family_name"], seen[0]["language"]) == ("Bondar", "en")
