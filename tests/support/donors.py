"""What the tests of donor status share: the clock, the stored figures, the recorded transitions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.kit.db import prepare
from crm_api.scoring import service as scoring
from tests.support.world import World

T0 = datetime(2024, 3, 1, 12, 0, tzinfo=UTC)
CHANGES = prepare(
    text(
        "SELECT previous_status, status, reasons, as_of, rules_version FROM donor_status_changes "
        "WHERE organization_id = :organization_id AND contact_id = :contact_id ORDER BY id"
    )
)
_SUMMARIES = prepare(text("SELECT * FROM donor_summaries WHERE organization_id = :organization_id ORDER BY contact_id"))
_SPOIL = prepare(
    text(
        "UPDATE donor_summaries SET gift_count = 77, gifts_without_rate = 77, total_given = 77, average_gift = 77, "
        "largest_gift = 77, total_last_365_days = 77, this_year_total = 77, last_year_total = 77, "
        "previous_year_total = 77, streak_years = 77, best_year = 77, best_year_total = 77, first_channel = 'other', "
        "first_gift_date = '1999-09-09', last_gift_date = '1999-09-09', is_new = NOT is_new, is_major = NOT is_major, "
        "is_recurring = NOT is_recurring WHERE organization_id = :organization_id"
    )
)
SCORES = ("rfm_recency", "rfm_frequency", "rfm_monetary")


def z(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


async def go_to(world: World, moment: datetime) -> None:
    """Move the clock and let what is due run, the nightly rebuild among it."""
    await world.set_clock(moment)
    await world.drain()


async def transitions(world: World, contact_id: str) -> list[tuple[str | None, str]]:
    """Every recorded change of a donor's status, each with its reason."""
    rows = await world.database.read(world.tenant).fetch(CHANGES, contact_id=UUID(contact_id))
    for row in rows:
        rules = [(reason["rule"], reason["verdict"]) for reason in row["reasons"]]
        assert rules[-1] == (row["status"], True)
        assert not any(verdict for _, verdict in rules[:-1])
        assert row["rules_version"] == 1
    return [(row["previous_status"], row["status"]) for row in rows]


async def summaries(world: World) -> dict[str, dict[str, Any]]:
    """The stored figures of every donor, but for when they were computed."""
    rows = await world.database.read(world.tenant).fetch(_SUMMARIES)
    return {str(row["contact_id"]): {k: v for k, v in row.items() if k != "computed_at"} for row in rows}


async def rebuild(world: World) -> None:
    tenant = await world.worker.tenant(world.id)
    assert tenant is not None
    async with world.database.write(tenant) as session:
        await scoring.rebuild(session)


async def forget(world: World) -> None:
    """Spoil every stored figure but the status, whose changes are recorded."""
    async with world.database.write(world.tenant) as session:
        await session.execute(_SPOIL)


async def give(world: World, contact: Any, at: datetime, amount: int = 2500, currency: str = "USD") -> Any:
    gift = await world.donation(contact["id"], amount, currency, received_at=z(at))
    await world.drain()
    return gift
