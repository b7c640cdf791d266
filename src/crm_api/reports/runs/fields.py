"""What kept runs can be filtered and sorted by."""

from __future__ import annotations

from crm_api.kit.fields import Catalogue, Field
from crm_api.reports.runs.models import REPORTS, report_runs

REPORT_RUNS = Catalogue(
    resource="report-runs",
    table=report_runs,
    default_sort="-id",
    fields=(
        Field("id", "uuid", report_runs.c.id, sortable=True),
        Field("report", "choice", report_runs.c.report, choices=REPORTS),
        Field("as_of", "date", report_runs.c.as_of, sortable=True),
        Field("created_at", "instant", report_runs.c.created_at, sortable=True),
    ),
)
