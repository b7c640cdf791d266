"""What reconciliation does about facts and time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from crm_api.kit.db import Tenant, WriteSession
from crm_api.outbox.facts import HousekeepingDue, Job, Registry, Schedule, Subscriber
from crm_api.payments.reconciliation import service, work
from crm_api.payments.reconciliation.facts import NightlyReconciliationDue, ReconciliationDue


async def nightly(runner: Any, tenant: Tenant, job: Job) -> None:
    """Begin this night's reconciliations. It opens credentials, which handlers inside a transaction cannot."""
    async with runner.write(tenant) as session:
        await runner.finish(session, job)
        await service.start_nightly(session, runner.vault)


async def prune(session: WriteSession, job: Job) -> None:
    """Remove old nights."""
    await service.prune(session)


def register(registry: Registry) -> None:
    """Subscribe to facts."""
    registry.subscribe(
        Subscriber(
            "payments.reconcile",
            (ReconciliationDue,),
            outside=work.work,
            on_dead=work.gave_up,
            max_attempts=8,
            timeout=timedelta(minutes=30),
        )
    )
    registry.subscribe(Subscriber("payments.reconcile_nightly", (NightlyReconciliationDue,), outside=nightly))
    registry.subscribe(Subscriber("payments.prune_reconciliations", (HousekeepingDue,), handle=prune))
    registry.schedule(Schedule("payments.reconciliation", NightlyReconciliationDue, every=timedelta(days=1), at_hour=4))
