"""Merges with their journal, match rules, and the review queue of pairs that may be one person.

What a merge does to each table is found by walking the foreign keys to contacts (`repointing`). A table says otherwise
in its ``info["on_merge"]``: ``keep`` (the row is about that very record), ``derived`` (made anew from other rows) or
``keys`` (the search keys, which follow from the contact's row).
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text

from crm_api.kit.limits import RowLimit
from crm_api.kit.personal import erase, nobody
from crm_api.kit.tables import document, instant, made_under, number, one_of, refers, string, tenant_table, uid

MERGE_STATES = ("merged", "undone")
JOB_STATES = ("queued", "running", "succeeded", "failed")
PAIR_STATES = ("open", "merged", "dismissed")
CERTAINTIES = ("certain", "possible")

merge_batches = tenant_table(
    "merge_batches",
    string("state", default="'queued'"),
    document("pairs"),  # [[survivor, retired], …] in the order given
    document("results", default="'[]'"),  # one of {state, merge_id, code, detail} per pair that was handled
    number("total"),
    number("done", default="0"),
    number("merged", default="0"),
    number("failed", default="0"),
    string("reason", null=True),
    string("actor_kind"),
    string("actor_id"),
    made_under(),
    instant("finished_at", null=True),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("state", JOB_STATES),
    Index("ix_merge_batches__created", "organization_id", "created_at", "id"),
    personal=nobody("ids of contacts and outcomes only"),
)

merges = tenant_table(
    "merges",
    uid("survivor_id"),
    document("retired_ids"),  # as in merged_contacts, which says what each had of its own
    string("state", default="'merged'"),
    document("choices", tag="beneficiary_sensitive", default="'{}'"),
    document("survivor_own", tag="beneficiary_sensitive"),  # what the survivor had of its own, by column
    document("produced", tag="beneficiary_sensitive"),  # what the merge made of it
    document("counts", default="'{}'"),  # table → {moved, dropped}
    uid("batch_id", null=True),
    string("actor_kind"),
    string("actor_id"),
    instant("merged_at"),
    instant("undone_at", null=True),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("state", MERGE_STATES),
    CheckConstraint("(state = 'undone') = (undone_at IS NOT NULL)", name="undone_at"),
    refers("survivor_id", "contacts"),
    refers("batch_id", "merge_batches"),
    Index("ix_merges__survivor", "organization_id", "survivor_id", "id"),
    Index("ix_merges__batch", "organization_id", "batch_id", "id"),
    Index("ix_merges__created", "organization_id", "created_at", "id"),
    personal=erase("survivor_id", export=False),
    limit=RowLimit(past=("batch_id",)),  # whose work it was does not matter
)

merged_contacts = tenant_table(
    "merged_contacts",
    uid("merge_id"),
    number("step"),
    uid("contact_id"),
    document("own", tag="beneficiary_sensitive"),  # what the retired contact had of its own, by column
    refers("merge_id", "merges", on_delete="CASCADE"),
    refers("contact_id", "contacts"),
    Index("ix_merged_contacts__contact", "organization_id", "contact_id", "merge_id"),
    key=("merge_id", "step"),
    personal=erase("contact_id", "merge_id.survivor_id", export=False),
)

merge_changes = tenant_table(
    "merge_changes",
    uid("merge_id"),
    number("step"),
    string("table_name", binary=True),
    string("column_name", binary=True),
    number("n"),
    string("change"),
    document("row_key"),
    document("before", null=True, tag="beneficiary_sensitive"),
    one_of("change", ("moved", "dropped", "kept", "changed")),
    refers("merge_id", "merges", on_delete="CASCADE"),
    key=("merge_id", "step", "table_name", "column_name", "n"),
    privileges=("SELECT", "INSERT", "DELETE"),
    personal=erase("merge_id.survivor_id", export=False),
)

duplicate_rules = tenant_table(
    "duplicate_rules",
    number("version"),
    document("content"),
    string("actor_kind"),
    string("actor_id"),
    instant("created_at"),
    key=("version",),
    privileges=("SELECT", "INSERT"),
)

duplicates = tenant_table(
    "duplicates",
    uid("low_id"),  # the smaller of the two ids
    uid("high_id"),
    string("state", default="'open'"),
    string("certainty"),
    number("score"),  # decibans
    document("rules", default="'[]'"),
    document("fields", default="'[]'"),  # verdicts and weights, never values
    number("rules_version"),
    string("origin"),
    uid("merge_id", null=True),
    instant("decided_at", null=True),
    string("decided_by", null=True),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("state", PAIR_STATES),
    one_of("certainty", CERTAINTIES),
    one_of("origin", ("sweep", "create", "import", "merge")),
    CheckConstraint("low_id < high_id", name="pair"),
    UniqueConstraint("organization_id", "low_id", "high_id"),
    refers("low_id", "contacts", on_delete="CASCADE"),
    refers("high_id", "contacts", on_delete="CASCADE"),
    refers("merge_id", "merges"),
    Index("ix_duplicates__high", "organization_id", "high_id"),
    Index("ix_duplicates__merge", "organization_id", "merge_id", postgresql_where=text("merge_id IS NOT NULL")),
    Index("ix_duplicates__state", "organization_id", "state", "score", "id"),
    Index("ix_duplicates__score", "organization_id", "score", "id"),
    Index("ix_duplicates__created", "organization_id", "created_at", "id"),
    personal=erase("low_id", "high_id", export=False),
)

duplicate_sweeps = tenant_table(
    "duplicate_sweeps",
    string("state", default="'queued'"),
    string("origin"),
    string("position_kind", null=True, binary=True),
    string("position_value", null=True, tag="donor_sensitive", binary=True),
    number("keys_total", default="0"),
    number("keys_done", default="0"),
    number("pairs_compared", default="0", big=True),
    number("pairs_found", default="0"),
    number("merged", default="0"),
    document("skipped", default="'[]'"),  # [{kind, size}]: keys that too many contacts share
    number("rules_version"),
    string("reason", null=True),
    instant("finished_at", null=True),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("state", JOB_STATES),
    one_of("origin", ("request", "nightly")),
    Index("ix_duplicate_sweeps__created", "organization_id", "created_at", "id"),
    personal=nobody("where a running sweep stands; the position is cleared when it ends"),
)

for _table in (merges, merged_contacts, duplicates):
    _table.info["on_merge"] = "keep"  # of `duplicates`, `pairs` takes care
