"""The ledger: accounts, journals, postings, periods, payouts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from security import lookup_function, protect
from sqlalchemy.dialects import postgresql

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _payouts()
    _payout_items()
    _ledger_journals()
    _ledger_gifts()
    _ledger_accounts()
    _ledger_periods()
    _ledger_proofs()
    for table in ("payouts", "payout_items", "ledger_gifts", "ledger_accounts", "ledger_periods", "ledger_proofs"):
        protect(table, "SELECT, INSERT, UPDATE, DELETE")
    protect("ledger_journals", "SELECT, INSERT")
    _lookup()


def downgrade() -> None:
    raise RuntimeError("Restore a backup instead: what was posted and closed since would be lost.")


def _lookup() -> None:
    """How many organizations' books disagree with their gifts: a number, for the health of the service."""
    lookup_function(
        "crm_ledger_alarms()",
        "bigint",
        "SELECT count(DISTINCT p.organization_id) FROM public.ledger_proofs p WHERE p.alarm",
        {"ledger_proofs": "organization_id, alarm"},
    )


def _payouts() -> None:
    op.create_table(
        "payouts",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("payout_ref", sa.Text(collation="C"), nullable=False),
        sa.Column("arrived_on", sa.Date(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("fee", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("items_net", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.Text(), server_default=sa.text("'open'"), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("items_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("items_matched", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("failure_code", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("origin IN ('manual', 'upload', 'provider')", name=op.f("ck_payouts__origin")),
        sa.CheckConstraint("state IN ('open', 'reconciled', 'canceled')", name=op.f("ck_payouts__state")),
        sa.CheckConstraint("fee >= 0", name=op.f("ck_payouts__fee")),
        sa.CheckConstraint("failure_code IS NULL OR state = 'canceled'", name=op.f("ck_payouts__failure")),
        sa.ForeignKeyConstraint(
            ["organization_id", "connection_id"],
            ["payment_connections.organization_id", "payment_connections.id"],
            name=op.f("fk_payouts__organization_id_connection_id"),
        ),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("fk_payouts__organization_id")),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_payouts")),
    )
    op.create_index("ix_payouts__arrived", "payouts", ["organization_id", "arrived_on", "id"])
    op.create_index("ix_payouts__connection", "payouts", ["organization_id", "connection_id", "arrived_on"])
    op.create_index("ix_payouts__created", "payouts", ["organization_id", "created_at", "id"])
    op.create_index(
        "uq_payouts__ref",
        "payouts",
        ["organization_id", "connection_id", "payout_ref"],
        unique=True,
        postgresql_where=sa.text("state <> 'canceled'"),
    )


def _payout_items() -> None:
    op.create_table(
        "payout_items",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("payout_id", sa.Uuid(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(collation="C"), nullable=False),
        sa.Column("gross", sa.BigInteger(), nullable=False),
        sa.Column("fee", sa.BigInteger(), nullable=False),
        sa.Column("net", sa.BigInteger(), nullable=False),
        sa.Column("gift_id", sa.Uuid(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind IN ('payment', 'refund', 'chargeback', 'fee', 'adjustment', 'other')",
            name=op.f("ck_payout_items__kind"),
        ),
        sa.CheckConstraint(
            "state IN ('unchecked', 'matched', 'missing_gift', 'amount_differs', 'fee_differs', 'currency_differs', 'paid_twice')",
            name=op.f("ck_payout_items__state"),
        ),
        sa.CheckConstraint("net = gross - fee", name=op.f("ck_payout_items__net")),
        sa.ForeignKeyConstraint(
            ["organization_id", "connection_id"],
            ["payment_connections.organization_id", "payment_connections.id"],
            name=op.f("fk_payout_items__organization_id_connection_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "gift_id"],
            ["gifts.organization_id", "gifts.id"],
            name=op.f("fk_payout_items__organization_id_gift_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "payout_id"],
            ["payouts.organization_id", "payouts.id"],
            name=op.f("fk_payout_items__organization_id_payout_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_payout_items__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_payout_items")),
    )
    op.create_index(
        "ix_payout_items__gift",
        "payout_items",
        ["organization_id", "gift_id"],
        postgresql_where=sa.text("gift_id IS NOT NULL"),
    )
    op.create_index("ix_payout_items__payout", "payout_items", ["organization_id", "payout_id", "id"])
    op.create_index("ix_payout_items__ref", "payout_items", ["organization_id", "connection_id", "ref"])
    op.create_index("ix_payout_items__state", "payout_items", ["organization_id", "state", "id"])


def _ledger_journals() -> None:
    op.create_table(
        "ledger_journals",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("gift_id", sa.Uuid(), nullable=True),
        sa.Column("payout_id", sa.Uuid(), nullable=True),
        sa.Column("pledge_id", sa.Uuid(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("journal_date", sa.Date(), nullable=False),
        sa.Column("movement_date", sa.Date(), nullable=False),
        sa.Column("debit", sa.Text(collation="C"), nullable=False),
        sa.Column("credit", sa.Text(collation="C"), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("fund_id", sa.Uuid(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind IN ('gift', 'refund', 'chargeback', 'fee', 'payout', 'payout_fee', 'pledge', 'pledge_payment', 'pledge_canceled', 'write_off')",
            name=op.f("ck_ledger_journals__kind"),
        ),
        sa.CheckConstraint("amount > 0 AND debit <> credit", name=op.f("ck_ledger_journals__pair")),
        sa.CheckConstraint("journal_date >= movement_date", name=op.f("ck_ledger_journals__dates")),
        sa.ForeignKeyConstraint(
            ["organization_id", "fund_id"],
            ["funds.organization_id", "funds.id"],
            name=op.f("fk_ledger_journals__organization_id_fund_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "gift_id"],
            ["gifts.organization_id", "gifts.id"],
            name=op.f("fk_ledger_journals__organization_id_gift_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "payout_id"],
            ["payouts.organization_id", "payouts.id"],
            name=op.f("fk_ledger_journals__organization_id_payout_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "pledge_id"],
            ["pledges.organization_id", "pledges.id"],
            name=op.f("fk_ledger_journals__organization_id_pledge_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_ledger_journals__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_ledger_journals")),
    )
    op.create_index("ix_ledger_journals__credit", "ledger_journals", ["organization_id", "credit", "journal_date"])
    op.create_index("ix_ledger_journals__date", "ledger_journals", ["organization_id", "journal_date", "id"])
    op.create_index("ix_ledger_journals__debit", "ledger_journals", ["organization_id", "debit", "journal_date"])
    op.create_index(
        "ix_ledger_journals__fund",
        "ledger_journals",
        ["organization_id", "fund_id"],
        postgresql_where=sa.text("fund_id IS NOT NULL"),
    )
    op.create_index(
        "uq_ledger_journals__gift",
        "ledger_journals",
        ["organization_id", "gift_id", "revision", "line"],
        unique=True,
        postgresql_where=sa.text("gift_id IS NOT NULL"),
    )
    op.create_index(
        "uq_ledger_journals__payout",
        "ledger_journals",
        ["organization_id", "payout_id", "revision", "line"],
        unique=True,
        postgresql_where=sa.text("payout_id IS NOT NULL"),
    )
    op.create_index(
        "uq_ledger_journals__pledge",
        "ledger_journals",
        ["organization_id", "pledge_id", "revision", "line"],
        unique=True,
        postgresql_where=sa.text("pledge_id IS NOT NULL"),
    )


def _ledger_gifts() -> None:
    op.create_table(
        "ledger_gifts",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("gift_id", sa.Uuid(), nullable=False),
        sa.Column("gift_version", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("posted_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "gift_id"],
            ["gifts.organization_id", "gifts.id"],
            name=op.f("fk_ledger_gifts__organization_id_gift_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_ledger_gifts__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "gift_id", name=op.f("pk_ledger_gifts")),
    )


def _ledger_accounts() -> None:
    op.create_table(
        "ledger_accounts",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account", sa.Text(collation="C"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind IN ('clearing', 'received', 'bank', 'in_kind', 'receivable', 'income', 'in_kind_income', 'pledge_income', 'refunds', 'chargebacks', 'write_offs', 'fees')",
            name=op.f("ck_ledger_accounts__kind"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_ledger_accounts__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_ledger_accounts")),
        sa.UniqueConstraint("organization_id", "account", name=op.f("uq_ledger_accounts__organization_id_account")),
    )
    op.create_index("ix_ledger_accounts__account", "ledger_accounts", ["organization_id", "account", "id"])


def _ledger_periods() -> None:
    op.create_table(
        "ledger_periods",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("through", sa.Date(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reopened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('closed', 'reopened')", name=op.f("ck_ledger_periods__state")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_ledger_periods__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_ledger_periods")),
    )
    op.create_index("ix_ledger_periods__created", "ledger_periods", ["organization_id", "created_at", "id"])
    op.create_index(
        "uq_ledger_periods__through",
        "ledger_periods",
        ["organization_id", "through"],
        unique=True,
        postgresql_where=sa.text("state = 'closed'"),
    )


def _ledger_proofs() -> None:
    op.create_table(
        "ledger_proofs",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("progress", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("verdict", sa.Text(), nullable=True),
        sa.Column("alarm", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("position", sa.Uuid(), nullable=True),
        sa.Column("gifts_checked", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("gifts_unposted", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("discrepancies_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "discrepancies", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False
        ),
        sa.Column("totals", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("origin IN ('schedule', 'request')", name=op.f("ck_ledger_proofs__origin")),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'succeeded', 'failed')", name=op.f("ck_ledger_proofs__state")
        ),
        sa.CheckConstraint(
            "verdict IS NULL OR verdict IN ('balanced', 'discrepancies')", name=op.f("ck_ledger_proofs__verdict")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_ledger_proofs__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_ledger_proofs")),
    )
    op.create_index("ix_ledger_proofs__alarm", "ledger_proofs", ["organization_id"], postgresql_where=sa.text("alarm"))
    op.create_index("ix_ledger_proofs__created", "ledger_proofs", ["organization_id", "created_at", "id"])
