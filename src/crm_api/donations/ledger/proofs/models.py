"""Proofs: that the books say what the gifts say, with what was found where they do not."""

from __future__ import annotations

from sqlalchemy import Index, text

from crm_api.kit.tables import document, flag, instant, number, one_of, string, tenant_table, uid

STATES = ("queued", "running", "succeeded", "failed")

ledger_proofs = tenant_table(
    "ledger_proofs",
    string("state"),
    string("origin"),
    number("progress", default="0"),  # in thousandths
    string("reason", null=True),
    string("verdict", null=True),
    flag("alarm"),  # a discrepancy that no later proof has found gone
    uid("position", null=True),  # the last gift whose entries were gone through
    number("gifts_checked", default="0"),
    number("gifts_unposted", default="0"),
    number("discrepancies_count", default="0"),
    document("discrepancies", default="'[]'"),  # codes, ids and amounts of the first of them
    document("totals", default="'[]'"),
    instant("finished_at", null=True),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("state", STATES),
    one_of("origin", ("schedule", "request")),
    one_of("verdict", ("balanced", "discrepancies"), null=True),
    Index("ix_ledger_proofs__created", "organization_id", "created_at", "id"),
    Index("ix_ledger_proofs__alarm", "organization_id", postgresql_where=text("alarm")),
)
