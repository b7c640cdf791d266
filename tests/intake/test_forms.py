"""Forms: what strangers write stays text, finds or makes one person, and their yes is kept; who may send one, how often."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_api.intake.deliveries import endpoints
from crm_api.intake.kinds import KINDS
from crm_api.intake.kinds.kind import Body, Received
from crm_api.intake.kinds.kind import Settings as SourceSettings
from crm_api.intake.people import newcomer_of
from crm_api.kit.ratelimit import RateLimiter
from tests.intake.sources import NOW, Source, contacts, counted, interactions, make_source
from tests.support.effort import examples
from tests.support.world import World

URL_ENCODED = {"Content-Type": "application/x-www-form-urlencoded"}


async def answered(source: Source, key: str, **answers: Any) -> None:
    await source.send_signed({"answers": answers}, key=key)


async def test_names_of_ours_map_themselves_and_the_first_touch_is_kept(world: World) -> None:
    campaign = await world.post("/v1/campaigns", {"code": "winter", "name": "Winter"})
    defaults = {"country": "UA", "language": "uk", "source": {"utm_medium": "site", "utm_source": "own"}}
    source = await make_source(world, "form", campaign_id=campaign["id"], defaults=defaults, mapping={"nick": "ignore"})
    body = {
        "answers": {
            "given_name": "Olena",
            "family_name": "Shevchenko",
            "phone": "(050) 123-45-67",
            "city": "Kyiv",
            "country": "UA",
            "utm_campaign": "winter",
            "nick": "secret nick",
            "why": "Because",
        },
        "source": {"utm_source": "instagram", "referrer": "https://example.org/"},
        "form_title": "Help us",
    }
    await source.send_signed(body, key="one")
    await world.drain()
    (contact,) = await contacts(world)
    assert (contact["display_name"], contact["language"]) == ("Olena Shevchenko", "uk")
    assert contact["phones"][0]["number"] == "+380501234567"
    assert (contact["addresses"][0]["city"], contact["addresses"][0]["country"]) == ("Kyiv", "UA")
    touch = {name: value for name, value in contact["source"].items() if value}
    assert touch == {
        "channel": "form",
        "utm_source": "instagram",
        "utm_medium": "site",
        "utm_campaign": "winter",
        "referrer": "https://example.org/",
    }
    (interaction,) = await interactions(world)
    assert (interaction["subject"], interaction["campaign_id"]) == ("Help us", campaign["id"])
    assert "why: Because" in interaction["body"]
    assert "nick" not in interaction["body"]


async def test_one_person_by_many_ways_is_one_contact_and_what_they_have_stays(world: World) -> None:
    known = await world.contact(phones=[{"number": "+380501234567"}], language="ka", tags=["friend"])
    source = await make_source(world, "form", defaults={"country": "UA", "tags": ["site"], "roles": ["volunteer"]})
    await answered(source, "mail", email="OLENA@example.org", name="Olena Shevchenko", language="uk")
    await answered(source, "phone", phone="050 123 45 67", name="Шевченко Олена", email="second@example.org")
    await world.drain()
    (contact,) = await contacts(world)
    assert contact["id"] == known["id"]
    assert (contact["given_name"], contact["language"]) == ("Олена", "ka")
    assert [(one["address"], one["is_primary"]) for one in contact["emails"]] == [
        ("olena@example.org", True),
        ("second@example.org", False),
    ]
    assert (contact["tags"], contact["roles"]) == (["friend", "site"], ["volunteer"])
    assert len(await interactions(world, contact_id=known["id"])) == 2


async def test_a_family_that_shares_a_phone_stays_two_people(world: World) -> None:
    source = await make_source(world, "form", defaults={"country": "UA"})
    await answered(source, "wife", name="Олена Ковальчук", phone="0501234567", email="home@example.org")
    await world.drain()
    await answered(source, "husband", name="Іван Ковальчук", phone="0501234567", email="home@example.org")
    await world.drain()
    await answered(source, "wife again", name="Olena Kovalchuk", phone="0501234567")
    await world.drain()
    people = {one["display_name"]: one["id"] for one in await contacts(world)}
    assert people.keys() == {"Олена Ковальчук", "Іван Ковальчук"}
    assert len(await interactions(world, contact_id=people["Олена Ковальчук"])) == 2


async def test_different_forms_of_one_new_person_at_once_make_one_contact(world: World) -> None:
    source = await make_source(world, "form", defaults={"country": "UA"})
    await asyncio.gather(
        *(
            answered(source, f"key-{number}", name="Олена", phone="0501234567", email="o@example.org")
            for number in range(8)
        )
    )
    workers = [world.drain() for _ in range(2)]
    await asyncio.gather(*workers)
    (contact,) = await contacts(world)
    assert len(await interactions(world, contact_id=contact["id"])) == 8


@pytest.mark.parametrize(("said", "granted"), [("Так", True), ("on", True), ("Ні", False), ("no", False), ("", False)])
async def test_consent_is_recorded_when_the_form_says_so(world: World, said: str, granted: bool) -> None:
    asked = {"purpose": "newsletter", "channel": "email", "wording": "I want letters", "wording_version": "3"}
    source = await make_source(world, "form", defaults={"consent": asked}, mapping={"agree": "consent"})
    body = {"answers": {"email": "o@example.org", "agree": said}, "page_url": "https://fund.example/join"}
    await source.send_signed(body, key="one")
    await world.drain()
    (contact,) = await contacts(world)
    events = (await world.get(f"/v1/contacts/{contact['id']}/consents"))["data"]
    assert [event["status"] for event in events] == (["granted"] if granted else [])
    if granted:
        (event,) = events
        assert (event["wording"], event["wording_version"]) == ("I want letters", "3")
        assert event["evidence"]["form_url"] == "https://fund.example/join"
    path = f"/v1/contacts/{contact['id']}/can-contact"
    can = await world.get(path, params={"channel": "email", "purpose": "newsletter"})
    assert can["allowed"] is granted


async def test_answers_fill_custom_fields_where_they_fit(world: World) -> None:
    for key, kind, more in (
        ("shirt", "choice", {"choices": [{"code": "m", "label": "M"}]}),
        ("age", "number", {}),
        ("diagnosis", "text", {"sensitivity": "beneficiary_sensitive"}),
    ):
        body = {"resource": "contacts", "key": key, "label": key, "type": kind, **more}
        await world.post("/v1/custom-fields", body)
    mapping = {"size": "custom.shirt", "years": "custom.age", "what": "custom.diagnosis", "x": "custom.unknown"}
    source = await make_source(world, "form", mapping=mapping, defaults={"sensitivity": "beneficiary_sensitive"})
    await answered(source, "a", email="a@example.org", size="m", years="many", what="asthma", x="y")
    await world.drain()
    await answered(source, "b", email="a@example.org", size="xl", years="41")
    await world.drain()
    (contact,) = await contacts(world)
    assert contact["custom"] == {"shirt": "m", "age": 41, "diagnosis": "asthma"}
    key = await world.post("/v1/api-keys", {"name": "Few rights", "scopes": ["contacts:read"]})
    few = {"Authorization": f"Bearer {key['key']}"}
    seen = await world.get(f"/v1/contacts/{contact['id']}", headers=few)
    assert seen["custom"] == {"shirt": "m", "age": 41}
    assert (await world.get("/v1/interactions", headers=few))["data"] == []


async def test_hostile_answers_stay_text(world: World) -> None:
    source = await make_source(world, "form", defaults={"country": "UA"})
    answers = {
        "name": '=HYPERLINK("http://evil") \x00Evil',
        "email": "not an address",
        "phone": "+" + "9" * 40,
        "country": "Ukraine; DROP TABLE contacts",
        "language": "<script>",
        "comment": "@SUM(A1)\x00\x07\nsecond line \ud800" + "x" * 20_000,
        "long " * 100: ["a"] * 500,
        "nested": {"a": [1]},
        "\x00": "nameless",
        "external_id": "x" * 5000,
    }
    await source.send_signed(json.dumps({"answers": answers}).encode(), key="hostile")
    await world.drain()
    (contact,) = await contacts(world)
    assert contact["display_name"] == '=HYPERLINK("http://evil") Evil'
    assert (contact["emails"], contact["phones"], contact["addresses"], contact["language"]) == ([], [], [], None)
    (touch,) = await interactions(world)
    assert "comment: @SUM(A1)\nsecond line ?xxx" in touch["body"]
    assert "\x00" not in touch["body"]
    assert len(touch["body"]) < 12_000
    (delivery,) = await source.deliveries()
    assert delivery["state"] == "handled"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"not json", "not_a_form"),
        (b"[1, 2]", "not_a_form"),
        (b'{"answers": ' + b"[" * 50_000, "not_a_form"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "not_a_form"),
        (b'{"answers": {}}', "names_nobody"),
        (b'{"answers": {"comment": "hello"}}', "names_nobody"),
    ],
)
async def test_what_names_nobody_is_kept_and_said(world: World, body: bytes, reason: str) -> None:
    source = await make_source(world, "form")
    await source.send_signed(body, key="odd")
    await world.drain()
    (delivery,) = await source.deliveries()
    assert delivery["state"] in {"ignored", "unmatched"}
    assert delivery["reason"].startswith(reason)
    assert await contacts(world) == []


async def test_a_wrong_mapping_is_put_right_and_replayed(world: World) -> None:
    source = await make_source(world, "form")
    await answered(source, "one", wer="Olena Shevchenko", tel="050 123 45 67")
    await world.drain()
    (delivery,) = await source.deliveries(state="unmatched")
    change = {"mapping": {"wer": "name", "tel": "phone"}, "defaults": {"country": "UA"}}
    await world.patch(f"/v1/intake-sources/{source.id}", change)
    replayed = await world.post(f"/v1/intake-deliveries/{delivery['id']}/replay", expect=202)
    assert (replayed["state"], replayed["reason"]) == ("received", None)
    await world.drain()
    (contact,) = await contacts(world)
    assert (contact["display_name"], contact["phones"][0]["number"]) == ("Olena Shevchenko", "+380501234567")
    assert [one["state"] for one in await source.deliveries()] == ["handled"]


async def test_what_fails_says_why_and_nothing_of_it_stays(world: World) -> None:
    await world.put("/v1/privacy-settings", {"purposes": [{"code": "camps", "legal_basis": "consent"}]})
    source = await make_source(world, "form", defaults={"consent": {"purpose": "camps"}})
    await world.put("/v1/privacy-settings", {"purposes": []})
    await answered(source, "one", email="o@example.org", consent="yes")
    await world.drain()
    (delivery,) = await source.deliveries(state="failed")
    assert (
        "unknown_purpose" in delivery["reason"] or "purpose" in delivery["reason"] or "Use one of" in delivery["reason"]
    )
    assert await contacts(world) == []
    await world.put("/v1/privacy-settings", {"purposes": [{"code": "camps", "legal_basis": "consent"}]})
    await world.post(f"/v1/intake-deliveries/{delivery['id']}/replay", expect=202)
    await world.drain()
    assert len(await contacts(world)) == 1


# Browsers and publishable keys


async def test_a_browser_form_posts_with_its_public_token(world: World) -> None:
    source = await make_source(world, "form", browser_form=True)
    token = source.row["browser_url"].partition("?token=")[2]
    body = urlencode([("name", "Олена"), ("email", "o@example.org"), ("help", "a"), ("help", "b")])
    await source.send(body, URL_ENCODED, query=f"?token={token}")
    await source.send(body, URL_ENCODED, query=f"?token={token}")  # a second click
    await world.drain()
    (contact,) = await contacts(world)
    (touch,) = await interactions(world, contact_id=contact["id"])
    assert "help: a, b" in touch["body"]
    before = await counted(world)
    for query in ("?token=wrong", "", f"?token={token}x"):
        await source.send(body, URL_ENCODED, query=query, expect=400)
    await source.send(b"\xff\xfe", URL_ENCODED, query=f"?token={token}", expect=400)
    await source.send(b"x" * 300_000, URL_ENCODED, query=f"?token={token}", expect=413)
    assert await counted(world) == before
    off = await world.patch(f"/v1/intake-sources/{source.id}", {"browser_form": False})
    assert off["browser_url"] is None
    await source.send(body, URL_ENCODED, query=f"?token={token}", expect=400)


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three forms at once from one place."""
    monkeypatch.setattr(endpoints, "_PER_ADDRESS", RateLimiter(per_second=0.5, burst=3))


