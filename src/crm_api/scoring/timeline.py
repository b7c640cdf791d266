"""Changes of the donor status in a contact's timeline."""

from __future__ import annotations

from crm_api.kit.timeline import TimelineSource
from crm_api.scoring.models import donor_status_changes as changes

TIMELINE = (
    TimelineSource(
        kind="donor_status",
        scope="scoring:read",
        resource="contacts",
        contact=changes.c.contact_id,
        at=changes.c.changed_at,
        id=changes.c.id,
        resource_id=changes.c.contact_id,
        facts={"status": changes.c.status, "previous_status": changes.c.previous_status},
    ),
)
