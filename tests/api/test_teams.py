"""Teams and branches over HTTP: who sees which contacts, and all that hangs on them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from crm_api.auth.scopes import ALL_SCOPES
from crm_api.kit.ids import new_id
from tests.support.world import World


class Branch:
    """A key that its team limits."""

    def __init__(self, world: World, key: str, key_id: str, team_id: str) -> None:
        self.world, self.key_id, self.team_id = world, key_id, team_id
        self.headers = {"Authorization": f"Bearer {key}"}

    async def get(self, path: str, *, expect: int = 200, **options: Any) -> Any:
        return await self.call("GET", path, expect=expect, **options)

    async def post(self, path: str, body: Any = None, *, expect: int = 201, **options: Any) -> Any:
        return await self.call("POST", path, expect=expect, json=body, **options)

    async def put(self, path: str, body: Any, *, expect: int = 200, **options: Any) -> Any:
        return await self.call("PUT", path, expect=expect, json=body, **options)

    async def patch(self, path: str, body: Any, *, expect: int = 200, **options: Any) -> Any:
        return await self.call("PATCH", path, expect=expect, json=body, **options)

    async def call(self, method: str, path: str, *, expect: int, **options: Any) -> Any:
        headers = {**self.headers, **options.pop("headers", {})}
        return await self.world.call(method, path, expect=expect, headers=headers, **options)

    async def ids(self, path: str, **query: Any) -> set[str]:
        """Ids of everything a list shows."""
        return {row["id"] for row in (await self.get(path, params={"limit": 200, **query}))["data"]}


async def open_branch(
    world: World, name: str, *, parent: str | None = None, scopes: frozenset[str] = ALL_SCOPES
) -> Branch:
    """A team with a key that sees its contacts only."""
    team = await world.post("/v1/teams", {"name": name, "parent_id": parent})
    key = await world.post("/v1/api-keys", {"name": name, "scopes": sorted(scopes), "sees_all": False})
    await world.put(f"/v1/teams/{team['id']}/members", {"key_ids": [key["id"]]})
    return Branch(world, key["key"], key["id"], team["id"])


@pytest.fixture
async def branches(world: World) -> tuple[Branch, Branch]:
    """Lviv and Kyiv, with teams switched on."""
    await world.patch("/v1/organization", {"team_access": "on"})
    return await open_branch(world, "Львів"), await open_branch(world, "Київ")


async def test_two_branches(world: World, branches: tuple[Branch, Branch]) -> None:
    """Each finds, counts and opens its own people, gifts, talks, tasks, deals and files; the other's are not there."""
    lviv, kyiv = branches
    olena = await lviv.post("/v1/contacts", {"given_name": "Олена", "emails": [{"address": "olena@example.org"}]})
    taras = await kyiv.post("/v1/contacts", {"given_name": "Тарас", "emails": [{"address": "taras@example.org"}]})
    nobody = await world.post("/v1/contacts", {"given_name": "Нічий"})
    assert await lviv.ids("/v1/contacts") == {olena["id"]}
    assert await kyiv.ids("/v1/contacts") == {taras["id"]}
    assert (await lviv.get("/v1/contacts", params={"q": "Тарас", "include_total": "true"}))["total"] == 0
    assert await lviv.ids("/v1/contacts", email="taras@example.org") == set()
    for path in ("", "/timeline", "/donor-profile", "/duplicates", "/consents", "/teams"):
        await lviv.get(f"/v1/contacts/{taras['id']}{path}", expect=404)
        await lviv.get(f"/v1/contacts/{nobody['id']}{path}", expect=404)
        await lviv.get(f"/v1/contacts/{olena['id']}{path}")
    money = {"amount": {"amount": 5000, "currency": "USD"}, "method": "cash"}
    mine = await lviv.post("/v1/donations", {**money, "contact_id": olena["id"]})
    theirs = await kyiv.post("/v1/donations", {**money, "contact_id": taras["id"]})
    assert await lviv.ids("/v1/donations") == {mine["id"]}
    await lviv.get(f"/v1/donations/{theirs['id']}", expect=404)
    note = {"kind": "note", "body": "Зустріч", "participants": [{"contact_id": taras["id"]}]}
    talk = await kyiv.post("/v1/interactions", note)
    await lviv.get(f"/v1/interactions/{talk['id']}", expect=404)
    await lviv.post("/v1/interactions", note, expect=404)
    pipeline = await world.post("/v1/pipelines", {"name": "Grants"})
    deal = await kyiv.post("/v1/deals", {"pipeline_id": pipeline["id"], "title": "Van", "contact_id": taras["id"]})
    assert await lviv.ids("/v1/deals") == set()
    await kyiv.post("/v1/tasks", {"title": "Подякувати", "contact_id": taras["id"], "deal_id": deal["id"]})
    own = await lviv.post("/v1/tasks", {"title": "Прибрати"})
    assert await lviv.ids("/v1/tasks") == {own["id"]}
    file = {"file": ("a.txt", b"text", "text/plain")}
    document = await kyiv.call("POST", "/v1/documents", expect=201, data={"contact_id": taras["id"]}, files=file)
    await lviv.get(f"/v1/documents/{document['id']}", expect=404)
    await lviv.post(f"/v1/documents/{document['id']}/links", expect=404)
    await world.drain()
    kinds = {event["resource_id"] for event in (await lviv.get("/v1/audit-events", params={"limit": 200}))["data"]}
    assert olena["id"] in kinds
    assert not kinds & {taras["id"], theirs["id"], talk["id"], deal["id"], document["id"], nobody["id"]}
    assert len((await world.get("/v1/contacts"))["data"]) == 3


