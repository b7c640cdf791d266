"""A charity with regular gifts of its own: short words for the tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from crm_api.registry import load_registry
from crm_api.worker import Worker
from tests.support.gateways import connect
from tests.support.world import World

CARD = {"token": "67XZtXdR4NpKU3", "mask": "444403******1902", "expires": "2027-08"}


def day(text: str, hour: int = 10) -> datetime:
    """A moment of a day."""
    return datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC).replace(hour=hour)


async def at(world: World, text: str, hour: int = 10) -> None:
    """Move the clock to a day and let the worker do what is due."""
    await world.set_clock(day(text, hour))
    await settle(world)


SCHEDULES = ("recurring.alarm", "pledges.alarm", "tasks.alarm")


def promises_worker(world: World) -> Worker:
    """A worker that knows every subscriber, but of the schedules only ours: a moved clock need not bring the nightly
    work of everybody else."""
    whole = load_registry()
    ours = {name: one for name, one in whole.schedules.items() if name in SCHEDULES}
    return Worker(world.settings, world.database, replace(whole, schedules=ours))


async def settle(world: World) -> None:
    """Let such a worker work until nothing is due."""
    worker = promises_worker(world)
    while await worker._tend(world.id, ensure=False):
        pass


async def plan(world: World, contact_id: str, **changes: Any) -> Any:
    """Begin a plan."""
    body = {"contact_id": contact_id, "method": "manual", "amount": {"amount": 20000, "currency": "UAH"}, **changes}
    return await world.post("/v1/recurring-plans", body)


async def card_plan(world: World, contact_id: str, **changes: Any) -> Any:
    """Begin a plan whose card we charge."""
    if "monobank" not in world.connections:
        world.connections["monobank"] = await connect(world, "monobank")
    card = {"method": "monobank", "connection_id": world.connections["monobank"], "card": CARD}
    return await plan(world, contact_id, **{**card, **changes})


async def shown(world: World, plan_id: str) -> Any:
    """The plan as it is."""
    return await world.get(f"/v1/recurring-plans/{plan_id}")


async def periods(world: World, plan_id: str) -> list[tuple[str, str]]:
    """Due dates and states of its periods, oldest first."""
    page = await world.get("/v1/recurring-periods", params={"plan_id": plan_id, "sort": "due_on", "limit": 200})
    return [(row["due_on"], row["state"]) for row in page["data"]]


async def attempts(world: World, plan_id: str) -> list[dict[str, Any]]:
    """Its attempts, oldest first."""
    page = await world.get("/v1/charge-attempts", params={"plan_id": plan_id, "sort": "id", "limit": 200})
    found: list[dict[str, Any]] = page["data"]
    return found


async def gifts(world: World, plan_id: str) -> list[dict[str, Any]]:
    """Its gifts, oldest first."""
    page = await world.get("/v1/donations", params={"plan_id": plan_id, "sort": "received_at", "limit": 200})
    found: list[dict[str, Any]] = page["data"]
    return found
