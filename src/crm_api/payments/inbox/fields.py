"""What the inbox can be filtered and sorted by."""

from __future__ import annotations

from crm_api.kit.fields import Catalogue, Field
from crm_api.payments.inbox.models import STATES, provider_events

INBOX = Catalogue(
    resource="inbox",
    table=provider_events,
    default_sort="-received_at",
    fields=(
        Field("id", "uuid", provider_events.c.id, sortable=True),
        Field("state", "choice", provider_events.c.state, choices=STATES),
        Field("provider", "text", provider_events.c.provider),
        Field("provider_event_id", "text", provider_events.c.provider_event_id),
        Field("event_type", "text", provider_events.c.event_type),
        Field("connection_id", "uuid", provider_events.c.connection_id),
        Field("donation_id", "uuid", provider_events.c.gift_id),
        Field("received_at", "instant", provider_events.c.received_at, sortable=True),
    ),
)