async def test_a_branch_sees_its_parts_and_they_do_not_see_it(world: World) -> None:
    await world.patch("/v1/organization", {"team_access": "on"})
    west = await open_branch(world, "Захід")
    lviv = await open_branch(world, "Львів", parent=west.team_id)
    city = await open_branch(world, "Львів, центр", parent=lviv.team_id)
    made = [
        await one.post("/v1/contacts", {"given_name": name}) for one, name in ((west, "А"), (lviv, "Б"), (city, "В"))
    ]
    ids = [one["id"] for one in made]
    assert [len(await one.ids("/v1/contacts")) for one in (west, lviv, city)] == [3, 2, 1]
    circle = await world.patch(f"/v1/teams/{west.team_id}", {"parent_id": city.team_id}, expect=422)
    assert circle["errors"][0]["code"] == "circular"
    await world.patch(f"/v1/teams/{city.team_id}", {"parent_id": None})
    assert await lviv.ids("/v1/contacts") == {ids[1]}
    assert {row["id"] for row in (await world.get("/v1/teams", params={"parent_id": west.team_id}))["data"]} == {
        lviv.team_id
    }
    for team, code in ((west, "team_has_parts"), (city, "team_has_contacts")):
        assert (await world.call("DELETE", f"/v1/teams/{team.team_id}", expect=409))["code"] == code
    await world.post(f"/v1/teams/{city.team_id}/contacts", {"action": "remove", "contact_ids": [ids[2]]}, expect=200)
    await world.call("DELETE", f"/v1/teams/{city.team_id}", expect=204)
    refused = await city.post("/v1/contacts", {"given_name": "Г"}, expect=403)
    assert refused["code"] == "no_team"
    assert await city.ids("/v1/contacts") == set()


async def test_contacts_of_no_team(world: World, branches: tuple[Branch, Branch]) -> None:
    lviv, kyiv = branches
    nobody = (await world.post("/v1/contacts", {"given_name": "Нічий"}))["id"]
    anonymous = {"contact_id": None, "amount": {"amount": 100, "currency": "USD"}, "method": "cash"}
    gift = await world.post("/v1/donations", anonymous)
    assert (await lviv.post("/v1/donations", anonymous, expect=422))["errors"][0]["code"] == "contact_needed"
    assert await lviv.ids("/v1/donations") == set()
    await world.patch("/v1/organization", {"unassigned_contacts": "seen"})
    assert await lviv.ids("/v1/contacts") == await kyiv.ids("/v1/contacts") == {nobody}
    assert await lviv.ids("/v1/donations") == {gift["id"]}
    await lviv.put(f"/v1/contacts/{nobody}/teams", {"team_ids": [lviv.team_id]})
    assert await kyiv.ids("/v1/contacts") == set()
    await world.patch("/v1/organization", {"team_access": "off"})
    assert await kyiv.ids("/v1/contacts") == {nobody}


