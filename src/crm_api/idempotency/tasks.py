"""Housekeeping of stored answers."""

from __future__ import annotations

from crm_api.idempotency import service
from crm_api.kit.db import WriteSession
from crm_api.outbox.facts import HousekeepingDue, Job, Registry, Subscriber


async def prune(session: WriteSession, job: Job) -> None:
    """Remove answers older than a week."""
    await service.prune(session)


def register(registry: Registry) -> None:
    """Subscribe to facts."""
    registry.subscribe(Subscriber("idempotency.prune", (HousekeepingDue,), handle=prune))
