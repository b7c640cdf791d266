"""Letters in a contact's timeline."""

from __future__ import annotations

from sqlalchemy import literal_column

from crm_api.communications.deliveries.models import messages
from crm_api.kit.timeline import TimelineSource

TIMELINE = (
    TimelineSource(
        kind="letter",
        scope="messages:read",
        resource="messages",
        contact=messages.c.contact_id,
        at=messages.c.created_at,
        id=messages.c.id,
        resource_id=messages.c.id,
        facts={
            "kind": messages.c.kind,
            "title": messages.c.subject,
            "status": messages.c.state,
            "direction": literal_column("'outbound'"),
            "channel": messages.c.channel,
            "reason": messages.c.reason,
            "donation_id": messages.c.gift_id,
            "sent_at": messages.c.sent_at,
        },
    ),
)