async def test_who_looks_after_a_contact(world: World, branches: tuple[Branch, Branch]) -> None:
    """Within reach, and never out of one's own sight; an administrator does as it likes, a thousand at a time."""
    lviv, kyiv = branches
    people = [(await lviv.post("/v1/contacts", {"given_name": f"Л{n}"}))["id"] for n in range(3)]
    foreign = (await kyiv.post("/v1/contacts", {"given_name": "К"}))["id"]
    path = f"/v1/contacts/{people[0]}/teams"
    assert [one["name"] for one in (await lviv.get(path))["teams"]] == ["Львів"]
    assert (await lviv.put(path, {"team_ids": [kyiv.team_id]}, expect=403))["code"] == "team_out_of_reach"
    assert (await lviv.put(path, {"team_ids": []}, expect=409))["code"] == "contact_out_of_sight"
    both = [lviv.team_id, kyiv.team_id]
    assert len((await world.put(path, {"team_ids": both}))["teams"]) == 2
    await lviv.put(path, {"team_ids": both})
    await lviv.put(f"/v1/contacts/{foreign}/teams", {"team_ids": [lviv.team_id]}, expect=404)
    mine = f"/v1/teams/{lviv.team_id}/contacts"
    taken = await lviv.post(mine, {"contact_ids": [foreign]}, expect=404)
    assert taken["errors"][0]["pointer"] == "/contact_ids/0"
    await lviv.post(f"/v1/teams/{kyiv.team_id}/contacts", {"contact_ids": people}, expect=403)
    done = await world.post(f"/v1/teams/{kyiv.team_id}/contacts", {"contact_ids": people}, expect=200)
    assert (done["changed"], done["unchanged"]) == (2, 1)
    assert await kyiv.ids("/v1/contacts", team_id=lviv.team_id) == set(people)
    await world.put(path, {"team_ids": [str(new_id())]}, expect=404)
    await world.post(f"/v1/teams/{new_id()}/contacts", {"contact_ids": people}, expect=404)
    audited = (await world.get("/v1/audit-events", params={"resource_id": people[0]}))["data"]
    assert [one["action"] for one in audited].count("contact.teams_changed") == 1


async def test_nothing_unseen_is_named_or_merged(world: World, branches: tuple[Branch, Branch]) -> None:
    """An id of the other branch is answered as one that does not exist, wherever a body can hold one."""
    lviv, kyiv = branches
    mine, other = [(await lviv.post("/v1/contacts", {"given_name": name}))["id"] for name in ("Мій", "Мій-2")]
    theirs = (await kyiv.post("/v1/contacts", {"given_name": "Чужий", "external_ids": [{"system": "crm", "id": "9"}]}))[
        "id"
    ]
    pipeline = await world.post("/v1/pipelines", {"name": "Grants"})
    deal = await kyiv.post("/v1/deals", {"pipeline_id": pipeline["id"], "title": "T", "contact_id": theirs})
    task = await lviv.post("/v1/tasks", {"title": "T", "contact_id": mine})
    for method, path, body in (
        ("POST", "/v1/donations", {"contact_id": "@", "amount": {"amount": 1, "currency": "USD"}, "method": "cash"}),
        ("POST", "/v1/deals", {"pipeline_id": pipeline["id"], "title": "T", "contact_id": "@"}),
        ("POST", "/v1/tasks", {"title": "T", "contact_id": "@"}),
        ("POST", "/v1/tasks", {"title": "T", "contact_id": mine, "deal_id": "deal"}),
        ("PATCH", f"/v1/tasks/{task['id']}", {"contact_id": "@"}),
        ("PATCH", f"/v1/tasks/{task['id']}", {"deal_id": "deal"}),
        ("POST", "/v1/households", {"members": [{"contact_id": mine}, {"contact_id": "@"}]}),
        ("POST", "/v1/relationships", {"type": "friend", "from_contact_id": mine, "to_contact_id": "@"}),
        ("POST", f"/v1/contacts/{mine}/merge", {"from": ["@"]}),
        ("POST", "/v1/contacts/@/merge", {"from": [mine]}),
        ("POST", "/v1/interactions", {"kind": "call", "participants": [{"contact_id": mine}, {"contact_id": "@"}]}),
    ):  # fmt: skip
        answers = []
        for contact, gone in ((theirs, deal["id"]), (str(new_id()), str(new_id()))):
            sent = json.loads(json.dumps(body).replace('"@"', f'"{contact}"').replace('"deal"', f'"{gone}"'))
            problem = await lviv.call(method, path.replace("@", contact), expect=404, json=sent)
            answers.append({**problem, "request_id": ""})
        assert answers[0] == answers[1], f"{method} {path} tells them apart"
    upsert = {"given_name": "Хто"}
    assert (await lviv.put("/v1/contacts/by-external-id/crm/9", upsert, expect=409))["code"] == "already_exists"
    items = [{"op": "upsert", "by_external_id": {"system": "crm", "id": "9"}, "body": upsert}]
    batch = await lviv.post("/v1/contacts/batch", {"items": items, "atomic": False}, expect=200)
    assert batch["results"][0]["status"] == 404
    # What hangs on both goes along, also what the branch does not see: a relationship to somebody in Kyiv.
    await world.post("/v1/relationships", {"type": "friend", "from_contact_id": other, "to_contact_id": theirs})
    assert (await lviv.get("/v1/relationships", params={"contact_id": other}))["data"] == []
    merge = await lviv.post(f"/v1/contacts/{mine}/merge", {"from": [other]})
    assert len((await world.get("/v1/relationships", params={"contact_id": mine}))["data"]) == 1
    moved = await world.client.get(f"/v1/contacts/{other}", headers=lviv.headers, follow_redirects=False)
    assert (moved.status_code, moved.headers["location"]) == (301, f"/v1/contacts/{mine}")
    await kyiv.get(f"/v1/contacts/{other}", expect=404)
    await kyiv.post(f"/v1/merges/{merge['id']}/undo", expect=404)
    await lviv.post(f"/v1/merges/{merge['id']}/undo", expect=200)
    assert await lviv.ids("/v1/contacts") == {mine, other}
    assert len((await world.get("/v1/relationships", params={"contact_id": other}))["data"]) == 1


