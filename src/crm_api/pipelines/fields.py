"""What pipelines and their stages can be filtered and sorted by."""

from __future__ import annotations

from crm_api.kit.fields import Catalogue, Field
from crm_api.pipelines.models import KINDS, OUTCOMES, STATUSES, pipeline_stages, pipelines

PIPELINES = Catalogue(
    resource="pipelines",
    table=pipelines,
    default_sort="-id",
    fields=(
        Field("id", "uuid", pipelines.c.id, sortable=True),
        Field("kind", "choice", pipelines.c.kind, choices=KINDS),
        Field("status", "choice", pipelines.c.status, choices=STATUSES),
        Field("created_at", "instant", pipelines.c.created_at, sortable=True),
    ),
)

STAGES = Catalogue(
    resource="pipeline-stages",
    table=pipeline_stages,
    default_sort="position",
    fields=(
        Field("id", "uuid", pipeline_stages.c.id, sortable=True),
        Field("pipeline_id", "uuid", pipeline_stages.c.pipeline_id, filterable=False),
        Field("position", "integer", pipeline_stages.c.position, sortable=True),
        Field("outcome", "choice", pipeline_stages.c.outcome, choices=OUTCOMES),
    ),
)
