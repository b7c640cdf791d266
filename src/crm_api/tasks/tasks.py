"""What tasks do about facts and time."""

from __future__ import annotations

from datetime import timedelta

from crm_api.documents.facts import DocumentExpiring
from crm_api.kit.db import WriteSession
from crm_api.organizations.facts import TimezoneChanged
from crm_api.outbox.facts import Job, Registry, Schedule, Subscriber
from crm_api.tasks import service
from crm_api.tasks.facts import TaskAlarm
from crm_api.tasks.schemas import TaskCreate


async def ring(session: WriteSession, job: Job) -> None:
    """Notice reminders and due dates that have come."""
    await service.ring(session)


async def redate(session: WriteSession, job: Job) -> None:
    """Follow the organization into another time zone."""
    await service.redate(session)


async def renew_document(session: WriteSession, job: Job) -> None:
    """Ask the owner of a document that ends soon for a new one. The task says nothing of what the document is: whoever
    sees tasks need not see documents."""
    told = DocumentExpiring(**job.payload)
    body = TaskCreate(
        title=f"A document expires on {told.expires_on}: ask for a new one",
        body=f"/v1/documents/{told.document_id}",
        contact_id=told.contact_id,
        assignee_id=told.owner_member_id,
        due_on=told.expires_on,
    )
    await service.create_task(session, body)


def register(registry: Registry) -> None:
    """Subscribe to facts."""
    registry.subscribe(Subscriber("tasks.renew_document", (DocumentExpiring,), handle=renew_document))
    registry.subscribe(Subscriber("tasks.ring", (TaskAlarm,), handle=ring))
    registry.subscribe(Subscriber("tasks.redate", (TimezoneChanged,), handle=redate))
    registry.schedule(Schedule(service.ALARM, TaskAlarm, every=timedelta(days=1), at_hour=0, alarm=True))
