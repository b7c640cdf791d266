"""Whoever is erased is gone from what was sent as well, and the same delivery does not bring them back."""

from __future__ import annotations

from sqlalchemy import text

from crm_api.kit.db import prepare
from tests.intake.sources import contacts, make_source
from tests.support.world import World

_BODIES = prepare(text("SELECT body, handle FROM intake_deliveries WHERE organization_id = :organization_id"))


async def test_erasing_a_person_empties_what_they_sent(world: World) -> None:
    source = await make_source(world, "viber")
    await source.send_fixture("viber_callback_message")
    await world.drain()
    (contact,) = await contacts(world)
    await world.post(f"/v1/contacts/{contact['id']}/erasure", {"confirm": True}, expect=202)
    await world.drain()
    for row in await world.database.read(world.tenant).fetch(_BODIES):
        assert (row["body"], row["handle"]) == (b"", None)
    (delivery,) = await source.deliveries()
    assert (delivery["state"], delivery["reason"]) == ("ignored", "erased")
    refused = await world.post(f"/v1/intake-deliveries/{delivery['id']}/replay", expect=409)
    assert refused["code"] == "erased"
    await source.send_fixture("viber_callback_message")
    await world.drain()
    assert [one for one in await contacts(world) if one["handles"]] == []
