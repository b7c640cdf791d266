"""Stories of relationships over HTTP: one row, read from both sides with the right name."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from crm_api.contacts.relationships.defaults import DEFAULTS
from crm_api.kit.ids import new_id
from tests.conftest import MakeWorld
from tests.support.world import World


async def person(world: World, name: str) -> str:
    """A person's id."""
    return str((await world.post("/v1/contacts", {"given_name": name}))["id"])


async def fund(world: World, name: str = "Red Cross") -> str:
    """An organization's id."""
    return str((await world.post("/v1/contacts", {"kind": "organization", "organization_name": name}))["id"])


async def relate(world: World, kind: str, one: str, other: str, *, expect: int = 201, **more: Any) -> Any:
    """`one` is `kind` of `other`."""
    body = {"type": kind, "from_contact_id": one, "to_contact_id": other, **more}
    return await world.post("/v1/relationships", body, expect=expect)


async def of(world: World, contact: str, **query: Any) -> list[dict[str, Any]]:
    """Relationships of a contact."""
    found: list[dict[str, Any]] = (await world.get("/v1/relationships", params={"contact_id": contact, **query}))[
        "data"
    ]
    return found


async def test_one_relationship_is_read_from_both_sides(world: World) -> None:
    olena, ira = await person(world, "Олена"), await person(world, "Іра")
    made = await relate(world, "parent", olena, ira, since="2010-05-01", note="adopted")
    assert (made["name"], made["reciprocal_name"], made["kind"]) == ("parent of", "child of", "personal")
    assert (made["from_name"], made["to_name"]) == ("Олена", "Іра")
    assert await of(world, olena) == await of(world, ira) == [made]
    assert await world.get(f"/v1/relationships/{made['id']}") == made
    ended = await world.patch(f"/v1/relationships/{made['id']}", {"until": "2020-05-01", "note": None})
    assert (ended["until"], ended["note"], ended["version"], ended["name"]) == ("2020-05-01", None, 2, "parent of")
    await world.call("DELETE", f"/v1/relationships/{made['id']}", expect=204)
    assert await of(world, olena) == []


