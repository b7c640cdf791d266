"""What deliveries can be filtered and sorted by."""

from __future__ import annotations

from crm_api.intake.deliveries.models import STATES, intake_deliveries
from crm_api.intake.sources.models import KINDS
from crm_api.kit.fields import Catalogue, Field

DELIVERIES = Catalogue(
    resource="intake-deliveries",
    table=intake_deliveries,
    default_sort="-received_at",
    fields=(
        Field("id", "uuid", intake_deliveries.c.id, sortable=True),
        Field("state", "choice", intake_deliveries.c.state, choices=STATES),
        Field("kind", "choice", intake_deliveries.c.kind, choices=KINDS),
        Field("event_type", "text", intake_deliveries.c.event_type),
        Field("delivery_key", "text", intake_deliveries.c.delivery_key),
        Field("source_id", "uuid", intake_deliveries.c.source_id),
        Field("contact_id", "uuid", intake_deliveries.c.contact_id),
        Field("interaction_id", "uuid", intake_deliveries.c.interaction_id),
        Field("received_at", "instant", intake_deliveries.c.received_at, sortable=True),
    ),
)
