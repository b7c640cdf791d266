"""What consent events can be filtered and sorted by."""

from __future__ import annotations

from crm_api.contacts.consents.models import CHANNELS, STATUSES, consent_events
from crm_api.kit.fields import Catalogue, Field

CONSENTS = Catalogue(
    resource="consents",
    table=consent_events,
    default_sort="-id",
    fields=(
        Field("id", "uuid", consent_events.c.id, sortable=True),
        Field("contact_id", "uuid", consent_events.c.contact_id, filterable=False),
        Field("purpose", "text", consent_events.c.purpose),
        Field("channel", "choice", consent_events.c.channel, choices=CHANNELS),
        Field("list", "text", consent_events.c.list),
        Field("status", "choice", consent_events.c.status, choices=STATUSES),
    ),
)
