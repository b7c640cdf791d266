"""Pledges and their installments."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from security import protect
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _pledges()
    _installments()
    _payments()
    _write_offs()
    _letters()
    for table in ("pledges", "pledge_installments", "pledge_payments"):
        protect(table, "SELECT, INSERT, UPDATE, DELETE")
    protect("pledge_write_offs", "SELECT, INSERT, UPDATE (reason)")


def downgrade() -> None:
    raise RuntimeError("Restore a backup instead: promises made since would be forgotten.")


def _key(table: str, column: str, target: str, ondelete: str | None = None) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["organization_id", column],
        [f"{target}.organization_id", f"{target}.id"],
        name=op.f(f"fk_{table}__organization_id_{column}"),
        ondelete=ondelete,
    )


def _tenant(table: str) -> list[sa.Constraint]:
    return [
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f(f"fk_{table}__organization_id")),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f(f"pk_{table}")),
    ]


def _pledges() -> None:
    table = "pledges"
    op.create_table(
        table,
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("paid", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("written_off", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("overpaid", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_due_on", sa.Date(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("pledged_on", sa.Date(), nullable=False),
        sa.Column("auto_apply", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column(
            "reminder_days", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False
        ),
        sa.Column("fund_id", sa.Uuid(), nullable=True),
        sa.Column("campaign_id", sa.Uuid(), nullable=True),
        sa.Column("owner_member_id", sa.Uuid(), nullable=True),
        sa.Column("canceled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_reason", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('money', 'in_kind')", name=op.f("ck_pledges__kind")),
        sa.CheckConstraint(
            "status IN ('pending', 'active', 'overdue', 'fulfilled', 'written_off', 'canceled')",
            name=op.f("ck_pledges__status"),
        ),
        sa.CheckConstraint(
            "(kind = 'money') = (amount IS NOT NULL AND currency IS NOT NULL) AND amount > 0",
            name=op.f("ck_pledges__amount"),
        ),
        sa.CheckConstraint(
            "paid >= 0 AND written_off >= 0 AND overpaid >= 0 AND paid + written_off <= amount",
            name=op.f("ck_pledges__figures"),
        ),
        sa.CheckConstraint("(status = 'canceled') = (canceled_at IS NOT NULL)", name=op.f("ck_pledges__canceled")),
        _key(table, "contact_id", "contacts"),
        _key(table, "fund_id", "funds"),
        _key(table, "campaign_id", "campaigns"),
        _key(table, "owner_member_id", "members"),
        *_tenant(table),
    )
    op.create_index("ix_pledges__created", table, ["organization_id", "created_at", "id"], unique=False)
    op.create_index("ix_pledges__contact", table, ["organization_id", "contact_id", "created_at", "id"], unique=False)
    op.create_index("ix_pledges__status", table, ["organization_id", "status", "next_due_on", "id"], unique=False)
    for name, column in (("fund", "fund_id"), ("campaign", "campaign_id"), ("owner", "owner_member_id")):
        op.create_index(
            f"ix_pledges__{name}",
            table,
            ["organization_id", column],
            unique=False,
            postgresql_where=sa.text(f"{column} IS NOT NULL"),
        )


def _installments() -> None:
    table = "pledge_installments"
    op.create_table(
        table,
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("pledge_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("paid", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("written_off", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("is_open", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("reminded_on", sa.Date(), nullable=True),
        sa.Column("remind_on", sa.Date(), nullable=True),
        sa.CheckConstraint(
            "paid >= 0 AND written_off >= 0 AND paid + written_off <= amount",
            name=op.f("ck_pledge_installments__figures"),
        ),
        sa.CheckConstraint("remind_on IS NULL OR is_open", name=op.f("ck_pledge_installments__remind_on")),
        _key(table, "pledge_id", "pledges"),
        *_tenant(table),
        sa.UniqueConstraint(
            "organization_id",
            "pledge_id",
            "number",
            name=op.f("uq_pledge_installments__organization_id_pledge_id_number"),
        ),
    )
    op.create_index(
        "ix_pledge_installments__remind",
        table,
        ["organization_id", "remind_on", "id"],
        unique=False,
        postgresql_where=sa.text("remind_on IS NOT NULL"),
    )


def _payments() -> None:
    table = "pledge_payments"
    op.create_table(
        table,
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("pledge_id", sa.Uuid(), nullable=False),
        sa.Column("gift_id", sa.Uuid(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("counted", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("applied_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("applied_by IN ('rule', 'staff')", name=op.f("ck_pledge_payments__applied_by")),
        _key(table, "pledge_id", "pledges"),
        _key(table, "gift_id", "gifts"),
        *_tenant(table),
        sa.UniqueConstraint(
            "organization_id",
            "pledge_id",
            "gift_id",
            name=op.f("uq_pledge_payments__organization_id_pledge_id_gift_id"),
        ),
    )
    op.create_index("ix_pledge_payments__gift", table, ["organization_id", "gift_id"], unique=False)


def _write_offs() -> None:
    table = "pledge_write_offs"
    op.create_table(
        table,
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("pledge_id", sa.Uuid(), nullable=False),
        sa.Column("installment_id", sa.Uuid(), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("written_off_on", sa.Date(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        _key(table, "pledge_id", "pledges"),
        _key(table, "installment_id", "pledge_installments", "SET NULL (installment_id)"),
        *_tenant(table),
    )
    op.create_index(
        "ix_pledge_write_offs__pledge", table, ["organization_id", "pledge_id", "created_at", "id"], unique=False
    )
    op.create_index(
        "ix_pledge_write_offs__installment",
        table,
        ["organization_id", "installment_id"],
        unique=False,
        postgresql_where=sa.text("installment_id IS NOT NULL"),
    )


def _letters() -> None:
    """A letter about a pledge names it."""
    op.add_column("messages", sa.Column("pledge_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        op.f("fk_messages__organization_id_pledge_id"),
        "messages",
        "pledges",
        ["organization_id", "pledge_id"],
        ["organization_id", "id"],
    )
    op.create_index(
        "ix_messages__pledge",
        "messages",
        ["organization_id", "pledge_id"],
        unique=False,
        postgresql_where=sa.text("pledge_id IS NOT NULL"),
    )
