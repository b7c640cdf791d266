"""Stories of custom fields over HTTP: define, fill in, filter, protect, archive, erase."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from crm_api.contacts.custom_fields import walk
from tests.conftest import MakeWorld
from tests.support.world import World

SENSITIVE = {"sensitivity": "beneficiary_sensitive"}


async def define(world: World, key: str, kind: str = "text", **more: Any) -> Any:
    """Define a field of contacts."""
    return await world.post("/v1/custom-fields", {"key": key, "label": key.title(), "type": kind, **more})


async def settled(world: World, field: Any) -> Any:
    """The field once its walk has ended. The walk waits for transactions of other tests too: they share a server."""
    for _ in range(200):
        await world.drain()
        shown = await world.get(f"/v1/custom-fields/{field['id']}")
        if shown["run"] is None or shown["run"]["state"] not in {"queued", "running"}:
            assert shown["run"] is None or (shown["run"]["state"], shown["run"]["progress"]) == ("succeeded", 1.0)
            return shown
        await asyncio.sleep(0.05)
    raise AssertionError(shown)


async def names(world: World, **query: Any) -> list[str]:
    """Given names of the contacts a list gives, oldest first."""
    page = await world.get("/v1/contacts", params={**query, "sort": "id"})
    return [one["given_name"] for one in page["data"]]


async def without(world: World, *scopes: str) -> dict[str, str]:
    """Headers of a key with these scopes only."""
    key = await world.post("/v1/api-keys", {"name": "Donors only", "scopes": list(scopes)})
    return {"Authorization": f"Bearer {key['key']}"}


async def test_a_field_is_defined_filled_in_and_filtered_by_at_once(world: World) -> None:
    size = await define(
        world,
        "shirt_size",
        "choice",
        filterable=True,
        choices=[{"code": "s", "label": "S"}, {"code": "m", "label": "M"}],
    )
    assert (size["indexing"], size["run"], size["status"]) == ("ready", None, "active")
    await world.contact(given_name="Small", custom={"shirt_size": "s"})
    medium = await world.contact(given_name="Medium", custom={"shirt_size": "m"})
    await world.contact(given_name="None", custom={})
    assert medium["custom"] == {"shirt_size": "m"}
    assert await names(world, **{"custom.shirt_size": "m"}) == ["Medium"]
    assert await names(world, **{"custom.shirt_size[in]": "s,m"}) == ["Small", "Medium"]
    await world.patch(f"/v1/contacts/{medium['id']}", {"custom": {"shirt_size": "s"}})
    assert await names(world, **{"custom.shirt_size": "s"}) == ["Small", "Medium"]
    assert await names(world, **{"custom.shirt_size": "m"}) == []
    await world.patch(f"/v1/contacts/{medium['id']}", {"family_name": "Other"})
    assert await names(world, **{"custom.shirt_size": "s"}) == ["Small", "Medium"]
    await world.patch(f"/v1/contacts/{medium['id']}", {"custom": {"shirt_size": None}})
    assert await names(world, **{"custom.shirt_size": "s"}) == ["Small"]


async def test_choices_named_by_their_codes_alone(world: World) -> None:
    choices = ["uk", {"code": "en", "label": "English"}]
    field = await define(world, "languages", "multi_choice", filterable=True, choices=choices)
    assert [(one["code"], one["label"]) for one in field["choices"]] == [("uk", "uk"), ("en", "English")]
    await world.contact(given_name="Both", custom={"languages": ["uk", "en"]})
    assert await names(world, **{"custom.languages": "uk"}) == ["Both"]


async def test_every_type_is_compared_in_its_own_order(world: World) -> None:
    for key, kind in (("age", "number"), ("met", "date"), ("grant", "money"), ("tall", "boolean"), ("word", "text")):
        await define(world, key, kind, filterable=True)
    await define(world, "friend", "reference", filterable=True)
    langs = [{"code": code, "label": code} for code in ("uk", "ka", "ar")]
    await define(world, "speaks", "multi_choice", filterable=True, choices=langs)
    uah, usd = ({"amount": 900, "currency": "UAH"}, {"amount": 90, "currency": "USD"})
    a = await world.contact(given_name="A", custom={"age": -2, "met": "1999-12-31", "grant": uah, "tall": True})
    await world.contact(given_name="B", custom={"age": 2.5, "met": "2000-01-01", "grant": usd, "word": "Київ Центр"})
    await world.contact(given_name="C", custom={"age": 10, "speaks": ["uk", "ka"], "friend": a["id"], "tall": False})
    for query, expected in (
        ({"custom.age[gte]": "-2"}, "ABC"), ({"custom.age[gt]": "-2"}, "BC"), ({"custom.age[lt]": "10"}, "AB"),
        ({"custom.age[lte]": "2.5"}, "AB"), ({"custom.age": "10"}, "C"), ({"custom.age[in]": "10,-2"}, "AC"),
        ({"custom.age[gt]": "-2", "custom.age[lt]": "10"}, "B"),
        ({"custom.met[lt]": "2000-01-01"}, "A"), ({"custom.met[gte]": "2000-01-01"}, "B"),
        ({"custom.grant[gte]": "UAH:900"}, "A"), ({"custom.grant[gt]": "UAH:0"}, "A"), ({"custom.grant[lt]": "USD:91"}, "B"),
        ({"custom.tall": "true"}, "A"), ({"custom.tall": "false"}, "C"), ({"custom.word": "київ центр"}, "B"),
        ({"custom.speaks": "ka"}, "C"), ({"custom.speaks[in]": "ar"}, ""), ({"custom.friend": a["id"]}, "C"),
        ({"custom.age[gt]": "0", "kind": "person", "custom.speaks": "uk"}, "C"),
    ):  # fmt: skip
        assert "".join(await names(world, **query)) == expected, query


async def test_pages_of_a_list_filtered_by_a_custom_field(world: World) -> None:
    await define(world, "tall", "boolean", filterable=True)
    await define(world, "age", "number", filterable=True)
    for number in range(5):
        await world.contact(given_name=str(number), custom={"tall": True, "age": number})
    for query in ({"custom.tall": "true"}, {"custom.age[gte]": "0"}):
        seen, cursor = [], None
        while True:
            more: dict[str, Any] = {} if cursor is None else {"cursor": cursor}
            page = await world.get("/v1/contacts", params={**query, "limit": 2, "include_total": "true", **more})
            assert page["total"] == 5
            seen += [one["given_name"] for one in page["data"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert seen == ["4", "3", "2", "1", "0"]


async def test_what_does_not_fit_is_refused_with_the_place(world: World) -> None:
    await define(world, "age", "number")
    for custom, pointer, code in (
        ({"age": "old"}, "/custom/age", "invalid_custom_value"),
        ({"hobby": "chess"}, "/custom/hobby", "unknown_custom_field"),
    ):
        contact = await world.contact(custom={})
        for method, path in (("POST", "/v1/contacts"), ("PATCH", f"/v1/contacts/{contact['id']}"),
                             ("PUT", "/v1/contacts/by-external-id/x/1")):  # fmt: skip
            body = {"given_name": "Ольга", "custom": custom}
            said = await world.call(method, path, expect=422, json=body)
            assert [(error["pointer"], error["code"]) for error in said["errors"]] == [(pointer, code)], method
            assert "chess" not in str(said)
    assert "POST /v1/custom-fields" in said["errors"][0]["detail"]


async def test_filters_that_cannot_be_answered_say_why(world: World) -> None:
    await define(world, "age", "number", filterable=True)
    await define(world, "note")
    await define(world, "size", "choice", filterable=True, choices=[{"code": "s", "label": "S"}])
    for parameter, value, word in (
        ("custom.nothing", "1", "no custom field"), ("custom.note", "x", "not filterable"),
        ("custom.age", "old", "must be a number"), ("custom.age[ne]", "1", "takes"), ("custom.size[gt]", "s", "no order"),
        ("custom.size", "xl", "must be one of s"), ("custom.age[in]", "1,,2", "separated by commas"),
        ("custom.", "1", "no custom field"), ("custom.a'b", "1", "no custom field"),
    ):  # fmt: skip
        said = await world.get("/v1/contacts", params={parameter: value}, expect=422)
        assert word in said["errors"][0]["detail"], said


async def test_a_reference_names_a_contact_of_the_organization(make_world: MakeWorld) -> None:
    world, other = await make_world(), await make_world()
    await define(world, "mentor", "reference")
    mine, theirs = await world.contact(), await other.contact()
    assert (await world.contact(custom={"mentor": mine["id"]}))["custom"] == {"mentor": mine["id"]}
    said = await world.post("/v1/contacts", {"given_name": "X", "custom": {"mentor": theirs["id"]}}, expect=422)
    assert said["errors"][0]["code"] == "reference_not_found"


async def test_a_required_field_is_asked_for_when_people_enter_contacts(world: World) -> None:
    await world.contact()  # what is known of the definitions is remembered for a moment
    await define(world, "branch", required=True)
    for body in ({"given_name": "A"}, {"given_name": "A", "custom": {}}):
        said = await world.post("/v1/contacts", body, expect=422)
        assert [(one["pointer"], one["code"]) for one in said["errors"]] == [("/custom/branch", "missing_custom_value")]
    contact = await world.contact(custom={"branch": "Kyiv"})
    await world.patch(f"/v1/contacts/{contact['id']}", {"custom": {"branch": None}}, expect=422)
    await world.patch(f"/v1/contacts/{contact['id']}", {"given_name": "B"})


async def test_sensitive_values_are_hidden_from_keys_without_the_scope(world: World) -> None:
    await define(world, "diagnosis", filterable=True, **SENSITIVE)
    await define(world, "hobby")
    body = {"given_name": "Ніна", "custom": {"diagnosis": "asthma", "hobby": "chess"},
            "external_ids": [{"system": "aid", "id": "7"}]}  # fmt: skip
    contact = await world.post("/v1/contacts", body)
    assert contact["custom"] == {"diagnosis": "asthma", "hobby": "chess"}
    path = f"/v1/contacts/{contact['id']}"
    donors: Any = {"headers": await without(world, "contacts:read", "contacts:write")}
    for answer in (
        await world.get(path, **donors),
        (await world.get("/v1/contacts", **donors))["data"][0],
        await world.get("/v1/contacts/by-external-id/aid/7", **donors),
        await world.patch(path, {"custom": {"hobby": "go"}}, **donors),
        await world.put(
            "/v1/contacts/by-external-id/aid/7", {"given_name": "Ніна", "custom": {"hobby": "go"}}, **donors
        ),
    ):
        assert answer["custom"].keys() == {"hobby"}
    assert (await world.get(path))["custom"] == {"diagnosis": "asthma", "hobby": "go"}
    for value in ("cured", None):
        said = await world.patch(path, {"custom": {"diagnosis": value}}, expect=403, **donors)
        assert (said["code"], said["scope"]) == ("missing_scope", "contacts:read_sensitive")
    said = await world.post("/v1/contacts", {"given_name": "X", "custom": {"diagnosis": "x"}}, expect=403, **donors)
    said = await world.get("/v1/contacts", params={"custom.diagnosis": "asthma"}, expect=403, **donors)
    assert said["scope"] == "contacts:read_sensitive"
    assert await names(world, **{"custom.diagnosis": "asthma"}) == ["Ніна"]
    await world.patch(path, {"custom": {}}, **donors)
    assert (await world.get(path))["custom"]["diagnosis"] == "asthma"


async def test_a_field_becomes_filterable_once_its_values_are_indexed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk, "CHUNK", 2)
    field = await define(world, "city_of_birth")
    for number in range(5):
        await world.contact(given_name=str(number), custom={"city_of_birth": "Lviv"} if number % 2 else {})
    path = f"/v1/custom-fields/{field['id']}"
    changed = await world.patch(path, {"filterable": True})
    assert (changed["indexing"], changed["run"]["state"], changed["run"]["progress"]) == ("indexing", "queued", 0.0)
    said = await world.get("/v1/contacts", params={"custom.city_of_birth": "Lviv"}, expect=422)
    assert said["errors"][0]["code"] == "still_being_indexed"
    late = await world.contact(given_name="late", custom={"city_of_birth": "lviv"})
    ready = await settled(world, field)
    assert ready["indexing"] == "ready"
    assert await names(world, **{"custom.city_of_birth": "Lviv"}) == ["1", "3", "late"]
    off = await world.patch(path, {"filterable": False})
    assert off["indexing"] == "off"
    await world.get("/v1/contacts", params={"custom.city_of_birth": "Lviv"}, expect=422)
    await world.patch(f"/v1/contacts/{late['id']}", {"custom": {"city_of_birth": "Odesa"}})
    await settled(world, field)
    await world.patch(path, {"filterable": True})
    await settled(world, field)
    assert await names(world, **{"custom.city_of_birth": "lviv"}) == ["1", "3"]
    assert await names(world, **{"custom.city_of_birth": "odesa"}) == ["late"]


async def test_a_change_overtakes_the_walk_before_it(world: World) -> None:
    field = await define(world, "word")
    await world.contact(given_name="A", custom={"word": "x"})
    path = f"/v1/custom-fields/{field['id']}"
    for wanted in (True, False, True):
        await world.patch(path, {"filterable": wanted})
    await settled(world, field)
    assert await names(world, **{"custom.word": "x"}) == ["A"]


async def test_making_a_field_sensitive_puts_its_values_apart(world: World) -> None:
    field = await define(world, "need", filterable=True)
    contact = await world.contact(given_name="A", custom={"need": "wheelchair"})
    donors: Any = {"headers": await without(world, "contacts:read", "contacts:write", "custom_fields:write")}
    path = f"/v1/custom-fields/{field['id']}"
    await world.patch(path, SENSITIVE)
    await settled(world, field)
    shown = await world.get(f"/v1/contacts/{contact['id']}", **donors)
    assert shown["custom"] == {}
    assert shown["version"] > contact["version"]
    assert (await world.get(f"/v1/contacts/{contact['id']}"))["custom"] == {"need": "wheelchair"}
    assert await names(world, **{"custom.need": "wheelchair"}) == ["A"]
    said = await world.patch(path, {"sensitivity": "internal"}, expect=403, **donors)
    assert said["scope"] == "contacts:read_sensitive"
    await world.patch(path, {"sensitivity": "internal"})
    await settled(world, field)
    assert (await world.get(f"/v1/contacts/{contact['id']}", **donors))["custom"] == {"need": "wheelchair"}


async def test_an_archived_field_is_hidden_and_comes_back(world: World, owner: asyncpg.Connection) -> None:
    field = await define(world, "hobby", filterable=True)
    contact = await world.contact(given_name="A", custom={"hobby": "chess"})
    path, own = f"/v1/custom-fields/{field['id']}", f"/v1/contacts/{contact['id']}"
    archived = await world.patch(path, {"status": "archived"})
    assert (archived["status"], archived["indexing"]) == ("archived", "off")
    said = await world.patch(own, {"custom": {"hobby": "go"}}, expect=422)
    assert said["errors"][0]["code"] == "archived_custom_field"
    await settled(world, field)
    assert (await world.get(own))["custom"] == {}
    await world.get("/v1/contacts", params={"custom.hobby": "chess"}, expect=422)
    assert (await world.post("/v1/custom-fields", {"key": "hobby", "label": "X", "type": "text"}, expect=409))["code"]
    await world.patch(path, {"status": "active"})
    await settled(world, field)
    assert (await world.get(own))["custom"] == {"hobby": "chess"}
    assert await names(world, **{"custom.hobby": "chess"}) == ["A"]


async def test_deleting_a_field_erases_its_values_for_good(world: World, owner: asyncpg.Connection) -> None:
    marker = "zqerasedvalue"
    field = await define(world, "hobby", filterable=True)
    kept = await define(world, "word")
    contact = await world.contact(custom={"hobby": marker, "word": "stays"})
    path = f"/v1/custom-fields/{field['id']}"
    refused = await world.call("DELETE", path, expect=409)
    assert refused["code"] == "custom_field_in_use"
    await world.patch(path, {"status": "archived"})
    await settled(world, field)
    await world.call("DELETE", path, expect=204)
    await world.get(path, expect=404)
    await settled(world, kept)
    for _ in range(200):
        await world.drain()
        if not (await world.get("/v1/custom-fields", params={"key": "hobby"}))["data"]:
            break
        await asyncio.sleep(0.05)
    assert (await world.get(f"/v1/contacts/{contact['id']}"))["custom"] == {"word": "stays"}
    async with owner.transaction():
        await owner.execute(f"SET LOCAL crm.organization_id = '{world.id}'")
        for table in ("contacts", "contact_keys", "custom_field_archive"):
            found = await owner.fetchval(f"SELECT count(*) FROM {table} t WHERE t::text LIKE '%{marker}%'")
            assert found == 0, table
    again = await define(world, "hobby", "number", filterable=True)
    assert again["indexing"] == "ready"


async def test_values_from_before_the_definition_are_taken_up(world: World, owner: asyncpg.Connection) -> None:
    contact = await world.contact(given_name="A")
    async with owner.transaction():
        await owner.execute(f"SET LOCAL crm.organization_id = '{world.id}'")
        await owner.execute(
            """UPDATE contacts SET custom = '{"old": "x", "wrong": "text"}' WHERE id = $1""", contact["id"]
        )
    field = await define(world, "old", filterable=True)
    assert field["indexing"] == "indexing"
    wrong = await define(world, "wrong", "number", filterable=True, **SENSITIVE)
    await settled(world, field)
    await settled(world, wrong)
    assert await names(world, **{"custom.old": "x"}) == ["A"]
    assert (await world.get(f"/v1/contacts/{contact['id']}"))["custom"] == {"old": "x", "wrong": "text"}
    await world.patch(f"/v1/contacts/{contact['id']}", {"custom": {"wrong": 5}})


async def test_choices_are_retired_not_taken_away(world: World) -> None:
    choices = [{"code": "s", "label": "S"}, {"code": "m", "label": "M"}]
    field = await define(world, "size", "choice", choices=choices, labels={"uk": "Розмір"})
    contact = await world.contact(custom={"size": "m"})
    path = f"/v1/custom-fields/{field['id']}"
    said = await world.patch(path, {"choices": choices[:1]}, expect=409)
    assert said["code"] == "choice_removed"
    retired = await world.patch(
        path, {"choices": [choices[0], {**choices[1], "retired": True}], "labels": {"ka": "ზომა"}}
    )
    assert (retired["choices"][1]["retired"], retired["labels"]) == (True, {"uk": "Розмір", "ka": "ზომა"})
    assert (await world.patch(path, {"labels": {"ka": None}}))["labels"] == {"uk": "Розмір"}
    await world.patch(f"/v1/contacts/{contact['id']}", {"custom": {"size": "m"}, "given_name": "B"})
    await world.post("/v1/contacts", {"given_name": "X", "custom": {"size": "m"}}, expect=422)
    for body in ({"type": "number"}, {"key": "other"}, {"resource": "contacts"}):
        await world.patch(path, body, expect=422)


async def test_no_trip_is_made_where_no_custom_value_is_sent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await define(world, "hobby", filterable=True, **SENSITIVE)
    contact = await world.contact(custom={"hobby": "x"})
    asked = []
    from crm_api.contacts.custom_fields import service

    real = service.definitions

    async def counted(*given: Any, **named: Any) -> Any:
        asked.append(given)
        return await real(*given, **named)

    monkeypatch.setattr(service, "definitions", counted)
    await world.contact(custom={})
    await world.patch(f"/v1/contacts/{contact['id']}", {"given_name": "B"})
    await world.get(f"/v1/contacts/{contact['id']}")
    await world.get("/v1/contacts", params={"city": "Kyiv"})
    assert len(asked) <= 1  # whether anything is required: remembered from then on
    await world.contact()
    assert len(asked) <= 1