@pytest.mark.usefixtures("narrow")
async def test_a_flood_of_browser_forms_is_stopped_and_signed_ones_are_not(world: World) -> None:
    source = await make_source(world, "form", browser_form=True)
    token = source.row["browser_url"].partition("?token=")[2]
    for number in range(3):
        await source.send(f"email=o{number}@example.org", URL_ENCODED, query=f"?token={token}")
    stopped = await source.send("email=o9@example.org", URL_ENCODED, query=f"?token={token}", expect=429)
    assert int(stopped.headers["retry-after"]) >= 1
    for number in range(5):
        await answered(source, f"signed-{number}", email="s@example.org")
    assert len(await source.deliveries()) == 8


async def publishable(world: World, *scopes: str) -> httpx.AsyncClient:
    key = await world.post("/v1/api-keys", {"name": "Site", "kind": "publishable", "scopes": list(scopes)})
    headers = {"Authorization": f"Bearer {key['key']}"}
    return httpx.AsyncClient(transport=world.client._transport, base_url="http://crm.test", headers=headers)


SUBMISSION = {
    "answers": {"name": "Олена Ковальчук", "email": "olena@example.org", "help": ["a", "b"]},
    "page_url": "https://fund.example/help",
    "source": {"utm_source": "instagram"},
}


