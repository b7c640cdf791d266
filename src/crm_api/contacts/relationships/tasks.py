"""What relationships do about facts: once a day, types for organizations that have none yet."""

from __future__ import annotations

from crm_api.contacts.relationships import service
from crm_api.kit.db import WriteSession
from crm_api.outbox.facts import HousekeepingDue, Job, Registry, Subscriber


async def seed(session: WriteSession, job: Job) -> None:
    """Give an organization from before relationship types those that new ones begin with."""
    await service.seed_missing(session)


def register(registry: Registry) -> None:
    """Subscribe to facts."""
    registry.subscribe(Subscriber("contacts.seed_relationship_types", (HousekeepingDue,), handle=seed))
