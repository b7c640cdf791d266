"""The contact itself in its timeline: when it was added, and when others were merged into it."""

from __future__ import annotations

from crm_api.contacts.dedupe.models import merges
from crm_api.contacts.models import contacts
from crm_api.kit.timeline import TimelineSource

TIMELINE = (
    TimelineSource(
        kind="contact_created",
        scope="contacts:read",
        resource="contacts",
        contact=contacts.c.id,
        at=contacts.c.created_at,
        id=contacts.c.id,
        resource_id=contacts.c.id,
        facts={"kind": contacts.c.kind},
    ),
    TimelineSource(
        kind="contact_merged",
        scope="contacts:read",
        resource="merges",
        contact=merges.c.survivor_id,
        at=merges.c.merged_at,
        id=merges.c.id,
        resource_id=merges.c.id,
        facts={"status": merges.c.state, "retired_ids": merges.c.retired_ids, "undone_at": merges.c.undone_at},
    ),
)
