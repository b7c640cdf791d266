"""The main job as a story: a webhook arrives, a gift is recorded, the donor's status changes, a letter goes out."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

from tests.support.world import World

FIXTURES = Path(__file__).parent / "fixtures" / "stripe"


async def test_a_first_gift_brings_a_contact_a_status_and_one_welcome(world: World) -> None:
    fixture = json.loads((FIXTURES / "payment_intent_succeeded_usd.json").read_text())
    await world.set_clock(datetime.fromtimestamp(fixture["verification"]["now"], UTC))
    secret = fixture["verification"]["secret"]
    connection = await world.stripe_connection(secret)
    request = fixture["request"]

    answers = await asyncio.gather(
        *(world.deliver(connection, request["body_raw"].encode(), request["headers"]) for _ in range(20))
    )
    assert {answer.status_code for answer in answers} == {202}
    await world.drain()

    (gift,) = (await world.get("/v1/donations"))["data"]
    assert gift["status"] == "succeeded"
    assert gift["amount"] == {"amount": 2500, "currency": "USD"}
    assert gift["refunded_amount"] == {"amount": 0, "currency": "USD"}
    assert (gift["provider"], gift["provider_payment_id"]) == ("stripe", "pi_FxA01")
    assert gift["received_at"] == "2025-10-09T08:53:20Z"

    contact = await world.get(f"/v1/contacts/{gift['contact_id']}")
    assert contact["emails"][0]["address"] == "jenny.rosen@example.org"
    assert contact["roles"] == ["donor"]

    profile = await world.profile(gift["contact_id"])
    assert profile["donor_status"] == "new"
    assert profile["gift_count"] == 1
    assert profile["total_given"] == {"amount": 2500, "currency": "USD"}
    assert profile["rfm"]["code"] == "511"
    assert [reason["rule"] for reason in profile["reasons"] if reason["verdict"]] == ["new"]

    (letter,) = world.letters()
    assert letter["X-CRM-Letter"] == "welcome"
    assert letter["To"] == "jenny.rosen@example.org"
    assert [job["state"] for job in await world.jobs()] == ["done"] * len(await world.jobs())
