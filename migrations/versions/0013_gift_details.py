"""Details of gifts: batches, allocations to funds, soft credits, matching, tributes, premiums."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from security import protect
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def _gift_batches() -> None:
    op.create_table(
        "gift_batches",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'open'"), nullable=False),
        sa.Column("control_count", sa.Integer(), nullable=False),
        sa.Column("control_amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("posted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(status = 'posted') = (posted_at IS NOT NULL)", name=op.f("ck_gift_batches__posted_at")),
        sa.CheckConstraint("status IN ('open', 'posted', 'canceled')", name=op.f("ck_gift_batches__status")),
        sa.CheckConstraint("control_count > 0 AND control_amount > 0", name=op.f("ck_gift_batches__control")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_gift_batches__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_gift_batches")),
    )
    op.create_index("ix_gift_batches__created", "gift_batches", ["organization_id", "created_at", "id"], unique=False)


def _gift_allocations() -> None:
    op.create_table(
        "gift_allocations",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("gift_id", sa.Uuid(), nullable=False),
        sa.Column("fund_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("percent", sa.Numeric(precision=20, scale=10), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("counted", sa.BigInteger(), nullable=False),
        sa.Column("base_counted", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "amount >= 0 AND counted >= 0 AND counted <= amount", name=op.f("ck_gift_allocations__parts")
        ),
        sa.CheckConstraint("percent > 0 AND percent <= 100", name=op.f("ck_gift_allocations__percent")),
        sa.ForeignKeyConstraint(
            ["organization_id", "fund_id"],
            ["funds.organization_id", "funds.id"],
            name=op.f("fk_gift_allocations__organization_id_fund_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "gift_id"],
            ["gifts.organization_id", "gifts.id"],
            name=op.f("fk_gift_allocations__organization_id_gift_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_gift_allocations__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "gift_id", "fund_id", name=op.f("pk_gift_allocations")),
    )
    op.create_index(
        "ix_gift_allocations__fund", "gift_allocations", ["organization_id", "fund_id", "gift_id"], unique=False
    )


def _soft_credits() -> None:
    op.create_table(
        "soft_credits",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("gift_id", sa.Uuid(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("origin", sa.Text(), server_default=sa.text("'manual'"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("origin IN ('manual', 'matching')", name=op.f("ck_soft_credits__origin")),
        sa.CheckConstraint(
            "type IN ('household_member', 'solicitor', 'matched_gift', 'employer', 'in_honor_of', 'influencer', 'donor_advised_fund', 'workplace', 'other')",
            name=op.f("ck_soft_credits__type"),
        ),
        sa.CheckConstraint("amount > 0", name=op.f("ck_soft_credits__amount")),
        sa.ForeignKeyConstraint(
            ["organization_id", "contact_id"],
            ["contacts.organization_id", "contacts.id"],
            name=op.f("fk_soft_credits__organization_id_contact_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "gift_id"],
            ["gifts.organization_id", "gifts.id"],
            name=op.f("fk_soft_credits__organization_id_gift_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_soft_credits__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_soft_credits")),
        sa.UniqueConstraint(
            "organization_id",
            "gift_id",
            "contact_id",
            "type",
            name=op.f("uq_soft_credits__organization_id_gift_id_contact_id_type"),
        ),
    )
    op.create_index("ix_soft_credits__contact", "soft_credits", ["organization_id", "contact_id", "id"], unique=False)


def _matching_gifts() -> None:
    op.create_table(
        "matching_gifts",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("gift_id", sa.Uuid(), nullable=False),
        sa.Column("company_contact_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("expected_amount", sa.BigInteger(), nullable=True),
        sa.Column("expected_currency", sa.Text(), nullable=True),
        sa.Column("received_amount", sa.BigInteger(), nullable=True),
        sa.Column("received_currency", sa.Text(), nullable=True),
        sa.Column("matching_gift_id", sa.Uuid(), nullable=True),
        sa.Column("submitted_on", sa.Date(), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(status = 'received') = (matching_gift_id IS NOT NULL)", name=op.f("ck_matching_gifts__received")
        ),
        sa.CheckConstraint("status IN ('potential', 'submitted', 'received')", name=op.f("ck_matching_gifts__status")),
        sa.CheckConstraint(
            "(expected_amount IS NULL) = (expected_currency IS NULL)", name=op.f("ck_matching_gifts__expected_amount")
        ),
        sa.CheckConstraint(
            "(matching_gift_id IS NULL) = (received_amount IS NULL) "
            "AND (received_amount IS NULL) = (received_currency IS NULL)",
            name=op.f("ck_matching_gifts__received_amount"),
        ),
        sa.CheckConstraint(
            "expected_amount > 0 AND received_amount > 0 AND gift_id <> matching_gift_id",
            name=op.f("ck_matching_gifts__sense"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "company_contact_id"],
            ["contacts.organization_id", "contacts.id"],
            name=op.f("fk_matching_gifts__organization_id_company_contact_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "gift_id"],
            ["gifts.organization_id", "gifts.id"],
            name=op.f("fk_matching_gifts__organization_id_gift_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "matching_gift_id"],
            ["gifts.organization_id", "gifts.id"],
            name=op.f("fk_matching_gifts__organization_id_matching_gift_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_matching_gifts__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_matching_gifts")),
        sa.UniqueConstraint(
            "organization_id",
            "gift_id",
            "company_contact_id",
            name=op.f("uq_matching_gifts__organization_id_gift_id_company_contact_id"),
        ),
    )
    op.create_index(
        "ix_matching_gifts__company", "matching_gifts", ["organization_id", "company_contact_id", "id"], unique=False
    )
    op.create_index(
        "ix_matching_gifts__matching", "matching_gifts", ["organization_id", "matching_gift_id"], unique=False
    )
    op.create_index("ix_matching_gifts__status", "matching_gifts", ["organization_id", "status", "id"], unique=False)


def _tributes() -> None:
    op.create_table(
        "tributes",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("gift_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("honoree_contact_id", sa.Uuid(), nullable=True),
        sa.Column("honoree_name", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("type IN ('honor', 'memorial')", name=op.f("ck_tributes__type")),
        sa.CheckConstraint(
            "honoree_contact_id IS NOT NULL OR honoree_name IS NOT NULL", name=op.f("ck_tributes__honoree")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "gift_id"],
            ["gifts.organization_id", "gifts.id"],
            name=op.f("fk_tributes__organization_id_gift_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "honoree_contact_id"],
            ["contacts.organization_id", "contacts.id"],
            name=op.f("fk_tributes__organization_id_honoree_contact_id"),
        ),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("fk_tributes__organization_id")),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_tributes")),
    )
    op.create_index("ix_tributes__gift", "tributes", ["organization_id", "gift_id"], unique=False)
    op.create_index("ix_tributes__honoree", "tributes", ["organization_id", "honoree_contact_id"], unique=False)


def _tribute_notices() -> None:
    op.create_table(
        "tribute_notices",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tribute_id", sa.Uuid(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("address", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("status", sa.Text(), server_default=sa.text("'pending'"), nullable=False),
        sa.Column("notified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(status = 'sent') = (notified_at IS NOT NULL)", name=op.f("ck_tribute_notices__notified_at")
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'sent', 'failed', 'not_needed')", name=op.f("ck_tribute_notices__status")
        ),
        sa.CheckConstraint("contact_id IS NOT NULL OR name IS NOT NULL", name=op.f("ck_tribute_notices__whom")),
        sa.ForeignKeyConstraint(
            ["organization_id", "contact_id"],
            ["contacts.organization_id", "contacts.id"],
            name=op.f("fk_tribute_notices__organization_id_contact_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "tribute_id"],
            ["tributes.organization_id", "tributes.id"],
            name=op.f("fk_tribute_notices__organization_id_tribute_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_tribute_notices__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_tribute_notices")),
    )
    op.create_index("ix_tribute_notices__contact", "tribute_notices", ["organization_id", "contact_id"], unique=False)
    op.create_index("ix_tribute_notices__status", "tribute_notices", ["organization_id", "status", "id"], unique=False)
    op.create_index(
        "ix_tribute_notices__tribute", "tribute_notices", ["organization_id", "tribute_id", "id"], unique=False
    )


def _gift_premiums() -> None:
    op.create_table(
        "gift_premiums",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("gift_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("fair_market_value", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("quantity > 0 AND fair_market_value >= 0", name=op.f("ck_gift_premiums__value")),
        sa.ForeignKeyConstraint(
            ["organization_id", "gift_id"],
            ["gifts.organization_id", "gifts.id"],
            name=op.f("fk_gift_premiums__organization_id_gift_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_gift_premiums__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_gift_premiums")),
    )
    op.create_index("ix_gift_premiums__gift", "gift_premiums", ["organization_id", "gift_id", "id"], unique=False)


def upgrade() -> None:
    _gift_batches()
    op.create_foreign_key(
        op.f("fk_gifts__organization_id_batch_id"),
        "gifts",
        "gift_batches",
        ["organization_id", "batch_id"],
        ["organization_id", "id"],
    )
    _gift_allocations()
    _soft_credits()
    _matching_gifts()
    _tributes()
    _tribute_notices()
    _gift_premiums()
    for table in (
        "gift_batches",
        "gift_allocations",
        "soft_credits",
        "matching_gifts",
        "tributes",
        "tribute_notices",
        "gift_premiums",
    ):
        protect(table, "SELECT, INSERT, UPDATE, DELETE")


def downgrade() -> None:
    raise RuntimeError("Restore a backup instead.")
