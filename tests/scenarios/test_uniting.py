"""One payment seen from two sides that share no id is one gift in the end, and two that look alike stay two."""

from __future__ import annotations

import itertools
import random
from copy import deepcopy
from typing import Any

import pytest

from tests.support.stories import AMOUNT, DAY, HOUR, settle, subscription
from tests.support.stripe_events import START, Event, gift_event, ids, stripe_event
from tests.support.world import World


async def gifts(world: World, **query: Any) -> list[Any]:
    found: list[Any] = (await world.get("/v1/donations", params={"limit": 200, **query}))["data"]
    return found


async def send(world: World, *events: Event) -> None:
    for event in events:
        await world.stripe_sends(event)
        await world.drain()


async def test_two_gifts_that_turn_out_to_be_one_payment(world: World) -> None:
    story = {event["type"]: event for event in subscription("late", refused=True, joined=False)}
    await send(world, story["invoice.payment_failed"], story["payment_intent.succeeded"])
    assert sorted(gift["status"] for gift in await gifts(world)) == ["failed", "succeeded"]
    by_intent = next(gift for gift in await gifts(world) if gift["status"] == "succeeded")
    await send(world, story["invoice.paid"])

    (gift,) = await gifts(world)
    assert (gift["status"], gift["provider_payment_id"]) == ("succeeded", ids("late")["in"])
    assert gift["amount"]["amount"] == AMOUNT
    assert gift["recurring_plan_id"] is not None
    retired = await world.get(f"/v1/donations/{by_intent['id']}")
    assert (retired["status"], retired["provider_payment_id"]) == ("canceled", None)
    assert (await world.get("/v1/donations", params={"include_total": "true"}))["total"] == 1
    assert await gifts(world, provider_payment_id=ids("late")["pi"]) == []

    profile = await world.profile(gift["contact_id"])
    assert (profile["gift_count"], profile["total_given"]["amount"]) == (1, AMOUNT)
    events = (await world.get("/v1/payments/inbox"))["data"]
    assert {event["donation_id"] for event in events} == {gift["id"]}
    assert sorted(world.letter_kinds()) == ["payment_failed", "welcome"]

    refund: dict[str, Any] = {"amount": 1000, "currency": "usd", "status": "succeeded"}
    await send(world, stripe_event("refund.created", seed="late", after=4 * DAY, **refund))
    (gift,) = await gifts(world)
    assert (gift["status"], gift["refunded_amount"]["amount"]) == ("partially_refunded", 1000)


async def test_a_word_of_stripe_s_own_unites_what_a_guess_would_not(world: World) -> None:
    """The card is charged three hours after the invoice was marked as paid: no hour, no kinship."""
    story = {event["type"]: event for event in subscription("apart")}
    at = int(START.timestamp()) + 3 * HOUR
    intent, charge = story["payment_intent.succeeded"], story["charge.succeeded"]
    intent["created"] = charge["created"] = charge["data"]["object"]["created"] = at
    await send(world, story["invoice.paid"], intent, charge)
    assert len(await gifts(world)) == 2
    await send(world, story["invoice_payment.paid"])
    (gift,) = await gifts(world)
    assert gift["received_at"] == "2026-05-04T10:00:00Z"
    entries = (await world.get(f"/v1/donations/{gift['id']}/entries"))["data"]
    assert [entry["kind"] for entry in entries] == ["charge"] * 3
    (contact,) = (await world.get("/v1/contacts"))["data"]
    assert contact["display_name"] == "OLENA KOVALCHUK", "the charge knows the name better than the invoice"
    assert contact["addresses"][0]["city"] == "Kyiv"


