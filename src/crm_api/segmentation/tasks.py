"""What segmentation does about facts: look at the contacts concerned, or at everybody, for the rules that read them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.contacts.consents.facts import ConsentRecorded
from crm_api.contacts.custom_fields.facts import CustomFieldChanged
from crm_api.contacts.dedupe.facts import ContactsMerged, ContactsUnmerged
from crm_api.contacts.facts import ContactCreated, ContactsLoaded, ContactUpdated
from crm_api.contacts.interactions.facts import InteractionChanged, InteractionRecorded, InteractionsRecorded
from crm_api.kit.db import WriteSession, prepare
from crm_api.kit.predicates.catalogue import SOURCES
from crm_api.outbox.facts import Fact, Handler, Job, Registry, Schedule, Subscriber
from crm_api.outbox.service import emit
from crm_api.pipelines.facts import DealMoved
from crm_api.scoring.facts import DonorsRefreshed, ScoringRebuilt
from crm_api.segmentation import repository, service
from crm_api.segmentation.facts import SegmentDefined, SegmentsDue

_LOOK_UP = {
    "deal_id": "SELECT contact_id FROM deals WHERE organization_id = :organization_id AND id = :id",
    "interaction_id": "SELECT contact_id FROM interaction_participants WHERE organization_id = :organization_id "
    "AND interaction_id = :id",
}
"""How to find the contacts of a fact that names something else."""
_STATEMENTS = {name: prepare(text(sql)) for name, sql in _LOOK_UP.items()}


def reading(facts: Iterable[type[Fact]]) -> frozenset[str]:
    """The sources that may answer otherwise after one of these facts."""
    names = {fact.__name__ for fact in facts}
    return frozenset(source.name for source in SOURCES.by_name.values() if names.intersection(source.facts))


async def _concerned(session: WriteSession, payload: dict[str, Any]) -> list[UUID]:
    named = {payload.get("contact_id"), payload.get("survivor_id"), *payload.get("contact_ids", ())}
    named |= set(payload.get("retired_ids", ()))
    for name, statement in _STATEMENTS.items():
        if payload.get(name):
            named |= {row["contact_id"] for row in await session.fetch(statement, id=UUID(payload[name]))}
    return sorted({UUID(str(one)) for one in named if one})


def _following(*facts: type[Fact]) -> Handler:
    async def handle(session: WriteSession, job: Job) -> None:
        if contacts := await _concerned(session, job.payload):
            await service.follow(session, contacts, reading(facts))

    return handle


async def reckon(session: WriteSession, job: Job) -> None:
    """Look at everybody for a segment that was made, or whose rule changed."""
    await service.reckon(session, UUID(job.payload["segment_id"]))


async def reckoning_failed(session: WriteSession, job: Job) -> None:
    """Say in the segment that it could not be reckoned."""
    said = "it could not be reckoned; see the job's last_error, then POST …/reckonings"
    await repository.set_state(session, UUID(job.payload["segment_id"]), "failed", reason=said)


def _all_reading(*facts: type[Fact]) -> Callable[[WriteSession, Job], Awaitable[None]]:
    async def handle(session: WriteSession, job: Job) -> None:
        reads = reading(facts) if facts else frozenset(SOURCES.by_name)
        for segment_id, version in await repository.active(session, sorted(reads)):
            emit(session, SegmentDefined(segment_id=segment_id, version=version))

    return handle


def register(registry: Registry) -> None:
    """Subscribe to facts."""
    for name, facts in (
        ("contacts", (ContactCreated, ContactUpdated)),
        ("donors", (DonorsRefreshed,)),
        ("consents", (ConsentRecorded,)),
        ("interactions", (InteractionRecorded, InteractionChanged)),
        ("deals", (DealMoved,)),
        ("merges", (ContactsMerged, ContactsUnmerged)),
    ):
        registry.subscribe(Subscriber(f"segmentation.follow_{name}", facts, handle=_following(*facts)))
    for name, bulk in (
        ("loaded", (ContactsLoaded,)),
        ("scored", (ScoringRebuilt,)),
        ("interactions", (InteractionsRecorded,)),
        ("custom_fields", (CustomFieldChanged,)),
    ):
        registry.subscribe(Subscriber(f"segmentation.renew_{name}", bulk, handle=_all_reading(*bulk), max_attempts=5))
    registry.subscribe(
        Subscriber(
            "segmentation.reckon",
            (SegmentDefined,),
            handle=reckon,
            on_dead=reckoning_failed,
            max_attempts=5,
            timeout=timedelta(minutes=5),
        )
    )
    registry.subscribe(Subscriber("segmentation.renew", (SegmentsDue,), handle=_all_reading()))
    registry.schedule(Schedule("segmentation.nightly", SegmentsDue, every=timedelta(days=1), at_hour=4))
