"""Kept runs of reports, and giving levels."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from security import protect
from sqlalchemy.dialects import postgresql

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

REPORTS = (
    "gain-loss", "retention", "lybunt", "sybunt", "cohorts", "giving-pyramid", "giving-levels", "concentration", "rfm",
    "rfm-migration", "ltv", "income-forecast", "prospects", "donations",
)  # fmt: skip
MADE_UNDER = "NULLIF(current_setting('crm.made_under', true), '')::jsonb"


def upgrade() -> None:
    allowed = ", ".join(f"'{name}'" for name in REPORTS)
    op.create_table(
        "report_runs",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("report", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("parameters", postgresql.JSONB(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("result", postgresql.JSONB(), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Text(), nullable=False),
        sa.Column("made_under", postgresql.JSONB(), server_default=sa.text(MADE_UNDER), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(f"report IN ({allowed})", name=op.f("ck_report_runs__report")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_report_runs__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_report_runs")),
    )
    op.create_index("ix_report_runs__created", "report_runs", ["organization_id", "created_at", "id"])
    op.create_index("ix_report_runs__as_of", "report_runs", ["organization_id", "as_of", "id"])
    protect("report_runs", "SELECT, INSERT")
    op.create_table(
        "giving_levels",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("program", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("min_amount", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("min_amount > 0", name=op.f("ck_giving_levels__min_amount")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_giving_levels__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_giving_levels")),
        sa.UniqueConstraint(
            "organization_id", "program", "name", name=op.f("uq_giving_levels__organization_id_program_name")
        ),
        sa.UniqueConstraint(
            "organization_id",
            "program",
            "min_amount",
            name=op.f("uq_giving_levels__organization_id_program_min_amount"),
        ),
    )
    op.create_index("ix_giving_levels__created", "giving_levels", ["organization_id", "created_at", "id"])
    op.create_index("ix_giving_levels__amount", "giving_levels", ["organization_id", "min_amount", "id"])
    protect("giving_levels", "SELECT, INSERT, UPDATE, DELETE")


def downgrade() -> None:
    raise RuntimeError("Restore a backup instead.")
