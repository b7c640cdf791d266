"""The audit over HTTP: who did what, when; names of fields, never their values; for owners and admins."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from crm_api.auth.scopes import ROLE_SCOPES
from tests.api.surface import Planted
from tests.support.world import World


async def test_what_was_done_is_listed(world: World) -> None:
    before = datetime.now(UTC)
    contact = await world.contact()
    await world.patch(
        f"/v1/contacts/{contact['id']}",
        {"given_name": "Оксана", "tags": ["friend"]},
        headers={"X-Request-Id": "the-change"},
    )
    query = {"resource": "contact", "resource_id": contact["id"]}
    page = await world.get("/v1/audit-events", params={**query, "include_total": "true"})
    changed, created = page["data"]
    assert page["total"] == 2
    assert (created["action"], created["fields"]) == ("contact.created", None)
    assert (changed["action"], changed["request_id"]) == ("contact.updated", "the-change")
    assert {"given_name", "tags"} <= set(changed["fields"])
    assert changed["actor_kind"] == "api_key"
    assert changed["actor_id"] == str(UUID(world.api_key.split("_")[2]))
    assert before <= datetime.fromisoformat(changed["at"]) <= datetime.now(UTC)
    assert await world.get(f"/v1/audit-events/{changed['id']}") == changed
    await world.get(f"/v1/audit-events/{uuid4()}", expect=404)


async def test_filters_and_pages(world: World) -> None:
    for number in range(5):
        await world.contact(given_name=f"N{number}")
    fund = await world.post("/v1/funds", {"code": "a", "name": "A"})
    events = (await world.get("/v1/audit-events", params={"limit": 200}))["data"]
    assert [event["id"] for event in events] == sorted((event["id"] for event in events), reverse=True)
    actor = events[0]["actor_id"]

    async def ids(**query: str) -> list[str]:
        found, page = [], await world.get("/v1/audit-events", params={"limit": 2, **query})
        found += [event["id"] for event in page["data"]]
        while page["has_more"]:
            page = await world.get("/v1/audit-events", params={"limit": 2, **query, "cursor": page["next_cursor"]})
            found += [event["id"] for event in page["data"]]
        return found

    cases: tuple[tuple[dict[str, str], Callable[[Any], bool]], ...] = (
        ({"resource": "contact"}, lambda e: e["resource"] == "contact"),
        ({"resource_id": fund["id"]}, lambda e: e["resource_id"] == fund["id"]),
        ({"action": "fund.created"}, lambda e: e["action"] == "fund.created"),
        ({"actor_id": actor}, lambda e: e["actor_id"] == actor),
        ({"actor_kind": "api_key"}, lambda e: e["actor_kind"] == "api_key"),
        ({"at[gte]": events[2]["at"]}, lambda e: e["at"] >= events[2]["at"]),
        ({"at[lt]": events[2]["at"], "resource": "contact"},
         lambda e: e["at"] < events[2]["at"] and e["resource"] == "contact"),
    )  # fmt: skip
    for query, chosen in cases:
        wanted = [event["id"] for event in events if chosen(event)]
        assert wanted, query
        assert await ids(**query) == wanted, query
        assert await ids(**query, sort="at") == list(reversed(wanted)), query
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat().replace("+00:00", "Z")
    assert await ids(**{"at[gt]": tomorrow}) == []


async def test_for_owners_and_admins(world: World) -> None:
    assert {role for role, scopes in ROLE_SCOPES.items() if "audit:read" in scopes} == {"owner", "admin"}
    key = (await world.post("/v1/api-keys", {"name": "k", "scopes": ["contacts:read", "documents:read"]}))["key"]
    problem = await world.get("/v1/audit-events", expect=403, headers={"Authorization": f"Bearer {key}"})
    assert problem["scope"] == "audit:read"


async def test_names_of_fields_and_never_values(planted: Planted) -> None:
    """Over everything that planting one of each thing has done, and a change of every text of a contact."""
    world = planted.world
    word = "zqprivate"
    contact = f"/v1/contacts/{planted.ids['contact_id']}"
    await world.patch(contact, {"given_name": word, "emails": [{"address": f"{word}@example.org"}],
                                "addresses": [{"city": word, "country": "UA"}], "tags": [word]})  # fmt: skip
    document = f"/v1/documents/{planted.ids['document_id']}"
    await world.patch(document, {"title": word})
    await world.drain()
    events, query = [], {"limit": "200"}
    while True:
        page = await world.get("/v1/audit-events", params=query)
        events += page["data"]
        if not page["has_more"]:
            break
        query["cursor"] = page["next_cursor"]
    assert len({event["resource"] for event in events}) >= 10
    for event in events:
        assert re.fullmatch(r"[a-z_]+\.[a-z_]+", event["action"]), event
        assert re.fullmatch(r"[a-z_]+", event["resource"]), event
        for name in event["fields"] or ():
            assert re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*", name), event
    text = json.dumps(events, ensure_ascii=False)
    for value in (word, "Олена", "olena@", "+380501234567", "Kyiv"):
        assert value not in text