async def test_work_keeps_the_limit_of_who_asked_for_it(world: World, branches: tuple[Branch, Branch]) -> None:
    """Exports, imports, batches of merges and subject exports: what they read and write, and who sees them."""
    lviv, kyiv = branches
    mine = await lviv.post("/v1/contacts", {"given_name": "Мій", "external_ids": [{"system": "crm", "id": "1"}]})
    theirs = await kyiv.post("/v1/contacts", {"given_name": "Чужий", "external_ids": [{"system": "crm", "id": "2"}]})
    export = await lviv.post("/v1/exports", {"resource": "contacts", "format": "jsonl"}, expect=202)
    pairs = [{"into": mine["id"], "from": theirs["id"]}]
    batch = await lviv.post("/v1/merges/batch", {"merges": pairs}, expect=202)
    subject = await lviv.post(f"/v1/contacts/{mine['id']}/subject-export", expect=202)
    csv = "external_id,given_name\ncrm:1,Змінений\ncrm:2,Взятий\ncrm:3,Новий\n".encode()
    options = json.dumps({"dry_run": False, "on_match": "update"})
    file = {"file": ("a.csv", csv, "text/csv")}
    made = await lviv.call("POST", "/v1/imports", expect=202, data={"kind": "contacts", "options": options}, files=file)
    await world.drain()
    link = (await lviv.get(f"/v1/exports/{export['id']}"))["url"]
    content = (await world.client.get(link)).text
    assert mine["id"] in content
    assert theirs["id"] not in content
    assert (await lviv.get(f"/v1/merge-batches/{batch['id']}"))["failed"] == 1
    done = await lviv.get(f"/v1/imports/{made['id']}")
    assert (done["state"], done["totals"]["updated"], done["totals"]["created"], done["totals"]["failed"]) == (
        "succeeded",
        1,
        1,
        1,
    )
    assert (await world.get(f"/v1/contacts/{theirs['id']}"))["given_name"] == "Чужий"
    new = (await lviv.get("/v1/contacts", params={"external_id": "crm:3"}))["data"][0]
    assert [one["team_id"] for one in (await lviv.get(f"/v1/contacts/{new['id']}/teams"))["teams"]] == [lviv.team_id]
    for path in (f"/v1/exports/{export['id']}", f"/v1/imports/{made['id']}", f"/v1/imports/{made['id']}/rows",
                 f"/v1/merge-batches/{batch['id']}", f"/v1/subject-exports/{subject['id']}"):  # fmt: skip
        await lviv.get(path)
        await kyiv.get(path, expect=404)
        await world.get(path)
    whole = await world.post("/v1/exports", {"resource": "contacts"}, expect=202)
    await lviv.get(f"/v1/exports/{whole['id']}", expect=404)
    undone = await lviv.post(f"/v1/imports/{made['id']}/undo", expect=202)
    await world.drain()
    totals = (await lviv.get(f"/v1/imports/{undone['id']}"))["undone"]
    assert (totals["removed"], totals["restored"]) == (1, 1)


