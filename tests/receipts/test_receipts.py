"""Receipts as a finance officer meets them: issued once, numbered without a gap, corrected when the gift changes."""

from __future__ import annotations

import asyncio
import io
from datetime import UTC, datetime
from typing import Any

from pypdf import PdfReader

from crm_api.donations.receipts import files
from tests.support.world import World

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


async def settings(world: World, **changes: Any) -> Any:
    return await world.put("/v1/receipt-settings", {"by_email": False, **changes})


async def issue(world: World, gift: Any, **more: Any) -> Any:
    return await world.post("/v1/receipts", {"donation_id": gift["id"], **more})


async def receipts(world: World, **query: Any) -> list[Any]:
    found: list[Any] = (await world.get("/v1/receipts", params={"limit": 200, "sort": "issued_at", **query}))["data"]
    return found


async def text_of(world: World, receipt: Any) -> str:
    answer = await world.client.get(f"/v1/receipts/{receipt['id']}/pdf")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/pdf"
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(answer.content)).pages)


async def refund(world: World, gift: Any, amount: int | None = None) -> None:
    body = {} if amount is None else {"amount": {"amount": amount, "currency": gift["amount"]["currency"]}}
    await world.post(f"/v1/donations/{gift['id']}/refunds", body)
    await world.drain()


async def test_a_receipt_says_what_was_given_and_by_whom(world: World) -> None:
    await world.set_clock(NOON)
    contact = await world.contact(
        language="uk",
        addresses=[{"line1": "вул. Хрещатик, 1", "city": "Київ", "postal_code": "01001", "country": "UA"}],
    )
    fund = await world.post("/v1/funds", {"code": "winter", "name": "Зимова допомога"})
    await settings(world, legal_text={"uk": "Неприбуткова організація.", "en": "Registered."}, signatory_name="Ірина")
    gift = await world.donation(contact["id"], 125050, "UAH", fund_id=fund["id"])
    receipt = await issue(world, gift)
    assert (receipt["number"], receipt["kind"], receipt["status"]) == ("TEST-2026-000001", "donation", "active")
    assert receipt["totals"] == [{"amount": gift["amount"], "deductible": gift["amount"]}]
    assert (receipt["language"], receipt["specimen"], receipt["contact_id"]) == ("uk", True, contact["id"])
    assert [line["donation_id"] for line in receipt["lines"]] == [gift["id"]]
    assert await world.get(f"/v1/receipts/{receipt['id']}") == receipt
    text = await text_of(world, receipt)
    for said in (
        "Олена Шевченко", "вул. Хрещатик, 1", "01001 Київ", "Україна", "1\xa0250,50\xa0₴", "Зимова допомога",
        "Неприбуткова організація.", "TEST-2026-000001", "ЗРАЗОК", "22 листопада 2026", "Банківський переказ",
    ):  # fmt: skip
        assert said.replace("\xa0", " ") in text.replace("\xa0", " "), said
    await world.patch(f"/v1/contacts/{contact['id']}", {"family_name": "Інша", "addresses": []})
    await settings(world, legal_text={"uk": "Інший текст."})
    stored = await world.client.get(f"/v1/receipts/{receipt['id']}/pdf")
    store = world.worker.runner.files
    async for batch in store.listing(world.id, files.AREA):
        for one in batch:
            await store.delete(one.name)  # lost: made anew, the same to the byte
    again = await world.client.get(f"/v1/receipts/{receipt['id']}/pdf")
    assert again.content == stored.content
    assert "TEST-2026-000001.pdf" in again.headers["content-disposition"]