async def test_a_publishable_key_sends_forms_and_nothing_else(world: World) -> None:
    source = await make_source(world, "form")
    path = f"/v1/intake/form/{source.id}/submissions"
    async with await publishable(world, "forms:submit") as client:
        first = await client.post(path, json=SUBMISSION, headers={"Idempotency-Key": "click"})
        again = await client.post(path, json=SUBMISSION, headers={"Idempotency-Key": "click"})
        assert (first.status_code, first.json()["state"]) == (202, "received")
        assert again.json() == first.json()
        for forbidden in ("/v1/intake-deliveries", f"/v1/intake-sources/{source.id}", "/v1/contacts"):
            assert (await client.get(forbidden)).status_code == 403
        bad = await client.post(path, json={"answers": {"name": "a\x00b"}})
        assert bad.status_code == 422
        assert (await client.post(path, json={"answers": {}})).status_code == 422
        google = await make_source(world, "google_forms")
        assert (await client.post(f"/v1/intake/form/{google.id}/submissions", json=SUBMISSION)).status_code == 404
        await world.patch(f"/v1/intake-sources/{source.id}", {"active": False})
        assert (await client.post(path, json=SUBMISSION)).json()["code"] == "source_inactive"
    await world.drain()
    (contact,) = await contacts(world)
    assert (contact["display_name"], contact["source"]["utm_source"]) == ("Олена Ковальчук", "instagram")
    (delivery,) = await source.deliveries()
    assert (delivery["id"], delivery["state"]) == (first.json()["id"], "handled")


