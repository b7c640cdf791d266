"""Documents: files attached to contacts. Indexes that the audit is read by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from security import protect

revision = "0003"
down_revision = "0001"
branch_labels = None
depends_on = None


def _documents() -> None:
    op.create_table(
        "documents",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("owner_member_id", sa.Uuid(), nullable=True),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("sensitivity", sa.Text(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("expires_on", sa.Date(), nullable=True),
        sa.Column("expires_sort", sa.Date(), nullable=False),
        sa.Column("remind_days", sa.Integer(), server_default=sa.text("30"), nullable=False),
        sa.Column("remind_on", sa.Date(), nullable=True),
        sa.Column("reminded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind IN ('identity', 'contract', 'consent', 'receipt', 'report', 'medical', 'photo', 'letter', 'other')",
            name=op.f("ck_documents__kind"),
        ),
        sa.CheckConstraint(
            "sensitivity IN ('internal', 'donor_sensitive', 'beneficiary_sensitive')",
            name=op.f("ck_documents__sensitivity"),
        ),
        sa.CheckConstraint("remind_days BETWEEN 0 AND 366", name=op.f("ck_documents__remind_days")),
        sa.CheckConstraint(
            "expires_sort = coalesce(expires_on, DATE '9000-01-01')", name=op.f("ck_documents__expires_sort")
        ),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("fk_documents__organization_id")),
        sa.ForeignKeyConstraint(
            ["organization_id", "contact_id"],
            ["contacts.organization_id", "contacts.id"],
            name=op.f("fk_documents__organization_id_contact_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "owner_member_id"],
            ["members.organization_id", "members.id"],
            name=op.f("fk_documents__organization_id_owner_member_id"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_documents")),
        info={"tenant": True, "privileges": ("SELECT", "INSERT", "UPDATE", "DELETE")},
    )
    op.create_index("ix_documents__timeline", "documents", ["organization_id", "contact_id", "created_at", "id"])
    op.create_index("ix_documents__created", "documents", ["organization_id", "created_at", "id"])
    op.create_index("ix_documents__expires", "documents", ["organization_id", "expires_sort", "id"])
    op.create_index("ix_documents__owner", "documents", ["organization_id", "owner_member_id", "id"])
    op.create_index("ix_documents__file", "documents", ["organization_id", "file"], unique=True)
    op.create_index(
        "ix_documents__remind",
        "documents",
        ["organization_id", "remind_on"],
        postgresql_where=sa.text("remind_on IS NOT NULL"),
    )


def upgrade() -> None:
    _documents()
    protect("documents", "SELECT, INSERT, UPDATE, DELETE")
    op.create_index("ix_audit_events__at", "audit_events", ["organization_id", "at", "id"])
    op.create_index("ix_audit_events__actor", "audit_events", ["organization_id", "actor_id", "id"])


def downgrade() -> None:
    raise RuntimeError("Restore a backup instead: what people entered since would be lost.")
