"""What segments can be filtered and sorted by."""

from __future__ import annotations

from crm_api.kit.fields import Catalogue, Field
from crm_api.segmentation.models import KINDS, STATUSES, segments

SEGMENTS = Catalogue(
    resource="segments",
    table=segments,
    default_sort="-id",
    fields=(
        Field("id", "uuid", segments.c.id, sortable=True),
        Field("name", "text", segments.c.name, sortable=True),
        Field("kind", "choice", segments.c.kind, choices=KINDS),
        Field("status", "choice", segments.c.status, choices=STATUSES),
        Field("created_at", "instant", segments.c.created_at, sortable=True),
    ),
)
