"""Years of gifts come in from a file: tried, written, matched by their ids, and taken back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from crm_api.transfers.imports import work
from tests.support.world import World
from tests.transfers.conftest import Desk, GiftDesk

HEAD = "external_id,contact_external_id,email,amount,currency,gift_date,method,fund,campaign,status,refunded_amount,fee,note,is_anonymous\n"


def totals(of: dict[str, Any]) -> dict[str, int]:
    """Totals that are not zero."""
    return {name: count for name, count in of["totals"].items() if count}


async def _donor(world: World, number: int = 1, **more: Any) -> str:
    body = {"external_ids": [{"system": "old", "id": str(number)}], "emails": [{"address": f"d{number}@example.org"}]}
    return str((await world.contact(**body, **more))["id"])


async def test_a_history_of_gifts_is_tried_then_written(gift_desk: GiftDesk, world: World) -> None:
    donor = await _donor(world)
    fund = await world.post("/v1/funds", {"code": "winter", "name": "Winter"})
    await world.post(
        "/v1/exchange-rates",
        {"source_currency": "UAH", "target_currency": "USD", "rate_date": "2020-01-01", "rate": "0.04"},
    )
    file = HEAD + (
        'crm:1,old:1,,"1,250.50",USD,2019-03-05,card,winter,,,,35.10,Long ago,\n'
        "crm:2,,D1@example.org,500,UAH,17.05.2021,bank transfer,,,succeeded,,,,\n"
        "crm:3,old:1,,80,USD,2022-01-01,cash,,,refunded,,,,\n"
        "crm:4,old:1,,80,USD,2022-02-01,cash,,,partially_refunded,30,,,\n"
        "crm:5,old:1,,80,USD,2022-03-01,card,,,failed,,,,\n"
        "crm:6,old:1,,80,USD,2022-04-01,card,,,charged_back,,,,\n"
        "crm:7,,,15,USD,2022-05-01,cash,,,,,,,yes\n"
        "crm:8,old:9,,80,USD,2022-05-01,cash,,,,,,,\n"
        "crm:9,old:1,,80,USD,2022-05-01,cash,nowhere,,,,,,\n"
        "crm:10,old:1,,8.005,USD,2022-05-01,cash,,,,,,,\n"
        "crm:11,old:1,,-8,USD,2022-05-01,cash,,,,,,,\n"
        "crm:1,old:1,,80,USD,2022-05-01,cash,,,,,,,\n"
        "crm:12,,,80,USD,2022-05-01,cash,,,,,,,\n"
        "crm:13,old:1,,80,,2022-05-01,cash,,,,,,,\n"
    )
    tried = await gift_desk.done(file)
    assert totals(tried) == {"rows": 14, "created": 7, "failed": 7}
    assert await gift_desk.gifts() == [], "a dry run records nothing"
    wrong = {row["row"]: row["errors"][0]["code"] for row in await gift_desk.rows(tried["id"], outcome="failed")}
    assert wrong == {
        8: "unknown_contact", 9: "unknown_fund", 10: "invalid_amount", 11: "invalid_amount",
        12: "external_id_repeated", 13: "no_contact", 14: "no_currency",
    }  # fmt: skip
    ran = await gift_desk.tell(tried["id"], "run")
    assert (ran["state"], ran["totals"]) == ("succeeded", tried["totals"])
    one, two, three, four, five, six, seven = await gift_desk.gifts()
    assert (one["amount"], one["fund_id"]) == ({"amount": 125050, "currency": "USD"}, fund["id"])
    assert (one["fee_amount"]["amount"], one["base_amount"]["amount"], one["note"]) == (3510, 125050, "Long ago")
    assert (one["gift_date"], one["external_ids"]) == ("2019-03-05", [{"system": "crm", "id": "1"}])
    assert (two["contact_id"], two["method"]) == (donor, "bank_transfer")
    assert (two["base_amount"]["amount"], two["base_rate"], two["base_rate_date"]) == (2000, "0.04", "2020-01-01")
    assert [gift["status"] for gift in (three, four, five, six)] == [
        "refunded", "partially_refunded", "failed", "charged_back",
    ]  # fmt: skip
    assert (four["refunded_amount"]["amount"], five["contact_id"]) == (3000, donor)
    assert (seven["contact_id"], seven["is_anonymous"]) == (None, True)
    entries = await world.get(f"/v1/donations/{four['id']}/entries")
    assert [entry["kind"] for entry in entries["data"]] == ["charge", "refund"]
    profile = await world.profile(donor)
    assert profile["gift_count"] == 3
    assert world.letters() == [], "nobody is thanked for history"
    books = await world.get("/v1/ledger/trial-balance")
    assert (books["unposted"], bool(books["accounts"])) == (0, True), "the books follow"
    errors = await world.client.get(ran["errors_url"].removeprefix(world.settings.public_url))
    assert "names nobody" in errors.text


async def test_undo_takes_gifts_and_their_contacts_back(
    gift_desk: GiftDesk, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "CHUNK", 2)
    donor = await _donor(world)
    file = (
        HEAD.strip()
        + ",given_name,family_name\n"
        + "".join(
            f"crm:{n},,new{n % 3}@example.org,{n}0,USD,2020-01-0{n},card,,,,,,,,Іван,Франко\n" for n in range(1, 7)
        )
    )
    refused = await gift_desk.done(file, dry_run=False)
    assert totals(refused) == {"rows": 6, "failed": 6}
    tried = await gift_desk.done(file + "crm:7,old:1,,5,USD,2020-02-01,cash,,,,,,,,,\n", create_contacts=True)
    assert totals(tried) == {"rows": 7, "created": 7}
    ran = await gift_desk.tell(tried["id"], "run")
    assert totals(ran) == totals(tried)
    people = await gift_desk.contacts()
    assert [one["given_name"] for one in people] == ["Олена", "Іван", "Іван", "Іван"]
    assert all("donor" in one["roles"] for one in people)
    gifts = await gift_desk.gifts()
    await world.patch(f"/v1/donations/{gifts[0]['id']}", {"note": "Thanked by hand"})
    back = await gift_desk.tell(ran["id"], "undo")
    assert (back["state"], back["undone"]) == ("undone", {"removed": 6, "restored": 0, "kept": 1})
    (left,) = await gift_desk.gifts()
    assert left["id"] == gifts[0]["id"]
    assert {one["id"] for one in await gift_desk.contacts()} == {donor, left["contact_id"]}
    gone = await world.get(f"/v1/donations/{gifts[1]['id']}")
    assert (gone["status"], gone["contact_id"], gone["external_ids"]) == ("canceled", None, [])
    assert (await world.profile(donor))["gift_count"] == 0
    books = await world.get("/v1/ledger/trial-balance")
    assert (books["unposted"], {one["balance"] for one in books["accounts"]}) == (0, {1000, -1000, 0})
    again = await gift_desk.done(file, create_contacts=True, dry_run=False)
    assert totals(again) == {"rows": 6, "created": 5, "skipped": 1}


@pytest.mark.parametrize(
    ("on_match", "expected"),
    [
        ("update", {"rows": 4, "updated": 3, "skipped": 1}),
        ("queue", {"rows": 4, "updated": 3, "skipped": 1}),
        ("skip", {"rows": 4, "skipped": 4}),
        ("create", {"rows": 4, "failed": 4}),
    ],
)
async def test_a_second_file_meets_gifts_by_their_ids(
    gift_desk: GiftDesk, world: World, on_match: str, expected: dict[str, int]
) -> None:
    await _donor(world)
    other = await _donor(world, 2)
    first = HEAD + (
        "crm:1,old:1,,80,USD,2022-01-01,cash,,,,,,,\n"
        "crm:2,old:1,,80,USD,2022-02-01,cash,,,,,1,,\n"
        "crm:3,old:1,,80,USD,2022-03-01,card,,,pending,,,,\n"
        "crm:4,old:1,,80,USD,2022-04-01,card,,,,,,,\n"
    )
    await gift_desk.done(first, dry_run=False)
    before = await gift_desk.gifts()
    second = HEAD + (
        "crm:1,old:2,,90,USD,2022-01-02,card,,,,,,Corrected,\n"
        "crm:2,,,80,USD,2022-02-01,,,,partially_refunded,30,2.50,,\n"
        "crm:3,,,,,,,,,failed,,,,\n"
        "crm:4,old:1,,80,USD,2022-04-01,card,,,,,,,\n"
    )
    tried = await gift_desk.done(second, on_match=on_match)
    assert totals(tried) == expected
    ran = await gift_desk.tell(tried["id"], "run")
    assert totals(ran) == expected
    after = await gift_desk.gifts()
    if on_match not in {"update", "queue"}:
        assert after == before
        return
    one, two, three, four = after
    assert (one["amount"]["amount"], one["gift_date"], one["contact_id"], one["note"], one["method"]) == (
        9000, "2022-01-02", other, "Corrected", "card",
    )  # fmt: skip
    assert (two["status"], two["refunded_amount"]["amount"], two["fee_amount"]["amount"]) == (
        "partially_refunded", 3000, 250,
    )  # fmt: skip
    assert (three["status"], four) == ("failed", before[3])
    row = (await gift_desk.rows(ran["id"], outcome="updated"))[0]
    assert row["changes"]["amount"] == {"before": 8000, "after": 9000}
    back = await gift_desk.tell(ran["id"], "undo")
    assert back["undone"] == {"removed": 0, "restored": 3, "kept": 0}

    def plain(gifts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{name: value for name, value in one.items() if name not in {"version", "updated_at"}} for one in gifts]

    assert plain(await gift_desk.gifts()) == plain(before)


async def test_benevity_gifts_are_the_companys_and_credit_its_people(gift_desk: GiftDesk, world: World) -> None:
    file = (
        "Nonprofit ID,Disbursement ID,Company Name,Donation Date,Donor First Name,Donor Last Name,Email,Currency,"
        "Transaction ID,Total Donation to be Acknowledged,Match Amount\n"
        "1,D1,Acme Corp,2024-05-17T00:00:00Z,Anna,Smith,anna@example.org,USD,T1,100.00,50.00\n"
        "1,D1,ACME CORP,2024-05-18T00:00:00Z,Not shared by donor,Not shared by donor,Not shared by donor,USD,T2,25,0\n"
    )
    done = await gift_desk.done(file, create_contacts=True, dry_run=False)
    assert (done["options"]["preset"], totals(done)) == ("benevity", {"rows": 2, "created": 2})
    company, anna = await gift_desk.contacts()
    assert (company["kind"], company["organization_name"], "donor" in company["roles"]) == (
        "organization", "Acme Corp", True,
    )  # fmt: skip
    first, second = await gift_desk.gifts(expand="soft_credits")
    assert {first["contact_id"], second["contact_id"]} == {company["id"]}
    assert first["amount"] == {"amount": 15000, "currency": "USD"}
    (credit,) = first["soft_credits"]
    assert (credit["contact_id"], credit["type"], credit["amount"]["amount"]) == (anna["id"], "workplace", 10000)
    assert second["soft_credits"] == []
    back = await gift_desk.tell(done["id"], "undo")
    assert back["undone"]["removed"] == 2
    assert (await gift_desk.contacts(), await gift_desk.gifts()) == ([], [])


async def test_donorbox_gifts_are_known_by_their_columns(gift_desk: GiftDesk, world: World) -> None:
    file = (
        "Donor's First Name,Donor's Last Name,Donor Email,Amount,Currency,Donated At,Donation Type,Id,Donor Id,"
        "Amount Refunded,Processing Fee,Anonymous Donation\n"
        "Anna,Smith,anna@example.org,25.00,usd,2024-05-17 10:30:00 UTC,stripe,771,51,0,1.03,false\n"
        "Anna,Smith,anna@example.org,40.00,usd,2024-06-17 10:30:00 UTC,paypal,772,51,40,0,true\n"
    )
    done = await gift_desk.done(file, create_contacts=True, dry_run=False)
    assert (done["options"]["preset"], totals(done)) == ("donorbox", {"rows": 2, "created": 2})
    (anna,) = await gift_desk.contacts()
    assert anna["external_ids"] == [{"system": "donorbox", "id": "51"}]
    first, second = await gift_desk.gifts()
    assert (first["received_at"], first["method"], first["fee_amount"]["amount"], first["external_ids"]) == (
        "2024-05-17T10:30:00Z", "card", 103, [{"system": "donorbox", "id": "771"}],
    )  # fmt: skip
    assert (second["status"], second["is_anonymous"], second["method"]) == ("refunded", True, "wallet")


async def test_who_may_not_write_gifts_cannot_import_them(gift_desk: GiftDesk, world: World) -> None:
    made = await gift_desk.done(HEAD + "crm:1,,,5,USD,2020-01-01,cash,,,,,,,yes\n", dry_run=False)

    async def as_key(*scopes: str) -> dict[str, str]:
        key = await world.post("/v1/api-keys", {"name": "Narrow", "scopes": list(scopes)})
        return {"Authorization": f"Bearer {key['key']}"}

    people = await as_key("contacts:write", "contacts:read")
    money = await as_key("donations:write", "donations:read")
    files = {"file": ("gifts.csv", b"amount\n1\n", "text/csv")}
    for kind, headers, options, status in (
        ("donations", people, {}, 403),
        ("contacts", money, {}, 403),
        ("donations", money, {"create_contacts": True}, 403),
        ("donations", money, {}, 202),
    ):
        data = {"kind": kind, "options": json.dumps(options)}
        answer = await world.client.post("/v1/imports", data=data, files=files, headers=headers)
        assert answer.status_code == status, answer.text
    assert (await world.client.get(f"/v1/imports/{made['id']}", headers=people)).status_code == 403
    assert (await world.client.post(f"/v1/imports/{made['id']}/undo", headers=people)).status_code == 403
    assert (await world.client.get("/v1/imports", headers=people)).json()["data"] == []
    assert made["id"] in {one["id"] for one in (await world.client.get("/v1/imports", headers=money)).json()["data"]}
    problem = await Desk(world).send("email\nx@example.org\n", expect=422, receipts=True)
    assert problem["errors"][0]["code"] == "only_donations"


async def test_receipts_are_issued_only_where_they_are_asked_for(gift_desk: GiftDesk, world: World) -> None:
    donor = await _donor(world)
    await world.put("/v1/receipt-settings", {"by_email": False, "automatic": True})
    gift = HEAD + "crm:1,old:1,,5,USD,2020-01-01,cash,,,,,,,\n"
    await gift_desk.done(gift, dry_run=False)
    assert (await world.get("/v1/receipts"))["data"] == []
    await world.donation(donor)
    await world.drain()
    assert len((await world.get("/v1/receipts"))["data"]) == 1
    asked = await gift_desk.done(gift.replace("crm:1", "crm:2"), dry_run=False, receipts=True)
    assert len((await world.get("/v1/receipts"))["data"]) == 2
    back = await gift_desk.tell(asked["id"], "undo")
    assert back["undone"] == {"removed": 0, "restored": 0, "kept": 1}, "a receipt was issued for it"
