"""A merge never widens what somebody agreed to, and its undo gives back what was said."""

from __future__ import annotations

import pytest

from tests.support.world import World


async def _say(world: World, contact: str, status: str, at: str) -> None:
    body = {"purpose": "newsletter", "channel": "email", "status": status, "at": at}
    if status == "granted":
        body["legal_basis"] = "consent"
    await world.post(f"/v1/contacts/{contact}/consents", body)


async def _may(world: World, contact: str) -> bool:
    path = f"/v1/contacts/{contact}/can-contact?channel=email&purpose=newsletter"
    allowed: bool = (await world.get(path))["allowed"]
    return allowed


@pytest.mark.parametrize("survivor_refused", [True, False])
async def test_a_refusal_stands(world: World, survivor_refused: bool) -> None:
    first, second = [(await world.contact())["id"] for _ in range(2)]
    refused, granted = (first, second) if survivor_refused else (second, first)
    await _say(world, refused, "withdrawn", "2025-01-01T00:00:00Z")
    await _say(world, granted, "granted", "2025-06-01T00:00:00Z")
    assert (await _may(world, granted), await _may(world, refused)) == (True, False)
    merge = await world.post(f"/v1/contacts/{first}/merge", {"from": [second]})
    assert not await _may(world, first), "one record's newer grant must not lift the other's refusal"
    await world.post(f"/v1/merges/{merge['id']}/undo", expect=200)
    assert (await _may(world, granted), await _may(world, refused)) == (True, False)


async def test_a_grant_after_ones_own_refusal_holds(world: World) -> None:
    first, second = [(await world.contact())["id"] for _ in range(2)]
    await _say(world, second, "withdrawn", "2025-01-01T00:00:00Z")
    await _say(world, second, "granted", "2025-06-01T00:00:00Z")
    await world.post(f"/v1/contacts/{first}/merge", {"from": [second]})
    assert await _may(world, first)
    events = (await world.get(f"/v1/contacts/{first}/consents"))["data"]
    assert len(events) == 2
