"""Letters about what was promised and did not come: who gets one, what it says, and when nobody does any more."""

from __future__ import annotations

from email.message import EmailMessage
from typing import Any

import pytest

from tests.conftest import MakeWorld
from tests.recurring.stories import at, card_plan, plan, settle, shown
from tests.support.gateways import FakeGateway
from tests.support.letters import body, messages
from tests.support.world import World

AGAIN = "https://donate.example.org/again?gift={gift_id}&pledge={pledge_id}&plan={plan_id}"


@pytest.fixture
async def fund(make_world: MakeWorld, bank: FakeGateway) -> World:
    """A charity whose letters lead to a page that knows every id."""
    return await make_world(currency="UAH", timezone="UTC", language="uk", service_urls=bank.urls, retry_url=AGAIN)


async def someone(world: World, name: str, **more: Any) -> str:
    """A donor with an address."""
    who = await world.contact(emails=[{"address": f"{name}@example.org"}], **more)
    return str(who["id"])


def to(world: World, name: str) -> list[EmailMessage]:
    """What somebody has in the mailbox."""
    return [letter for letter in world.letters() if f"{name}@example.org" in str(letter["To"])]


async def transfer(world: World, contact_id: str, amount: int, day: str) -> None:
    """Money on the charity's account."""
    await world.donation(contact_id, amount, "UAH", received_at=f"{day}T09:00:00Z")
    await settle(world)


async def test_a_transfer_that_does_not_come_brings_one_kind_note(fund: World) -> None:
    await at(fund, "2026-05-01")
    order = {"method": "bank_standing_order", "start_date": "2026-05-05"}
    waits, paid = await someone(fund, "waits", language="en"), await someone(fund, "paid")
    silent, paused = await someone(fund, "silent", do_not_contact=True), await someone(fund, "paused")
    late = await someone(fund, "late", language="ar")
    plans = {who: (await plan(fund, who, **order))["id"] for who in (waits, paid, silent, paused, late)}
    weekly = await plan(
        fund, waits, frequency_unit="week", start_date="2026-05-04", amount={"amount": 777, "currency": "UAH"}
    )
    await fund.post(f"/v1/recurring-plans/{plans[paused]}/pause", {"reason": "Відпустка"}, expect=200)
    await at(fund, "2026-05-06")
    await transfer(fund, paid, 20000, "2026-05-06")
    await fund.post(f"/v1/recurring-plans/{weekly['id']}/cancel", {"reason": "Помилка"}, expect=200)
    whole, fund.settings = fund.settings, fund.settings.model_copy(update={"mail_url": ""})
    await at(fund, "2026-05-16")  # the letters are queued, and there is no mail server yet
    fund.settings = whole
    kinds = await messages(fund, kind="plan_payment_missed")
    assert {(one["contact_id"], one["state"]) for one in kinds} == {
        (waits, "queued"), (late, "queued"), (silent, "suppressed")}  # fmt: skip
    await transfer(fund, late, 20000, "2026-05-16")
    for job in await fund.jobs(subscriber="communications.send_letter"):
        if job["state"] == "dead":
            await fund.post(f"/v1/jobs/{job['id']}/retry", expect=200)
    await settle(fund)
    (letter,) = [one for one in fund.letters() if one["X-CRM-Letter"] == "plan_payment_missed"]
    said = body(letter)
    assert "waits@example.org" in str(letter["To"])
    assert "UAH\u00a0200" in said
    assert "5 May 2026" in said
    assert f"https://donate.example.org/again?gift=&pledge=&plan={plans[waits]}" in said
    (not_sent,) = await messages(fund, kind="plan_payment_missed", contact_id=late)
    assert (not_sent["state"], not_sent["sent_at"]) == ("canceled", None)
    await fund.put("/v1/dunning-policy", {"letters": {"payment_missed": False}})
    await at(fund, "2026-06-20")
    assert (await shown(fund, plans[waits]))["failures"] == 2
    assert len(await messages(fund, kind="plan_payment_missed")) == 3