async def test_a_stored_answer_is_for_those_who_see_the_same(world: World, branches: tuple[Branch, Branch]) -> None:
    lviv, kyiv = branches
    headers = {"Idempotency-Key": "one"}
    body = {"given_name": "Та сама"}
    first = await lviv.post("/v1/contacts", body, headers=headers)
    assert (await lviv.post("/v1/contacts", body, headers=headers))["id"] == first["id"]
    others = [await one.post("/v1/contacts", body, headers=headers) for one in (kyiv, world)]
    assert len({first["id"], *(one["id"] for one in others)}) == 3
    rotated = await world.post(f"/v1/api-keys/{lviv.key_id}/rotate", {"overlap_seconds": 0})
    assert rotated["sees_all"] is False
    again = Branch(world, rotated["key"], rotated["id"], lviv.team_id)
    assert (await again.post("/v1/contacts", body, headers=headers))["id"] == first["id"]


async def test_nobody_lifts_its_own_limit(world: World, branches: tuple[Branch, Branch]) -> None:
    lviv, _ = branches
    for method, path, body in (
        ("PATCH", "/v1/organization", {"team_access": "off"}),
        ("POST", "/v1/api-keys", {"name": "All", "scopes": ["contacts:read"]}),
        ("PATCH", f"/v1/api-keys/{lviv.key_id}", {"sees_all": True}),
        ("POST", "/v1/members", {"email": "x@example.org", "role": "viewer"}),
        ("POST", "/v1/teams", {"name": "Mine"}),
        ("PUT", f"/v1/teams/{lviv.team_id}/members", {"key_ids": [lviv.key_id]}),
    ):
        assert (await lviv.call(method, path, expect=403, json=body))["code"] == "sees_a_part", path
    assert (await lviv.get("/v1/jobs", expect=403))["code"] == "sees_a_part"
    refused = await world.post(
        "/v1/members", {"email": "o@example.org", "role": "owner", "sees_all": False}, expect=422
    )
    assert refused["errors"][0]["code"] == "owner_sees_all"
    for role, sees in (("fundraiser", False), ("admin", True)):
        member = await world.post("/v1/members", {"email": f"{role}@example.org", "role": role})
        assert member["sees_all"] is sees
    raised = await world.patch(f"/v1/members/{member['id']}", {"role": "viewer"})
    assert raised["sees_all"] is False
    key = {"name": "P", "kind": "publishable", "scopes": ["forms:submit"], "sees_all": False}
    assert (await world.post("/v1/api-keys", key, expect=422))["errors"][0]["code"] == "publishable_sees_nothing"


async def test_a_beneficiary_is_not_there_for_a_donor_scope_key(world: World) -> None:
    """Whole records, where the organization says so: somebody who is a donor too is seen."""
    scopes = sorted(ALL_SCOPES - {"contacts:read_sensitive"})
    key = await world.post("/v1/api-keys", {"name": "Donors", "scopes": scopes})
    donors = Branch(world, key["key"], key["id"], "")
    hidden = (await world.contact(roles=["beneficiary"], emails=[]))["id"]
    both = (await world.contact(roles=["beneficiary", "donor"], emails=[]))["id"]
    plain = (await world.contact(emails=[]))["id"]
    assert await donors.ids("/v1/contacts") == {hidden, both, plain}
    await world.patch("/v1/organization", {"beneficiary_privacy": "records"})
    assert await donors.ids("/v1/contacts") == {both, plain}
    assert await donors.ids("/v1/contacts", q="Шевченко") == {both, plain}
    for path in ("", "/timeline", "/consents"):
        await donors.get(f"/v1/contacts/{hidden}{path}", expect=404)
    made = {"given_name": "Х", "roles": ["beneficiary"]}
    for problem in (await donors.post("/v1/contacts", made, expect=403),
                    await donors.patch(f"/v1/contacts/{plain}", {"roles": ["beneficiary"]}, expect=403)):  # fmt: skip
        assert (problem["code"], problem["scope"]) == ("missing_scope", "contacts:read_sensitive")
    assert (await donors.patch("/v1/organization", {"beneficiary_privacy": "fields"}, expect=403))[
        "code"
    ] == "missing_scope"
    more = {"name": "More", "scopes": ["contacts:read_sensitive"]}
    assert (await donors.post("/v1/api-keys", more, expect=403))["code"] == "missing_scope"
    assert {row["id"] for row in (await world.get("/v1/contacts"))["data"]} == {hidden, both, plain}
    await world.patch("/v1/organization", {"beneficiary_roles": ["volunteer"]})
    assert await donors.ids("/v1/contacts") == {hidden, both, plain}
