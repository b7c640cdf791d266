"""`fields=` shows some members only, and never guesses."""

from __future__ import annotations

from tests.support.world import World


async def test_one_resource_and_a_list_show_only_what_is_asked_for(world: World) -> None:
    contact = await world.contact()
    shown = await world.get(f"/v1/contacts/{contact['id']}", params={"fields": "display_name,language"})
    assert shown == {"id": contact["id"], "display_name": "Олена Шевченко", "language": None}
    page = await world.get("/v1/contacts", params={"fields": "tags", "limit": 1})
    assert page == {"data": [{"id": contact["id"], "tags": []}], "has_more": False, "next_cursor": None}


async def test_the_next_page_keeps_the_fields_and_the_etag_stays(world: World) -> None:
    for number in range(2):
        await world.contact(emails=[{"address": f"a{number}@example.org"}])
    answer = await world.client.get("/v1/contacts", params={"fields": "tags", "limit": "1"})
    assert "fields=tags" in answer.headers["link"]
    path = f"/v1/contacts/{answer.json()['data'][0]['id']}"
    whole = await world.client.get(path)
    part = await world.client.get(path, params={"fields": "tags"})
    assert whole.headers["etag"] == part.headers["etag"]


async def test_an_unknown_member_is_refused(world: World) -> None:
    for wanted in ("password", "", "tags,,id", "tags,organization_id", "x" * 5000):
        problem = await world.get("/v1/contacts", params={"fields": wanted}, expect=422)
        assert problem["errors"][0]["pointer"] == "?fields"
