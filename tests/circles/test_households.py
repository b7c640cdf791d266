"""Stories of households over HTTP: who belongs to them, and what they are called when something changes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.conftest import MakeWorld
from tests.support.world import World

NAMES = ("name", "formal_greeting", "informal_greeting")


async def person(world: World, name: str, **more: Any) -> str:
    """A person's id."""
    given, family = name.split()
    contact = await world.post("/v1/contacts", {"given_name": given, "family_name": family, **more})
    return str(contact["id"])


async def household(world: World, *contacts: str, **more: Any) -> Any:
    """A household of these contacts."""
    return await world.post("/v1/households", {"members": [{"contact_id": one} for one in contacts], **more})


def called(found: Any) -> tuple[str, ...]:
    return tuple(found[name] for name in NAMES)


def primary(found: Any) -> str:
    (one,) = [member["contact_id"] for member in found["members"] if member["is_primary"]]
    return str(one)


async def test_a_household_is_named_after_its_members_and_follows_them(world: World) -> None:
    olena, andriy = await person(world, "Олена Ковальська", language="uk"), await person(world, "Андрій Ковальський")
    made = await household(world, olena, andriy)
    path = f"/v1/households/{made['id']}"
    assert called(made) == ("Родина Ковальських", "Олено Ковальська та Андрію Ковальський", "Олено та Андрію")
    assert (made["version"], primary(made), made["name_auto"]) == (1, olena, True)
    await world.patch(f"/v1/contacts/{andriy}", {"given_name": "Петро"})
    await world.patch(f"/v1/contacts/{olena}", {"tags": ["friend"]})
    await world.drain()
    after = await world.get(path)
    assert (after["informal_greeting"], after["version"]) == ("Олено та Петре", 2)
    await world.patch(f"/v1/contacts/{olena}", {"deceased": True})
    await world.drain()
    assert called(await world.get(path)) == ("Родина Ковальських", "Петре Ковальський", "Петре")
    await world.patch(f"/v1/contacts/{andriy}", {"deceased": True})
    await world.drain()
    gone = await world.get(path)
    assert (*called(gone), gone["all_deceased"]) == ("Родина Ковальських", None, None, True)


async def test_what_is_fixed_by_hand_stays_until_it_is_given_back(world: World) -> None:
    made = await household(world, await person(world, "John Smith"), name="The Smiths of Kyiv")
    path = f"/v1/households/{made['id']}"
    assert (called(made), made["name_auto"]) == (("The Smiths of Kyiv", "John Smith", "John"), False)
    await world.post(f"{path}/members", {"contact_id": await person(world, "Mary Jones")})
    assert called(await world.get(path)) == ("The Smiths of Kyiv", "John Smith and Mary Jones", "John and Mary")
    fixed = await world.patch(path, {"informal_greeting": "J & M", "name": None})
    assert called(fixed) == ("Smith and Jones Household", "John Smith and Mary Jones", "J & M")
    assert (fixed["name_auto"], fixed["informal_greeting_auto"], fixed["version"]) == (True, False, 3)


async def test_children_are_not_greeted_unless_somebody_says_so(world: World) -> None:
    parent, child = await person(world, "Ann Lee"), await person(world, "Tim Lee")
    body = {"members": [{"contact_id": parent, "role": "head"}, {"contact_id": child, "role": "child"}]}
    made = await world.post("/v1/households", body)
    assert made["informal_greeting"] == "Ann"
    await world.patch(f"/v1/households/{made['id']}/members/{child}", {"in_greetings": True})
    assert (await world.get(f"/v1/households/{made['id']}"))["informal_greeting"] == "Ann and Tim"
    await world.patch(f"/v1/households/{made['id']}/members/{parent}", {"in_greetings": False})
    assert (await world.get(f"/v1/households/{made['id']}"))["informal_greeting"] == "Tim"


async def test_there_is_always_exactly_one_primary_member(world: World) -> None:
    a, b, c = [await person(world, f"{name} Lee") for name in ("A", "B", "C")]
    made = await household(world, a, b, c)
    path = f"/v1/households/{made['id']}"
    await world.patch(f"{path}/members/{b}", {"is_primary": True})
    assert primary(await world.get(path)) == b
    await world.call("DELETE", f"{path}/members/{b}", expect=204)
    assert primary(await world.get(path)) == a
    await world.patch(f"{path}/members/{a}", {"is_primary": False}, expect=422)
    await world.post(f"{path}/members", {"contact_id": c, "is_primary": True})
    assert primary(await world.get(path)) == c
    two = {"members": [{"contact_id": a, "is_primary": True, "move": True}, {"contact_id": b, "is_primary": True}]}
    assert (await world.post("/v1/households", two, expect=409))["code"] == "several_primary_members"


