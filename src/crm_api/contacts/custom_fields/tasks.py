"""What custom fields do about facts: walk over the contacts when a definition has changed."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from crm_api.contacts.custom_fields import walk
from crm_api.contacts.custom_fields.facts import CustomFieldChanged
from crm_api.kit.db import WriteSession
from crm_api.outbox.facts import Job, Registry, Subscriber


async def follow_change(session: WriteSession, job: Job) -> None:
    """The next chunk of a definition's walk."""
    await walk.step(session, UUID(job.payload["custom_field_id"]), UUID(job.payload["run_id"]))


async def give_up(session: WriteSession, job: Job) -> None:
    """Note on the definition that its walk was given up."""
    await walk.fail(session, UUID(job.payload["custom_field_id"]), UUID(job.payload["run_id"]))


def register(registry: Registry) -> None:
    """Subscribe to facts."""
    registry.subscribe(
        Subscriber(
            "contacts.walk_custom_field",
            (CustomFieldChanged,),
            handle=follow_change,
            on_dead=give_up,
            timeout=timedelta(minutes=2),
        )
    )
