"""Erasing a person: first the plan, then the deed, in steps that can be interrupted; what the law asks for stays."""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from crm_api.contacts.privacy import archive, declared
from crm_api.contacts.privacy import service as privacy
from crm_api.contacts.privacy import tasks as privacy_tasks
from crm_api.outbox.facts import Job
from crm_api.outbox.failures import LeaseLost
from crm_api.payments.inbox.scrub import scrub
from tests.support.world import World

FIXTURES = Path(__file__).parent.parent / "fixtures" / "stripe"


def fixture(name: str, **changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.loads((FIXTURES / f"{name}.json").read_text())["request"]["body_raw"])
    return {**found, **changes}


async def erase(world: World, contact_id: str) -> Any:
    """Erase and wait for it."""
    erasure = await world.post(f"/v1/contacts/{contact_id}/erasure", {"confirm": True}, expect=202)
    assert erasure["state"] == "queued"
    await world.drain()
    return await world.get(f"/v1/erasures/{erasure['id']}")


async def paying(world: World) -> Any:
    """A contact who came with a payment, and was thanked."""
    await world.stripe_sends(fixture("payment_intent_succeeded_usd"))
    await world.drain()
    (found,) = (await world.get("/v1/contacts", params={"email": "jenny.rosen@example.org"}))["data"]
    return found


async def test_the_plan_says_what_would_happen_and_does_nothing(world: World) -> None:
    contact = await paying(world)
    path = f"/v1/contacts/{contact['id']}/erasure"
    first = await world.post(path, {"confirm": False}, expect=200)
    assert (first["state"], first["id"]) == ("planned", None)
    planned = {(one["table"], one["action"]): one for one in first["plan"]["tables"]}
    gifts = planned["gifts", "anonymise"]
    assert (gifts["rows"], gifts["ground"].startswith("accounting law")) == (1, True)
    gift = (await world.get("/v1/donations"))["data"][0]
    assert gifts["until"] == str(int(gift["gift_date"][:4]) + 7) + gift["gift_date"][4:]
    assert ("contact_keys", "erase") in planned
    assert ("provider_events", "anonymise") in planned
    assert any("mailboxes" in one for one in first["plan"]["outside"])
    await world.put("/v1/privacy-settings", {"retention_years": 10})
    again = await world.post(path, {}, expect=200)
    later = next(one["until"] for one in again["plan"]["tables"] if one["table"] == "gifts")
    assert int(later[:4]) - int(gifts["until"][:4]) == 3
    assert (await world.get(f"/v1/contacts/{contact['id']}"))["emails"] == contact["emails"]


async def test_an_erased_person_is_a_row_without_a_name(world: World) -> None:
    contact = await paying(world)
    before = (await world.get("/v1/donations"))["data"]
    done = await erase(world, contact["id"])
    assert (done["state"], done["progress"], done["reason"]) == ("succeeded", 1.0, None)
    after = await world.get(f"/v1/contacts/{contact['id']}")
    assert after["display_name"] == f"Erased {contact['id'][-8:].upper()}"
    assert (after["emails"], after["phones"], after["given_name"], after["do_not_contact"]) == ([], [], None, True)
    gifts = (await world.get("/v1/donations"))["data"]
    keep = ("id", "amount", "status", "contact_id", "gift_date", "provider_payment_id")
    assert [{name: one[name] for name in keep} for one in gifts] == [
        {name: one[name] for name in keep} for one in before
    ]
    for query in ({"q": "jenny"}, {"email": "jenny.rosen@example.org"}):
        assert (await world.get("/v1/contacts", params=query))["data"] == []
    assert world.letters() == [], "what we wrote as files is gone too"
    await world.patch(f"/v1/contacts/{contact['id']}", {"given_name": "Jenny"}, expect=409)
    await world.donation(contact["id"])  # a late voucher is still a voucher; nobody is thanked
    await world.drain()
    assert world.letters() == []


async def test_erasing_twice_is_harmless(world: World) -> None:
    contact = await paying(world)
    await erase(world, contact["id"])
    once = await world.get(f"/v1/contacts/{contact['id']}")
    again = await erase(world, contact["id"])
    assert again["state"] == "succeeded"
    twice = await world.get(f"/v1/contacts/{contact['id']}")
    assert {**twice, "version": 0, "updated_at": ""} == {**once, "version": 0, "updated_at": ""}


async def test_what_they_were_merged_from_goes_too(world: World, service_role: asyncpg.Connection) -> None:
    old = await world.contact(given_name="Oldname")
    contact = await world.contact(given_name="Newname")
    async with service_role.transaction():
        await service_role.execute(f"SET LOCAL crm.organization_id = '{world.id}'")
        await service_role.execute(
            "UPDATE contacts SET merged_into = $1 WHERE id = $2", UUID(contact["id"]), UUID(old["id"])
        )
    done = await erase(world, contact["id"])
    assert set(done["plan"]["contact_ids"]) == {old["id"], contact["id"]}
    async with service_role.transaction():
        await service_role.execute(f"SET LOCAL crm.organization_id = '{world.id}'")
        rows = await service_role.fetch("SELECT given_name, erased_at FROM contacts")
    assert all(row["given_name"] is None and row["erased_at"] for row in rows)


