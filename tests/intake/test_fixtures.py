"""Every fixture of the intake sources, posted as it stands over HTTP, ends as its `expect` says; forged ones and
repeated ones change nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.conftest import MakeWorld
from tests.intake.sources import (
    CREDENTIALS,
    FOLDER,
    PATH_SECRET,
    Source,
    contacts,
    counted,
    fixture,
    interactions,
    make_source,
)
from tests.support.fake_meta import fake_meta
from tests.support.world import World

UKRAINE: dict[str, Any] = {"country": "UA"}
GOOGLE: dict[str, Any] = {
    "mapping": {"111": "name", "112": "phone", "114": "consent"},
    "defaults": {
        **UKRAINE,
        "tags": ["site"],
        "roles": ["volunteer"],
        "consent": {"purpose": "volunteering", "channel": "phone", "wording_version": "2025-10"},
    },
}
SETTINGS: dict[str, dict[str, Any]] = {
    "google_forms_form_submit": GOOGLE,
    "binotel_call_completed_answered": {"defaults": UKRAINE},
    "ringostat_call_end": {"defaults": UKRAINE},
    "meta_leads_leadgen_event": {"defaults": UKRAINE},
    "telegram_webhook_start_with_payload": {"start_system": "donor-numbers"},
    "viber_callback_message": {},
    "viber_callback_unsubscribed": {},
}
DELIVERED = sorted(SETTINGS)


def kind_of(name: str) -> str:
    return next(kind for kind in CREDENTIALS if name.startswith(f"{kind}_"))


async def source_of(world: World, name: str) -> Source:
    return await make_source(world, kind_of(name), **SETTINGS[name])


def test_every_delivery_among_the_fixtures_is_here() -> None:
    found = {path.stem for path in FOLDER.glob("*.json")}
    assert {name for name in found if "request" in fixture(name)} == set(DELIVERED)
    assert {fixture(name)["provenance"]["class"] for name in found} <= {
        "own-contract",
        "official-shape",
        "third-party-shape",
    }
    secrets = {
        kind_of(name): fixture(name)["verification"]["secret"] for name in found if "verification" in fixture(name)
    }
    assert all(secret in CREDENTIALS[kind].values() for kind, secret in secrets.items())


async def test_a_google_form_makes_the_contact_with_phone_tags_role_and_consent(world: World) -> None:
    source = await source_of(world, "google_forms_form_submit")
    await source.send_fixture("google_forms_form_submit")
    (received,) = await source.deliveries()
    assert (received["state"], received["contact_id"]) == ("received", None)
    await world.drain()
    wanted = fixture("google_forms_form_submit")["expect"]
    (contact,) = await contacts(world)
    assert contact["display_name"] == wanted["contact"]["name"]
    assert [item["address"] for item in contact["emails"]] == [wanted["contact"]["email"]]
    assert [item["number"] for item in contact["phones"]] == [wanted["contact"]["phone_e164"]]
    assert (contact["tags"], contact["roles"]) == (["site"], ["volunteer"])
    assert contact["source"]["channel"] == "google_forms"
    (consent,) = (await world.get(f"/v1/contacts/{contact['id']}/consents"))["data"]
    assert wanted["consent"] is True
    said = {name: consent[name] for name in ("purpose", "channel", "status", "legal_basis", "wording_version", "at")}
    assert said == {
        "purpose": "volunteering",
        "channel": "phone",
        "status": "granted",
        "legal_basis": "consent",
        "wording_version": "2025-10",
        "at": "2025-10-09T08:53:20Z",
    }
    assert consent["evidence"]["note"] == "Source google_forms: Так"
    assert consent["source"] == "google_forms:gform_2_ABaOnud01"
    (touch,) = await interactions(world)
    assert (touch["kind"], touch["direction"], touch["channel"]) == ("message", "inbound", "web")
    assert (touch["subject"], touch["at"]) == ("Анкета волонтера", "2025-10-09T08:53:20Z")
    assert "Чим можете допомогти?: Переклад, Логістика" in touch["body"].splitlines()
    (handled,) = await source.deliveries()
    assert (handled["state"], handled["reason"]) == ("handled", None)
    assert (handled["contact_id"], handled["interaction_id"]) == (contact["id"], touch["id"])


async def test_a_binotel_call_is_found_by_its_number_and_answered_as_binotel_asks(world: World) -> None:
    known = await world.contact(phones=[{"number": "+380501234567"}])
    source = await source_of(world, "binotel_call_completed_answered")
    answer = await source.send_fixture("binotel_call_completed_answered")
    wanted = fixture("binotel_call_completed_answered")["expect"]
    assert answer.json() == wanted["http_response_body"]
    await world.drain()
    (touch,) = await interactions(world, contact_id=known["id"])
    call = wanted["call"]
    assert touch["external_ref"] == {"system": "binotel", "id": f"{source.id}:{call['id']}"}
    assert (touch["kind"], touch["channel"], touch["direction"]) == ("call", "phone", "inbound")
    assert (touch["outcome"] == "answered", touch["duration_seconds"]) == (call["answered"], call["talk_seconds"])
    assert touch["at"] == "2025-10-09T08:53:20Z"
    assert touch["participants"] == [{"contact_id": known["id"], "member_id": None, "role": "caller"}]
    assert touch["body"].splitlines() == ["Employee: Оператор", "Line: Гаряча лінія"]
    assert [contact["id"] for contact in await contacts(world)] == [known["id"]]


async def test_a_ringostat_call_makes_the_contact_with_its_first_touch(world: World) -> None:
    source = await source_of(world, "ringostat_call_end")
    await source.send_fixture("ringostat_call_end")
    await world.drain()
    call = fixture("ringostat_call_end")["expect"]["call"]
    (contact,) = await contacts(world)
    assert [item["number"] for item in contact["phones"]] == ["+380501234567"]
    assert (contact["source"]["channel"], contact["source"]["utm_source"]) == ("phone", "google")
    (touch,) = await interactions(world, contact_id=contact["id"])
    assert touch["external_ref"]["id"].endswith(f":{call['id']}")
    assert (touch["direction"], touch["outcome"], touch["duration_seconds"]) == (
        "inbound",
        "answered",
        call["talk_seconds"],
    )
    assert "Recording: https://app.example.org/rec/1" in touch["body"].splitlines()


async def test_a_lead_is_asked_for_and_becomes_a_contact(make_world: MakeWorld) -> None:
    asked = fixture("meta_leads_lead_retrieval_response")
    async with fake_meta() as meta:
        lead = asked["api_response"]["body"]
        meta.leads[lead["id"]] = lead
        world = await make_world(service_urls={"meta": meta.url})
        source = await source_of(world, "meta_leads_leadgen_event")
        await source.send_fixture("meta_leads_leadgen_event")
        await world.drain()
        assert meta.asked == fixture("meta_leads_leadgen_event")["expect"]["fetch"]
        assert "field_data" in meta.fields[0]
    wanted = asked["expect"]["contact"]
    (contact,) = await contacts(world)
    assert (contact["display_name"], contact["source"]["channel"]) == (wanted["name"], wanted["source"])
    assert [item["address"] for item in contact["emails"]] == [wanted["email"]]
    assert [item["number"] for item in contact["phones"]] == [wanted["phone"]]
    assert contact["source"]["utm_content"] == lead["ad_id"]
    by_type = {one["event_type"]: one for one in await source.deliveries()}
    assert {name: one["state"] for name, one in by_type.items()} == {"page": "handled", "lead": "handled"}
    assert by_type["lead"]["delivery_key"] == f"leadgen:{lead['id']}"
    assert by_type["lead"]["contact_id"] == contact["id"]


async def test_a_deep_link_joins_the_chat_to_the_donor_it_names(world: World) -> None:
    link = fixture("telegram_webhook_start_with_payload")["expect"]["link"]
    donor = await world.contact(external_ids=[{"system": "donor-numbers", "id": link["ref"]}])
    source = await source_of(world, "telegram_webhook_start_with_payload")
    await source.send_fixture("telegram_webhook_start_with_payload")
    await world.drain()
    (contact,) = await contacts(world)
    assert contact["id"] == donor["id"]
    (handle,) = contact["handles"]
    assert (handle["network"], handle["handle"], handle["status"]) == ("telegram", str(link["chat_id"]), "valid")
    assert (contact["given_name"], contact["family_name"]) == ("Олена", "Шевченко"), "what the contact has stays"
    (touch,) = await interactions(world, contact_id=donor["id"])
    assert (touch["kind"], touch["channel"], touch["body"]) == ("message", "telegram", "/start D-1001")


async def test_a_viber_message_is_an_inbound_touch_and_leaving_ends_it(world: World) -> None:
    source = await source_of(world, "viber_callback_message")
    await source.send_fixture("viber_callback_message")
    await world.drain()
    assert fixture("viber_callback_message")["expect"] == {"inbound_message": True}
    (contact,) = await contacts(world)
    (touch,) = await interactions(world, contact_id=contact["id"])
    assert (touch["direction"], touch["channel"], touch["body"]) == ("inbound", "viber", "Хочу допомогти")
    assert touch["external_ref"]["id"].endswith(":4912661846655238145"), "beyond 2^53 and exact"
    assert contact["handles"][0]["status"] == "valid"
    can = await world.get(f"/v1/contacts/{contact['id']}/can-contact", params={"channel": "viber", "purpose": "events"})
    assert can["reason"] == "no_consent"
    await source.send_fixture("viber_callback_unsubscribed")
    await world.drain()
    assert fixture("viber_callback_unsubscribed")["expect"] == {"suppress_channel": True}
    (left,) = await contacts(world)
    assert left["handles"][0]["status"] == "opted_out"
    can = await world.get(f"/v1/contacts/{contact['id']}/can-contact", params={"channel": "viber", "purpose": "events"})
    assert (can["allowed"], can["reason"]) == (False, "address_opted_out")


@pytest.mark.parametrize("name", DELIVERED)
async def test_twenty_at_once_and_again_later_are_one(make_world: MakeWorld, name: str) -> None:
    async with fake_meta() as meta:
        lead = fixture("meta_leads_lead_retrieval_response")["api_response"]["body"]
        meta.leads[lead["id"]] = lead
        world = await make_world(service_urls={"meta": meta.url})
        source = await source_of(world, name)
        if name == "viber_callback_unsubscribed":
            await source.send_fixture("viber_callback_message")
            await world.drain()
        answers = await asyncio.gather(*(source.send_fixture(name) for _ in range(20)))
        await world.drain()
        before = await counted(world)
        people = await contacts(world)
        assert len(people) == 1
        again = await source.send_fixture(name)
        assert {one.content for one in answers} == {again.content}
        assert await world.drain() == 0
        assert await counted(world) == before
        for delivery in await source.deliveries():
            assert delivery["state"] == "handled"
            await world.post(f"/v1/intake-deliveries/{delivery['id']}/replay", expect=202)
        await world.drain()
    after = await counted(world)
    same = ("intake_deliveries", "contacts", "interactions", "consent_events")
    assert {table: after[table] for table in same} == {table: before[table] for table in same}
    assert [{**one, "updated_at": ""} for one in await contacts(world)] == [{**one, "updated_at": ""} for one in people]


FORGED: dict[str, tuple[str, int]] = {
    "google_forms": ("webhook-signature", 400),
    "ringostat": ("Auth-Key", 400),
    "meta_leads": ("X-Hub-Signature-256", 400),
    "telegram": ("X-Telegram-Bot-Api-Secret-Token", 400),
    "viber": ("X-Viber-Content-Signature", 400),
}


@pytest.mark.parametrize("name", DELIVERED)
async def test_what_is_not_the_source_s_is_refused_and_nothing_is_written(world: World, name: str) -> None:
    source = await source_of(world, name)
    await world.drain()  # schedules that the frozen clock has passed
    before = await counted(world)
    request = fixture(name)["request"]
    body, headers = request["body_raw"], dict(request["headers"])
    if source.kind == "binotel":
        await source.send(body, headers, secret=f"{PATH_SECRET}x", expect=404)
        await source.send(body, headers, expect=404)
    else:
        own, status = FORGED[source.kind]
        right = {"Auth-Key": CREDENTIALS["ringostat"]["auth_key"]} if source.kind == "ringostat" else {}
        headers |= right
        refused = await source.send(body, {**headers, own: headers[own][:-1] + "~"}, expect=status)
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["code"].startswith("signature_")
        assert "Олена" not in refused.text
        missing = await source.send(body, {k: v for k, v in headers.items() if k != own}, expect=status)
        assert missing.json()["code"] == "signature_header_missing"
        if source.kind in {"google_forms", "meta_leads", "viber"}:
            await source.send(body.replace("1", "2", 1), headers, expect=status)
            await source.send(body + "\n", headers, expect=status)
    other = {"form": "viber"}.get(source.kind, "form")
    wrong_kind = await world.client.post(f"/v1/intake/{other}/{source.id}", content=body, headers={"Authorization": ""})
    assert wrong_kind.status_code == 404
    assert await counted(world) == before
    assert await world.drain() == 0


async def test_spreadsheet_answers_are_known_by_their_titles(world: World) -> None:
    event = fixture("google_forms_event_objects")["data"]["spreadsheet_bound"]
    source = await make_source(
        world, "google_forms", mapping={"Email Address": "email", "Ім'я та прізвище": "name", "Timestamp": "ignore"}
    )
    body = {"source": "google_forms", "form_title": "Анкета", "named_values": event["namedValues"]}
    await source.send_signed(body, key="gform_row_2")
    await world.drain()
    (contact,) = await contacts(world)
    assert (contact["display_name"], contact["emails"][0]["address"]) == ("Олена Ковальчук", "olena@example.org")
    (touch,) = await interactions(world)
    assert "Чим можете допомогти?: Переклад, Логістика" in touch["body"]
    assert "Timestamp" not in touch["body"]
