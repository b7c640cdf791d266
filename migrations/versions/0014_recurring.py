"""Own schedules of recurring plans, their changes and attempts; dunning."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from security import protect
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _changes()
    _periods()
    _policies()
    _attempts()
    _letters()
    protect("recurring_plan_changes", "SELECT, INSERT, UPDATE (reason)")
    protect("recurring_periods", "SELECT, INSERT, UPDATE, DELETE")
    protect("dunning_policies", "SELECT, INSERT")
    protect("charge_attempts", "SELECT, INSERT, UPDATE, DELETE")


def downgrade() -> None:
    raise RuntimeError("Restore a backup instead: what was charged since would be forgotten.")


def _key(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["organization_id", column],
        [f"{target}.organization_id", f"{target}.id"],
        name=op.f(f"fk_{table}__organization_id_{column}"),
    )


def _changes() -> None:
    table = "recurring_plan_changes"
    op.create_table(
        table,
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("plan_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("previous_amount", sa.BigInteger(), nullable=True),
        sa.Column("previous_currency", sa.Text(), nullable=True),
        sa.Column("previous_frequency_unit", sa.Text(), nullable=True),
        sa.Column("previous_frequency_interval", sa.Integer(), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("frequency_unit", sa.Text(), nullable=True),
        sa.Column("frequency_interval", sa.Integer(), nullable=True),
        sa.Column("previous_status", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('upgrade', 'downgrade', 'change', 'pause', 'resume', 'skip', 'cancel', 'reactivate', 'complete')",
            name=op.f("ck_recurring_plan_changes__kind"),
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'active', 'past_due', 'paused', 'canceled', 'completed')",
            name=op.f("ck_recurring_plan_changes__status"),
        ),
        _key(table, "plan_id", "recurring_plans"),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_recurring_plan_changes__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_recurring_plan_changes")),
    )
    op.create_index(
        "ix_recurring_plan_changes__plan", table, ["organization_id", "plan_id", "changed_at", "id"], unique=False
    )


def _periods() -> None:
    table = "recurring_periods"
    op.create_table(
        table,
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("plan_id", sa.Uuid(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("decline_class", sa.Text(), nullable=True),
        sa.Column("failed_on", sa.Date(), nullable=True),
        sa.Column("retry_on", sa.Date(), nullable=True),
        sa.Column("look_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("gift_id", sa.Uuid(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('due', 'charging', 'unknown', 'retrying', 'expected', 'paid', 'failed', 'missed', 'skipped')",
            name=op.f("ck_recurring_periods__state"),
        ),
        sa.CheckConstraint("amount > 0", name=op.f("ck_recurring_periods__amount")),
        sa.CheckConstraint(
            "(state IN ('paid', 'failed', 'missed', 'skipped')) = (settled_at IS NOT NULL)",
            name=op.f("ck_recurring_periods__settled"),
        ),
        _key(table, "plan_id", "recurring_plans"),
        _key(table, "gift_id", "gifts"),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_recurring_periods__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_recurring_periods")),
        sa.UniqueConstraint(
            "organization_id", "plan_id", "due_on", name=op.f("uq_recurring_periods__organization_id_plan_id_due_on")
        ),
    )
    op.create_index("ix_recurring_periods__due", table, ["organization_id", "due_on", "id"], unique=False)
    op.create_index("ix_recurring_periods__state", table, ["organization_id", "state", "id"], unique=False)
    op.create_index(
        "ix_recurring_periods__look",
        table,
        ["organization_id", "look_at", "id"],
        unique=False,
        postgresql_where=sa.text("look_at IS NOT NULL"),
    )
    op.create_index(
        "uq_recurring_periods__gift",
        table,
        ["organization_id", "gift_id"],
        unique=True,
        postgresql_where=sa.text("gift_id IS NOT NULL"),
    )


def _policies() -> None:
    op.create_table(
        "dunning_policies",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("content", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_dunning_policies__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "version", name=op.f("pk_dunning_policies")),
    )


def _attempts() -> None:
    table = "charge_attempts"
    op.create_table(
        table,
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("period_id", sa.Uuid(), nullable=False),
        sa.Column("plan_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("provider_ref", sa.Text(collation="C"), nullable=True),
        sa.Column("decline_class", sa.Text(), nullable=True),
        sa.Column("decline_code", sa.Text(), nullable=True),
        sa.Column("looks", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('sending', 'pending', 'unknown', 'succeeded', 'declined', 'not_made')",
            name=op.f("ck_charge_attempts__state"),
        ),
        sa.CheckConstraint("amount > 0", name=op.f("ck_charge_attempts__amount")),
        sa.CheckConstraint(
            "(state IN ('sending', 'pending', 'unknown')) = (settled_at IS NULL)",
            name=op.f("ck_charge_attempts__settled"),
        ),
        _key(table, "period_id", "recurring_periods"),
        _key(table, "plan_id", "recurring_plans"),
        _key(table, "connection_id", "payment_connections"),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_charge_attempts__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_charge_attempts")),
        sa.UniqueConstraint(
            "organization_id", "period_id", "number", name=op.f("uq_charge_attempts__organization_id_period_id_number")
        ),
    )
    op.create_index(
        "uq_charge_attempts__one",
        table,
        ["organization_id", "period_id"],
        unique=True,
        postgresql_where=sa.text("state IN ('sending', 'pending', 'unknown', 'succeeded')"),
    )
    op.create_index("ix_charge_attempts__plan", table, ["organization_id", "plan_id", "id"], unique=False)
    op.create_index(
        "ix_charge_attempts__ref", table, ["organization_id", "connection_id", "provider_ref"], unique=False
    )
    op.create_index("ix_charge_attempts__state", table, ["organization_id", "state", "id"], unique=False)


def _letters() -> None:
    """A letter about a plan names it."""
    op.add_column("messages", sa.Column("recurring_plan_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        op.f("fk_messages__organization_id_recurring_plan_id"),
        "messages",
        "recurring_plans",
        ["organization_id", "recurring_plan_id"],
        ["organization_id", "id"],
    )
    op.create_index(
        "ix_messages__plan",
        "messages",
        ["organization_id", "recurring_plan_id"],
        unique=False,
        postgresql_where=sa.text("recurring_plan_id IS NOT NULL"),
    )
