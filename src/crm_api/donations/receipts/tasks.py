"""What follows by itself: receipts of gifts that changed, PDFs of those that are sent, annual runs, files that go."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from crm_api.donations.gifts.facts import GiftChanged, GiftRecorded, GiftsRestated
from crm_api.donations.receipts import files, runs, service
from crm_api.donations.receipts.facts import (
    AnnualReceiptsDue,
    ReceiptFilesSweepDue,
    ReceiptIssued,
    ReceiptReady,
    ReceiptRunDue,
    ReceiptsToCheck,
    ReceiptsWanted,
    ReceiptVoided,
)
from crm_api.donations.receipts.issuing import SETTLED
from crm_api.kit.db import SYSTEM, Tenant, WriteSession
from crm_api.outbox.facts import Job, Registry, Schedule, Subscriber
from crm_api.outbox.service import emit

_AT_ONCE = 100
_NO_MATTER = frozenset({"exchange rate", "time zone"})
"""Restatements that change nothing a receipt says."""


async def follow_gift(session: WriteSession, job: Job) -> None:
    """Bring receipts in line with a gift that was recorded or changed."""
    await service.follow(session, UUID(job.payload["gift_id"]))


async def follow_loaded(session: WriteSession, job: Job) -> None:
    """The same for gifts that were loaded together."""
    for gift_id in job.payload["gift_ids"]:
        await service.follow(session, UUID(gift_id))


def _concerns(fact: GiftRecorded | GiftChanged) -> bool:
    return isinstance(fact, GiftChanged) or (fact.contact_id is not None and fact.status in SETTLED)


async def check_many(session: WriteSession, job: Job) -> None:
    """Compare receipts with gifts that changed in bulk, some at a time."""
    if await service.check_many(session, _AT_ONCE):
        emit(session, ReceiptsToCheck(occurrence=session.now))


async def make_ready(runner: Any, tenant: Tenant, job: Job) -> None:
    """Make the PDF of a receipt that is to be sent, then say that it is there."""
    receipt_id = UUID(job.payload["receipt_id"])
    row, _ = await files.pdf_of(
        runner.database, tenant, SYSTEM, runner.files, receipt_id, public_url=runner.settings.public_url
    )
    async with runner.write(tenant) as session:
        await runner.finish(session, job)
        if row["status"] == "active":
            emit(session, ReceiptReady(receipt_id=receipt_id, contact_id=row["contact_id"]))


async def drop_file(runner: Any, tenant: Tenant, job: Job) -> None:
    """Delete the PDF of a receipt that was voided: the next one says so."""
    await runner.files.delete(job.payload["file"])
    async with runner.write(tenant) as session:
        await runner.finish(session, job)


async def run_step(session: WriteSession, job: Job) -> None:
    """Issue annual receipts to the next donors of a run."""
    await runs.step(session, UUID(job.payload["run_id"]))


async def run_gave_up(session: WriteSession, job: Job) -> None:
    """A run's work died."""
    await runs.gave_up(session, UUID(job.payload["run_id"]))


async def begin_annual(session: WriteSession, job: Job) -> None:
    """Begin the annual run whose day has come."""
    await runs.begin_by_itself(session)


async def sweep(runner: Any, tenant: Tenant, job: Job) -> None:
    """Remove PDFs that no receipt names."""
    await files.sweep(runner.database, tenant, runner.files)
    async with runner.write(tenant) as session:
        await runner.finish(session, job)


def register(registry: Registry) -> None:
    """Subscribe to facts."""
    registry.subscribe(
        Subscriber("receipts.follow_gift", (GiftRecorded, GiftChanged), handle=follow_gift, wants=_concerns)
    )
    registry.subscribe(
        Subscriber("receipts.follow_loaded", (ReceiptsWanted,), handle=follow_loaded, timeout=timedelta(minutes=5))
    )
    registry.subscribe(
        Subscriber(
            "receipts.check_many",
            (GiftsRestated, ReceiptsToCheck),
            handle=check_many,
            wants=lambda fact: getattr(fact, "reason", "") not in _NO_MATTER,
            timeout=timedelta(minutes=5),
        )
    )
    registry.subscribe(
        Subscriber(
            "receipts.make_ready",
            (ReceiptIssued,),
            outside=make_ready,
            wants=lambda fact: bool(fact.by_email),
            timeout=timedelta(minutes=2),
        )
    )
    registry.subscribe(
        Subscriber("receipts.drop_file", (ReceiptVoided,), outside=drop_file, wants=lambda fact: fact.file is not None)
    )
    registry.subscribe(
        Subscriber(
            "receipts.annual_run",
            (ReceiptRunDue,),
            handle=run_step,
            on_dead=run_gave_up,
            timeout=timedelta(minutes=5),
        )
    )
    registry.subscribe(Subscriber("receipts.begin_annual", (AnnualReceiptsDue,), handle=begin_annual))
    registry.subscribe(
        Subscriber("receipts.sweep", (ReceiptFilesSweepDue,), outside=sweep, timeout=timedelta(minutes=30))
    )
    registry.schedule(Schedule("receipts.annual", AnnualReceiptsDue, every=timedelta(days=1), at_hour=7))
    registry.schedule(Schedule("receipts.sweep", ReceiptFilesSweepDue, every=timedelta(days=1), at_hour=2))
