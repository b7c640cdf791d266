"""What background work can be filtered and sorted by."""

from __future__ import annotations

from crm_api.kit.fields import Catalogue, Field
from crm_api.outbox.models import STATES, jobs

JOBS = Catalogue(
    resource="jobs",
    table=jobs,
    default_sort="-id",
    fields=(
        Field("id", "uuid", jobs.c.id, sortable=True),
        Field("state", "choice", jobs.c.state, choices=STATES),
        Field("subscriber", "text", jobs.c.subscriber),
        Field("created_at", "instant", jobs.c.created_at),
    ),
)
