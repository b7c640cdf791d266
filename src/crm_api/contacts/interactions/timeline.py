"""Interactions in a contact's timeline."""

from __future__ import annotations

from sqlalchemy import and_

from crm_api.contacts.interactions.models import KINDS, interactions
from crm_api.contacts.interactions.models import interaction_participants as people
from crm_api.kit.timeline import TimelineSource

TIMELINE = (
    TimelineSource(
        kind="interaction",
        scope="contacts:read",
        resource="interactions",
        contact=people.c.contact_id,
        at=people.c.at,
        id=people.c.interaction_id,
        resource_id=people.c.interaction_id,
        rows=people.join(
            interactions,
            and_(
                interactions.c.organization_id == people.c.organization_id,
                interactions.c.id == people.c.interaction_id,
            ),
        ),
        facts={
            "kind": interactions.c.kind,
            "title": interactions.c.subject,
            "direction": interactions.c.direction,
            "channel": interactions.c.channel,
            "outcome": interactions.c.outcome,
            "duration_seconds": interactions.c.duration_seconds,
            "role": people.c.role,
        },
        part=interactions.c.kind,
        parts=KINDS,
        open_rows=interactions.c.sensitivity == "donor_sensitive",
    ),
)
