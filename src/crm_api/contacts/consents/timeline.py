"""Consent events in a contact's timeline."""

from __future__ import annotations

from crm_api.contacts.consents.models import consent_events as events
from crm_api.kit.timeline import TimelineSource

TIMELINE = (
    TimelineSource(
        kind="consent",
        scope="contacts:read",
        resource="consents",
        contact=events.c.contact_id,
        at=events.c.at,
        id=events.c.id,
        resource_id=events.c.id,
        facts={
            "status": events.c.status,
            "channel": events.c.channel,
            "purpose": events.c.purpose,
            "list": events.c.list,
            "legal_basis": events.c.legal_basis,
        },
    ),
)