async def test_a_later_payment_makes_a_new_person(world: World) -> None:
    contact = await paying(world)
    await erase(world, contact["id"])
    body = json.dumps(fixture("payment_intent_succeeded_usd", id="evt_later"))
    for one in set(re.findall(r"\b(?:pi|ch|py|txn)_[A-Za-z0-9]+", body)):
        body = body.replace(one, one + "Later")
    await world.stripe_sends(body.encode())
    await world.drain()
    (found,) = (await world.get("/v1/contacts", params={"email": "jenny.rosen@example.org"}))["data"]
    assert found["id"] != contact["id"]
    assert (await world.get(f"/v1/contacts/{contact['id']}"))["emails"] == []


async def test_a_late_word_about_an_old_payment_names_nobody_again(
    world: World, service_role: asyncpg.Connection
) -> None:
    """The same payment's event, delivered anew under another id: the gift stays whose it was, nameless."""
    contact = await paying(world)
    await erase(world, contact["id"])
    await world.stripe_sends(fixture("payment_intent_succeeded_usd", id="evt_again"))
    await world.drain()
    assert len((await world.get("/v1/donations"))["data"]) == 1
    assert (await world.get("/v1/contacts", params={"email": "jenny.rosen@example.org"}))["data"] == []
    async with service_role.transaction():
        await service_role.execute(f"SET LOCAL crm.organization_id = '{world.id}'")
        bodies = await service_role.fetch("SELECT convert_from(body, 'UTF8') AS body FROM provider_events")
        payers = await service_role.fetch("SELECT payer FROM gifts")
    assert not any("jenny" in row["body"].lower() for row in bodies)
    assert all(row["payer"] is None for row in payers)


async def test_a_stub_can_be_handled_again(world: World) -> None:
    contact = await paying(world)
    gift = (await world.get("/v1/donations"))["data"][0]
    await erase(world, contact["id"])
    event = (await world.get("/v1/payments/inbox"))["data"][0]
    await world.post(f"/v1/payments/inbox/{event['id']}/replay", expect=202)
    await world.drain()
    assert (await world.get(f"/v1/payments/inbox/{event['id']}"))["state"] == "handled"
    after = (await world.get("/v1/donations"))["data"]
    assert [(one["id"], one["amount"], one["status"]) for one in after] == [
        (gift["id"], gift["amount"], gift["status"])
    ]


async def test_an_interrupted_erasure_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It breaks in the middle of the database's part, then while files are removed; the end is the same."""
    contact = await world.contact()
    file = {"file": ("notes.txt", b"Notes of the meeting", "text/plain")}
    await world.call("POST", "/v1/documents", expect=201, data={"contact_id": contact["id"]}, files=file)
    change, broken = declared.change, iter([True])

    def breaks_once(rule: Any) -> Any:
        if rule.table.name == "contacts" and next(broken, False):
            raise RuntimeError("pulled the plug")
        return change(rule)

    monkeypatch.setattr(declared, "change", breaks_once)
    delete, gone = world.worker.runner.files.delete, iter([True])

    async def away_once(name: str) -> None:
        if next(gone, False):
            raise httpx.ConnectError("the store is away")
        await delete(name)

    monkeypatch.setattr(world.worker.runner.files, "delete", away_once)
    erasure = await world.post(f"/v1/contacts/{contact['id']}/erasure", {"confirm": True}, expect=202)
    states = []
    for _ in range(8):
        await world.drain()
        found = await world.get(f"/v1/erasures/{erasure['id']}")
        states.append((found["state"], found["progress"]))
        job = next((one for one in await world.jobs() if one["subscriber"] == "privacy.erase"), None)
        if found["state"] == "succeeded" or job is None:
            break
        await world.post(f"/v1/jobs/{job['id']}/retry", expect=200)
    assert states[-1] == ("succeeded", 1.0), states
    folder = Path(world.settings.files_url.removeprefix("file://"))
    assert [one for one in folder.rglob("*") if one.is_file()] == []
    assert (await world.get("/v1/documents"))["data"] == []


def test_a_stub_keeps_ids_and_amounts_only() -> None:
    event = fixture("payment_intent_succeeded_usd")
    stub = json.loads(scrub(json.dumps(event).encode()) or b"")
    intent, was = stub["data"]["object"], event["data"]["object"]
    assert (stub["id"], intent["id"], intent["amount"], intent["currency"]) == (
        event["id"], was["id"], was["amount"], was["currency"],
    )  # fmt: skip
    for private in ("jenny", "Jenny", "@", "cus_"):
        assert private not in json.dumps(stub)
    assert scrub(json.dumps(stub).encode()) == json.dumps(stub, separators=(",", ":")).encode()
    assert b"Olena" not in (scrub(b"not json: Olena") or b"")


