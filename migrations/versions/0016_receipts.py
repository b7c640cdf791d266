"""Receipts, their series and runs; letters that carry one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from security import protect
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def _receipt_settings() -> None:
    op.create_table(
        "receipt_settings",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("automatic", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("by_email", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("prefixes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("legal_text", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("signatory_name", sa.Text(), nullable=True),
        sa.Column("signatory_title", sa.Text(), nullable=True),
        sa.Column("logo_document_id", sa.Uuid(), nullable=True),
        sa.Column("logo_file", sa.Text(), nullable=True),
        sa.Column("minimum_amount", sa.BigInteger(), nullable=True),
        sa.Column("methods", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("kinds", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("annual_on", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("mode IN ('per_gift', 'annual', 'none')", name=op.f("ck_receipt_settings__mode")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_receipt_settings__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", name=op.f("pk_receipt_settings")),
    )


def _receipt_series() -> None:
    op.create_table(
        "receipt_series",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("series", sa.Text(collation="C"), nullable=False),
        sa.Column("last_number", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("last_number > 0", name=op.f("ck_receipt_series__last_number")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_receipt_series__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "series", name=op.f("pk_receipt_series")),
    )


def _receipt_runs() -> None:
    op.create_table(
        "receipt_runs",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'queued'"), nullable=False),
        sa.Column("donors", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("done", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("issued", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("skipped", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("totals", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("after_id", sa.Uuid(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'succeeded', 'failed')", name=op.f("ck_receipt_runs__state")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_receipt_runs__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_receipt_runs")),
    )
    op.create_index("ix_receipt_runs__created", "receipt_runs", ["organization_id", "created_at", "id"], unique=False)
    op.create_index(
        "uq_receipt_runs__year",
        "receipt_runs",
        ["organization_id", "year"],
        unique=True,
        postgresql_where=sa.text("state IN ('queued', 'running')"),
    )


def _receipts() -> None:
    op.create_table(
        "receipts",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("series", sa.Text(collation="C"), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Text(collation="C"), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("issued_to", sa.Uuid(), nullable=False),
        sa.Column("issued_on", sa.Date(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'active'"), nullable=False),
        sa.Column("specimen", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("by_email", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("totals", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("snapshot", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("code", sa.Text(collation="C"), nullable=False),
        sa.Column("replaces", sa.Uuid(), nullable=True),
        sa.Column("replaced_by", sa.Uuid(), nullable=True),
        sa.Column("voided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("void_cause", sa.Text(), nullable=True),
        sa.Column("void_reason", sa.Text(), nullable=True),
        sa.Column("file", sa.Text(), nullable=True),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(status = 'void') = (voided_at IS NOT NULL AND void_cause IS NOT NULL)", name=op.f("ck_receipts__voided")
        ),
        sa.CheckConstraint("kind IN ('donation', 'in_kind', 'annual')", name=op.f("ck_receipts__kind")),
        sa.CheckConstraint("status IN ('active', 'void')", name=op.f("ck_receipts__status")),
        sa.CheckConstraint(
            "void_cause IS NULL OR void_cause IN ('staff', 'reissued', 'gift_changed')",
            name=op.f("ck_receipts__void_cause"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "contact_id"],
            ["contacts.organization_id", "contacts.id"],
            name=op.f("fk_receipts__organization_id_contact_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "replaced_by"],
            ["receipts.organization_id", "receipts.id"],
            name=op.f("fk_receipts__organization_id_replaced_by"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "replaces"],
            ["receipts.organization_id", "receipts.id"],
            name=op.f("fk_receipts__organization_id_replaces"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "run_id"],
            ["receipt_runs.organization_id", "receipt_runs.id"],
            name=op.f("fk_receipts__organization_id_run_id"),
        ),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("fk_receipts__organization_id")),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_receipts")),
        sa.UniqueConstraint("organization_id", "code", name=op.f("uq_receipts__organization_id_code")),
        sa.UniqueConstraint("organization_id", "number", name=op.f("uq_receipts__organization_id_number")),
        sa.UniqueConstraint(
            "organization_id", "series", "sequence", name=op.f("uq_receipts__organization_id_series_sequence")
        ),
    )
    op.create_index(
        "ix_receipts__contact", "receipts", ["organization_id", "contact_id", "issued_at", "id"], unique=False
    )
    op.create_index(
        "ix_receipts__file",
        "receipts",
        ["organization_id", "file"],
        unique=False,
        postgresql_where=sa.text("file IS NOT NULL"),
    )
    op.create_index("ix_receipts__issued", "receipts", ["organization_id", "issued_at", "id"], unique=False)
    op.create_index(
        "ix_receipts__replaced_by",
        "receipts",
        ["organization_id", "replaced_by"],
        unique=False,
        postgresql_where=sa.text("replaced_by IS NOT NULL"),
    )
    op.create_index(
        "ix_receipts__run",
        "receipts",
        ["organization_id", "run_id"],
        unique=False,
        postgresql_where=sa.text("run_id IS NOT NULL"),
    )
    op.create_index(
        "uq_receipts__annual",
        "receipts",
        ["organization_id", "issued_to", "year"],
        unique=True,
        postgresql_where=sa.text("kind = 'annual' AND status = 'active'"),
    )
    op.create_index(
        "uq_receipts__replaces",
        "receipts",
        ["organization_id", "replaces"],
        unique=True,
        postgresql_where=sa.text("replaces IS NOT NULL"),
    )


def _receipt_lines() -> None:
    op.create_table(
        "receipt_lines",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("receipt_id", sa.Uuid(), nullable=False),
        sa.Column("gift_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("deductible", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("gift_date", sa.Date(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("dropped", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.CheckConstraint("amount > 0 AND deductible BETWEEN 0 AND amount", name=op.f("ck_receipt_lines__amount")),
        sa.ForeignKeyConstraint(
            ["organization_id", "gift_id"],
            ["gifts.organization_id", "gifts.id"],
            name=op.f("fk_receipt_lines__organization_id_gift_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "receipt_id"],
            ["receipts.organization_id", "receipts.id"],
            name=op.f("fk_receipt_lines__organization_id_receipt_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_receipt_lines__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_receipt_lines")),
    )
    op.create_index("ix_receipt_lines__gift", "receipt_lines", ["organization_id", "gift_id", "id"], unique=False)
    op.create_index(
        "ix_receipt_lines__receipt", "receipt_lines", ["organization_id", "receipt_id", "position"], unique=False
    )
    op.create_index(
        "uq_receipt_lines__gift",
        "receipt_lines",
        ["organization_id", "gift_id"],
        unique=True,
        postgresql_where=sa.text("active"),
    )


def _letters() -> None:
    op.add_column("messages", sa.Column("receipt_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        op.f("fk_messages__organization_id_receipt_id"),
        "messages",
        "receipts",
        ["organization_id", "receipt_id"],
        ["organization_id", "id"],
    )
    op.create_index(
        "ix_messages__receipt",
        "messages",
        ["organization_id", "receipt_id"],
        postgresql_where=sa.text("receipt_id IS NOT NULL"),
    )


def upgrade() -> None:
    _receipt_settings()
    _receipt_series()
    _receipt_runs()
    _receipts()
    _receipt_lines()
    for table in ("receipt_settings", "receipt_series", "receipt_runs", "receipts", "receipt_lines"):
        protect(table, "SELECT, INSERT, UPDATE")
    _letters()


def downgrade() -> None:
    raise RuntimeError("Restore a backup instead: what people entered since would be lost.")
