"""What the worker does about duplicates: the parts of batches, and rows that came for a retired contact meanwhile."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from crm_api.contacts.dedupe import batches, sweeps
from crm_api.contacts.dedupe.facts import ContactsMerged, MergeBatchDue, NightlySweepDue, SweepDue
from crm_api.contacts.dedupe.merging import gather_strays
from crm_api.kit.db import WriteSession
from crm_api.outbox.facts import Job, Registry, Schedule, Subscriber


async def merge_part(session: WriteSession, job: Job) -> None:
    """Do the next merges of a batch."""
    await batches.continue_batch(session, UUID(job.payload["batch_id"]), job.payload["position"])


async def give_up_batch(session: WriteSession, job: Job) -> None:
    """Say that a batch failed."""
    await batches.fail_batch(session, UUID(job.payload["batch_id"]))


async def sweep_part(session: WriteSession, job: Job) -> None:
    """Do the next part of a sweep."""
    await sweeps.continue_sweep(session, UUID(job.payload["sweep_id"]), job.payload["part"])


async def give_up_sweep(session: WriteSession, job: Job) -> None:
    """Say that a sweep failed."""
    await sweeps.fail_sweep(session, UUID(job.payload["sweep_id"]))


async def sweep_tonight(session: WriteSession, job: Job) -> None:
    """Begin the night's sweep."""
    await sweeps.start_nightly(session)


async def gather(session: WriteSession, job: Job) -> None:
    """Give the survivor what was written for a retired contact while it was being merged."""
    await gather_strays(session, UUID(job.payload["merge_id"]))


def register(registry: Registry) -> None:
    """Subscribe to facts."""
    registry.subscribe(Subscriber("dedupe.merge_part", (MergeBatchDue,), handle=merge_part, on_dead=give_up_batch))
    registry.subscribe(Subscriber("dedupe.gather", (ContactsMerged,), handle=gather))
    registry.subscribe(
        Subscriber(
            "dedupe.sweep_part",
            (SweepDue,),
            handle=sweep_part,
            on_dead=give_up_sweep,
            max_attempts=5,
            timeout=timedelta(minutes=2),
        )
    )
    registry.subscribe(Subscriber("dedupe.sweep_tonight", (NightlySweepDue,), handle=sweep_tonight))
    registry.schedule(Schedule("dedupe.nightly", NightlySweepDue, every=timedelta(days=1), at_hour=2))
