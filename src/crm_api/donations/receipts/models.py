"""Receipts: numbered documents for gifts, gapless in each series, and what an organization wants of them."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text

from crm_api.kit.limits import RowLimit
from crm_api.kit.personal import ACCOUNTING, retain
from crm_api.kit.tables import (
    Privilege,
    day,
    document,
    flag,
    instant,
    minor,
    number,
    one_of,
    refers,
    string,
    tenant_table,
    uid,
)

KINDS = ("donation", "in_kind", "annual")
STATUSES = ("active", "void")
CAUSES = ("staff", "reissued", "gift_changed")
MODES = ("per_gift", "annual", "none")
RUN_STATES = ("queued", "running", "succeeded", "failed")
_NEVER_REMOVED: tuple[Privilege, ...] = ("SELECT", "INSERT", "UPDATE")

receipt_settings = tenant_table(
    "receipt_settings",
    string("mode"),
    flag("automatic"),
    flag("by_email"),
    document("prefixes"),  # of each kind, with {year} where the year of issue stands
    document("legal_text"),  # language → text
    string("signatory_name", null=True, tag="public"),
    string("signatory_title", null=True, tag="public"),
    uid("logo_document_id", null=True),  # which document the logo was taken from; it may be gone since
    string("logo_file", null=True, tag="secret"),
    number("minimum_amount", null=True, big=True),  # in the organization's currency
    document("methods", null=True),  # null: all
    document("kinds", null=True),
    string("annual_on"),  # MM-DD of the next year
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("mode", MODES),
    key=(),
    privileges=_NEVER_REMOVED,
)

receipt_series = tenant_table(
    "receipt_series",
    string("series", binary=True),  # a prefix with its year: what numbers are counted for
    number("last_number", big=True),
    CheckConstraint("last_number > 0", name="last_number"),
    key=("series",),
    privileges=_NEVER_REMOVED,
)

receipt_runs = tenant_table(
    "receipt_runs",
    number("year"),
    string("state", default="'queued'"),
    number("donors", default="0"),  # with gifts in that year
    number("done", default="0"),
    number("issued", default="0"),
    number("skipped", default="0"),
    document("totals", default="'[]'"),
    uid("after_id", null=True),  # the last donor that was looked at
    string("reason", null=True),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    instant("finished_at", null=True),
    one_of("state", RUN_STATES),
    Index("ix_receipt_runs__created", "organization_id", "created_at", "id"),
    Index(
        "uq_receipt_runs__year",
        "organization_id",
        "year",
        unique=True,
        postgresql_where=text("state IN ('queued', 'running')"),
    ),
    privileges=_NEVER_REMOVED,
)

receipts = tenant_table(
    "receipts",
    string("kind"),
    string("series", binary=True),
    number("sequence", big=True),
    string("number", binary=True),
    number("year"),  # of the gifts
    uid("contact_id"),
    uid("issued_to"),  # the contact as of issue, whatever it was merged into since
    day("issued_on"),
    instant("issued_at"),
    string("language"),
    string("status", default="'active'"),
    flag("specimen"),
    flag("by_email"),
    document("totals"),
    document("snapshot", tag="donor_sensitive"),  # names, address and words as of issue
    string("code", binary=True),
    uid("replaces", null=True),
    uid("replaced_by", null=True),
    instant("voided_at", null=True),
    string("void_cause", null=True),
    string("void_reason", null=True, tag="donor_sensitive"),
    string("file", null=True, tag="secret"),
    uid("run_id", null=True),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("kind", KINDS),
    one_of("status", STATUSES),
    one_of("void_cause", CAUSES, null=True),
    CheckConstraint("(status = 'void') = (voided_at IS NOT NULL AND void_cause IS NOT NULL)", name="voided"),
    refers("contact_id", "contacts"),
    refers("replaces", "receipts"),
    refers("replaced_by", "receipts"),
    refers("run_id", "receipt_runs"),
    UniqueConstraint("organization_id", "series", "sequence"),
    UniqueConstraint("organization_id", "number"),
    UniqueConstraint("organization_id", "code"),
    Index("ix_receipts__issued", "organization_id", "issued_at", "id"),
    Index("ix_receipts__contact", "organization_id", "contact_id", "issued_at", "id"),
    Index(
        "uq_receipts__annual",
        "organization_id",
        "issued_to",
        "year",
        unique=True,
        postgresql_where=text("kind = 'annual' AND status = 'active'"),
    ),
    Index(
        "uq_receipts__replaces",
        "organization_id",
        "replaces",
        unique=True,
        postgresql_where=text("replaces IS NOT NULL"),
    ),
    Index(
        "ix_receipts__replaced_by", "organization_id", "replaced_by", postgresql_where=text("replaced_by IS NOT NULL")
    ),
    Index("ix_receipts__run", "organization_id", "run_id", postgresql_where=text("run_id IS NOT NULL")),
    Index("ix_receipts__file", "organization_id", "file", postgresql_where=text("file IS NOT NULL")),
    privileges=_NEVER_REMOVED,
    limit=RowLimit(past=("replaces", "replaced_by")),
    personal=retain("contact_id", ground=ACCOUNTING, until="issued_on"),
)

receipt_lines = tenant_table(
    "receipt_lines",
    uid("receipt_id"),
    uid("gift_id"),
    number("position"),
    minor("amount"),
    minor("deductible"),
    string("currency"),
    day("gift_date"),
    string("method"),
    string("description", tag="donor_sensitive"),
    flag("active", default=True),  # false once its receipt is void
    flag("dropped"),  # the gift itself was the cause: should it stand again, so does its receipt
    refers("receipt_id", "receipts"),
    refers("gift_id", "gifts"),
    CheckConstraint("amount > 0 AND deductible BETWEEN 0 AND amount", name="amount"),
    Index("uq_receipt_lines__gift", "organization_id", "gift_id", unique=True, postgresql_where=text("active")),
    Index("ix_receipt_lines__gift", "organization_id", "gift_id", "id"),
    Index("ix_receipt_lines__receipt", "organization_id", "receipt_id", "position"),
    privileges=_NEVER_REMOVED,
    personal=retain("receipt_id.contact_id", ground=ACCOUNTING, until="gift_date"),
)
