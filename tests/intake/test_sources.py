"""Sources over the API: made, shown without their secrets, rotated, switched off; deep links; Meta's question."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.conftest import MakeWorld
from tests.intake.sources import (
    CREDENTIALS,
    NOW,
    PATH_SECRET,
    SIGNING,
    Source,
    contacts,
    interactions,
    make_source,
    signed,
)
from tests.support.world import World


@pytest.mark.parametrize("kind", sorted(CREDENTIALS))
async def test_a_source_is_shown_with_its_address_and_never_its_secrets(world: World, kind: str) -> None:
    source = await make_source(world, kind)
    shown = [
        source.row,
        await world.get(f"/v1/intake-sources/{source.id}"),
        (await world.get("/v1/intake-sources"))["data"][0],
    ]
    tail = "/{path_secret}" if kind == "binotel" else ""
    for row in shown:
        assert row["credentials_set"] == sorted(CREDENTIALS[kind])
        assert row["webhook_url"] == f"http://127.0.0.1:8000/v1/intake/{kind}/{source.id}{tail}"
        assert row["issued"] == {}
        for secret in CREDENTIALS[kind].values():
            assert secret not in str(row)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("form", "signing_secret"),
        ("google_forms", "signing_secret"),
        ("binotel", "path_secret"),
        ("ringostat", "auth_key"),
        ("telegram", "secret_token"),
    ],
)
async def test_secrets_that_are_ours_are_made_up_and_answered_once(world: World, kind: str, name: str) -> None:
    body = {"kind": kind, "name": "Fresh"}
    made = await world.post("/v1/intake-sources", body, headers={"Idempotency-Key": "once"})
    assert made["issued"].keys() == {name}
    secret = made["issued"][name]
    assert len(secret) >= 32
    if kind == "binotel":
        assert made["webhook_url"].endswith(f"/{secret}")
    again = await world.client.post("/v1/intake-sources", json=body, headers={"Idempotency-Key": "once"})
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json()["id"] == made["id"]
    assert secret not in again.text
    assert secret not in str(await world.get(f"/v1/intake-sources/{made['id']}"))


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"kind": "viber", "credentials": {}}, "/credentials/auth_token"),
        ({"kind": "meta_leads", "credentials": {"app_secret": "12345678"}}, "/credentials/page_access_token"),
        ({"kind": "form", "credentials": {"signing_secret": "whsec_"}}, "/credentials/signing_secret"),
        ({"kind": "form", "credentials": {"signing_secret": "whsec_é"}}, "/credentials/signing_secret"),
        ({"kind": "binotel", "credentials": {"path_secret": "a/b?c=1234567890abcd"}}, "/credentials/path_secret"),
        ({"kind": "telegram", "credentials": {"secret": "x"}}, "/credentials/secret"),
        ({"kind": "form", "mapping": {"a": "password"}}, "/mapping/a"),
        ({"kind": "form", "mapping": {"a": "custom.Shirt"}}, "/mapping/a"),
        ({"kind": "form", "defaults": {"roles": ["wizard"]}}, "/defaults/roles"),
        ({"kind": "form", "defaults": {"consent": {"purpose": "mind_control"}}}, "/defaults/consent/purpose"),
        ({"kind": "form", "defaults": {"consent": {"purpose": "newsletter", "list": "x1"}}}, "/defaults/consent/list"),
        ({"kind": "binotel", "browser_form": True}, "/browser_form"),
        ({"kind": "viber", "credentials": CREDENTIALS["viber"], "bot_username": "fund_bot"}, "/bot_username"),
    ],
)
async def test_what_cannot_work_is_refused(world: World, body: dict[str, Any], pointer: str) -> None:
    problem = await world.post("/v1/intake-sources", {"name": "Wrong", **body}, expect=422)
    assert pointer in [error["pointer"] for error in problem["errors"]], problem


async def test_an_unknown_campaign_is_refused(world: World) -> None:
    body = {"kind": "form", "name": "Form", "campaign_id": world.id.__str__()}
    assert (await world.post("/v1/intake-sources", body, expect=404))["code"] == "reference_not_found"


async def test_both_secrets_are_good_while_one_takes_over_from_the_other(world: World) -> None:
    source = await make_source(world, "form")
    fresh = "whsec_bmV3LXNlY3JldC1vZi10aGUtdGVzdHMhISE="
    body = b'{"answers": {"email": "olena@example.org"}}'
    await world.patch(f"/v1/intake-sources/{source.id}", {"credentials": {"signing_secret": fresh}})
    await source.send(body, signed(body, key="old", secret=SIGNING))
    await source.send(body, signed(body, key="new", secret=fresh))
    await source.send(body, signed(body, key="else", secret="whsec_c29tZWJvZHktZWxzZS1zb21ld2hlcmU="), expect=400)
    assert {one["delivery_key"] for one in await source.deliveries()} == {"old", "new"}


@pytest.mark.parametrize("seconds", [-301, 301])
async def test_a_signature_is_fresh_for_five_minutes_both_ways(world: World, seconds: int) -> None:
    source = await make_source(world, "google_forms")
    body = b'{"answers": []}'
    late = await source.send(body, signed(body, key="a", at=NOW + timedelta(seconds=seconds)), expect=400)
    assert late.json()["code"] == "signature_timestamp_expired"
    step = 1 if seconds < 0 else -1
    await source.send(body, signed(body, key="a", at=NOW + timedelta(seconds=seconds + step)))


async def test_a_source_that_is_switched_off_listens_no_more(make_world: MakeWorld) -> None:
    world = await make_world(mode="live")  # what a live organization's sources are is remembered for a moment
    source = await make_source(world, "binotel", frozen=False)
    await source.send_fixture("binotel_call_completed_answered")
    await world.patch(f"/v1/intake-sources/{source.id}", {"active": False})
    gone = await source.send_fixture("binotel_call_completed_answered", expect=404)
    assert "webhook_url" in gone.json()["detail"]
    await world.patch(f"/v1/intake-sources/{source.id}", {"active": True})
    await source.send_fixture("binotel_call_completed_answered")


async def test_payment_connections_and_sources_are_not_each_other(world: World) -> None:
    connection = await world.stripe_connection()
    source = await make_source(world, "form")
    for path in (f"/v1/intake/stripe/{connection}", f"/v1/payments/webhooks/form/{source.id}"):
        answer = await world.client.post(path, content=b"{}", headers={"Authorization": ""})
        assert answer.status_code == 404, path


async def test_meta_asks_whether_the_address_is_ours(world: World) -> None:
    source = await make_source(world, "meta_leads")
    path = f"/v1/intake/meta_leads/{source.id}"
    asked = {"hub.mode": "subscribe", "hub.challenge": "1158201444", "hub.verify_token": "word-of-the-tests"}
    answer = await world.client.get(path, params=asked, headers={"Authorization": ""})
    assert (answer.status_code, answer.text) == (200, "1158201444")
    assert answer.headers["content-type"].startswith("text/plain")
    for change in ({"hub.verify_token": "x"}, {"hub.mode": "unsubscribe"}):
        wrong = await world.client.get(path, params={**asked, **change}, headers={"Authorization": ""})
        assert wrong.status_code == 400
        assert "1158201444" not in wrong.text
    bot = await make_source(world, "telegram")
    other = await world.client.get(f"/v1/intake/telegram/{bot.id}", params=asked, headers={"Authorization": ""})
    assert other.status_code == 404


def update(number: int, text: str, **sender: Any) -> dict[str, Any]:
    person = {"id": 77, "is_bot": False, "first_name": "Ira", **sender}
    return {
        "update_id": number,
        "message": {
            "message_id": number,
            "from": person,
            "chat": {"id": person["id"], "type": "private"},
            "date": 1760000000 + number,
            "text": text,
        },
    }


async def start_link(world: World, source: Source, contact_id: str, days: int = 30) -> Any:
    return await world.post(f"/v1/intake-sources/{source.id}/links", {"contact_id": contact_id, "days": days})


async def test_a_signed_deep_link_joins_the_chat_even_when_somebody_was_there_before(world: World) -> None:
    source = await make_source(world, "telegram", bot_username="fund_bot")
    await source.send_telegram(update(1, "hello"))
    await world.drain()
    (stranger,) = await contacts(world)
    donor = await world.contact()
    link = await start_link(world, source, donor["id"])
    assert link["url"] == f"https://t.me/fund_bot?start={link['payload']}"
    assert len(link["payload"]) <= 64
    await source.send_telegram(update(2, f"/start {link['payload']}"))
    await world.drain()  # two messages handled at the same moment may each find the chat as it was
    await source.send_telegram(update(3, "it is me"))
    await world.drain()
    joined = await world.get(f"/v1/contacts/{donor['id']}")
    assert [(item["network"], item["handle"]) for item in joined["handles"]] == [("telegram", "77")]
    before = await world.get(f"/v1/contacts/{stranger['id']}")
    assert (before["handles"], before["external_ids"]) == ([], [])
    assert {one["body"] for one in await interactions(world, contact_id=donor["id"])} >= {"it is me"}
    assert len(await contacts(world)) == 2


async def test_a_forged_or_late_link_joins_nobody_and_a_plain_word_is_where_they_came_from(world: World) -> None:
    source = await make_source(world, "telegram")
    other = await make_source(world, "telegram")
    donor = await world.contact()
    good = (await start_link(world, source, donor["id"], days=1))["payload"]
    foreign = (await start_link(world, other, donor["id"]))["payload"]
    forged = good[:-1] + ("A" if good[-1] != "A" else "B")
    for number, payload in enumerate((forged, foreign, good[::-1])):
        await source.send_telegram(update(number, f"/start {payload}", id=100 + number))
    await source.send_telegram(update(8, "/start winter2025", id=200))
    await world.set_clock(NOW + timedelta(days=1, seconds=1))
    await source.send_telegram(update(9, f"/start {good}", id=300))
    await world.drain()
    assert (await world.get(f"/v1/contacts/{donor['id']}"))["handles"] == []
    said = {one["delivery_key"]: one["reason"] for one in await source.deliveries(state="handled")}
    assert {key for key, reason in said.items() if reason} == {f"update:{number}" for number in (0, 1, 2, 9)}
    assert all(reason.startswith("start_link_unknown") for reason in said.values() if reason)
    came = [one for one in await contacts(world) if one["source"]["utm_campaign"]]
    assert [(one["source"]["channel"], one["source"]["utm_campaign"]) for one in came] == [("telegram", "winter2025")]


async def test_links_are_for_bots_and_for_contacts_there_are(world: World) -> None:
    form = await make_source(world, "form")
    contact = await world.contact()
    refused = await world.post(f"/v1/intake-sources/{form.id}/links", {"contact_id": contact["id"]}, expect=409)
    assert refused["code"] == "not_a_bot"
    bot = await make_source(world, "telegram")
    await world.post(f"/v1/intake-sources/{bot.id}/links", {"contact_id": str(world.id)}, expect=404)


async def test_the_secret_of_an_address_is_not_logged(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    source = await make_source(world, "binotel")
    await source.send_fixture("binotel_call_completed_answered")
    await source.send("x=1", secret="some-other-secret", expect=404)
    await world.drain()
    out, err = capfd.readouterr()
    assert PATH_SECRET not in out + err
    assert "0501234567" not in out + err
