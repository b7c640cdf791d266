"""What receipts do by themselves: issued, sent, corrected, given back; annual runs; the public check; erasure."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pypdf import PdfReader

from crm_api.donations.receipts import endpoints, runs
from crm_api.donations.receipts.rendering.words import LANGUAGES
from crm_api.kit.ratelimit import RateLimiter
from tests.conftest import MakeWorld
from tests.receipts.test_receipts import NOON, issue, receipts, refund, settings, text_of
from tests.support.stripe_events import gift_event
from tests.support.world import World


async def test_a_gift_brings_its_receipt_and_the_receipt_its_letter(world: World) -> None:
    await world.set_clock(NOON)
    await settings(world, automatic=True, by_email=True, minimum_amount=1000, methods=["bank_transfer"])
    contact = await world.contact(language="ka", given_name="ნინო", family_name="ბერიძე")
    await world.donation(contact["id"], 999)
    await world.donation(contact["id"], 5000, method="cash")
    gift = await world.donation(contact["id"], 5000)
    await world.drain()
    (receipt,) = await receipts(world)
    assert receipt["by_email"]
    assert (await world.get(f"/v1/receipts/{receipt['id']}"))["lines"][0]["donation_id"] == gift["id"]
    (letter,) = [one for one in world.letters() if one["X-CRM-Letter"] == "receipt"]
    assert letter["Subject"] == "თქვენი ქვითარი № TEST-2026-000001"
    (attached,) = letter.iter_attachments()
    assert (attached.get_content_type(), attached.get_filename()) == ("application/pdf", "TEST-2026-000001.pdf")
    content = attached.get_content()
    assert "ნინო ბერიძე" in PdfReader(io.BytesIO(content)).pages[0].extract_text()
    assert content == (await world.client.get(f"/v1/receipts/{receipt['id']}/pdf")).content
    (message,) = (await world.get("/v1/messages", params={"kind": "receipt"}))["data"]
    assert (message["state"], message["legal_basis"]) == ("sent", "contract")
    await refund(world, gift, 1000)
    assert [one["status"] for one in await receipts(world)] == ["void", "active"]
    assert len([one for one in world.letters() if one["X-CRM-Letter"] == "receipt"]) == 2


async def test_a_dispute_takes_the_receipt_and_its_end_gives_it_back(world: World) -> None:
    await settings(world, automatic=True)
    await world.stripe_sends(gift_event("one", email="maria@example.org", name="Maria Silva"))
    await world.drain()
    (first,) = await receipts(world)
    gift = (await world.get("/v1/donations"))["data"][0]
    await dispute(world, gift, "open")
    assert [(one["status"], one["void_cause"]) for one in await receipts(world)] == [("void", "gift_changed")]
    said = await world.post("/v1/receipts", {"donation_id": gift["id"]}, expect=409)
    assert said["code"] == "gift_not_receiptable"
    await dispute(world, gift, "won")
    _, second = await receipts(world)
    assert (second["status"], second["replaces"]) == ("active", first["id"])
    await dispute(world, gift, "lost")
    assert {one["status"] for one in await receipts(world)} == {"void"}


async def dispute(world: World, gift: Any, status: str) -> None:
    """What a provider says of a dispute, as evidence."""
    from uuid import UUID

    from crm_api.donations.gifts import repository, service
    from crm_api.donations.gifts.balances import Entry

    async with world.database.write(world.tenant) as session:
        row = await repository.lock(session, UUID(gift["id"]))
        assert row is not None
        entry = Entry("dispute", f"dispute:{status}", session.now, amount=row["amount"], ref="dp", status=status)
        await repository.add_entries(session, row["id"], [entry])
        await service.settle(session, row)
    await world.drain()


async def test_an_annual_run_goes_on_where_it_stopped(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.set_clock(datetime(2027, 2, 1, tzinfo=UTC))
    await settings(world, mode="annual", minimum_amount=500)
    donors = [await world.contact(given_name=f"D{n}", emails=[]) for n in range(7)]
    for at, donor in enumerate(donors):
        for day in ("2026-03-01", "2026-09-01"):
            await world.donation(donor["id"], 200 if at == 3 else 1000, received_at=f"{day}T10:00:00Z")
    await world.post("/v1/receipts", {"contact_id": donors[0]["id"], "year": 2026})
    monkeypatch.setattr(runs, "AT_ONCE", 2)
    steps = 0
    real = runs._issue

    async def breaks(*arguments: Any) -> Any:
        nonlocal steps
        steps += 1
        made = await real(*arguments)
        if steps in {2, 3}:
            raise RuntimeError("the worker died")
        return made

    monkeypatch.setattr(runs, "_issue", breaks)
    run = await world.post("/v1/receipts/annual-runs", {"year": 2026}, expect=202)
    assert (run["state"], run["progress"]) == ("queued", 0.0)
    said = await world.post("/v1/receipts/annual-runs", {"year": 2026}, expect=409)
    assert said["code"] == "already_exists"
    await world.post("/v1/receipts/annual-runs", {"year": 2028}, expect=409)
    for _ in range(3):
        await world.drain()
        for job in await world.jobs(subscriber="receipts.annual_run", state="due"):
            await world.post(f"/v1/jobs/{job['id']}/retry", expect=200)
    run = await world.get(f"/v1/receipts/annual-runs/{run['id']}")
    assert (run["state"], run["progress"], run["donors"], run["receipts"], run["skipped"]) == (
        "succeeded",
        1.0,
        7,
        5,
        2,
    )
    assert run["totals"] == [{"amount": {"amount": 10000, "currency": "USD"}}]
    made = await receipts(world)
    assert sorted(one["number"] for one in made) == [f"TEST-2027-A-{n:06d}" for n in range(1, 7)]
    assert len({one["contact_id"] for one in made}) == 6
    again = await world.post("/v1/receipts/annual-runs", {"year": 2026}, expect=202)
    await world.drain()
    assert (await world.get(f"/v1/receipts/annual-runs/{again['id']}"))["receipts"] == 0
    assert len(await receipts(world, run_id=run["id"])) == 5


def test_whoever_switches_annual_receipts_on_in_summer_sends_none_at_once() -> None:
    days = {date(2027, 1, 14): False, date(2027, 1, 15): True, date(2027, 3, 15): True, date(2027, 7, 1): False}
    assert {day: runs.day_has_come(day, "01-15") for day in days} == days
    assert runs.day_has_come(date(2027, 2, 28), "02-29")


async def test_the_day_of_annual_receipts_comes_by_itself_once(world: World) -> None:
    await world.set_clock(datetime(2027, 1, 10, tzinfo=UTC))
    await settings(world, mode="annual", automatic=True, annual_on="01-15")
    contact = await world.contact()
    await world.donation(contact["id"], received_at="2026-03-01T10:00:00Z")
    for day, begun in ((10, []), (16, [2026]), (17, [2026])):
        await world.set_clock(datetime(2027, 1, day, tzinfo=UTC))
        tenant = await world.worker.tenant(world.id)
        assert tenant is not None
        async with world.database.write(tenant) as session:
            await runs.begin_by_itself(session)
        assert [one["year"] for one in (await world.get("/v1/receipts/annual-runs"))["data"]] == begun
    await world.drain()
    (run,) = (await world.get("/v1/receipts/annual-runs"))["data"]
    assert (run["year"], run["receipts"]) == (2026, 1)


async def test_the_public_check_says_no_more_than_it_must(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "_PER_ADDRESS", RateLimiter(per_second=0.1, burst=10))
    await world.set_clock(NOON)
    contact = await world.contact()
    receipt = await issue(world, await world.donation(contact["id"], 777))
    path = "/receipts/verify/" + receipt["verify_url"].rpartition("/")[2]
    nobody = {"Authorization": ""}
    said = await world.get(path, headers=nobody)
    valid = {"status": "valid", "issued_on": "2026-11-22", "organization": "Test Fund", "specimen": True}
    assert said == valid
    typed = "-".join(path[17:][at : at + 5].lower() for at in range(0, 40, 5))
    assert await world.get(f"/receipts/verify/{typed}", headers=nobody) == valid
    page = await world.client.get(path, headers={**nobody, "Accept": "text/html", "Accept-Language": "ar, en;q=0.5"})
    assert 'dir="rtl"' in page.text
    assert "هذا الإيصال صالح." in page.text
    for private in ("Олена", "7.77", receipt["number"], receipt["id"], contact["id"]):
        assert private not in page.text
        assert private not in str(said)
    await world.post(f"/v1/receipts/{receipt['id']}/void", {"reason": "Wrong"}, expect=200)
    assert (await world.get(path, headers=nobody))["status"] == "void"
    other = path[:-1] + ("A" if path[-1] != "A" else "B")
    unknown = {"status": "unknown", "issued_on": None, "organization": None, "specimen": False}
    for wrong in (other, "/receipts/verify/x", "/receipts/verify/" + "A" * 40):
        assert await world.get(wrong, headers=nobody) == unknown
    for _ in range(5):
        last = await world.client.get(path, headers=nobody)
    assert (last.status_code, "retry-after" in last.headers) == (429, True)


async def test_settings_with_a_logo(world: World) -> None:
    assert (await world.get("/v1/receipt-settings"))["version"] == 0
    contact = await world.contact()
    picture = io.BytesIO()
    Image.new("RGB", (120, 40), (30, 110, 80)).save(picture, "PNG")
    file = {"file": ("logo.png", picture.getvalue(), "image/png")}
    logo = await world.call("POST", "/v1/documents", expect=201, data={"contact_id": contact["id"]}, files=file)
    saved = await settings(world, logo_document_id=logo["id"], prefixes={"donation": "ФОНД/{year}/"})
    assert (saved["version"], saved["prefixes"]["annual"]) == (1, "{year}-A-")
    assert await world.get("/v1/receipt-settings") == saved
    receipt = await issue(world, await world.donation(contact["id"]))
    await world.call("DELETE", f"/v1/documents/{logo['id']}", expect=204)
    await world.drain()
    answer = await world.client.get(f"/v1/receipts/{receipt['id']}/pdf")
    assert len(PdfReader(io.BytesIO(answer.content)).pages[0].images) == 1, "the logo was copied"
    assert receipt["number"].startswith("TEST-ФОНД/")
    for wrong, pointer in (
        ({"prefixes": {"donation": "2026"}}, "/prefixes/donation"),
        ({"legal_text": {"xx": "?"}}, "/legal_text/xx"),
        ({"annual_on": "02-30"}, "/annual_on"),
    ):
        said = await world.put("/v1/receipt-settings", wrong, expect=422)
        assert said["errors"][0]["pointer"] == pointer
    text = {"file": ("a.txt", b"no picture", "text/plain")}
    other = await world.call("POST", "/v1/documents", expect=201, data={"contact_id": contact["id"]}, files=text)
    said = await world.put("/v1/receipt-settings", {"logo_document_id": other["id"]}, expect=422)
    assert said["errors"][0]["code"] == "logo_unusable"
    await world.put("/v1/receipt-settings", {}, expect=412, headers={"If-Match": '"7"'})
    await world.put("/v1/receipt-settings", {}, headers={"If-Match": '"1"'})


async def test_a_live_organization_has_no_specimens(make_world: MakeWorld, tmp_path: Path) -> None:
    live = await make_world(mode="live", language="ar")
    contact = await live.contact(given_name="ليلى", family_name="الأحمد", language="fr", emails=[])
    receipt = await issue(live, await live.donation(contact["id"], 125050), by_email=False)
    assert not receipt["specimen"]
    assert not receipt["number"].startswith("TEST")
    assert receipt["language"] == "ar", "of a language without receipts the organization's is taken"
    said = await text_of(live, receipt)
    assert "ليلى الأحمد" in said
    assert "عينة" not in said


async def test_receipts_outlive_the_donor(world: World) -> None:
    """Accounting law: the copy that was given to the donor is kept as it is; nothing new is issued."""
    contact = await world.contact(given_name="Rememberme")
    gift = await world.donation(contact["id"])
    receipt = await issue(world, gift)
    await world.post(f"/v1/contacts/{contact['id']}/erasure", {"confirm": True}, expect=202)
    await world.drain()
    assert "Rememberme" in await text_of(world, receipt)
    other = await world.donation(contact["id"])
    said = await world.post("/v1/receipts", {"donation_id": other["id"]}, expect=409)
    assert said["code"] == "contact_erased"
    await refund(world, gift, 500)
    assert [one["status"] for one in await receipts(world)] == ["void"]


async def test_merged_donors_keep_their_receipts(world: World) -> None:
    contacts = [await world.contact(emails=[]) for _ in range(2)]
    for one in contacts:
        await world.donation(one["id"], received_at="2026-01-05T10:00:00Z")
        await world.post("/v1/receipts", {"contact_id": one["id"], "year": 2026})
    await world.post(f"/v1/contacts/{contacts[0]['id']}/merge", {"from": [contacts[1]["id"]]})
    await world.drain()
    assert [(one["contact_id"], one["status"]) for one in await receipts(world)] == [(contacts[0]["id"], "active")] * 2


def test_every_language_has_its_letter() -> None:
    from crm_api.communications.templates.catalogue import LANGUAGES as LETTERS

    assert set(LANGUAGES) == set(LETTERS)
