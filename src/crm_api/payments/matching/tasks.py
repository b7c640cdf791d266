"""What the queue of unmatched payments does about facts."""

from __future__ import annotations

from uuid import UUID

from crm_api.donations.gifts.facts import GiftChanged, GiftRecorded, GiftsRestated
from crm_api.kit.db import WriteSession
from crm_api.outbox.facts import Job, Registry, Subscriber
from crm_api.payments.matching import queue, ruling
from crm_api.payments.matching.facts import MatchRuleChanged, PaymentWaits


async def follow(session: WriteSession, job: Job) -> None:
    """Put a gift without a donor into the queue, or take it out."""
    await queue.follow(session, UUID(job.payload["gift_id"]))


async def follow_all(session: WriteSession, job: Job) -> None:
    """The same after many gifts have changed at once."""
    await queue.follow_all(session)


async def look(session: WriteSession, job: Job) -> None:
    """Let the rules look at a payment."""
    await ruling.look_at(session, UUID(job.payload["gift_id"]))


async def look_again(session: WriteSession, job: Job) -> None:
    """Let a rule look at what waits."""
    after = job.payload["after"]
    await ruling.look_at_waiting(session, UUID(job.payload["rule_id"]), UUID(after) if after else None)


def _concerns(fact: GiftRecorded | GiftChanged) -> bool:
    """Gifts of nobody, and those that have just found their donor."""
    return fact.contact_id is None or (isinstance(fact, GiftChanged) and fact.previous_contact_id is None)


def register(registry: Registry) -> None:
    """Subscribe to facts."""
    registry.subscribe(
        Subscriber("payments.follow_unmatched", (GiftRecorded, GiftChanged), handle=follow, wants=_concerns)
    )
    registry.subscribe(Subscriber("payments.follow_all_unmatched", (GiftsRestated,), handle=follow_all))
    registry.subscribe(Subscriber("payments.match", (PaymentWaits,), handle=look))
    registry.subscribe(Subscriber("payments.match_waiting", (MatchRuleChanged,), handle=look_again))
