"""Every published fixture of Stripe, posted as it stands over HTTP, ends as its `expect` says."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from crm_api.kit.db import prepare
from tests.conftest import MakeWorld
from tests.support.stripe_events import stripe_event
from tests.support.world import World

FOLDER = Path(__file__).parents[1] / "fixtures" / "stripe"
PLAN_WORDS = {"suspended": "paused", "cancelled": "canceled"}
IGNORED = {
    "thin_v2_event": "live_event_in_test_organization",
    "event_without_type": "unknown_type",
}


def fixture(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text())


def steps(name: str) -> list[Any]:
    """The deliveries of a fixture, each with `request` and `verification`."""
    found = fixture(name)
    return list(found["steps"]) if "steps" in found else [found] if "request" in found else []


EVENTS = sorted(path.stem for path in FOLDER.glob("*.json") if steps(path.stem))
VALID = [name for name in EVENTS if all(step["verification"]["expect_valid"] for step in steps(name))]


async def ready(world: World, step: Any) -> str:
    """Freeze the clock at a delivery's time; the id of the connection it goes to."""
    await world.set_clock(datetime.fromtimestamp(step["verification"]["now"], UTC))
    return await world.stripe_connection(step["verification"]["secret"])


async def post(world: World, name: str) -> None:
    """Deliver a fixture byte for byte, each step at its own time."""
    for step in steps(name):
        connection = await ready(world, step)
        await world.deliver(connection, step["request"]["body_raw"].encode(), step["request"]["headers"])


async def charge_before(world: World, name: str) -> None:
    """Deliver the success of the payment that a fixture is about, when the fixture itself is not that success."""
    event = json.loads(steps(name)[0]["request"]["body_raw"])
    if name == "charge_refunded_full":
        return await post(world, "payment_intent_succeeded_usd")
    if name == "customer_subscription_deleted":
        return await post(world, "customer_subscription_created")
    if event.get("type", "").startswith("charge.dispute"):
        obj = event["data"]["object"]
        success = stripe_event(
            "charge.succeeded",
            seed=name,
            start=datetime.fromtimestamp(obj["created"], UTC) - timedelta(days=3),
            id=obj["charge"],
            payment_intent=obj["payment_intent"],
            amount=obj["amount"],
            amount_captured=obj["amount"],
            currency=obj["currency"],
        )
        await world.stripe_sends(success, secret=steps(name)[0]["verification"]["secret"])
    return None


async def inbox(world: World, **query: Any) -> list[Any]:
    found: list[Any] = (await world.get("/v1/payments/inbox", params=query))["data"]
    return found


async def check(world: World, expect: dict[str, Any]) -> None:
    """Compare what the API shows with a fixture's neutral words."""
    gifts = (await world.get("/v1/donations"))["data"]
    plans = {plan["provider_plan_id"]: plan for plan in (await world.get("/v1/recurring-plans"))["data"]}
    if wanted := expect.get("donation"):
        (gift,) = gifts
        assert gift["provider"] == "stripe"
        assert gift["provider_payment_id"] == wanted["ref"]
        assert gift["status"] == wanted["status"]
        assert gift["amount"] == {"amount": wanted["amount_minor"], "currency": wanted["currency"]}
        refunded = wanted.get("refunded_minor", 0)
        assert gift["refunded_amount"] == {"amount": refunded, "currency": wanted["currency"]}
        if "plan_ref" in wanted:
            assert gift["recurring_plan_id"] == plans[wanted["plan_ref"]]["id"]
            assert plans[wanted["plan_ref"]]["contact_id"] == gift["contact_id"]
        await check_donor(world, gift["contact_id"], expect)
    if wanted := expect.get("plan"):
        plan = plans[wanted["ref"]]
        assert plan["status"] == PLAN_WORDS.get(wanted["status"], wanted["status"])
        assert (plan["ended_at"] is not None) == (plan["status"] == "canceled")
        if "amount_minor" in wanted:
            assert plan["amount"] == {"amount": wanted["amount_minor"], "currency": wanted["currency"]}
            assert (plan["frequency_unit"], plan["frequency_interval"]) == (wanted["interval"], 1)