async def test_a_gift_that_was_given_up_says_how_to_come_back(fund: World, bank: FakeGateway) -> None:
    await at(fund, "2026-05-04")
    bank.charge_as = {"status": "failure", "errCode": "41"}
    who = await someone(fund, "olena")
    made = await card_plan(fund, who)
    await settle(fund)
    (letter,) = fund.letters()  # one letter about it all, not another about the failure
    assert letter["X-CRM-Letter"] == "plan_given_up"
    (failed,) = (await fund.get("/v1/donations", params={"contact_id": who}))["data"]
    said = body(letter)
    assert f"gift={failed['id']}&pledge=&plan={made['id']}" in said
    assert "200" in said
    assert f'href="https://donate.example.org/again?gift={failed["id"]}' in body(letter, "html")
    await at(fund, "2026-05-20")
    assert len(fund.letters()) == 1
    card = {"token": "newToken", "expires": "2029-01"}
    path = f"/v1/recurring-plans/{made['id']}/reactivate"
    await fund.post(path, {"card": card}, expect=200)
    await at(fund, "2026-06-04")
    assert fund.letter_kinds() == ["plan_given_up"] * 2  # given up anew: a letter anew
    await fund.put("/v1/dunning-policy", {"letters": {"plan_given_up": False}})
    await card_plan(fund, await someone(fund, "petro"))
    await settle(fund)
    assert [one["X-CRM-Letter"] for one in to(fund, "petro")] == ["payment_failed"]


async def test_pledges_are_reminded_of_until_they_are_paid(fund: World) -> None:
    await at(fund, "2026-01-10")
    nino, kind, silent = await someone(fund, "nino", language="ka"), await someone(fund, "kind", language="en"), ""
    silent = await someone(fund, "silent", do_not_contact=True)
    money = {"amount": {"amount": 90000, "currency": "UAH"}, "schedule": {"count": 3, "start_date": "2026-01-31"}}
    made = await fund.post("/v1/pledges", {"contact_id": nino, **money})
    other = await fund.post("/v1/pledges", {"contact_id": nino, **money})
    await fund.post("/v1/pledges", {"contact_id": silent, **money})
    await fund.post(f"/v1/pledges/{other['id']}/cancel", {"reason": "Помилка"}, expect=200)
    bags = {"kind": "in_kind", "description": "Twenty sleeping bags", "due_date": "2026-01-31"}
    await fund.post("/v1/pledges", {"contact_id": kind, **bags})
    await at(fund, "2026-02-01")
    await at(fund, "2026-02-02")
    (letter,) = to(fund, "nino")
    assert letter["X-CRM-Letter"] == "pledge_overdue"
    said = body(letter)
    for shown_ in ("300", "900", "31 იანვარი, 2026", f"pledge={made['id']}"):
        assert shown_ in said
    (about_bags,) = to(fund, "kind")
    assert "Twenty sleeping bags" in body(about_bags)
    assert "donate.example.org" not in body(about_bags)
    assert to(fund, "silent") == []
    await at(fund, "2026-02-14")
    assert len(to(fund, "nino")) == 2
    # A month after the first installment and a day after the second are neighbours: one letter names both.
    await at(fund, "2026-03-01")
    await at(fund, "2026-03-02")
    latest = to(fund, "nino")
    assert len(latest) == 3
    assert "600" in body(latest[-1])
    states = [one["state"] for one in await messages(fund, kind="pledge_overdue", contact_id=nino)]
    assert sorted(states) == ["sent", "sent", "sent", "suppressed"]
    await transfer(fund, nino, 60000, "2026-03-03")
    await at(fund, "2026-03-30")
    assert len([one for one in to(fund, "nino") if one["X-CRM-Letter"] == "pledge_overdue"]) == 3
    await fund.put("/v1/dunning-policy", {"letters": {"pledge_overdue": False}})
    await at(fund, "2026-04-02")
    assert len([one for one in to(fund, "nino") if one["X-CRM-Letter"] == "pledge_overdue"]) == 3
    assert len((await fund.get("/v1/tasks", params={"contact_id": nino}))["data"]) == 3
