"""What giving levels can be filtered and sorted by."""

from __future__ import annotations

from crm_api.kit.fields import Catalogue, Field
from crm_api.reports.levels.models import giving_levels

GIVING_LEVELS = Catalogue(
    resource="giving-levels",
    table=giving_levels,
    default_sort="-id",
    fields=(
        Field("id", "uuid", giving_levels.c.id, sortable=True),
        Field("program", "text", giving_levels.c.program),
        Field("min_amount", "integer", giving_levels.c.min_amount, sortable=True),
        Field("created_at", "instant", giving_levels.c.created_at, sortable=True),
    ),
)