async def check_donor(world: World, contact_id: str | None, expect: dict[str, Any]) -> None:
    """The donor as the fixture names them."""
    if "donor_email" in expect or "donor_name" in expect:
        contact = await world.get(f"/v1/contacts/{contact_id}")
        assert [item["address"] for item in contact["emails"]] == ["jenny.rosen@example.org"]
        assert contact["display_name"] == expect.get("donor_name", contact["display_name"])
        (found,) = (await world.get("/v1/contacts", params={"email": "Jenny.Rosen@example.org"}))["data"]
        assert found["id"] == contact_id


def test_no_fixture_is_left_out() -> None:
    assert set(EVENTS) - set(VALID) == {"missing_signature_header", "wrong_signature"}
    assert len(VALID) == 16
    words = {word for name in VALID for word in fixture(name).get("expect", {})}
    elsewhere = {"client_reference", "donations", "effects", "http", "ignored", "note", "second_delivery_http"}
    assert words == {"donation", "plan", "donor_email", "donor_name"} | elsewhere


@pytest.mark.parametrize("name", VALID)
async def test_a_fixture_ends_as_it_says(world: World, name: str) -> None:
    await charge_before(world, name)
    await world.drain()
    await post(world, name)
    await world.drain()
    await check(world, fixture(name).get("expect", {}))
    states = {event["state"] for event in await inbox(world)}
    assert states == ({"ignored"} if name in IGNORED else {"handled"})
    assert {job["state"] for job in await world.jobs()} == {"done"}


@pytest.mark.parametrize(
    "name", ["charge_refunded_full", "charge_dispute_created", "dispute_closed_won", "customer_subscription_deleted"]
)
async def test_a_fixture_that_overtakes_its_payment_ends_the_same(world: World, name: str) -> None:
    await post(world, name)
    await world.drain()
    await charge_before(world, name)
    await world.drain()
    await check(world, fixture(name)["expect"])
    assert {event["state"] for event in await inbox(world)} == {"handled"}


async def test_the_same_event_twice_is_one_row_one_gift_and_the_same_answer(world: World) -> None:
    await post(world, "duplicate_event")
    await world.drain()
    await post(world, "duplicate_event")
    await world.drain()
    (event,) = await inbox(world)
    assert event["provider_event_id"] == "evt_FxA01"
    (gift,) = (await world.get("/v1/donations"))["data"]
    assert (gift["provider_payment_id"], gift["version"]) == ("pi_FxA01", 1)
    assert event["donation_id"] == gift["id"]
    assert world.letter_kinds() == ["welcome"]


async def test_the_intent_the_charge_and_the_checkout_are_one_gift_with_the_donor_s_name(world: World) -> None:
    for name in ("payment_intent_succeeded_usd", "charge_succeeded", "checkout_session_completed_paid"):
        await post(world, name)
        await world.drain()
        await check(world, {"donation": fixture(name)["expect"]["donation"]})
    (gift,) = (await world.get("/v1/donations"))["data"]
    await check_donor(world, gift["contact_id"], {"donor_name": "Jenny Rosen", "donor_email": "…"})
    assert world.letter_kinds() == ["welcome"]


@pytest.mark.parametrize("name", ["missing_signature_header", "wrong_signature"])
async def test_a_bad_signature_is_refused_and_nothing_is_written(world: World, name: str) -> None:
    (step,) = steps(name)
    connection = await ready(world, step)
    await world.drain()  # schedules that the frozen clock has passed
    before = await counted(world)
    body, headers = step["request"]["body_raw"].encode(), step["request"]["headers"]
    answer = await world.deliver(connection, body, headers, expect=400)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == f"signature_{step['verification']['expect_error']}"
    assert await counted(world) == before
    assert await world.drain() == 0
    assert await counted(world) == before
    assert before["provider_events"] == before["gifts"] == 0


async def counted(world: World) -> dict[str, int]:
    """Rows of every table that a delivery could touch, straight from the database."""
    tables = ("provider_events", "jobs", "gifts", "payment_entries", "contacts", "messages", "audit_events")
    reader = world.database.read(world.tenant)
    found = {}
    for table in (*tables, "payment_connections"):
        statement = prepare(text(f"SELECT count(*) FROM {table} WHERE organization_id = :organization_id"))
        found[table] = int(await reader.fetch_val(statement))
    return found


