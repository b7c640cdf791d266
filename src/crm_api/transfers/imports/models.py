"""Imports: the file and how it is read, what became of each row, and what a dry run supposes."""

from __future__ import annotations

from sqlalchemy import Index

from crm_api.kit.personal import erase, nobody, retain
from crm_api.kit.tables import document, flag, instant, made_under, number, one_of, refers, string, tenant_table, uid

STATES = ("uploaded", "validating", "ready", "running", "paused", "succeeded", "failed", "undone")
PHASES = ("inspect", "validate", "import", "undo")
OUTCOMES = ("created", "updated", "skipped", "queued", "failed")
UNDONE = ("removed", "restored", "kept")
KEPT_DAYS = 30
"""How long the file and what became of each row are kept after the import came to rest; until then it can be undone."""
_GROUND = f"undo and error report of an import; removed {KEPT_DAYS} days after it came to rest"

imports = tenant_table(
    "imports",
    string("kind"),
    string("state"),
    string("phase"),
    number("generation", default="1"),  # raised by every run, pause and undo: work begun under an older one stops
    document("options"),
    document("mapping", default="'{}'"),  # header → target, or null for a column that is left out
    document("detected", default="'{}'"),  # encoding, delimiter, sheets, headers, notices
    document("samples", tag="donor_sensitive", default="'[]'"),  # the first rows, until the import has run
    string("filename", tag="donor_sensitive"),
    string("file_key", null=True),  # where the file is kept; gone after some days
    number("file_size", big=True),
    flag("sensitive"),  # who started it may read beneficiary-sensitive fields
    string("actor_kind"),
    string("actor_id"),
    made_under(),
    string("errors_key", null=True),  # where the file with the failed rows is kept
    number("position", default="0"),  # the last row that is done with
    number("back_to", default="0"),  # undo: rows after this one are taken back
    number("progress", default="0"),  # of the phase at hand, in thousandths
    number("rows", default="0"),
    number("created", default="0"),
    number("updated", default="0"),
    number("skipped", default="0"),
    number("queued", default="0"),
    number("failed", default="0"),
    number("removed", default="0"),
    number("restored", default="0"),
    number("kept", default="0"),
    string("reason", null=True),
    string("reason_code", null=True),
    instant("finished_at", null=True),
    instant("purge_at", null=True),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("kind", ("contacts", "donations")),
    one_of("state", STATES),
    one_of("phase", PHASES),
    Index("ix_imports__created", "organization_id", "created_at", "id"),
    Index("ix_imports__purge", "organization_id", "purge_at"),
    personal=retain(ground=_GROUND, until="purge_at", export=False),
)

import_rows = tenant_table(
    "import_rows",
    uid("import_id"),
    string("outcome"),
    string("reason", null=True),
    string("matched_by", null=True),
    uid("record_id", null=True),
    number("record_version", null=True),
    flag("own"),  # the record was created by an earlier row of the same import
    document("changes", null=True, tag="beneficiary_sensitive"),  # column → [before, after]
    document("errors", null=True),  # column, code, detail; never a value
    document("cells", null=True, tag="beneficiary_sensitive"),  # of failed rows, for the error file
    string("undone", null=True),
    one_of("outcome", OUTCOMES),
    one_of("undone", UNDONE, null=True),
    refers("import_id", "imports", on_delete="CASCADE"),
    Index("ix_import_rows__import", "organization_id", "import_id", "outcome", "id"),
    Index("ix_import_rows__record", "organization_id", "record_id"),
    personal=(
        erase(where="t.record_id = ANY(:ids)", export=False),
        erase(
            where="t.record_id IN (SELECT g.id FROM gifts g WHERE g.organization_id = t.organization_id "
            "AND g.contact_id = ANY(:ids))",
            export=False,
        ),
        retain(ground=_GROUND, until="", export=False),
    ),
)

import_drafts = tenant_table(
    "import_drafts",
    uid("import_id"),
    uid("record_id"),
    flag("fresh"),
    document("state", tag="beneficiary_sensitive"),  # the record as it would be after the rows so far
    refers("import_id", "imports", on_delete="CASCADE"),
    key=("import_id", "record_id"),
    personal=erase(where="t.record_id = ANY(:ids)", export=False),
)

import_draft_keys = tenant_table(
    "import_draft_keys",
    uid("import_id"),
    string("digest", binary=True),  # of what a record is matched by; nobody can read it back
    uid("record_id"),
    refers("import_id", "imports", on_delete="CASCADE"),
    key=("import_id", "digest", "record_id"),
    personal=nobody("digests that live as long as a dry run"),
)