async def test_what_hangs_on_a_gift_goes_to_the_one_that_stays(world: World) -> None:
    """Split, credits, match, tribute and premium of the charge's gift, whose amount was another; what the invoice's
    gift has itself stays as it is."""
    story = {event["type"]: event for event in subscription("hangs")}
    at = int(START.timestamp()) + 3 * HOUR
    intent = story["payment_intent.succeeded"]
    intent["created"] = at
    intent["data"]["object"] |= {"amount": 1001, "amount_received": 1001, "latest_charge": None}
    await send(world, story["invoice.paid"], intent)
    heir, stays = sorted(await gifts(world), key=lambda gift: gift["provider_payment_id"], reverse=True)
    funds = [(await world.post("/v1/funds", {"code": code, "name": code}))["id"] for code in ("a", "b", "c")]
    friend, firm = [(await world.contact(given_name=name, emails=[]))["id"] for name in ("Іван", "ТОВ")]
    path, other = f"/v1/donations/{heir['id']}", f"/v1/donations/{stays['id']}"
    weights = zip(funds, (500, 500, 1), strict=True)
    parts = [{"fund_id": fund, "amount": {"amount": amount, "currency": "USD"}} for fund, amount in weights]
    await world.call("PATCH", path, expect=200, json={"allocations": parts})
    for one in (path, other):
        await world.post(f"{one}/soft-credits", {"contact_id": friend, "type": "solicitor"})
    await world.post(f"{path}/soft-credits", {"contact_id": firm, "type": "employer"})
    match = await world.post(f"{path}/matching-gifts", {"company_contact_id": firm, "status": "submitted"})
    tribute = {"type": "memorial", "honoree_name": "Марія", "notify": [{"contact_id": friend}]}
    await world.post(f"{path}/tributes", tribute)
    worth = {"name": "Книга", "fair_market_value": {"amount": 300, "currency": "USD"}}
    await world.post(f"{path}/premiums", worth)
    await world.drain()

    await send(world, story["invoice_payment.paid"])
    (gift,) = await gifts(world)
    assert (gift["id"], gift["amount"]["amount"], gift["is_split"]) == (stays["id"], AMOUNT, True)
    shares = {one["fund_id"]: one["amount"]["amount"] for one in (await world.get(other))["allocations"]}
    assert sum(shares.values()) == AMOUNT
    assert [shares[fund] for fund in funds] == [4995, 4995, 10]
    assert len((await world.get(f"{other}/tributes"))["data"]) == 1
    assert (await world.get(f"{other}/premiums"))["data"][0]["total_value"]["amount"] == 300
    credits = (await world.get(f"{other}/soft-credits"))["data"]
    assert sorted(one["contact_id"] for one in credits) == sorted([friend, firm])
    assert (await world.get(f"/v1/matching-gifts/{match['id']}"))["donation_id"] == stays["id"]
    assert len((await world.get(f"{path}/soft-credits"))["data"]) == 1, "the credit that both had is not doubled"
    for kind in ("tributes", "premiums"):
        assert (await world.get(f"{path}/{kind}"))["data"] == []
    retired = await world.get(path)
    assert (retired["status"], retired["is_split"], retired["allocations"]) == ("canceled", False, [])
    audit = (await world.get("/v1/audit-events", params={"action": "donation.inherited"}))["data"]
    assert [one["resource_id"] for one in audit] == [stays["id"]]
    books = (await world.get("/v1/ledger/trial-balance"))["accounts"]
    income = {one["account"]: -int(one["balance"]) for one in books if int(one["balance"])}
    income = {account: amount for account, amount in income.items() if account.startswith("income:")}
    assert income == {f"income:{fund}": shares[fund] for fund in funds}


def _alike(seed: str, kind: str, number: str) -> Event:
    """An event of one of several payments of one customer, one amount and one hour."""
    found = ids(seed)
    objects: dict[str, dict[str, Any]] = {
        "payment_intent.succeeded": {"id": f"pi_{seed}{number}", "latest_charge": f"ch_{seed}{number}"},
        "invoice.paid": {"id": f"in_{seed}{number}"},
        "invoice_payment.paid": {
            "id": f"inpay_{seed}{number}",
            "invoice": f"in_{seed}{number}",
            "payment": {"type": "payment_intent", "payment_intent": f"pi_{seed}{number}"},
        },
    }
    changes = objects[kind]
    if kind == "invoice.paid":
        changes["parent"] = {"subscription_details": {"subscription": f"{found['sub']}{number}", "metadata": {}}}
    event = next(dict(one) for one in subscription(seed) if one["type"] == kind)
    event["data"] = {"object": {**event["data"]["object"], **changes}}
    return {**event, "id": f"{event['id']}{number}"}


