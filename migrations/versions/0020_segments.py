"""Segments and their memberships."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from security import protect
from sqlalchemy.dialects import postgresql

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "segments",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("rule", postgresql.JSONB(), nullable=True),
        sa.Column("reads", postgresql.JSONB(), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("moves_with_time", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'active'"), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'queued'"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("size", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("computed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('dynamic', 'static')", name=op.f("ck_segments__kind")),
        sa.CheckConstraint("status IN ('active', 'archived')", name=op.f("ck_segments__status")),
        sa.CheckConstraint("state IN ('queued', 'running', 'succeeded', 'failed')", name=op.f("ck_segments__state")),
        sa.CheckConstraint("(kind = 'dynamic') = (rule IS NOT NULL)", name=op.f("ck_segments__rule")),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("fk_segments__organization_id")),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_segments")),
    )
    op.create_index("ix_segments__created", "segments", ["organization_id", "created_at", "id"])
    op.create_index("ix_segments__name", "segments", ["organization_id", "name", "id"])
    protect("segments", "SELECT, INSERT, UPDATE, DELETE")
    for table in ("segment_memberships", "segment_changes"):
        membership = table == "segment_memberships"
        own = (
            [sa.Column("entered_at", sa.DateTime(timezone=True), nullable=False)]
            if membership
            else [
                sa.Column("id", sa.Uuid(), nullable=False),
                sa.Column("change", sa.Text(), nullable=False),
                sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
                sa.CheckConstraint("change IN ('entered', 'left')", name=op.f("ck_segment_changes__change")),
            ]
        )
        key = ["organization_id", "segment_id", "contact_id"] if membership else ["organization_id", "id"]
        op.create_table(
            table,
            sa.Column("organization_id", sa.Uuid(), nullable=False),
            sa.Column("segment_id", sa.Uuid(), nullable=False),
            sa.Column("contact_id", sa.Uuid(), nullable=False),
            *own,
            *(
                sa.ForeignKeyConstraint(
                    ["organization_id", column],
                    [f"{target}.organization_id", f"{target}.id"],
                    name=op.f(f"fk_{table}__organization_id_{column}"),
                    ondelete="CASCADE",
                )
                for column, target in (("segment_id", "segments"), ("contact_id", "contacts"))
            ),
            sa.ForeignKeyConstraint(
                ["organization_id"], ["organizations.id"], name=op.f(f"fk_{table}__organization_id")
            ),
            sa.PrimaryKeyConstraint(*key, name=op.f(f"pk_{table}")),
        )
    op.create_index(
        "ix_segment_memberships__contact", "segment_memberships", ["organization_id", "contact_id", "segment_id"]
    )
    protect("segment_memberships", "SELECT, INSERT, UPDATE, DELETE")
    op.create_index(
        "ix_segment_changes__segment", "segment_changes", ["organization_id", "segment_id", "changed_at", "id"]
    )
    op.create_index(
        "ix_segment_changes__member",
        "segment_changes",
        ["organization_id", "segment_id", "contact_id", "changed_at", "id"],
    )
    op.create_index(
        "ix_segment_changes__contact", "segment_changes", ["organization_id", "contact_id", "changed_at", "id"]
    )
    protect("segment_changes", "SELECT, INSERT, UPDATE (contact_id)")
    op.create_table(
        "segment_sizes",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("segment_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "segment_id"],
            ["segments.organization_id", "segments.id"],
            name=op.f("fk_segment_sizes__organization_id_segment_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_segment_sizes__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "segment_id", "day", name=op.f("pk_segment_sizes")),
    )
    protect("segment_sizes", "SELECT, INSERT, UPDATE, DELETE")


def downgrade() -> None:
    raise RuntimeError("Restore a backup instead.")
