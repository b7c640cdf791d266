"""Checkouts, reconciliations, and the queue of unmatched payments."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from security import protect
from sqlalchemy.dialects import postgresql

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def _checkouts() -> None:
    op.create_table(
        "checkouts",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("gift_id", sa.Uuid(), nullable=True),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("every", sa.Text(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("claimant", sa.Text(), nullable=False),
        sa.Column("idempotency_key", sa.Text(collation="C"), nullable=True),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Text(collation="C"), nullable=False),
        sa.Column("address_mark", sa.Text(collation="C"), nullable=True),
        sa.Column("email_mark", sa.Text(collation="C"), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(state IN ('open', 'closed')) = (url IS NOT NULL AND gift_id IS NOT NULL)", name=op.f("ck_checkouts__page")
        ),
        sa.CheckConstraint("every IS NULL OR every IN ('week', 'month', 'year')", name=op.f("ck_checkouts__every")),
        sa.CheckConstraint("state IN ('claimed', 'open', 'closed', 'refused')", name=op.f("ck_checkouts__state")),
        sa.CheckConstraint("amount > 0", name=op.f("ck_checkouts__amount")),
        sa.ForeignKeyConstraint(
            ["organization_id", "connection_id"],
            ["payment_connections.organization_id", "payment_connections.id"],
            name=op.f("fk_checkouts__organization_id_connection_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "gift_id"],
            ["gifts.organization_id", "gifts.id"],
            name=op.f("fk_checkouts__organization_id_gift_id"),
        ),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("fk_checkouts__organization_id")),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_checkouts")),
    )
    op.create_index("ix_checkouts__actor", "checkouts", ["organization_id", "actor_id", "asked_at"], unique=False)
    op.create_index(
        "ix_checkouts__address",
        "checkouts",
        ["organization_id", "address_mark", "asked_at"],
        unique=False,
        postgresql_where=sa.text("address_mark IS NOT NULL"),
    )
    op.create_index("ix_checkouts__asked", "checkouts", ["organization_id", "asked_at"], unique=False)
    op.create_index("ix_checkouts__connection", "checkouts", ["organization_id", "connection_id", "id"], unique=False)
    op.create_index("ix_checkouts__created", "checkouts", ["organization_id", "created_at", "id"], unique=False)
    op.create_index(
        "ix_checkouts__email",
        "checkouts",
        ["organization_id", "email_mark", "asked_at"],
        unique=False,
        postgresql_where=sa.text("email_mark IS NOT NULL"),
    )
    op.create_index("ix_checkouts__gift", "checkouts", ["organization_id", "gift_id"], unique=False)
    op.create_index(
        "uq_checkouts__key",
        "checkouts",
        ["organization_id", "claimant", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )


def _payment_polls() -> None:
    op.create_table(
        "payment_polls",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("gift_id", sa.Uuid(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("asked", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "connection_id"],
            ["payment_connections.organization_id", "payment_connections.id"],
            name=op.f("fk_payment_polls__organization_id_connection_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "gift_id"],
            ["gifts.organization_id", "gifts.id"],
            name=op.f("fk_payment_polls__organization_id_gift_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_payment_polls__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "gift_id", name=op.f("pk_payment_polls")),
    )
    op.create_index("ix_payment_polls__connection", "payment_polls", ["organization_id", "connection_id"], unique=False)
    op.create_index("ix_payment_polls__next", "payment_polls", ["organization_id", "next_at", "gift_id"], unique=False)


def _payment_reconciliations() -> None:
    op.create_table(
        "payment_reconciliations",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("apply", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("reached_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("all_listed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("progress", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("totals", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("origin IN ('request', 'nightly')", name=op.f("ck_payment_reconciliations__origin")),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'succeeded', 'failed')", name=op.f("ck_payment_reconciliations__state")
        ),
        sa.CheckConstraint("since < until", name=op.f("ck_payment_reconciliations__window")),
        sa.ForeignKeyConstraint(
            ["organization_id", "connection_id"],
            ["payment_connections.organization_id", "payment_connections.id"],
            name=op.f("fk_payment_reconciliations__organization_id_connection_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_payment_reconciliations__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_payment_reconciliations")),
    )
    op.create_index(
        "ix_payment_reconciliations__connection",
        "payment_reconciliations",
        ["organization_id", "connection_id", "created_at"],
        unique=False,
    )
    op.create_index(
        "ix_payment_reconciliations__created",
        "payment_reconciliations",
        ["organization_id", "created_at", "id"],
        unique=False,
    )


def _reconciliation_items() -> None:
    op.create_table(
        "reconciliation_items",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("reconciliation_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(collation="C"), nullable=False),
        sa.Column("gift_id", sa.Uuid(), nullable=True),
        sa.Column("plan_id", sa.Uuid(), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("provider_status", sa.Text(), nullable=True),
        sa.Column("provider_amount", sa.BigInteger(), nullable=True),
        sa.Column("provider_refunded", sa.BigInteger(), nullable=True),
        sa.Column("provider_fee", sa.BigInteger(), nullable=True),
        sa.Column("our_status", sa.Text(), nullable=True),
        sa.Column("our_amount", sa.BigInteger(), nullable=True),
        sa.Column("our_refunded", sa.BigInteger(), nullable=True),
        sa.Column("our_fee", sa.BigInteger(), nullable=True),
        sa.Column("resolved", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "kind IN ('missing_here', 'missing_there', 'amount_differs', 'status_differs', 'refunded_differs', 'fee_differs', "
            "'plan_missing_here', 'plan_differs', 'listed')",
            name=op.f("ck_reconciliation_items__kind"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "gift_id"],
            ["gifts.organization_id", "gifts.id"],
            name=op.f("fk_reconciliation_items__organization_id_gift_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "plan_id"],
            ["recurring_plans.organization_id", "recurring_plans.id"],
            name=op.f("fk_reconciliation_items__organization_id_plan_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "reconciliation_id"],
            ["payment_reconciliations.organization_id", "payment_reconciliations.id"],
            name=op.f("fk_reconciliation_items__organization_id_reconciliation_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_reconciliation_items__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_reconciliation_items")),
        sa.UniqueConstraint(
            "organization_id",
            "reconciliation_id",
            "ref",
            "kind",
            name=op.f("uq_reconciliation_items__organization_id_reconciliation_id_ref_kind"),
        ),
    )
    op.create_index(
        "ix_reconciliation_items__gift",
        "reconciliation_items",
        ["organization_id", "gift_id"],
        unique=False,
        postgresql_where=sa.text("gift_id IS NOT NULL"),
    )
    op.create_index(
        "ix_reconciliation_items__plan",
        "reconciliation_items",
        ["organization_id", "plan_id"],
        unique=False,
        postgresql_where=sa.text("plan_id IS NOT NULL"),
    )
    op.create_index(
        "ix_reconciliation_items__kind",
        "reconciliation_items",
        ["organization_id", "reconciliation_id", "kind", "id"],
        unique=False,
    )


def _payment_match_rules() -> None:
    op.create_table(
        "payment_match_rules",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), server_default=sa.text("100"), nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=True),
        sa.Column("contact_id", sa.Uuid(), nullable=True),
        sa.Column("campaign_id", sa.Uuid(), nullable=True),
        sa.Column("fund_id", sa.Uuid(), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(kind = 'external_id' AND contact_id IS NULL) OR (kind <> 'external_id' AND num_nonnulls(contact_id, campaign_id, fund_id) > 0)",
            name=op.f("ck_payment_match_rules__effect"),
        ),
        sa.CheckConstraint(
            "kind IN ('contains', 'code', 'iban', 'external_id')", name=op.f("ck_payment_match_rules__kind")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "campaign_id"],
            ["campaigns.organization_id", "campaigns.id"],
            name=op.f("fk_payment_match_rules__organization_id_campaign_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "connection_id"],
            ["payment_connections.organization_id", "payment_connections.id"],
            name=op.f("fk_payment_match_rules__organization_id_connection_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "contact_id"],
            ["contacts.organization_id", "contacts.id"],
            name=op.f("fk_payment_match_rules__organization_id_contact_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "fund_id"],
            ["funds.organization_id", "funds.id"],
            name=op.f("fk_payment_match_rules__organization_id_fund_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_payment_match_rules__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_payment_match_rules")),
    )
    op.create_index(
        "ix_payment_match_rules__campaign", "payment_match_rules", ["organization_id", "campaign_id"], unique=False
    )
    op.create_index(
        "ix_payment_match_rules__connection", "payment_match_rules", ["organization_id", "connection_id"], unique=False
    )
    op.create_index(
        "ix_payment_match_rules__contact", "payment_match_rules", ["organization_id", "contact_id"], unique=False
    )
    op.create_index(
        "ix_payment_match_rules__created", "payment_match_rules", ["organization_id", "created_at", "id"], unique=False
    )
    op.create_index("ix_payment_match_rules__fund", "payment_match_rules", ["organization_id", "fund_id"], unique=False)
    op.create_index(
        "ix_payment_match_rules__position", "payment_match_rules", ["organization_id", "position", "id"], unique=False
    )


def _unmatched_payments() -> None:
    op.create_table(
        "unmatched_payments",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("gift_id", sa.Uuid(), nullable=True),
        sa.Column("event_id", sa.Uuid(), nullable=True),
        sa.Column("connection_id", sa.Uuid(), nullable=True),
        sa.Column("rule_id", sa.Uuid(), nullable=True),
        sa.Column("provider", sa.Text(), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("hint", sa.Text(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "CASE kind WHEN 'donation' THEN gift_id IS NOT NULL ELSE event_id IS NOT NULL END",
            name=op.f("ck_unmatched_payments__what"),
        ),
        sa.CheckConstraint("kind IN ('donation', 'event')", name=op.f("ck_unmatched_payments__kind")),
        sa.CheckConstraint(
            "reason IN ('hint_only', 'payer_unknown', 'payment_unknown')", name=op.f("ck_unmatched_payments__reason")
        ),
        sa.CheckConstraint("state IN ('waiting', 'matched', 'dismissed')", name=op.f("ck_unmatched_payments__state")),
        sa.ForeignKeyConstraint(
            ["organization_id", "connection_id"],
            ["payment_connections.organization_id", "payment_connections.id"],
            name=op.f("fk_unmatched_payments__organization_id_connection_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "event_id"],
            ["provider_events.organization_id", "provider_events.id"],
            name=op.f("fk_unmatched_payments__organization_id_event_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "gift_id"],
            ["gifts.organization_id", "gifts.id"],
            name=op.f("fk_unmatched_payments__organization_id_gift_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "rule_id"],
            ["payment_match_rules.organization_id", "payment_match_rules.id"],
            name=op.f("fk_unmatched_payments__organization_id_rule_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_unmatched_payments__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_unmatched_payments")),
    )
    op.create_index(
        "ix_unmatched_payments__connection", "unmatched_payments", ["organization_id", "connection_id"], unique=False
    )
    op.create_index(
        "ix_unmatched_payments__received", "unmatched_payments", ["organization_id", "received_at", "id"], unique=False
    )
    op.create_index(
        "ix_unmatched_payments__rule",
        "unmatched_payments",
        ["organization_id", "rule_id"],
        unique=False,
        postgresql_where=sa.text("rule_id IS NOT NULL"),
    )
    op.create_index(
        "ix_unmatched_payments__state",
        "unmatched_payments",
        ["organization_id", "state", "received_at", "id"],
        unique=False,
    )
    op.create_index("uq_unmatched_payments__event", "unmatched_payments", ["organization_id", "event_id"], unique=True)
    op.create_index("uq_unmatched_payments__gift", "unmatched_payments", ["organization_id", "gift_id"], unique=True)


def upgrade() -> None:
    _checkouts()
    _payment_polls()
    _payment_reconciliations()
    _reconciliation_items()
    _payment_match_rules()
    _unmatched_payments()
    for table in (
        "checkouts",
        "payment_polls",
        "payment_reconciliations",
        "reconciliation_items",
        "payment_match_rules",
        "unmatched_payments",
    ):
        protect(table, "SELECT, INSERT, UPDATE, DELETE")


def downgrade() -> None:
    raise RuntimeError("Restore a backup instead.")
