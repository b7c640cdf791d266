"""Imports and exports."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from security import protect
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def _imports() -> None:
    op.create_table(
        "imports",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("options", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("mapping", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("detected", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("samples", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("file_key", sa.Text(), nullable=True),
        sa.Column("file_size", sa.BigInteger(), nullable=False),
        sa.Column("sensitive", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Text(), nullable=False),
        sa.Column("errors_key", sa.Text(), nullable=True),
        sa.Column("position", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("back_to", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("progress", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("rows", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("created", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("updated", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("skipped", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("queued", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("failed", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("removed", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("restored", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("kept", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("reason_code", sa.Text(), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("purge_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('contacts', 'donations')", name=op.f("ck_imports__kind")),
        sa.CheckConstraint("phase IN ('inspect', 'validate', 'import', 'undo')", name=op.f("ck_imports__phase")),
        sa.CheckConstraint(
            "state IN ('uploaded', 'validating', 'ready', 'running', 'paused', 'succeeded', 'failed', 'undone')",
            name=op.f("ck_imports__state"),
        ),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("fk_imports__organization_id")),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_imports")),
    )
    op.create_index("ix_imports__created", "imports", ["organization_id", "created_at", "id"], unique=False)
    op.create_index("ix_imports__purge", "imports", ["organization_id", "purge_at"], unique=False)


def _import_rows() -> None:
    op.create_table(
        "import_rows",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("matched_by", sa.Text(), nullable=True),
        sa.Column("record_id", sa.Uuid(), nullable=True),
        sa.Column("record_version", sa.Integer(), nullable=True),
        sa.Column("own", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("changes", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("errors", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("cells", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("undone", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "outcome IN ('created', 'updated', 'skipped', 'queued', 'failed')", name=op.f("ck_import_rows__outcome")
        ),
        sa.CheckConstraint(
            "undone IS NULL OR undone IN ('removed', 'restored', 'kept')", name=op.f("ck_import_rows__undone")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "import_id"],
            ["imports.organization_id", "imports.id"],
            name=op.f("fk_import_rows__organization_id_import_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_import_rows__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_import_rows")),
    )
    op.create_index(
        "ix_import_rows__import", "import_rows", ["organization_id", "import_id", "outcome", "id"], unique=False
    )
    op.create_index("ix_import_rows__record", "import_rows", ["organization_id", "record_id"], unique=False)


def _import_drafts() -> None:
    op.create_table(
        "import_drafts",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("record_id", sa.Uuid(), nullable=False),
        sa.Column("fresh", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("state", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "import_id"],
            ["imports.organization_id", "imports.id"],
            name=op.f("fk_import_drafts__organization_id_import_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_import_drafts__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "import_id", "record_id", name=op.f("pk_import_drafts")),
    )


def _import_draft_keys() -> None:
    op.create_table(
        "import_draft_keys",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.Text(collation="C"), nullable=False),
        sa.Column("record_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "import_id"],
            ["imports.organization_id", "imports.id"],
            name=op.f("fk_import_draft_keys__organization_id_import_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_import_draft_keys__organization_id")
        ),
        sa.PrimaryKeyConstraint(
            "organization_id", "import_id", "digest", "record_id", name=op.f("pk_import_draft_keys")
        ),
    )


def _exports() -> None:
    op.create_table(
        "exports",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("filter", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("columns", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("scopes", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("progress", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("rows", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("file_key", sa.Text(), nullable=True),
        sa.Column("file_size", sa.BigInteger(), nullable=True),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("purge_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("format IN ('csv', 'xlsx', 'jsonl')", name=op.f("ck_exports__format")),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'succeeded', 'failed', 'expired')", name=op.f("ck_exports__state")
        ),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("fk_exports__organization_id")),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_exports")),
    )
    op.create_index("ix_exports__created", "exports", ["organization_id", "created_at", "id"], unique=False)
    op.create_index("ix_exports__purge", "exports", ["organization_id", "purge_at"], unique=False)


def upgrade() -> None:
    _imports()
    _import_rows()
    _import_drafts()
    _import_draft_keys()
    _exports()
    for table in ("imports", "import_rows", "import_drafts", "import_draft_keys", "exports"):
        protect(table, "SELECT, INSERT, UPDATE, DELETE")


def downgrade() -> None:
    raise RuntimeError("Restore a backup instead: what people entered since would be lost.")