async def test_what_gets_no_receipt(world: World) -> None:
    gift = await world.donation(None)
    said = await world.post("/v1/receipts", {"donation_id": gift["id"]}, expect=409)
    assert said["code"] == "no_donor"
    contact = await world.contact()
    gift = await world.donation(contact["id"])
    first = await issue(world, gift)
    said = await world.post("/v1/receipts", {"donation_id": gift["id"]}, expect=409)
    assert (said["code"], said["receipt_id"]) == ("already_receipted", first["id"])
    refunded = await world.donation(contact["id"])
    await refund(world, refunded)
    said = await world.post("/v1/receipts", {"donation_id": refunded["id"]}, expect=409)
    assert said["code"] == "gift_not_receiptable"
    await world.post("/v1/receipts", {"donation_id": contact["id"]}, expect=404)
    await settings(world, mode="none")
    said = await world.post("/v1/receipts", {"donation_id": gift["id"]}, expect=409)
    assert said["code"] == "receipts_off"
    for body in ({}, {"donation_id": gift["id"], "year": 2026}, {"contact_id": contact["id"]}):
        await world.post("/v1/receipts", body, expect=422)


async def test_fifty_at_once_of_one_gift_and_of_fifty_gifts(world: World) -> None:
    await world.set_clock(NOON)
    contact = await world.contact()
    gifts = [await world.donation(contact["id"], 100 + n) for n in range(50)]
    await settings(world)

    async def ask(gift: Any) -> int:
        return (await world.client.post("/v1/receipts", json={"donation_id": gift["id"]})).status_code

    same = await asyncio.gather(*(ask(gifts[0]) for _ in range(50)))
    assert sorted(same) == [201] + [409] * 49
    others = await asyncio.gather(*(ask(gift) for gift in gifts[1:]))
    assert set(others) == {201}
    numbers = sorted(one["number"] for one in await receipts(world))
    assert numbers == [f"TEST-2026-{n:06d}" for n in range(1, 51)]


async def test_a_rolled_back_receipt_leaves_no_gap(world: World) -> None:
    await world.set_clock(NOON)
    contact = await world.contact()
    gift = await world.donation(contact["id"])
    headers = {"Idempotency-Key": "k"}
    made = await world.post("/v1/receipts", {"donation_id": gift["id"]}, headers=headers)
    assert (await world.post("/v1/receipts", {"donation_id": gift["id"]}, headers=headers))["id"] == made["id"]
    await world.post(f"/v1/receipts/{made['id']}/reissue", {}, expect=412, headers={"If-Match": '"9"'})
    second = await issue(world, await world.donation(contact["id"]))
    assert second["number"] == "TEST-2026-000002"


async def test_void_and_reissue_make_a_chain(world: World) -> None:
    await world.set_clock(NOON)
    contact = await world.contact(given_name="Olena", family_name="Shevchenk")
    gift = await world.donation(contact["id"])
    first = await issue(world, gift)
    await text_of(world, first)
    await world.patch(f"/v1/contacts/{contact['id']}", {"family_name": "Shevchenko"})
    second = await world.post(f"/v1/receipts/{first['id']}/reissue", {"reason": "The name was misspelt"})
    assert (second["number"], second["replaces"]) == ("TEST-2026-000002", first["id"])
    first = await world.get(f"/v1/receipts/{first['id']}")
    assert (first["status"], first["void_cause"], first["replaced_by"]) == ("void", "reissued", second["id"])
    assert first["void_reason"] == "The name was misspelt"
    await world.drain()
    assert "VOID" in await text_of(world, first)
    assert "Olena Shevchenk\n" in await text_of(world, first)
    said = await text_of(world, second)
    assert "Olena Shevchenko" in said
    assert "Replaces receipt no. TEST-2026-000001" in said
    assert "VOID" not in said
    said = await world.post(f"/v1/receipts/{first['id']}/reissue", {}, expect=409)
    assert (said["code"], said["receipt_id"]) == ("already_replaced", second["id"])
    voided = await world.post(f"/v1/receipts/{second['id']}/void", {"reason": "By mistake"}, expect=200)
    assert (voided["status"], voided["void_cause"]) == ("void", "staff")
    said = await world.post(f"/v1/receipts/{second['id']}/void", {"reason": "Again"}, expect=409)
    assert said["code"] == "already_void"
    await world.drain()
    assert [one["status"] for one in await receipts(world)] == ["void", "void"]
    third = await world.post(f"/v1/receipts/{second['id']}/reissue", {})
    assert (third["status"], third["replaces"]) == ("active", second["id"])


