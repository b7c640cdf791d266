"""What sources can be filtered and sorted by."""

from __future__ import annotations

from crm_api.intake.sources.models import KINDS, intake_sources
from crm_api.kit.fields import Catalogue, Field

SOURCES = Catalogue(
    resource="intake-sources",
    table=intake_sources,
    default_sort="-id",
    fields=(
        Field("id", "uuid", intake_sources.c.id, sortable=True),
        Field("kind", "choice", intake_sources.c.kind, choices=KINDS),
        Field("active", "boolean", intake_sources.c.active),
        Field("campaign_id", "uuid", intake_sources.c.campaign_id),
        Field("created_at", "instant", intake_sources.c.created_at, sortable=True),
    ),
)
