"""What receipts can be filtered and sorted by."""

from __future__ import annotations

from crm_api.donations.receipts.models import KINDS, RUN_STATES, STATUSES, receipt_runs, receipts
from crm_api.kit.fields import Catalogue, Field

RECEIPTS = Catalogue(
    resource="receipts",
    table=receipts,
    default_sort="-issued_at",
    fields=(
        Field("id", "uuid", receipts.c.id, sortable=True),
        Field("contact_id", "uuid", receipts.c.contact_id),
        Field("kind", "choice", receipts.c.kind, choices=KINDS),
        Field("status", "choice", receipts.c.status, choices=STATUSES),
        Field("number", "text", receipts.c.number),
        Field("year", "integer", receipts.c.year, description="Of the gifts."),
        Field("run_id", "uuid", receipts.c.run_id, description="The annual run that issued it."),
        Field("issued_on", "date", receipts.c.issued_on),
        Field("issued_at", "instant", receipts.c.issued_at, sortable=True),
    ),
)
RUNS = Catalogue(
    resource="receipt_runs",
    table=receipt_runs,
    default_sort="-created_at",
    fields=(
        Field("id", "uuid", receipt_runs.c.id, sortable=True),
        Field("year", "integer", receipt_runs.c.year),
        Field("state", "choice", receipt_runs.c.state, choices=RUN_STATES),
        Field("created_at", "instant", receipt_runs.c.created_at, sortable=True),
    ),
)