@pytest.mark.usefixtures("narrow")
async def test_publishable_keys_are_limited_by_address_and_secret_ones_are_not(world: World) -> None:
    source = await make_source(world, "form")
    path = f"/v1/intake/form/{source.id}/submissions"
    async with await publishable(world, "forms:submit", "donations:intend") as client:
        statuses = [(await client.post(path, json=SUBMISSION)).status_code for _ in range(5)]
    assert statuses == [202, 202, 202, 429, 429]
    for _ in range(5):
        await world.post(path, SUBMISSION, expect=202)


# Whatever comes


NASTY = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(
    ["answers", "source", "callDetails[generalCallID]", "event", "message", "entry", "field_data", "name", "sender",
     "update_id", "user_id", "named_values", "uniqueid", "call_type", "my_chat_member", "message_token", "disposition"]
)  # fmt: skip


@settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    kind=st.sampled_from(sorted(KINDS)),
    body=st.dictionaries(NAMES | st.text(max_size=10), NASTY, max_size=6).map(lambda one: json.dumps(one).encode())
    | st.binary(max_size=200),
    event_type=st.sampled_from(["lead", "page", "x"]),
)
def test_no_body_can_upset_a_kind(kind: str, body: bytes, event_type: str) -> None:
    envelope = KINDS[kind].envelope(Received(body, {}), NOW)
    assert 0 < len(envelope.key) <= 300
    assert "\x00" not in envelope.key + envelope.event_type
    reading = KINDS[kind].interpret(Body(body, "application/json", "k", event_type, NOW), SourceSettings("s", "Form"))
    if reading.person is not None:
        found = newcomer_of(reading.person, {"country": "UA"}, reading.origin, "form")
        assert all(0 < len(value) <= 220 for _, value in found.keys)
    if reading.touch is not None:
        assert "\x00" not in (reading.touch.body or "") + (reading.touch.subject or "")
        assert len(reading.touch.body or "") <= 50_000
