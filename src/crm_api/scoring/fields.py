"""What runs and fits of scoring can be filtered and sorted by."""

from __future__ import annotations

from crm_api.kit.fields import Catalogue, Field
from crm_api.scoring.models import KINDS, RUN_STATES, scoring_models, scoring_runs

RUNS = Catalogue(
    resource="scoring-runs",
    table=scoring_runs,
    default_sort="-created_at",
    fields=(
        Field("id", "uuid", scoring_runs.c.id, sortable=True),
        Field("state", "choice", scoring_runs.c.state, choices=RUN_STATES),
        Field("created_at", "instant", scoring_runs.c.created_at, sortable=True),
    ),
)

MODELS = Catalogue(
    resource="scoring-models",
    table=scoring_models,
    default_sort="-fitted_at",
    fields=(
        Field("id", "uuid", scoring_models.c.id, sortable=True),
        Field("kind", "choice", scoring_models.c.kind, choices=KINDS),
        Field("as_of", "date", scoring_models.c.as_of),
        Field("is_current", "boolean", scoring_models.c.is_current),
        Field("fitted_at", "instant", scoring_models.c.fitted_at, sortable=True),
    ),
)