async def test_a_signature_older_than_five_minutes_is_refused(world: World) -> None:
    request = fixture("payment_intent_succeeded_usd")["request"]
    body, headers = request["body_raw"].encode(), request["headers"]
    connection = await world.stripe_connection(fixture("payment_intent_succeeded_usd")["verification"]["secret"])
    signed_at = datetime.fromtimestamp(int(headers["Stripe-Signature"].split(",")[0][2:]), UTC)
    await world.set_clock(signed_at + timedelta(seconds=301))
    late = await world.deliver(connection, body, headers, expect=400)
    assert late.json()["code"] == "signature_timestamp_expired"
    assert await inbox(world) == []
    await world.set_clock(signed_at + timedelta(seconds=300))
    await world.deliver(connection, body, headers)
    assert len(await inbox(world)) == 1


async def test_one_changed_byte_is_refused(world: World) -> None:
    step = fixture("payment_intent_succeeded_usd")
    await world.set_clock(datetime.fromtimestamp(step["verification"]["now"], UTC))
    connection = await world.stripe_connection(step["verification"]["secret"])
    body = step["request"]["body_raw"].encode()
    await world.deliver(connection, body.replace(b"2500", b"9500", 1), step["request"]["headers"], expect=400)
    await world.deliver(connection, body + b"\n", step["request"]["headers"], expect=400)
    assert await inbox(world) == []


async def test_both_secrets_are_good_while_one_takes_over_from_the_other(world: World) -> None:
    connection = await world.stripe_connection("whsec_old")
    event = stripe_event("charge.succeeded", seed="rotation")
    await world.patch(f"/v1/payment-connections/{connection}", {"credentials": {"webhook_secret": "whsec_new"}})
    world.connections["whsec_new"] = connection
    await world.stripe_sends(event, secret="whsec_old")
    await world.stripe_sends({**event, "id": "evt_second"}, secret="whsec_new")
    world.connections["whsec_else"] = connection
    await world.stripe_sends({**event, "id": "evt_third"}, secret="whsec_else", expect=400)
    await world.drain()
    assert [one["state"] for one in await inbox(world)] == ["handled", "handled"]
    assert len((await world.get("/v1/donations"))["data"]) == 1


@pytest.mark.parametrize("name", sorted(IGNORED))
async def test_what_is_not_understood_is_stored_and_ignored_with_a_reason(world: World, name: str) -> None:
    await post(world, name)
    await world.drain()
    (event,) = await inbox(world, state="ignored")
    assert event["reason"] == IGNORED[name]
    assert event["handled_at"] is not None
    assert (await world.get("/v1/donations"))["data"] == []
    assert (await world.get("/v1/contacts"))["data"] == []


async def test_an_unknown_type_is_stored_and_ignored(world: World) -> None:
    event = stripe_event("charge.succeeded", seed="unknown")
    await world.stripe_sends({**event, "type": "radar.early_fraud_warning.created"})
    await world.drain()
    (stored,) = await inbox(world, provider_event_id=event["id"])
    assert (stored["state"], stored["reason"]) == ("ignored", "unknown_type")
    assert stored["event_type"] == "radar.early_fraud_warning.created"


async def test_live_money_is_no_gift_in_a_test_organization_nor_test_money_in_a_live_one(make_world: MakeWorld) -> None:
    for mode, other in (("test", "live"), ("live", "test")):
        world = await make_world(mode=mode)
        event = stripe_event("charge.succeeded", seed="mode")
        await world.stripe_sends({**event, "id": "evt_other", "livemode": other == "live"})
        await world.stripe_sends({**event, "id": "evt_own", "livemode": mode == "live"})
        await world.drain()
        stored = {one["provider_event_id"]: (one["state"], one["reason"]) for one in await inbox(world)}
        assert stored["evt_other"] == ("ignored", f"{other}_event_in_{mode}_organization")
        assert stored["evt_own"] == ("handled", None)
        assert len((await world.get("/v1/donations"))["data"]) == 1


async def test_a_thin_event_is_ignored_in_the_organization_of_its_mode_too(make_world: MakeWorld) -> None:
    world = await make_world(mode="live")
    await world.stripe_sends(fixture("thin_v2_event")["request"]["body_raw"].encode())
    await world.drain()
    ((state, reason),) = [(one["state"], one["reason"]) for one in await inbox(world)]
    assert (state, reason) == ("ignored", "thin_event")
