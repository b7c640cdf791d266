"""Kept runs of reports: what was asked, and the numbers that came. Never changed: a published figure stays."""

from __future__ import annotations

from sqlalchemy import Index

from crm_api.kit.tables import APPEND_ONLY, day, document, instant, made_under, one_of, string, tenant_table

REPORTS = (
    "gain-loss", "retention", "lybunt", "sybunt", "cohorts", "giving-pyramid", "giving-levels", "concentration", "rfm",
    "rfm-migration", "ltv", "income-forecast", "prospects", "donations",
)  # fmt: skip

report_runs = tenant_table(
    "report_runs",
    string("report"),
    string("label", null=True),
    document("parameters"),
    day("as_of"),
    document("result"),  # sums and counts; nobody's name
    string("actor_kind"),
    string("actor_id"),
    made_under(),
    instant("created_at"),
    one_of("report", REPORTS),
    Index("ix_report_runs__created", "organization_id", "created_at", "id"),
    Index("ix_report_runs__as_of", "organization_id", "as_of", "id"),
    privileges=APPEND_ONLY,
)
