"""What letters can be filtered and sorted by."""

from __future__ import annotations

from crm_api.communications.deliveries.models import KINDS, STATES, messages
from crm_api.kit.fields import Catalogue, Field

MESSAGES = Catalogue(
    resource="messages",
    table=messages,
    default_sort="-id",
    fields=(
        Field("id", "uuid", messages.c.id, sortable=True),
        Field("contact_id", "uuid", messages.c.contact_id),
        Field("donation_id", "uuid", messages.c.gift_id),
        Field("kind", "choice", messages.c.kind, choices=KINDS),
        Field("state", "choice", messages.c.state, choices=STATES),
        Field("created_at", "instant", messages.c.created_at, sortable=True),
    ),
)