async def check_two(world: World, seeds: list[str]) -> None:
    """Every donor has two gifts, whatever was taken for what on the way."""
    await settle(world)
    found = await gifts(world)
    assert [gift["status"] for gift in found] == ["succeeded"] * len(found)
    donors = (await world.get("/v1/contacts", params={"limit": 200}))["data"]
    totals = [(await world.profile(donor["id"]))["total_given"]["amount"] for donor in donors]
    assert (len(found), totals) == (2 * len(seeds), [2 * AMOUNT] * len(seeds))


async def test_a_single_gift_beside_a_plan_s_of_the_same_amount_and_hour_is_not_lost(world: World) -> None:
    seeds = []
    for number, order in enumerate(itertools.permutations(range(4))):
        seed = f"beside{number}"
        seeds.append(seed)
        events = [
            _alike(seed, "payment_intent.succeeded", "single"),
            _alike(seed, "payment_intent.succeeded", "plan"),
            _alike(seed, "invoice.paid", "plan"),
            _alike(seed, "invoice_payment.paid", "plan"),
        ]
        for event in events:
            person = event["data"]["object"]
            person.update(dict.fromkeys(("customer_email", "receipt_email"), f"{seed}@example.org"))
        for place in order:
            await world.stripe_sends(events[place])
            await world.drain()
    await check_two(world, seeds)


async def test_two_plans_of_the_same_amount_begun_in_the_same_hour_are_two_gifts_each_month(world: World) -> None:
    seeds = []
    rng = random.Random(20261122)
    for number in range(12):
        seed = f"plans{number}"
        seeds.append(seed)
        kinds = ("payment_intent.succeeded", "invoice.paid", "invoice_payment.paid")
        events = [_alike(seed, kind, plan) for kind in kinds for plan in ("a", "b")]
        for event in events:
            person = event["data"]["object"]
            person.update(dict.fromkeys(("customer_email", "receipt_email"), f"{seed}@example.org"))
        rng.shuffle(events)
        for event in events:
            await world.stripe_sends(event)
            await world.drain()
    await check_two(world, seeds)


@pytest.mark.parametrize("first", [0, 1])
async def test_two_descriptions_of_a_plan_in_one_second_end_the_same_in_any_order(world: World, first: int) -> None:
    made = [deepcopy(one) for one in subscription("terms") if one["type"].startswith("customer.subscription")]
    for number, event in enumerate(made):
        event["created"] = int(START.timestamp())
        event["data"]["object"]["items"]["data"][0]["price"] = {
            "currency": "usd",
            "unit_amount": 1000 * (number + 1),
            "recurring": {"interval": "month", "interval_count": number + 1},
        }
    await send(world, made[first], made[1 - first])
    (plan,) = (await world.get("/v1/recurring-plans"))["data"]
    assert (plan["status"], plan["amount"]["amount"], plan["frequency_interval"]) == ("active", 2000, 2)


async def test_a_plan_that_ended_is_not_brought_back_by_older_news_nor_by_its_last_invoice(world: World) -> None:
    made = {event["type"]: event for event in subscription("ended")}
    ended = stripe_event("customer.subscription.deleted", seed="ended", after=DAY)
    last = {**made["invoice.paid"]["data"]["object"], "id": "in_last", "amount_paid": 0, "amount_due": 0}
    last |= {"amount_paid": 700, "status_transitions": {"paid_at": int(START.timestamp()) + 2 * DAY}}
    settled = stripe_event("invoice.paid", seed="ended", after=2 * DAY, number=2, **last)
    await send(world, made["invoice.paid"], ended, made["customer.subscription.updated"], settled)
    (plan,) = (await world.get("/v1/recurring-plans"))["data"]
    assert (plan["status"], plan["ended_at"], plan["next_date"]) == ("canceled", "2026-05-05T10:00:00Z", None)
    profile = await world.profile(plan["contact_id"])
    assert (profile["is_recurring"], profile["donor_status"], profile["gift_count"]) == (False, "regular", 2)