async def test_the_list_of_a_contact_pages_through_both_sides(world: World) -> None:
    centre = await person(world, "Centre")
    made = []
    for number in range(5):
        other = await person(world, str(number))
        pair = (centre, other) if number % 2 else (other, centre)
        made.append((await relate(world, "friend", *pair))["id"])
    await relate(world, "friend", await person(world, "x"), await person(world, "y"))
    seen, cursor = [], None
    while True:
        query = {"contact_id": centre, "limit": 2, "include_total": "true", **({"cursor": cursor} if cursor else {})}
        page = await world.get("/v1/relationships", params=query)
        assert page["total"] == 5
        seen += [one["id"] for one in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == made[::-1]


async def test_the_list_of_a_contact_is_two_index_scans(
    world: World, owner: asyncpg.Connection, service_role: asyncpg.Connection
) -> None:
    """Chosen by the planner, not forced: among thousands of relationships a contact's own are two ranges."""
    from crm_api.contacts.relationships import service
    from crm_api.contacts.relationships.fields import RELATIONSHIPS
    from crm_api.kit.listing import _statement, parse_list_query, values_of

    contact = await person(world, "Centre")
    await relate(world, "friend", contact, await person(world, "Other"))
    await owner.execute(f"SET crm.organization_id = '{world.id}'")
    await owner.execute(
        "INSERT INTO contacts (organization_id, id, kind, display_name, created_at, updated_at) "
        "SELECT $1, uuidv7(), 'person', n::text, now(), now() FROM generate_series(1, 3000) n",
        world.id,
    )
    await owner.execute(
        "INSERT INTO relationships SELECT (jsonb_populate_record(r, jsonb_build_object('id', uuidv7(), "
        "'from_contact_id', a.id, 'to_contact_id', b.id))).* FROM relationships r, "
        "(SELECT id, row_number() OVER (ORDER BY id) AS n FROM contacts WHERE display_name <> 'Centre') a JOIN "
        "(SELECT id, row_number() OVER (ORDER BY id) AS n FROM contacts WHERE display_name <> 'Centre') b ON b.n = a.n + 1"
    )
    await owner.execute("ANALYZE relationships; ANALYZE contacts; ANALYZE relationship_types")
    query = parse_list_query(RELATIONSHIPS, [("contact_id", contact)], path="/v1/relationships")
    statement = _statement(RELATIONSHIPS, query, service.COLUMNS, "page")
    values = {**values_of(query), "organization_id": world.id, "row_limit": 51}
    async with service_role.transaction():
        await service_role.execute(f"SET LOCAL crm.organization_id = '{world.id}'")
        rows = await service_role.fetch(f"EXPLAIN {statement.sql}", *statement.arguments(values))
    plan = "\n".join(row[0] for row in rows)
    assert "Seq Scan" not in plan.replace("Seq Scan on relationship_types", ""), plan  # a dozen types fill one page
    for side in ("from_contact_id", "to_contact_id"):
        assert any("Index Cond" in line and f"({side} = " in line for line in plan.splitlines()), plan


async def test_the_same_is_not_said_twice_nor_the_other_way_round(world: World) -> None:
    a, b = await person(world, "A"), await person(world, "B")
    for kind in ("spouse", "parent"):
        await relate(world, kind, a, b)
        assert (await relate(world, kind, a, b, expect=409))["code"] == "already_exists"
        assert (await relate(world, kind, b, a, expect=409))["code"] == "already_exists"
    await relate(world, "spouse", a, b, since="1999-01-01", until="2005-01-01")  # an earlier marriage
    assert (await relate(world, "friend", a, a, expect=409))["code"] == "same_contact"
    for mistake in ({"until": "1998-01-01", "since": "1999-01-01"}, {"since": 946684800}):
        await relate(world, "friend", a, b, expect=422, **mistake)


async def test_two_who_say_opposite_things_at_once(world: World) -> None:
    a, b = await person(world, "A"), await person(world, "B")
    bodies = [{"type": "parent", "from_contact_id": one, "to_contact_id": other} for one, other in ((a, b), (b, a))] * 3
    answers = await asyncio.gather(*(world.client.post("/v1/relationships", json=body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 5


async def test_affiliations_lead_from_a_person_to_an_organization(world: World) -> None:
    olena, cross, school = await person(world, "Олена"), await fund(world), await fund(world, "School")
    job = await relate(world, "employee", olena, cross, job_title="Director", is_primary=True)
    assert (job["kind"], job["job_title"], job["is_primary"]) == ("affiliation", "Director", True)
    board = await relate(world, "board_member", olena, school, is_primary=True)
    assert board["is_primary"]
    listed = await of(world, olena, kind="affiliation")
    assert [(one["id"], one["is_primary"]) for one in listed] == [(board["id"], True), (job["id"], False)]
    again = await world.patch(f"/v1/relationships/{job['id']}", {"is_primary": True})
    assert again["is_primary"]
    assert not (await world.get(f"/v1/relationships/{board['id']}"))["is_primary"]
    assert await of(world, cross) == [again]
    said = await relate(world, "employee", cross, olena, expect=409)
    assert (said["code"], said["errors"][0]["pointer"]) == ("ends_mismatch", "/from_contact_id")
    assert (await relate(world, "friend", olena, cross, expect=409))["code"] == "ends_mismatch"
    other = await person(world, "Іра")
    assert (await relate(world, "friend", olena, other, job_title="x", expect=409))["code"] == "not_an_affiliation"
    friend = await relate(world, "friend", olena, other)
    assert await of(world, olena, kind="personal") == [friend]
    await world.patch(f"/v1/relationships/{friend['id']}", {"is_primary": True}, expect=409)


async def test_relationships_of_strangers_are_refused(make_world: MakeWorld) -> None:
    world, other = await make_world(), await make_world()
    mine, theirs = await person(world, "A"), await person(other, "B")
    for pair, pointer in (((mine, theirs), "/to_contact_id"), ((theirs, mine), "/from_contact_id")):
        said = await relate(world, "friend", *pair, expect=404)
        assert said["errors"][0]["pointer"] == pointer
    assert (await relate(world, "nemesis", mine, str(new_id()), expect=404))["errors"][0]["pointer"] == "/type"


async def test_an_organization_begins_with_types_in_its_language(make_world: MakeWorld) -> None:
    english, ukrainian = await make_world(), await make_world(language="uk")
    listed = (await english.get("/v1/relationship-types"))["data"]
    assert [one["code"] for one in listed] == [one.code for one in DEFAULTS]
    assert {one["code"] for one in listed if one["is_symmetric"]} >= {"spouse", "sibling", "friend", "partner"}
    uk = {one["code"]: one for one in (await ukrainian.get("/v1/relationship-types"))["data"]}
    assert (uk["parent"]["name"], uk["parent"]["reciprocal_name"]) == ("батько / мати", "дитина")
    made = await relate(ukrainian, "parent", await person(ukrainian, "A"), await person(ukrainian, "B"))
    assert made["reciprocal_name"] == "дитина"


async def test_own_types_are_added_renamed_archived_and_removed(world: World) -> None:
    body = {"code": "godparent", "name": "godparent of", "reciprocal_name": "godchild of"}
    made = await world.post("/v1/relationship-types", body)
    path = f"/v1/relationship-types/{made['id']}"
    assert (made["from_kind"], made["to_kind"], made["is_symmetric"]) == ("person", "person", False)
    await world.post("/v1/relationship-types", body, expect=409)
    a, b = await person(world, "A"), await person(world, "B")
    related = await relate(world, "godparent", a, b)
    await world.patch(
        path, {"name": "godmother of", "names": {"en": {"name": "sponsor of", "reciprocal_name": "sponsored by"}}}
    )
    assert (await world.get(f"/v1/relationships/{related['id']}"))["name"] == "sponsor of"
    assert (await world.call("DELETE", path, expect=409))["code"] == "type_in_use"
    await world.patch(path, {"status": "archived"})
    assert (await relate(world, "godparent", b, await person(world, "C"), expect=409))["code"] == "type_archived"
    await world.call("DELETE", f"/v1/relationships/{related['id']}", expect=204)
    await world.call("DELETE", path, expect=204)
    friend = next(one for one in (await world.get("/v1/relationship-types"))["data"] if one["code"] == "friend")
    said = await world.patch(f"/v1/relationship-types/{friend['id']}", {"name": "pal of"}, expect=409)
    assert said["code"] == "type_is_symmetric"
    affiliation = {**body, "code": "patron", "kind": "affiliation"}
    assert (await world.post("/v1/relationship-types", affiliation))["to_kind"] == "organization"
    wrong = {**affiliation, "code": "other", "to_kind": "person"}
    assert (await world.post("/v1/relationship-types", wrong, expect=409))["code"] == "ends_mismatch"


@pytest.mark.parametrize("one", DEFAULTS, ids=lambda one: one.code)
def test_every_type_to_begin_with_is_reciprocal_in_every_language(one: Any) -> None:
    """Read twice from the other side it is itself again: both sides are named, alike in all languages or in none."""
    assert one.names.keys() == {"en", "uk", "ru", "ka", "ar"}
    assert all(name and reciprocal for name, reciprocal in one.names.values())
    assert {name == reciprocal for name, reciprocal in one.names.values()} == {one.symmetric}
    assert not one.symmetric or one.from_kind == one.to_kind
    assert (one.kind == "affiliation") == (one.to_kind == "organization")


async def test_a_merge_leaves_no_relationship_of_somebody_with_themself(world: World) -> None:
    a, b, c = [await person(world, name) for name in "ABC"]
    await relate(world, "friend", a, b)
    kept = await relate(world, "parent", b, c)
    await world.call("POST", f"/v1/contacts/{a}/merge", expect=201, json={"from": [b]})
    await world.drain()
    assert [(one["id"], one["from_contact_id"]) for one in await of(world, a)] == [(kept["id"], a)]
