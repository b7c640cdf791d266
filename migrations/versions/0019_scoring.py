"""Scoring: runs, models, borders, rules."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from security import protect
from sqlalchemy.dialects import postgresql

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def _table(name: str, *items: Any, key: tuple[str, ...] = ("id",)) -> None:
    own = [sa.Column("id", sa.Uuid(), nullable=False)] if key == ("id",) else []
    op.create_table(
        name,
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        *own,
        *items,
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f(f"fk_{name}__organization_id")),
        sa.PrimaryKeyConstraint("organization_id", *key, name=op.f(f"pk_{name}")),
    )


def _instant(name: str, *, null: bool = False) -> Any:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=null)


def _rules() -> None:
    _table(
        "donor_status_rules",
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("content", postgresql.JSONB(), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Text(), nullable=False),
        _instant("created_at"),
        key=("version",),
    )
    protect("donor_status_rules", "SELECT, INSERT")
    _table(
        "scoring_settings",
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column("content", postgresql.JSONB(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        _instant("updated_at"),
        sa.CheckConstraint("part IN ('ltv', 'rfm')", name=op.f("ck_scoring_settings__part")),
        key=("part",),
    )
    protect("scoring_settings", "SELECT, INSERT, UPDATE, DELETE")


def _runs() -> None:
    _table(
        "scoring_runs",
        sa.Column("parts", postgresql.JSONB(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("progress", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("totals", postgresql.JSONB(), nullable=True),
        _instant("finished_at", null=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        _instant("created_at"),
        _instant("updated_at"),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'succeeded', 'failed')", name=op.f("ck_scoring_runs__state")
        ),
    )
    op.create_index("ix_scoring_runs__created", "scoring_runs", ["organization_id", "created_at", "id"])
    protect("scoring_runs", "SELECT, INSERT, UPDATE, DELETE")


def _models() -> None:
    _table(
        "scoring_models",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("is_current", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("parameters", postgresql.JSONB(), nullable=True),
        sa.Column("log_likelihood", sa.Numeric(20, 10), nullable=True),
        sa.Column("sample_size", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        _instant("fitted_at"),
        sa.CheckConstraint("kind IN ('bg_bb', 'bg_nbd', 'gamma_gamma')", name=op.f("ck_scoring_models__kind")),
    )
    op.create_index("ix_scoring_models__fitted", "scoring_models", ["organization_id", "fitted_at", "id"])
    op.create_index("ix_scoring_models__kind", "scoring_models", ["organization_id", "kind", "fitted_at", "id"])
    protect("scoring_models", "SELECT, INSERT")
    _table(
        "donor_predictions",
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("p_alive", sa.Numeric(20, 10), nullable=True),
        sa.Column("expected_gifts", sa.Numeric(20, 10), nullable=True),
        sa.Column("expected_average", sa.BigInteger(), nullable=True),
        sa.Column("expected_value", sa.BigInteger(), nullable=True),
        sa.Column("churn_risk", sa.Numeric(20, 10), nullable=True),
        sa.Column("reasons", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        _instant("computed_at"),
        sa.ForeignKeyConstraint(
            ["organization_id", "contact_id"],
            ["contacts.organization_id", "contacts.id"],
            name=op.f("fk_donor_predictions__organization_id_contact_id"),
            ondelete="CASCADE",
        ),
        key=("contact_id",),
    )
    protect("donor_predictions", "SELECT, INSERT, UPDATE, DELETE")


def upgrade() -> None:
    _rules()
    _runs()
    _models()


def downgrade() -> None:
    raise RuntimeError("Restore a backup instead.")
