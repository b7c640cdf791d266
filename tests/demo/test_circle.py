"""What the demo shows of contacts: people with names, roles, families, touches, consent and doubles; and who sees it."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from crm_api.auth.scopes import ALL_SCOPES
from crm_api.contacts.interactions.models import KINDS
from crm_api.contacts.schemas import ContactCreate
from crm_api.demo.people import known
from crm_api.demo.script import Script, write_script
from crm_api.kit.db import Row, prepare
from tests.demo.conftest import NOW, demo_world
from tests.support.services import Services
from tests.support.world import World


@pytest.fixture(scope="module")
def script() -> Script:
    return write_script(1, NOW, "UTC")


def bodies(script: Script) -> list[dict[str, Any]]:
    return [donor.body for _, donor in script.donors] + [other.body for other in script.circle.others]


async def rows(world: World, sql: str) -> list[Row]:
    return await world.database.read(world.tenant).fetch(prepare(text(sql)))


async def everything(world: World, path: str, **params: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: dict[str, Any] = {}
    while True:
        page = await world.get(path, params={"limit": 200, **params, **cursor})
        found += page["data"]
        if not page["has_more"]:
            return found
        cursor = {"cursor": page["next_cursor"]}


@pytest.mark.parametrize(("seed", "days"), [(1, 0), (2, 100), (7, 1700)])
def test_every_kind_is_there_whatever_the_seed(seed: int, days: int) -> None:
    now = NOW + timedelta(days=days)
    made = write_script(seed, now, "Europe/Kyiv")
    assert made.circle == write_script(seed, now, "Europe/Kyiv").circle
    assert made.touches == write_script(seed, now, "Europe/Kyiv").touches
    contacts = [ContactCreate.model_validate(body) for body in bodies(made)]
    assert {name.type for one in contacts for name in one.other_names} >= {"latin", "native", "maiden", "nickname"}
    assert {len(one.birth_date) for one in contacts if one.birth_date} == {4, 7, 10}
    assert any(one.birth_date.startswith("--") for one in contacts if one.birth_date)
    assert {item.role for one in contacts for item in one.role_details or ()} >= {
        "volunteer", "partner", "beneficiary", "staff", "media",
    }  # fmt: skip
    stages = {item.stage for one in contacts for item in one.role_details or ()}
    assert stages == {"prospect", "active", "lapsed", "former"}
    assert len([one for one in contacts if one.source and one.source.utm_campaign]) > 50
    assert {handle.network for one in contacts for handle in one.handles} >= {"telegram", "instagram"}
    assert any(one.formal_greeting and one.informal_greeting and one.salutation for one in contacts)
    assert 18 <= len(made.circle.homes) <= 25
    assert {tie.body["type"] for tie in made.circle.ties} >= {"spouse", "parent", "employee", "board_member", "friend"}
    assert {touch.kind for touch in made.touches.interactions} == set(KINDS) - {"email"}
    assert {said.body["status"] for said in made.touches.consents} == {"granted", "withdrawn", "objected"}


def test_nothing_lies_ahead_and_nothing_comes_before_its_contact(script: Script) -> None:
    since = {donor.number: moment for moment, donor in script.donors}
    since |= {other.number: other.moment for other in script.circle.others}
    for touch in script.touches.interactions:
        assert all(since[one] < touch.moment <= script.ends for one in touch.contacts)
    for todo in script.touches.todos:
        assert todo.moment <= (todo.done or todo.canceled or script.ends) <= script.ends
        assert todo.contact is None or since[todo.contact] < todo.moment
    assert all(since[said.contact] < said.moment <= script.ends for said in script.touches.consents)
    for home in script.circle.homes:
        assert all(since[number] < home.since <= script.ends for number, _ in home.members)
    assert all(max(since[tie.first], since[tie.second]) < tie.moment <= script.ends for tie in script.circle.ties)


def test_handles_belong_to_nobody(script: Script) -> None:
    prefixes = tuple(value[0] for name, value in known()["people"]["phones"].items() if name != "about")
    for body in bodies(script):
        for item in body.get("handles", ()):
            assert item["handle"].startswith(("demo-", *prefixes)), "none of the networks allows a hyphen"
        assert all(item["number"].startswith(prefixes) for item in body.get("phones", ()))
        assert all(item["address"].rpartition("@")[2].startswith("example.") for item in body.get("emails", ()))


def test_nobody_is_bothered_against_their_will(script: Script) -> None:
    shy = {donor.number for _, donor in script.donors if donor.body.get("do_not_contact") or donor.body.get("deceased")}
    assert shy
    assert not shy & {one for touch in script.touches.interactions for one in touch.contacts}
    assert not shy & {todo.contact for todo in script.touches.todos}


async def test_families_live_together_and_share_a_name(demo: World) -> None:
    found = await everything(demo, "/v1/households")
    assert len(found) == 25
    whole = [await demo.get(f"/v1/households/{one['id']}") for one in found]
    assert Counter(len(one["members"]) for one in whole) == {2: 16, 3: 9}
    for one in whole:
        people = [await demo.get(f"/v1/contacts/{member['contact_id']}") for member in one["members"]]
        assert len({person["addresses"][0]["city"] for person in people}) == 1
    assert all(one["formal_greeting"] and one["informal_greeting"] and one["address"]["line1"] for one in found)
    names = {one["name"] for one in found}
    assert any(name.startswith("Родина ") for name in names)
    assert any(name.endswith("ოჯახი") for name in names)
    lasting = await everything(demo, "/v1/relationships")
    assert {"spouse", "parent", "employee"} <= {one["type"] for one in lasting}
    assert any(one["job_title"] and one["is_primary"] for one in lasting)


async def test_own_fields_can_be_filtered_by_and_what_is_sensitive_is_for_few(demo: World) -> None:
    drivers = await everything(demo, "/v1/contacts", **{"custom.volunteer_area": "driving"})
    assert drivers
    assert all(one["custom"]["volunteer_area"] == "driving" for one in drivers)
    helped = await everything(demo, "/v1/contacts", role="beneficiary")
    assert len(helped) == sum(known()["circle"]["beneficiaries"].values())
    assert all(one["custom"]["support_needs"] and "donor" not in one["roles"] for one in helped)
    named = {"name": "Few", "scopes": sorted(ALL_SCOPES - {"contacts:read_sensitive"})}
    key = (await demo.post("/v1/api-keys", named))["key"]
    few = {"Authorization": f"Bearer {key}"}
    for one in helped:
        seen = await demo.get(f"/v1/contacts/{one['id']}", headers=few)
        assert "support_needs" not in seen["custom"]
        touches = (await demo.get("/v1/interactions", params={"contact_id": one["id"]}, headers=few))["data"]
        assert touches == []
        assert (await demo.get("/v1/interactions", params={"contact_id": one["id"]}))["data"]


async def test_roles_that_have_ended_are_current_no_more(demo: World) -> None:
    found = await rows(demo, "SELECT roles, role_details FROM contacts WHERE organization_id = :organization_id")
    ended = [row for row in found if any(item["until"] for item in row["role_details"])]
    assert ended
    for row in ended:
        assert {item["role"] for item in row["role_details"] if item["until"]}.isdisjoint(row["roles"])
    owned = await everything(demo, "/v1/contacts", role="volunteer")
    assert owned
    assert all(one["owner_member_id"] for one in owned if not one["deceased"])


async def test_mentions_tasks_and_consent_hold_together(demo: World) -> None:
    notes = await everything(demo, "/v1/interactions", kind="note")
    called = [note for note in notes if note["mentions"]]
    assert called
    assert all(f"@[{note['mentions'][0]}]" in note["body"] for note in called)
    assert not any("{mention}" in (note["body"] or "") for note in notes)
    tasks = await everything(demo, "/v1/tasks")
    assert {task["status"] for task in tasks} == {"open", "done", "canceled"}
    assert any(task["status"] == "open" and task["due_on"] < NOW.date().isoformat() for task in tasks)
    consents = await rows(demo, "SELECT * FROM consent_events WHERE organization_id = :organization_id")
    granted = [row for row in consents if row["status"] == "granted" and row["purpose"] == "newsletter"]
    assert all(row["wording"] and row["wording_version"] and row["source"] and row["evidence"] for row in granted)
    assert not any("192.0.2." in str(dict(row)) for row in consents)
    left = next(row["contact_id"] for row in consents if row["status"] == "withdrawn")
    asked = {"channel": "email", "purpose": "newsletter", "list": "monthly"}
    assert (await demo.get(f"/v1/contacts/{left}/can-contact", params=asked))["allowed"] is False


FIGURES = (
    "SELECT display_name, latin_name, birth_date, handles, role_details, custom, custom_sensitive, source FROM contacts "
    "WHERE organization_id = :organization_id",
    "SELECT name, formal_greeting, informal_greeting, address, created_at FROM households "
    "WHERE organization_id = :organization_id",
    "SELECT kind, channel, subject, at, outcome, sensitivity FROM interactions WHERE organization_id = :organization_id",
    "SELECT title, status, due_on, created_at, completed_at FROM tasks WHERE organization_id = :organization_id",
    "SELECT purpose, status, source, wording_version, at FROM consent_events WHERE organization_id = :organization_id",
    "SELECT certainty, score, rules FROM duplicates WHERE organization_id = :organization_id",
)


async def figures(world: World) -> list[list[str]]:
    return [sorted(str(tuple(row)) for row in await rows(world, sql)) for sql in FIGURES]


async def test_the_same_seed_gives_the_same_circle(
    demo: World, database_url: str, services: Services, tmp_path: Path
) -> None:
    twin = await demo_world(database_url, services, tmp_path)
    found = await figures(twin)
    await twin.close()
    assert found == await figures(demo)
    assert all(found)


async def test_the_doubles_wait_in_the_review_queue(demo: World, script: Script) -> None:
    pairs = await everything(demo, "/v1/duplicates")
    doubles = [other for other in script.circle.others if other.why == "twin"]
    assert len(pairs) >= len(doubles) == 11
    assert {pair["certainty"] for pair in pairs} == {"certain", "possible"}
    assert {pair["state"] for pair in pairs} == {"open"}
    emails = {other.body["emails"][0]["address"] for other in doubles}
    seen = set()
    for pair in pairs:
        for contact_id in pair["contact_ids"]:
            seen |= {email["address"] for email in (await demo.get(f"/v1/contacts/{contact_id}"))["emails"]}
    assert emails <= seen
