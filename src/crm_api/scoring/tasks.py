"""What scoring does about facts: step the donor after each gift, rebuild everybody at night."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from crm_api.contacts.dedupe.facts import ContactsMerged, ContactsUnmerged
from crm_api.contacts.dedupe.merging import living
from crm_api.donations.gifts.facts import GiftChanged, GiftRecorded, GiftsRestated
from crm_api.donations.gifts.service import note_donor
from crm_api.donations.recurring.facts import PlanChanged
from crm_api.kit.db import WriteSession
from crm_api.outbox.facts import Job, Registry, Schedule, Subscriber
from crm_api.scoring import modelling, rebuilding, runs, service
from crm_api.scoring.facts import (
    DonorStatusRulesChanged,
    PredictionsDue,
    RfmSettingsChanged,
    ScoringDue,
    ScoringRunAsked,
)

_LONG = timedelta(minutes=15)
_GONE = ("refunded", "disputed", "charged_back")
"""Statuses of gifts whose money arrived and which may count for nothing now."""


async def follow_gift(session: WriteSession, job: Job) -> None:
    """Refresh the donor of a gift or plan, and the donor it belonged to before.

    Whose money has arrived is a donor and remains one, also where it was given back or lost before anybody looked.
    """
    named = (job.payload.get("contact_id"), job.payload.get("previous_contact_id"))
    for contact_id in sorted({str(one) for one in named if one}):
        await service.refresh_donor(session, await living(session, UUID(contact_id)))
    if job.payload.get("status") in _GONE and job.payload.get("contact_id"):
        await note_donor(session, await living(session, UUID(job.payload["contact_id"])))


async def follow_merge(session: WriteSession, job: Job) -> None:
    """Take the figures of everybody in a merge, or in one that was undone, from their gifts anew."""
    for contact_id in sorted({job.payload["survivor_id"], *job.payload["retired_ids"]}):
        await service.refresh_donor(session, UUID(contact_id))


async def rebuild(session: WriteSession, job: Job) -> None:
    """Rebuild the organization's scores."""
    await service.rebuild(session)


async def run(session: WriteSession, job: Job) -> None:
    """Do the next part of a run."""
    await runs.step(session, UUID(job.payload["run_id"]))


async def run_failed(session: WriteSession, job: Job) -> None:
    """Say in the run that it could not be finished."""
    await runs.fail(session, UUID(job.payload["run_id"]))


async def refit(session: WriteSession, job: Job) -> None:
    """Fit the models of giving anew and foresee every donor."""
    await rebuilding.patience(session)
    await modelling.refit(session, service.today(session), current=True)


def _has_donor(fact: GiftRecorded | GiftChanged | PlanChanged) -> bool:
    return fact.contact_id is not None or getattr(fact, "previous_contact_id", None) is not None


def register(registry: Registry) -> None:
    """Subscribe to facts."""
    registry.subscribe(
        Subscriber(
            "scoring.follow_gift", (GiftRecorded, GiftChanged, PlanChanged), handle=follow_gift, wants=_has_donor
        )
    )
    registry.subscribe(Subscriber("scoring.follow_merge", (ContactsMerged, ContactsUnmerged), handle=follow_merge))
    registry.subscribe(
        Subscriber(
            "scoring.rebuild",
            (ScoringDue, GiftsRestated, DonorStatusRulesChanged, RfmSettingsChanged),
            handle=rebuild,
            max_attempts=5,
            timeout=_LONG,
        )
    )
    registry.subscribe(
        Subscriber("scoring.run", (ScoringRunAsked,), handle=run, on_dead=run_failed, max_attempts=3, timeout=_LONG)
    )
    registry.subscribe(Subscriber("scoring.refit", (PredictionsDue,), handle=refit, max_attempts=3, timeout=_LONG))
    registry.schedule(Schedule("scoring.weekly", PredictionsDue, every=timedelta(days=7), at_hour=4))
    registry.schedule(Schedule("scoring.nightly", ScoringDue, every=timedelta(days=1), at_hour=3))
