"""What the tests of letters share: looking at messages, giving once more, making put-off work due."""

from __future__ import annotations

from email.message import EmailMessage
from typing import Any

from tests.support.stripe_events import gift_event
from tests.support.world import World


async def messages(world: World, **query: Any) -> list[Any]:
    found: list[Any] = (await world.get("/v1/messages", params=query))["data"]
    return found


async def give(world: World, seed: str, **options: Any) -> None:
    """A gift through Stripe, followed up."""
    await world.stripe_sends(gift_event(seed, **{"email": "maria@example.org", "name": "Maria Silva", **options}))
    await world.drain()


def body(letter: EmailMessage, kind: str = "plain") -> str:
    part = letter.get_body((kind,))
    assert part is not None
    return str(part.get_content())


async def retry_now(world: World, subscriber: str) -> None:
    """Make the backed-off or dead work of a subscriber due at once, as a person would, and run it."""
    waiting = [job for job in await world.jobs(subscriber=subscriber) if job["state"] in {"due", "dead"}]
    assert waiting, "nothing was put off"
    for job in waiting:
        await world.post(f"/v1/jobs/{job['id']}/retry", expect=200)
    await world.drain()