async def test_refunds_correct_receipts(world: World) -> None:
    contact = await world.contact()
    gift = await world.donation(contact["id"], 10000)
    first = await issue(world, gift)
    await refund(world, gift, 4000)
    old, new = await receipts(world)
    assert (old["id"], old["status"], old["void_cause"], old["replaced_by"]) == (
        first["id"], "void", "reissued", new["id"],
    )  # fmt: skip
    assert (new["status"], new["totals"][0]["amount"]["amount"]) == ("active", 6000)
    await refund(world, gift)
    assert [one["status"] for one in await receipts(world)] == ["void", "void"]
    assert (await world.get(f"/v1/receipts/{new['id']}"))["void_cause"] == "gift_changed"
    for job in await world.jobs(subscriber="receipts.follow_gift"):
        assert job["state"] == "done"


async def test_a_year_in_one_receipt(world: World) -> None:
    await world.set_clock(datetime(2027, 1, 10, tzinfo=UTC))
    await settings(world, mode="annual")
    contact = await world.contact(language="ka")
    days = ("2026-02-01", "2026-05-01", "2026-12-31", "2027-01-05")
    gifts = [
        await world.donation(
            contact["id"], 1000 * (at + 1), "GEL" if at == 1 else "USD", received_at=f"{day}T10:00:00Z"
        )
        for at, day in enumerate(days)
    ]
    single = await issue(world, gifts[0])
    annual = await world.post("/v1/receipts", {"contact_id": contact["id"], "year": 2026})
    assert (annual["number"], annual["kind"], annual["year"]) == ("TEST-2027-A-000001", "annual", 2026)
    assert [line["donation_id"] for line in annual["lines"]] == [gifts[1]["id"], gifts[2]["id"]]
    assert [one["amount"] for one in annual["totals"]] == [
        {"amount": 2000, "currency": "GEL"},
        {"amount": 3000, "currency": "USD"},
    ]
    said = await world.post("/v1/receipts", {"donation_id": gifts[2]["id"]}, expect=409)
    assert said["receipt_id"] == annual["id"]
    said = await world.post("/v1/receipts", {"contact_id": contact["id"], "year": 2026}, expect=409)
    assert said["code"] == "already_receipted"
    assert "2026 წლის შემოწირულობების ცნობა" in await text_of(world, annual)
    await refund(world, gifts[1])
    old = await world.get(f"/v1/receipts/{annual['id']}")
    new = await world.get(f"/v1/receipts/{old['replaced_by']}")
    assert [line["donation_id"] for line in new["lines"]] == [gifts[2]["id"]]
    await world.post(f"/v1/receipts/{single['id']}/void", {"reason": "He wants all in one"}, expect=200)
    whole = await world.post(f"/v1/receipts/{new['id']}/reissue", {})
    assert [line["donation_id"] for line in whole["lines"]] == [gifts[0]["id"], gifts[2]["id"]]
    said = await world.post("/v1/receipts", {"contact_id": contact["id"], "year": 2025}, expect=409)
    assert said["code"] == "nothing_to_receipt"


async def test_deductible_is_what_is_no_price(world: World) -> None:
    contact = await world.contact()
    gift = await world.donation(contact["id"], 10000)
    async with world.database.write(world.tenant) as session:
        from sqlalchemy import text

        from crm_api.kit.db import prepare

        sql = "UPDATE gifts SET premium_value = 3000 WHERE organization_id = :organization_id"
        await session.execute(prepare(text(sql)))
    receipt = await issue(world, gift)
    assert receipt["totals"][0]["deductible"]["amount"] == 7000
    said = await text_of(world, receipt)
    assert "Value of goods you received in return $30.00" in said
    assert "Deductible amount $70.00" in said
