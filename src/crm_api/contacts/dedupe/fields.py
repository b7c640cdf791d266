"""What merges, batches of them, pairs of the review queue and sweeps can be filtered and sorted by."""

from __future__ import annotations

from crm_api.contacts.dedupe.models import (
    CERTAINTIES,
    JOB_STATES,
    MERGE_STATES,
    PAIR_STATES,
    duplicate_sweeps,
    duplicates,
    merge_batches,
    merges,
)
from crm_api.kit.fields import Catalogue, Field

MERGES = Catalogue(
    resource="merges",
    table=merges,
    default_sort="-id",
    fields=(
        Field("id", "uuid", merges.c.id, sortable=True),
        Field("survivor_id", "uuid", merges.c.survivor_id),
        Field("batch_id", "uuid", merges.c.batch_id),
        Field("state", "choice", merges.c.state, choices=MERGE_STATES),
        Field("created_at", "instant", merges.c.created_at, sortable=True),
    ),
)

MERGE_BATCHES = Catalogue(
    resource="merge-batches",
    table=merge_batches,
    default_sort="-id",
    fields=(
        Field("id", "uuid", merge_batches.c.id, sortable=True),
        Field("state", "choice", merge_batches.c.state, choices=JOB_STATES),
        Field("created_at", "instant", merge_batches.c.created_at, sortable=True),
    ),
)

DUPLICATES = Catalogue(
    resource="duplicates",
    table=duplicates,
    default_sort="-score",
    fields=(
        Field("id", "uuid", duplicates.c.id, sortable=True),
        Field("state", "choice", duplicates.c.state, choices=PAIR_STATES),
        Field(
            "contact_id",
            "uuid",
            sources=((duplicates.c.id, duplicates.c.low_id), (duplicates.c.id, duplicates.c.high_id)),
            description="Pairs that this contact is one of.",
        ),
        Field("certainty", "choice", duplicates.c.certainty, choices=CERTAINTIES),
        Field("score", "integer", duplicates.c.score, sortable=True),
        Field("created_at", "instant", duplicates.c.created_at, sortable=True),
    ),
)

SWEEPS = Catalogue(
    resource="duplicate-sweeps",
    table=duplicate_sweeps,
    default_sort="-id",
    fields=(
        Field("id", "uuid", duplicate_sweeps.c.id, sortable=True),
        Field("state", "choice", duplicate_sweeps.c.state, choices=JOB_STATES),
        Field("created_at", "instant", duplicate_sweeps.c.created_at, sortable=True),
    ),
)
