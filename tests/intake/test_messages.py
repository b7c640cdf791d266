"""Calls, bots and lead ads: what is understood, what is ignored with a reason, in which order, and Meta's refusals."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.conftest import MakeWorld
from tests.intake.sources import AUTH_KEY, NOW, PATH_SECRET, contacts, interactions, make_source
from tests.support.fake_meta import FORBIDDEN, LIMITED, PAGE_TOKEN, UNKNOWN, FakeMeta, fake_meta
from tests.support.world import World

URL_ENCODED = {"Content-Type": "application/x-www-form-urlencoded"}


def call(call_id: str = "1", **changes: str) -> str:
    details = {
        "generalCallID": call_id,
        "startTime": "1760000000",
        "callType": "0",
        "externalNumber": "0501234567",
        "billsec": "5",
        "disposition": "ANSWER",
        **changes,
    }
    fields = {"requestType": changes.pop("requestType", "apiCallCompleted"), "attemptsCounter": changes.pop("n", "1")}
    return urlencode({**fields, **{f"callDetails[{name}]": value for name, value in details.items()}})


async def test_calls_out_and_in_and_unanswered(world: World) -> None:
    source = await make_source(world, "binotel", defaults={"country": "UA"})
    await source.send(call("1", callType="1"), URL_ENCODED, secret=PATH_SECRET)
    await source.send(call("2", disposition="NOANSWER", billsec="0"), URL_ENCODED, secret=PATH_SECRET)
    await source.send(call("2", disposition="NOANSWER", billsec="0", n="2"), URL_ENCODED, secret=PATH_SECRET)
    await world.drain()
    touches = {one["external_ref"]["id"][-1]: one for one in await interactions(world)}
    assert [(touches[n]["direction"], touches[n]["outcome"]) for n in "12"] == [
        ("outbound", "answered"),
        ("inbound", "no_answer"),
    ]
    assert [touches[n]["participants"][0]["role"] for n in "12"] == ["callee", "caller"]
    assert touches["2"]["duration_seconds"] == 0
    assert len(await contacts(world)) == 1


@pytest.mark.parametrize(
    ("changes", "state", "reason"),
    [
        ({"requestType": "apiCallSettings"}, "ignored", "unknown_type"),
        ({"callType": "7"}, "ignored", "unknown_call_type"),
        ({"externalNumber": ""}, "unmatched", "names_nobody"),
        ({"externalNumber": "anonymous"}, "unmatched", "phone_not_usable"),
        ({"externalNumber": "101"}, "unmatched", "phone_not_usable"),
    ],
)
async def test_calls_that_name_nobody_or_are_none(
    world: World, changes: dict[str, str], state: str, reason: str
) -> None:
    source = await make_source(world, "binotel", defaults={"country": "UA"})
    await source.send(call("1", **changes), URL_ENCODED, secret=PATH_SECRET)
    await world.drain()
    (delivery,) = await source.deliveries()
    assert delivery["state"] == state
    assert delivery["reason"].startswith(reason)
    total = (await world.get("/v1/intake-deliveries", params={"state": state, "include_total": "true"}))["total"]
    assert total == 1, "it is counted"


async def test_a_local_number_needs_the_country_of_the_source(world: World) -> None:
    source = await make_source(world, "binotel")
    await source.send(call("1"), URL_ENCODED, secret=PATH_SECRET)
    await world.drain()
    (delivery,) = await source.deliveries(state="unmatched")
    assert delivery["reason"].startswith("phone_without_country")
    await world.patch(f"/v1/intake-sources/{source.id}", {"defaults": {"country": "UA"}})
    await world.post(f"/v1/intake-deliveries/{delivery['id']}/replay", expect=202)
    await world.drain()
    assert [one["phones"][0]["number"] for one in await contacts(world)] == ["+380501234567"]


async def test_ringostat_by_names_of_the_cabinet_and_key_in_the_address(world: World) -> None:
    mapping = {"a_number": "caller", "b_number": "callee", "kind": "direction", "id": "call_id", "talk": "talk_seconds"}
    source = await make_source(world, "ringostat", mapping=mapping)
    body = {"id": "7", "kind": "out", "a_number": "380443330000", "b_number": "380501234567", "talk": "61"}
    nested = {"additional_call_data": {"disposition": "NO ANSWER", "utm_campaign": "winter"}, **body}
    for sent in (body, nested):
        await source.send(str(sent).replace("'", '"'), query=f"?token={AUTH_KEY}")
    await source.send("x=1", query="?token=wrong-key-of-nobody", expect=400)
    await world.drain()
    assert sorted((one["state"], one["reason"]) for one in await source.deliveries()) == [
        ("handled", None),
        ("ignored", "call_not_over"),
    ]
    (contact,) = await contacts(world)
    assert (contact["phones"][0]["number"], contact["source"]["utm_campaign"]) == ("+380501234567", "winter")
    (touch,) = await interactions(world)
    assert (touch["direction"], touch["outcome"], touch["duration_seconds"]) == ("outbound", "no_answer", 61)


# Bots


def viber(event: str, token: int, *, after: int = 0, **more: Any) -> dict[str, Any]:
    return {"event": event, "timestamp": 1760000000000 + after * 1000, "message_token": token, **more}


def said(token: int, text: str, *, after: int = 0) -> dict[str, Any]:
    message = {"type": "text", "text": text}
    return viber("message", token, after=after, sender={"id": "01234567890A=", "name": "Олена"}, message=message)


async def status_of(world: World) -> str:
    (contact,) = await contacts(world)
    found: str = contact["handles"][0]["status"]
    return found


async def test_who_left_and_came_back_by_viber_s_own_clock(world: World) -> None:
    source = await make_source(world, "viber")
    left = viber("unsubscribed", 9223372036854775801, after=60, user_id="01234567890A=")
    await source.send_viber(said(9223372036854775800, "hello"))
    await source.send_viber(left)
    await world.drain()
    assert await status_of(world) == "opted_out"
    await source.send_viber(said(9223372036854775802, "sent before I left, came late", after=30))
    await world.drain()
    assert await status_of(world) == "opted_out", "what comes late does not undo what was said later"
    assert len(await interactions(world)) == 2
    user = {"id": "01234567890A=", "name": "Олена"}
    await source.send_viber(viber("subscribed", 99999999999999999999999, after=90, user=user))
    await world.drain()
    assert await status_of(world) == "valid"
    keys = {one["delivery_key"] for one in await source.deliveries()}
    assert "99999999999999999999999:subscribed" in keys, "a token of any size stays what it is"


async def test_leaving_is_known_even_before_the_first_message(world: World) -> None:
    source = await make_source(world, "viber")
    await source.send_viber(viber("unsubscribed", 2, after=60, user_id="01234567890A="))
    await world.drain()
    assert [(one["state"], one["reason"]) for one in await source.deliveries()] == [("ignored", "handle_unknown")]
    await source.send_viber(said(1, "hello"))
    await world.drain()
    assert await status_of(world) == "opted_out"


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ("delivered", "delivered"),
        ("seen", "seen"),
        ("webhook", "webhook"),
        ("conversation_started", "conversation_started"),
        ("flying", "unknown_type"),
    ],
)
async def test_what_viber_says_besides_is_counted_and_ignored(world: World, event: str, reason: str) -> None:
    source = await make_source(world, "viber")
    await source.send_viber(viber(event, 1, user={"id": "x"}, user_id="x"))
    await world.drain()
    assert [(one["state"], one["reason"]) for one in await source.deliveries()] == [("ignored", reason)]
    assert await contacts(world) == []


def update(number: int, **message: Any) -> dict[str, Any]:
    who = {"id": 77, "is_bot": False, "first_name": "Ira", "username": "ira_k"}
    base = {"message_id": number, "from": who, "chat": {"id": 77, "type": "private"}, "date": 1760000000 + number}
    return {"update_id": number, "message": {**base, **message}}


async def test_a_shared_phone_joins_the_chat_to_whom_it_belongs(world: World) -> None:
    known = await world.contact(given_name="Ira", family_name="Koval", phones=[{"number": "+380501234567"}])
    source = await make_source(world, "telegram")
    await source.send_telegram(update(1, contact={"phone_number": "380501234567", "user_id": 77, "first_name": "Ira"}))
    await world.drain()
    await source.send_telegram(update(2, photo=[{}], caption="my picture"))
    await world.drain()
    (contact,) = await contacts(world)
    assert contact["id"] == known["id"]
    (handle,) = contact["handles"]
    assert (handle["handle"], handle["label"]) == ("77", "@ira_k")
    assert {(one["subject"], one["body"]) for one in await interactions(world)} == {
        ("contact", None),
        ("photo", "my picture"),
    }


async def test_somebody_else_s_phone_proves_nothing(world: World) -> None:
    known = await world.contact(phones=[{"number": "+380501234567"}])
    source = await make_source(world, "telegram")
    await source.send_telegram(update(1, contact={"phone_number": "380501234567", "user_id": 78}))
    await source.send_telegram(update(2, contact={"phone_number": "380501234567"}))
    await world.drain()
    assert (await world.get(f"/v1/contacts/{known['id']}"))["handles"] == []
    assert len(await contacts(world)) == 2


async def test_a_name_in_the_messenger_that_staff_noted_is_found(world: World) -> None:
    known = await world.contact(handles=[{"network": "telegram", "handle": "Ira_K"}])
    source = await make_source(world, "telegram")
    await source.send_telegram(update(1, text="hello"))
    await world.drain()
    (contact,) = await contacts(world)
    assert contact["id"] == known["id"]
    assert {one["handle"] for one in contact["handles"]} == {"Ira_K", "77"}


async def test_groups_bots_and_edits_are_ignored_and_a_blocked_bot_is_noted(world: World) -> None:
    source = await make_source(world, "telegram")
    await source.send_telegram(update(1, text="hello"))
    await source.send_telegram(update(2, text="x", chat={"id": -5, "type": "supergroup"}))
    await source.send_telegram(update(3, text="x", **{"from": {"id": 77, "is_bot": True}}))
    await source.send_telegram({"update_id": 4, "edited_message": {"text": "x"}})
    await source.send_telegram({"update_id": 5, "poll": {}})
    member = {"chat": {"id": 77, "type": "private"}, "date": 1760000060, "new_chat_member": {"status": "kicked"}}
    await source.send_telegram({"update_id": 6, "my_chat_member": member})
    await world.drain()
    ignored = {one["delivery_key"]: one["reason"] for one in await source.deliveries(state="ignored")}
    assert ignored == {
        "update:2": "not_a_private_chat",
        "update:3": "not_a_private_chat",
        "update:4": "unknown_type",
        "update:5": "unknown_type",
    }
    assert await status_of(world) == "opted_out"


# Lead ads


def lead(lead_id: str, email: str) -> dict[str, Any]:
    data = [{"name": "full_name", "values": ["Олена К"]}, {"name": "email", "values": [email]},
            {"name": "why", "values": ["to help"]}]  # fmt: skip
    return {"id": lead_id, "created_time": "2025-10-09T08:53:20+0000", "form_id": "5", "field_data": data}


async def meta_world(make_world: MakeWorld, meta: FakeMeta) -> World:
    return await make_world(service_urls={"meta": meta.url})


async def test_several_leads_of_one_event_each_once(make_world: MakeWorld) -> None:
    async with fake_meta() as meta:
        meta.leads = {one: lead(one, f"o{one}@example.org") for one in ("101", "102", "103")}
        world = await meta_world(make_world, meta)
        source = await make_source(world, "meta_leads")
        await source.send_meta("101", "102")
        await source.send_meta("102", "103", "102")
        await world.drain()
        assert sorted(meta.asked) == ["101", "102", "103"]
    emails = {one["emails"][0]["address"] for one in await contacts(world)}
    assert emails == {"o101@example.org", "o102@example.org", "o103@example.org"}
    assert all("why: to help" in one["body"] for one in await interactions(world))


@pytest.mark.parametrize(
    ("status", "error", "reason"),
    [
        (400, FORBIDDEN, "meta_permission_missing"),
        (400, UNKNOWN, "meta_lead_unknown"),
        (404, {}, "meta_lead_unknown"),
    ],
)
async def test_what_meta_does_not_give_out_fails_with_the_reason(
    make_world: MakeWorld, status: int, error: dict[str, Any], reason: str
) -> None:
    async with fake_meta() as meta:
        meta.leads["101"] = lead("101", "o@example.org")
        meta.trouble = [(status, error)]
        world = await meta_world(make_world, meta)
        source = await make_source(world, "meta_leads")
        await source.send_meta("101")
        await world.drain()
        (failed,) = await source.deliveries(state="failed")
        assert failed["reason"].startswith(reason)
        await world.post(f"/v1/intake-deliveries/{failed['id']}/replay", expect=202)
        await world.drain()
    assert [one["state"] for one in await source.deliveries(event_type="lead")] == ["handled"]
    assert len(await contacts(world)) == 1


async def test_an_expired_token_is_renewed_and_the_leads_replayed(make_world: MakeWorld) -> None:
    async with fake_meta() as meta:
        meta.leads["101"] = lead("101", "o@example.org")
        meta.token = "renewed-token"
        world = await meta_world(make_world, meta)
        source = await make_source(world, "meta_leads")
        await source.send_meta("101")
        await world.drain()
        (failed,) = await source.deliveries(state="failed")
        assert failed["reason"].startswith("meta_token_expired")
        assert PAGE_TOKEN not in str(await world.jobs())
        path = f"/v1/intake-sources/{source.id}"
        shown = await world.patch(path, {"credentials": {"page_access_token": "renewed-token"}})
        assert shown["credentials_set"] == ["app_secret", "page_access_token", "verify_token"]
        await world.post(f"/v1/intake-deliveries/{failed['id']}/replay", expect=202)
        await world.drain()
    assert len(await contacts(world)) == 1


async def test_what_passes_is_asked_again(make_world: MakeWorld) -> None:
    async with fake_meta() as meta:
        meta.leads["101"] = lead("101", "o@example.org")
        meta.trouble = [(500, {}), (400, LIMITED), (429, {})]
        world = await meta_world(make_world, meta)
        source = await make_source(world, "meta_leads")
        await source.send_meta("101")
        for _ in range(40):
            if await contacts(world):
                break
            await world.drain()
        assert meta.asked == ["101"] * 4
    assert [one["state"] for one in await source.deliveries(event_type="lead")] == ["handled"]


async def test_other_changes_of_a_page_are_ignored(world: World) -> None:
    source = await make_source(world, "meta_leads")
    await source.send_meta()
    await world.drain()
    assert [(one["state"], one["reason"]) for one in await source.deliveries()] == [("ignored", "unknown_type")]


async def test_a_delivery_that_waited_keeps_its_own_time(world: World) -> None:
    source = await make_source(world, "telegram")
    await source.send_telegram(update(1, text="hello"))
    await world.set_clock(NOW + timedelta(days=3))
    await world.drain()
    (touch,) = await interactions(world)
    assert touch["at"] == "2025-10-09T08:53:21Z"