# What is kept of me


async def test_one_archive_of_everything(world: World) -> None:
    other = await world.contact(given_name="Somebody", family_name="Else", emails=[{"address": "else@example.org"}])
    contact = await world.contact(language="uk", phones=[{"number": "+380501234567"}])
    await world.donation(contact["id"])
    file = {"file": ("Нотатки.txt", "Нотатки про зустріч".encode(), "text/plain")}
    await world.call("POST", "/v1/documents", expect=201, data={"contact_id": contact["id"]}, files=file)
    consent = {"status": "granted", "purpose": "newsletter", "legal_basis": "consent"}
    await world.post(f"/v1/contacts/{contact['id']}/consents", consent)
    export = await world.post(f"/v1/contacts/{contact['id']}/subject-export", expect=202)
    assert (export["state"], export["download"]) == ("queued", None)
    await world.drain()
    done = await world.get(f"/v1/subject-exports/{export['id']}")
    assert (done["state"], done["progress"]) == ("succeeded", 1.0)
    path = done["download"]["url"].removeprefix(world.settings.public_url)
    answer = await world.client.get(path, headers={"Authorization": ""})
    assert answer.status_code == 200
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    rows = {name: archive.read(name).decode() for name in archive.namelist()}
    (self_,) = json.loads(rows["data/contacts.json"])
    assert (self_["id"], self_["given_name"], self_["phones"][0]["number"]) == (
        contact["id"], "Олена", "+380501234567",
    )  # fmt: skip
    assert len(json.loads(rows["data/gifts.json"])) == 1
    assert json.loads(rows["data/consent_events.json"])[0]["purpose"] == "newsletter"
    (document,) = [name for name in rows if name.startswith("files/documents/")]
    assert rows[document] == "Нотатки про зустріч"
    page = rows["index.html"]
    assert 'lang="uk"' in page
    assert "Ваші персональні дані" in page
    for strange in (other["id"], "else@example.org", "Somebody", str(world.id)):
        assert not any(strange in text for text in rows.values()), strange


async def test_an_archive_ends(world: World) -> None:
    contact = await world.contact()
    export = await world.post(f"/v1/contacts/{contact['id']}/subject-export", expect=202)
    await world.drain()
    folder = Path(world.settings.files_url.removeprefix("file://"))
    assert [one for one in folder.rglob("*") if one.is_file()]
    await world.set_clock(world.tenant.now() + timedelta(days=9))
    await world.drain()
    assert [one for one in folder.rglob("*") if one.is_file()] == []
    assert (await world.get(f"/v1/subject-exports/{export['id']}"))["download"] is None


async def test_only_those_who_may_erase_do(world: World) -> None:
    contact = await world.contact()
    key = await world.post("/v1/api-keys", {"name": "Desk", "scopes": ["contacts:read", "contacts:write"]})
    headers = {"Authorization": f"Bearer {key['key']}"}
    for path, body in (("erasure", {"confirm": False}), ("subject-export", None)):
        problem = await world.post(f"/v1/contacts/{contact['id']}/{path}", body, expect=403, headers=headers)
        assert problem["scope"] == "privacy:write"


async def test_an_archive_that_is_made_while_the_person_is_erased_goes_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    contact = await world.contact()
    make = archive.make

    async def slowly(*arguments: Any) -> Any:
        stored = await make(*arguments)
        async with world.worker.database.write(world.tenant) as session:
            await privacy.erase_now(session, {"contact_id": UUID(contact["id"])})  # type: ignore[arg-type]
        return stored

    monkeypatch.setattr(archive, "make", slowly)
    made = await world.post(f"/v1/contacts/{contact['id']}/subject-export", expect=202)
    await world.drain()
    await world.get(f"/v1/subject-exports/{made['id']}", expect=404)
    assert await _archives(world) == []


async def test_archives_that_no_request_names_are_removed(world: World) -> None:
    contact = await world.contact()
    files = world.worker.runner.files
    await world.post(f"/v1/contacts/{contact['id']}/subject-export", expect=202)
    await world.drain()
    (kept,) = await _archives(world)

    async def content() -> Any:
        yield b"of a worker that died before it could say so"

    names = [files.new_name(world.id, archive.AREA) for _ in range(2)]
    for name in names:
        await files.write(name, content(), max_bytes=100)
    old, young = names
    folder = Path(world.settings.files_url.removeprefix("file://"))
    for name in (old, kept):
        os.utime(folder / name, (0, 0))
    job = Job(UUID(int=1), "privacy.expire", {}, 1, UUID(int=2), False)
    with pytest.raises(LeaseLost):  # a job that nobody has claimed: the work is done before that shows
        await privacy_tasks.expire(world.worker.runner, world.tenant, job)
    assert sorted(await _archives(world)) == sorted([kept, young])


async def _archives(world: World) -> list[str]:
    return [one.name async for batch in world.worker.runner.files.listing(world.id, archive.AREA) for one in batch]
