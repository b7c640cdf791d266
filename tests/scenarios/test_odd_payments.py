"""Payments that do not fit: another currency, another's customer id, somebody else's address, sums beyond bounds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

from tests.support.stripe_events import START, gift_event, ids, stripe_event
from tests.support.world import World


async def send(world: World, *events: dict[str, Any]) -> None:
    for event in events:
        await world.stripe_sends(event)
        await world.drain()


async def gifts_of(world: World) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", (await world.get("/v1/donations", params={"sort": "created_at"}))["data"])


async def events_of(world: World, **query: str) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", (await world.get("/v1/payments/inbox", params=query))["data"])


async def test_amounts_of_another_currency_are_left_to_a_person(world: World) -> None:
    await send(
        world,
        gift_event("fx", email="a@example.org", name="Ann", amount=10000),
        stripe_event(
            "checkout.session.completed", seed="fx", after=1, amount_total=410000, currency="uah", customer=None
        ),
        stripe_event("refund.created", seed="fx", after=9, status="succeeded", amount=500, currency="jpy", id="re_x"),
    )
    (gift,) = await gifts_of(world)
    assert (gift["amount"], gift["status"]) == ({"amount": 10000, "currency": "USD"}, "succeeded")
    assert gift["refunded_amount"]["amount"] == 0
    failed = await events_of(world, state="failed")
    assert sorted(event["event_type"] for event in failed) == ["checkout.session.completed", "refund.created"]
    assert all("the gift is in USD" in event["reason"] for event in failed)


async def test_a_customer_id_that_another_contact_has_loses_no_gift(world: World) -> None:
    bea = await world.contact(emails=[{"address": "b@example.org"}], given_name="Bea")
    named = {"crm_contact_id": bea["id"]}
    await send(
        world,
        gift_event("one", email="a@example.org", name="Ann", customer="cus_1"),
        gift_event("two", email="x@example.org", name="Ann", customer="cus_1", metadata=named),
    )
    first, second = await gifts_of(world)
    assert first["contact_id"] != bea["id"]
    assert second["contact_id"] == bea["id"]
    assert await events_of(world, state="failed") == []
    assert [job for job in await world.jobs() if job["state"] != "done"] == []


async def test_an_invoice_that_names_its_intent_is_not_tied_to_a_wrong_guess(world: World) -> None:
    """Two equal payments of one customer within the hour: a guess may mislabel them, but two stay two."""
    paid: dict[str, Any] = {"amount_due": 2500, "amount_paid": 2500, "currency": "usd", "customer": "cus_k"}
    invoice = {
        **paid,
        "customer_email": "a@example.org",
        "status_transitions": {"paid_at": int(START.timestamp()) + 600},
    }
    whole = {"object": "list", "data": [{"payment": {"type": "payment_intent", "payment_intent": ids("B")["pi"]}}]}
    intent: dict[str, Any] = {"amount": 2500, "customer": "cus_k", "email": "a@example.org", "name": "Ann"}
    await send(
        world,
        gift_event("A", **intent),
        stripe_event("invoice.paid", seed="B", after=600, **invoice),
        stripe_event("invoice.payment_succeeded", seed="B", after=600, payments=whole, **invoice),
        gift_event("B", **intent, created=int(START.timestamp()) + 600),
    )
    counted = [gift for gift in await gifts_of(world) if gift["status"] == "succeeded"]
    assert len(counted) == 2


async def test_an_opted_out_donor_gets_no_letter_at_an_address_a_payment_brought(world: World) -> None:
    victim = await world.contact(emails=[{"address": "victim@example.org", "is_primary": True}])
    await send(
        world,
        gift_event("m1", email="victim@example.org", name="Mallory", customer="cus_m"),
        gift_event("m2", email="mallory@example.com", name="Mallory", customer="cus_m"),
    )
    shown = await world.get(f"/v1/contacts/{victim['id']}")
    emails = [
        {**item, "status": "opted_out"} if item["address"] == "victim@example.org" else item for item in shown["emails"]
    ]
    await world.patch(f"/v1/contacts/{victim['id']}", {"emails": emails})
    before = len(world.letters())
    await world.donation(victim["id"])
    await world.drain()
    assert len(world.letters()) == before
    newest = (await world.get("/v1/messages"))["data"][0]
    assert (newest["state"], newest["reason"]) == ("suppressed", "the contact has no usable primary e-mail address")


async def test_failed_payments_are_no_way_to_flood_a_mailbox(world: World) -> None:
    for number in range(4):
        await send(
            world,
            stripe_event(
                "payment_intent.payment_failed",
                seed=f"flood{number}",
                receipt_email="target@example.org",
                customer="cus_f",
                currency="usd",
                amount=100,
            ),
        )
    assert world.letter_kinds() == ["payment_failed"]
    told = (await world.get("/v1/messages"))["data"]
    assert sorted(message["state"] for message in told) == ["sent", *["suppressed"] * 3]


async def test_a_contact_never_has_more_addresses_than_it_can_be_written_back_with(world: World) -> None:
    for number in range(24):
        await world.stripe_sends(
            gift_event(f"many{number}", email=f"a{number}@example.org", name="Ann", customer="cus_9")
        )
    await world.drain()
    (contact,) = (await world.get("/v1/contacts"))["data"]
    assert len(contact["emails"]) == 20
    await world.patch(f"/v1/contacts/{contact['id']}", {"emails": contact["emails"]})


async def test_history_entered_by_hand_sends_no_letters(world: World) -> None:
    contact = await world.contact()
    long_ago = (datetime.now(UTC) - timedelta(days=400)).isoformat()
    await world.donation(contact["id"], received_at=long_ago)
    await world.drain()
    assert world.letters() == []
    (message,) = (await world.get("/v1/messages"))["data"]
    assert message["state"] == "suppressed"
    await world.donation(contact["id"])
    await world.drain()
    assert world.letter_kinds() == ["thank_you"]


async def test_a_gift_too_large_to_convert_is_kept_and_blocks_nobody(world: World) -> None:
    contact = await world.contact()
    await world.donation(contact["id"], 2**53 - 1, "GBP")
    await world.donation(contact["id"], 1000, "GBP")
    rate = {"source_currency": "GBP", "target_currency": "USD", "rate": "3.25", "rate_date": "2000-01-01"}
    await world.post("/v1/exchange-rates", rate)
    await world.drain()
    bases = {gift["amount"]["amount"]: gift["base_amount"] for gift in await gifts_of(world)}
    assert bases == {2**53 - 1: None, 1000: {"amount": 3250, "currency": "USD"}}
    assert (await world.profile(contact["id"]))["gifts_without_rate"] == 1
    assert [job for job in await world.jobs() if job["state"] != "done"] == []


async def test_a_new_time_zone_dates_every_gift_anew(world: World) -> None:
    contact = await world.contact()
    gift = await world.donation(contact["id"], received_at="2026-03-01T20:00:00Z")
    assert gift["gift_date"] == "2026-03-01"
    await world.patch("/v1/organization", {"timezone": "Asia/Tokyo"})
    await world.drain()
    assert (await world.get(f"/v1/donations/{gift['id']}"))["gift_date"] == "2026-03-02"


async def test_a_retry_after_the_key_was_rotated_finds_the_first_answer(world: World) -> None:
    body = {"amount": {"amount": 700, "currency": "USD"}}
    named = {"Idempotency-Key": "once"}
    first = await world.post("/v1/donations", body, headers=named)
    fresh = await world.post("/v1/api-keys", {"name": "Next", "scopes": ["donations:write"]})
    again = await world.post("/v1/donations", body, headers={**named, "Authorization": f"Bearer {fresh['key']}"})
    assert again["id"] == first["id"]
    assert len(await gifts_of(world)) == 1


async def test_a_nested_null_is_never_stored(world: World) -> None:
    await world.post("/v1/custom-fields", {"key": "grant", "label": "Grant", "type": "money"})
    contact = await world.contact(custom={"grant": {"amount": 1, "currency": "UAH"}})
    shown = await world.patch(f"/v1/contacts/{contact['id']}", {"custom": {"grant": {"amount": 2, "note": None}}})
    assert shown["custom"] == {"grant": {"amount": 2, "currency": "UAH"}}
