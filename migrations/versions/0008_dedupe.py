"""Duplicate candidates, match rules and merges."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from security import protect
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

PROTECTED = {
    "merge_batches": "SELECT, INSERT, UPDATE, DELETE",
    "merges": "SELECT, INSERT, UPDATE, DELETE",
    "merged_contacts": "SELECT, INSERT, UPDATE, DELETE",
    "merge_changes": "SELECT, INSERT, DELETE",
    "duplicate_rules": "SELECT, INSERT",
    "duplicates": "SELECT, INSERT, UPDATE, DELETE",
    "duplicate_sweeps": "SELECT, INSERT, UPDATE, DELETE",
}


def _merge_batches() -> None:
    op.create_table(
        "merge_batches",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'queued'"), nullable=False),
        sa.Column("pairs", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("results", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("merged", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("failed", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Text(), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'succeeded', 'failed')", name=op.f("ck_merge_batches__state")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_merge_batches__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_merge_batches")),
        info={"tenant": True, "privileges": ("SELECT", "INSERT", "UPDATE", "DELETE")},
    )
    op.create_index("ix_merge_batches__created", "merge_batches", ["organization_id", "created_at", "id"], unique=False)


def _merges() -> None:
    op.create_table(
        "merges",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("survivor_id", sa.Uuid(), nullable=False),
        sa.Column("retired_ids", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'merged'"), nullable=False),
        sa.Column("choices", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("survivor_own", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("produced", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("counts", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=True),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Text(), nullable=False),
        sa.Column("merged_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(state = 'undone') = (undone_at IS NOT NULL)", name=op.f("ck_merges__undone_at")),
        sa.CheckConstraint("state IN ('merged', 'undone')", name=op.f("ck_merges__state")),
        sa.ForeignKeyConstraint(
            ["organization_id", "batch_id"],
            ["merge_batches.organization_id", "merge_batches.id"],
            name=op.f("fk_merges__organization_id_batch_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "survivor_id"],
            ["contacts.organization_id", "contacts.id"],
            name=op.f("fk_merges__organization_id_survivor_id"),
        ),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("fk_merges__organization_id")),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_merges")),
        info={"tenant": True, "privileges": ("SELECT", "INSERT", "UPDATE", "DELETE")},
    )
    op.create_index("ix_merges__batch", "merges", ["organization_id", "batch_id", "id"], unique=False)
    op.create_index("ix_merges__created", "merges", ["organization_id", "created_at", "id"], unique=False)
    op.create_index("ix_merges__survivor", "merges", ["organization_id", "survivor_id", "id"], unique=False)


def _merged_contacts() -> None:
    op.create_table(
        "merged_contacts",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("merge_id", sa.Uuid(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("own", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "contact_id"],
            ["contacts.organization_id", "contacts.id"],
            name=op.f("fk_merged_contacts__organization_id_contact_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "merge_id"],
            ["merges.organization_id", "merges.id"],
            name=op.f("fk_merged_contacts__organization_id_merge_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_merged_contacts__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "merge_id", "step", name=op.f("pk_merged_contacts")),
        info={"tenant": True, "privileges": ("SELECT", "INSERT", "UPDATE", "DELETE")},
    )
    op.create_index(
        "ix_merged_contacts__contact", "merged_contacts", ["organization_id", "contact_id", "merge_id"], unique=False
    )


def _merge_changes() -> None:
    op.create_table(
        "merge_changes",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("merge_id", sa.Uuid(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("table_name", sa.Text(collation="C"), nullable=False),
        sa.Column("column_name", sa.Text(collation="C"), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("change", sa.Text(), nullable=False),
        sa.Column("row_key", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("before", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.CheckConstraint("change IN ('moved', 'dropped', 'kept', 'changed')", name=op.f("ck_merge_changes__change")),
        sa.ForeignKeyConstraint(
            ["organization_id", "merge_id"],
            ["merges.organization_id", "merges.id"],
            name=op.f("fk_merge_changes__organization_id_merge_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_merge_changes__organization_id")
        ),
        sa.PrimaryKeyConstraint(
            "organization_id", "merge_id", "step", "table_name", "column_name", "n", name=op.f("pk_merge_changes")
        ),
        info={"tenant": True, "privileges": ("SELECT", "INSERT", "DELETE")},
    )


def _duplicate_rules() -> None:
    op.create_table(
        "duplicate_rules",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("content", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_duplicate_rules__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "version", name=op.f("pk_duplicate_rules")),
        info={"tenant": True, "privileges": ("SELECT", "INSERT")},
    )


def _duplicates() -> None:
    op.create_table(
        "duplicates",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("low_id", sa.Uuid(), nullable=False),
        sa.Column("high_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'open'"), nullable=False),
        sa.Column("certainty", sa.Text(), nullable=False),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column("rules", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("fields", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("rules_version", sa.Integer(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("merge_id", sa.Uuid(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("certainty IN ('certain', 'possible')", name=op.f("ck_duplicates__certainty")),
        sa.CheckConstraint("origin IN ('sweep', 'create', 'import', 'merge')", name=op.f("ck_duplicates__origin")),
        sa.CheckConstraint("state IN ('open', 'merged', 'dismissed')", name=op.f("ck_duplicates__state")),
        sa.CheckConstraint("low_id < high_id", name=op.f("ck_duplicates__pair")),
        sa.ForeignKeyConstraint(
            ["organization_id", "high_id"],
            ["contacts.organization_id", "contacts.id"],
            name=op.f("fk_duplicates__organization_id_high_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "low_id"],
            ["contacts.organization_id", "contacts.id"],
            name=op.f("fk_duplicates__organization_id_low_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "merge_id"],
            ["merges.organization_id", "merges.id"],
            name=op.f("fk_duplicates__organization_id_merge_id"),
        ),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("fk_duplicates__organization_id")),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_duplicates")),
        sa.UniqueConstraint(
            "organization_id", "low_id", "high_id", name=op.f("uq_duplicates__organization_id_low_id_high_id")
        ),
        info={"tenant": True, "privileges": ("SELECT", "INSERT", "UPDATE", "DELETE")},
    )
    op.create_index("ix_duplicates__created", "duplicates", ["organization_id", "created_at", "id"], unique=False)
    op.create_index("ix_duplicates__high", "duplicates", ["organization_id", "high_id"], unique=False)
    op.create_index(
        "ix_duplicates__merge",
        "duplicates",
        ["organization_id", "merge_id"],
        unique=False,
        postgresql_where=sa.text("merge_id IS NOT NULL"),
    )
    op.create_index("ix_duplicates__score", "duplicates", ["organization_id", "score", "id"], unique=False)
    op.create_index("ix_duplicates__state", "duplicates", ["organization_id", "state", "score", "id"], unique=False)


def _duplicate_sweeps() -> None:
    op.create_table(
        "duplicate_sweeps",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'queued'"), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("position_kind", sa.Text(collation="C"), nullable=True),
        sa.Column("position_value", sa.Text(collation="C"), nullable=True),
        sa.Column("keys_total", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("keys_done", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("pairs_compared", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("pairs_found", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("merged", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("skipped", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("rules_version", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("origin IN ('request', 'nightly')", name=op.f("ck_duplicate_sweeps__origin")),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'succeeded', 'failed')", name=op.f("ck_duplicate_sweeps__state")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_duplicate_sweeps__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_duplicate_sweeps")),
        info={"tenant": True, "privileges": ("SELECT", "INSERT", "UPDATE", "DELETE")},
    )
    op.create_index(
        "ix_duplicate_sweeps__created", "duplicate_sweeps", ["organization_id", "created_at", "id"], unique=False
    )


def upgrade() -> None:
    _merge_batches()
    _merges()
    _merged_contacts()
    _merge_changes()
    _duplicate_rules()
    _duplicates()
    _duplicate_sweeps()
    for table, privileges in PROTECTED.items():
        protect(table, privileges)


def downgrade() -> None:
    raise RuntimeError("Restore a backup instead: what people entered since would be lost.")
