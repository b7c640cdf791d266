"""The contact's record: every part of it kept as it was said, in any script, and refused where it cannot be true."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_api.contacts import roles
from crm_api.kit.problems import Invalid
from tests.support.world import World

WHOLE: dict[str, Any] = {
    "kind": "person",
    "given_name": "Олена",
    "middle_name": "Іванівна",
    "family_name": "Шевченко",
    "other_names": [
        {"type": "maiden", "family_name": "Коваленко"},
        {"type": "native", "given_name": "ოლენა", "family_name": "შევჩენკო"},
    ],
    "salutation": "Пані",
    "formal_greeting": "Вельмишановна пані Олено",
    "informal_greeting": "Оленко",
    "emails": [
        {"address": "office@example.org", "label": "work"},
        {"address": "olena@example.org", "label": "home", "is_primary": True, "status": "bouncing"},
    ],
    "phones": [{"number": "+380 (50) 123-45-67", "label": "mobile", "status": "opted_out"}],
    "addresses": [
        {"line1": "Хрещатик 1", "city": "Київ", "postal_code": "01001", "country": "UA", "status": "verified"},
        {"city": "Tbilisi", "country": "GE", "season_from": "06-01", "season_until": "08-31"},
    ],
    "handles": [{"network": "telegram", "handle": "olena_sh"}, {"network": "signal", "handle": "+380501234567"}],
    "language": "uk",
    "timezone": "Europe/Kyiv",
    "birth_date": "--05-17",
    "gender": "female",
    "preferred_channel": "telegram",
    "tags": ["friend", "друзі"],
    "role_details": [
        {"role": "volunteer", "stage": "former", "since": "2020-02-01", "until": "2021-02-01"},
        {"role": "partner", "stage": "prospect", "since": "2026-01-01"},
    ],
    "external_ids": [{"system": "old-crm", "id": "42"}, {"system": "mail", "id": "a/b"}],
    "deceased_on": None,
    "source": {"channel": "website", "referrer": "https://example.org/help", "utm_campaign": "winter"},
}


async def test_the_whole_record_comes_back_as_it_was_said(world: World) -> None:
    made = await world.post("/v1/contacts", WHOLE)
    found = await world.get(f"/v1/contacts/{made['id']}")
    assert found == made
    assert found["display_name"] == "Олена Іванівна Шевченко"
    assert found["latin_name"] == "Olena Ivanivna Shevchenko"
    for name in ("salutation", "formal_greeting", "informal_greeting", "language", "timezone", "birth_date", "gender",
                 "preferred_channel", "tags", "external_ids"):  # fmt: skip
        assert found[name] == WHOLE[name], name
    assert [item["is_primary"] for item in found["emails"]] == [False, True]
    assert [item["status"] for item in found["emails"]] == ["valid", "bouncing"]
    assert found["phones"] == [
        {"number": "+380501234567", "label": "mobile", "is_primary": True, "status": "opted_out"}
    ]
    assert found["addresses"][0]["status"] == "verified"
    assert (found["addresses"][1]["season_from"], found["addresses"][1]["season_until"]) == ("06-01", "08-31")
    assert [item["handle"] for item in found["handles"]] == ["olena_sh", "+380501234567"]
    assert found["roles"] == ["partner"]
    assert [item["role"] for item in found["role_details"]] == ["volunteer", "partner"]
    assert found["source"]["channel"] == "website"
    assert found["source"]["utm_campaign"] == "winter"
    assert found["source"]["utm_source"] is None


async def test_a_latin_name_of_ones_own_goes_before_transliteration(world: World) -> None:
    body = {"given_name": "Юлія", "family_name": "Щур", "language": "uk"}
    assert (await world.post("/v1/contacts", body))["latin_name"] == "Yuliia Shchur"
    own = {**body, "other_names": [{"type": "latin", "given_name": "Julia", "family_name": "Schur"}]}
    contact = await world.post("/v1/contacts", own)
    assert contact["latin_name"] == "Julia Schur"
    changed = await world.patch(f"/v1/contacts/{contact['id']}", {"other_names": []})
    assert changed["latin_name"] == "Yuliia Shchur"


@pytest.mark.parametrize("birth_date", ["1980-05-17", "1980-05", "1980", "--02-29"])
async def test_a_birth_date_may_be_known_in_part(world: World, birth_date: str) -> None:
    assert (await world.contact(birth_date=birth_date))["birth_date"] == birth_date


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"birth_date": "1980-13"}, "/birth_date"),
        ({"birth_date": "17.05.1980"}, "/birth_date"),
        ({"birth_date": "--02-30"}, "/birth_date"),
        ({"birth_date": "١٩٨٠"}, "/birth_date"),
        ({"addresses": [{"city": "Kyiv", "season_from": "05-01"}]}, "/addresses/0"),
        ({"addresses": [{"city": "Kyiv", "season_from": "05-41", "season_until": "06-01"}]}, "/addresses/0/season_from"),
        ({"handles": [{"network": "telegram", "handle": "two words"}]}, "/handles/0/handle"),
        ({"other_names": [{"type": "maiden"}]}, "/other_names/0"),
        ({"timezone": "Europe/Nowhere"}, "/timezone"),
        ({"preferred_channel": "pigeon"}, "/preferred_channel"),
        ({"roles": ["astronaut"]}, "/roles"),
        ({"role_details": [{"role": "donor", "since": "2026-02-01", "until": "2026-01-01"}]}, "/role_details/0"),
        ({"role_details": [{"role": "donor"}, {"role": "donor", "stage": "lapsed"}]}, "/role_details/1/role"),
        ({"roles": ["donor"], "role_details": [{"role": "donor"}]}, ""),
        ({"phones": [{"number": "050 123"}]}, "/phones/0/number"),
    ],
)  # fmt: skip
async def test_what_cannot_be_true_is_refused_where_it_stands(
    world: World, changes: dict[str, Any], pointer: str
) -> None:
    answer = await world.post("/v1/contacts", {"given_name": "Олена", **changes}, expect=422)
    assert pointer in {error["pointer"] for error in answer["errors"]}, answer
    assert (await world.get("/v1/contacts"))["data"] == []


async def test_roles_begin_and_end_with_their_names(world: World) -> None:
    contact = await world.contact(roles=["volunteer"])
    assert contact["roles"] == ["volunteer"]
    today = contact["created_at"][:10]
    assert contact["role_details"] == [{"role": "volunteer", "stage": "active", "since": today, "until": None}]
    contact = await world.patch(f"/v1/contacts/{contact['id']}", {"roles": ["member"]})
    assert contact["roles"] == ["member"]
    assert [(item["role"], item["until"]) for item in contact["role_details"]] == [
        ("volunteer", today),
        ("member", None),
    ]
    assert (await world.get("/v1/contacts", params={"role": "volunteer"}))["data"] == []
    (found,) = (await world.get("/v1/contacts", params={"role": "member"}))["data"]
    assert found["id"] == contact["id"]
    contact = await world.patch(f"/v1/contacts/{contact['id']}", {"roles": None})
    assert contact["roles"] == []


async def test_a_gift_makes_a_donor(world: World) -> None:
    contact = await world.contact(roles=["volunteer"])
    await world.donation(contact["id"])
    await world.drain()
    contact = await world.get(f"/v1/contacts/{contact['id']}")
    assert contact["roles"] == ["volunteer", "donor"]
    assert [(item["role"], item["stage"]) for item in contact["role_details"]] == [
        ("volunteer", "active"),
        ("donor", "active"),
    ]


async def test_an_organization_names_its_own_roles(world: World) -> None:
    organization = await world.get("/v1/organization")
    assert "volunteer" in organization["contact_roles"]
    refused = await world.contact_refused(roles=["ambassador"])
    assert "PATCH /v1/organization" in refused["errors"][0]["detail"]
    await world.patch("/v1/organization", {"contact_roles": ["donor", "ambassador"]})
    assert (await world.contact(roles=["ambassador"]))["roles"] == ["ambassador"]
    assert (await world.get("/v1/organization"))["contact_roles"] == ["donor", "ambassador"]
    assert await world.patch("/v1/organization", {"contact_roles": ["ambassador"]}, expect=422)


async def test_an_owner_is_a_member(world: World) -> None:
    member = await world.post("/v1/members", {"email": "iryna@example.org", "role": "fundraiser"})
    contact = await world.contact(owner_member_id=member["id"])
    assert contact["owner_member_id"] == member["id"]
    other = await world.contact()
    answer = await world.post("/v1/contacts", {"given_name": "Ірина", "owner_member_id": other["id"]}, expect=404)
    assert answer["errors"][0]["pointer"] == "/owner_member_id"


async def test_a_day_of_death_says_that_somebody_died(world: World) -> None:
    contact = await world.contact(deceased_on="2025-03-01")
    assert contact["deceased"]
    contact = await world.patch(f"/v1/contacts/{contact['id']}", {"deceased": False})
    assert contact["deceased_on"] is None
    contact = await world.patch(f"/v1/contacts/{contact['id']}", {"deceased_on": "2025-03-02"})
    assert contact["deceased"]


async def test_the_first_touch_stays_the_first(world: World) -> None:
    url = "/v1/contacts/by-external-id/shop/7"
    body = {"given_name": "Олена", "source": {"channel": "shop"}}
    assert (await world.put(url, body, expect=201))["source"]["channel"] == "shop"
    again = await world.put(url, {**body, "source": {"channel": "newsletter"}})
    assert again["source"]["channel"] == "shop"
    assert (await world.contact())["source"]["channel"] == "api"


DETAILS = st.lists(
    st.fixed_dictionaries(
        {
            "role": st.sampled_from(["donor", "volunteer", "member"]),
            "stage": st.just("active"),
            "since": st.none(),
            "until": st.sampled_from([None, "2026-01-01", "2027-01-01"]),
        }
    ),
    max_size=6,
)


@given(DETAILS, st.lists(st.sampled_from(["donor", "volunteer", "staff"]), max_size=3))
def test_names_say_exactly_what_is_current(before: list[dict[str, Any]], names: list[str]) -> None:
    after = roles.from_names(names, before, "2026-06-01")
    assert set(roles.current(after, "2026-06-01")) == set(names)
    assert len(after) >= len(before), "nothing of the past is forgotten"


@given(DETAILS)
def test_no_role_is_open_twice(details: list[dict[str, Any]]) -> None:
    try:
        kept = roles.tidy(details)
    except Invalid:
        return
    for role in ("donor", "volunteer", "member"):
        assert sum(item["role"] == role and item["until"] is None for item in kept) <= 1