async def test_a_contact_belongs_to_one_household_and_its_history_is_kept(world: World) -> None:
    a, b = await person(world, "Ann Lee"), await person(world, "Bob Lee")
    first = await household(world, a, b)
    body = {"members": [{"contact_id": b}]}
    said = await world.post("/v1/households", body, expect=409)
    assert (said["code"], said["errors"][0]["pointer"]) == ("in_another_household", "/members/0/contact_id")
    body["members"][0]["move"] = True  # type: ignore[assignment]
    second = await world.post("/v1/households", body)
    assert (await world.get(f"/v1/households/{first['id']}"))["informal_greeting"] == "Ann"
    assert [one["id"] for one in (await world.get("/v1/households", params={"contact_id": b}))["data"]] == [
        second["id"]
    ]
    ever = (await world.get("/v1/households", params={"ever_contact_id": b}))["data"]
    assert [one["id"] for one in ever] == [second["id"], first["id"]]
    history = (await world.get(f"/v1/households/{first['id']}/members"))["data"]
    assert {one["contact_id"]: one["until"] is None for one in history} == {a: True, b: False}
    await world.get(f"/v1/households/{first['id']}/members/{b}", expect=404)
    await world.patch(f"/v1/households/{second['id']}", {"status": "dissolved"})
    assert (await world.get("/v1/households", params={"contact_id": b}))["data"] == []
    await world.post(f"/v1/households/{second['id']}/members", {"contact_id": b}, expect=409)


async def test_two_households_cannot_have_one_person_at_once(world: World) -> None:
    a = await person(world, "Ann Lee")
    body = {"members": [{"contact_id": a}]}
    answers = await asyncio.gather(*(world.client.post("/v1/households", json=body) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 5


async def test_organizations_and_strangers_belong_to_no_household(make_world: MakeWorld) -> None:
    world, other = await make_world(), await make_world()
    fund = await world.post("/v1/contacts", {"kind": "organization", "organization_name": "Fund"})
    for contact, status, code in (
        (fund["id"], 409, "not_a_person"),
        (await person(other, "Ann Lee"), 404, "reference_not_found"),
    ):
        said = await world.post("/v1/households", {"members": [{"contact_id": contact}]}, expect=status)
        assert said["code"] == code
    twice = {"members": [{"contact_id": fund["id"]}] * 2}
    assert (await world.post("/v1/households", twice, expect=409))["code"] == "member_twice"


async def test_a_household_that_was_a_mistake_is_gone(world: World) -> None:
    a = await person(world, "Ann Lee")
    made = await household(world, a, address={"city": "Kyiv", "country": "UA"})
    assert made["address"]["city"] == "Kyiv"
    await world.call("DELETE", f"/v1/households/{made['id']}", expect=204)
    await world.get(f"/v1/households/{made['id']}", expect=404)
    await household(world, a)


async def test_an_own_pattern_names_every_household_of_its_language(world: World) -> None:
    made = await household(world, await person(world, "Ann Lee"), await person(world, "Bob Lee"))
    uk = await household(world, await person(world, "Олена Лі"), language="uk")
    body = {"name": "The {families} Family|{names}", "conjunction": " & "}
    put = await world.put("/v1/household-patterns/en", body)
    assert (put["is_default"], put["informal_greeting"]) == (False, "{given}|{name}")
    await world.drain()
    assert called(await world.get(f"/v1/households/{made['id']}")) == ("The Lee Family", "Ann & Bob Lee", "Ann & Bob")
    assert (await world.get(f"/v1/households/{uk['id']}"))["name"] == "Родина Лі"
    listed = {one["language"]: one["is_default"] for one in (await world.get("/v1/household-patterns"))["data"]}
    assert (listed["en"], listed["ka"]) == (False, True)
    assert (await world.put("/v1/household-patterns/en", {}))["is_default"]
    await world.drain()
    assert (await world.get(f"/v1/households/{made['id']}"))["name"] == "Lee Household"
    await world.put("/v1/household-patterns/en", {"name": "{given} Family"}, expect=422)


async def test_a_merge_of_two_members_leaves_one(world: World) -> None:
    a, b = await person(world, "Ann Lee"), await person(world, "Anne Lee")
    made = await household(world, b, a)
    await world.call("POST", f"/v1/contacts/{a}/merge", expect=201, json={"from": [b]})
    await world.drain()
    after = await world.get(f"/v1/households/{made['id']}")
    assert ([one["contact_id"] for one in after["members"]], primary(after)) == ([a], a)
    assert after["informal_greeting"] == "Ann"


@pytest.mark.parametrize("name", ["The Lees", None])
async def test_an_erased_member_is_named_nowhere(world: World, name: str | None) -> None:
    a, b = await person(world, "Ann Zqlee"), await person(world, "Bob Stone")
    made = await household(world, a, b, **({"name": f"{name} Zqlee"} if name else {}))
    await world.call("POST", f"/v1/contacts/{a}/erasure", expect=202, json={"confirm": True})
    await world.drain()
    after = await world.get(f"/v1/households/{made['id']}")
    assert called(after) == ("Stone Household", "Bob Stone", "Bob")
    assert primary(after) == b