# Who paid


def _told(seed: str, *, contact_id: str | None) -> list[Event]:
    """Three words on one payment; only the intent carries our own contact's id, the checkout knows another address."""
    intent: dict[str, Any] = {"amount": 2500, "amount_received": 2500, "currency": "usd", "customer": None}
    intent["receipt_email"] = "post@example.org" if contact_id else None
    details = {"email": "typed@example.org", "name": "Typed Name", "phone": None, "address": None}
    session: dict[str, Any] = {"amount_total": 2500, "currency": "usd", "customer": None, "metadata": {}}
    return [
        stripe_event(
            "payment_intent.succeeded",
            seed=seed,
            metadata={"crm_contact_id": contact_id} if contact_id else {},
            **intent,
        ),
        stripe_event("checkout.session.completed", seed=seed, customer_details=details, locale="uk", **session),
        gift_event(seed, email="card@example.org", name="Card Name"),
    ]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_the_contact_that_our_own_page_named_gets_the_gift_in_any_order(
    world: World, order: tuple[int, ...]
) -> None:
    ours = await world.contact()
    events = _told("named", contact_id=ours["id"])
    await send(world, *(events[place] for place in order))
    (gift,) = await gifts(world)
    assert gift["contact_id"] == ours["id"]
    contact = await world.get(f"/v1/contacts/{ours['id']}")
    assert contact["display_name"] == "Олена Шевченко"
    assert contact["emails"][0] == {
        "address": "olena@example.org",
        "label": None,
        "is_primary": True,
        "status": "valid",
    }
    assert (await world.profile(ours["id"]))["gift_count"] == 1
    donors = (await world.get("/v1/contacts", params={"role": "donor"}))["data"]
    for donor in donors:
        assert (await world.profile(donor["id"]))["gift_count"] == (donor["id"] == ours["id"])


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_what_somebody_has_written_into_a_contact_stays(world: World, order: tuple[int, ...]) -> None:
    ours = await world.contact(
        language=None, emails=[{"address": "typed@example.org"}, {"address": "card@example.org"}]
    )
    events = _told("kept", contact_id=None)
    await send(world, *(events[place] for place in order[:2]))
    (contact,) = (await world.get("/v1/contacts", params={"email": "typed@example.org"}))["data"]
    await world.patch(f"/v1/contacts/{contact['id']}", {"given_name": "Олена", "language": "ka"})
    await send(world, events[order[2]])
    contact = await world.get(f"/v1/contacts/{contact['id']}")
    assert contact["language"] == "ka"
    assert contact["given_name"] == "Олена"
    assert [item["address"] for item in contact["emails"] if item["is_primary"]] == ["typed@example.org"]
    if (await gifts(world))[0]["contact_id"] == ours["id"]:
        assert contact["family_name"] == "Шевченко"


async def test_a_blank_contact_takes_the_best_word_of_a_payment_in_any_order(world: World) -> None:
    for number, order in enumerate(itertools.permutations(range(3))):
        address = f"blank{number}@example.org"
        blank = await world.contact(
            given_name=None, family_name=None, language=None, emails=[{"address": address, "is_primary": True}]
        )
        events = _told(f"blank{number}", contact_id=None)
        for event in events:
            obj = event["data"]["object"]
            for part in ("billing_details", "customer_details"):
                if obj.get(part):
                    obj[part]["email"] = address
            obj["receipt_email"] = address
        await send(world, *(events[place] for place in order))
        contact = await world.get(f"/v1/contacts/{blank['id']}")
        assert (contact["display_name"], contact["language"]) == ("Typed Name", "uk")
        assert [item["address"] for item in contact["emails"]] == [address]
    assert len((await world.get("/v1/contacts"))["data"]) == 6
