"""Consent events, and the requests of people about their data: erasures and exports."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from security import protect
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def _consent_events() -> None:
    op.create_table(
        "consent_events",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("purpose", sa.Text(collation="C"), nullable=True),
        sa.Column("channel", sa.Text(), nullable=True),
        sa.Column("list", sa.Text(collation="C"), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("legal_basis", sa.Text(), nullable=True),
        sa.Column("wording", sa.Text(), nullable=True),
        sa.Column("wording_version", sa.Text(), nullable=True),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("evidence", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("recorded_by_kind", sa.Text(), nullable=False),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("status IN ('granted', 'withdrawn', 'objected')", name=op.f("ck_consent_events__status")),
        sa.CheckConstraint(
            "legal_basis IS NULL OR legal_basis IN ('consent', 'legitimate_interest', 'contract', 'legal_obligation', "
            "'vital_interest', 'public_task')",
            name=op.f("ck_consent_events__legal_basis"),
        ),
        sa.CheckConstraint(
            "channel IS NULL OR channel IN ('email', 'phone', 'sms', 'post', 'telegram', 'viber', 'whatsapp', 'signal', "
            "'facebook', 'instagram')",
            name=op.f("ck_consent_events__channel"),
        ),
        sa.CheckConstraint("(status = 'granted') = (legal_basis IS NOT NULL)", name=op.f("ck_consent_events__basis")),
        sa.CheckConstraint("list IS NULL OR purpose IS NOT NULL", name=op.f("ck_consent_events__list")),
        sa.ForeignKeyConstraint(
            ["organization_id", "contact_id"],
            ["contacts.organization_id", "contacts.id"],
            name=op.f("fk_consent_events__organization_id_contact_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_consent_events__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_consent_events")),
    )
    op.create_index(
        "ix_consent_events__contact", "consent_events", ["organization_id", "contact_id", "at", "id"], unique=False
    )
    # Evidence: a merge may move an event to another contact, an erasure take out what is personal, nothing else.
    protect("consent_events", "SELECT, INSERT, UPDATE (contact_id, wording, wording_version, source, evidence)")


def _privacy_requests() -> None:
    op.create_table(
        "privacy_requests",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'queued'"), nullable=False),
        sa.Column("permille", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("plan", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("files", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=True),
        sa.Column("file_bytes", sa.BigInteger(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("requested_by_kind", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('erasure', 'export')", name=op.f("ck_privacy_requests__kind")),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'succeeded', 'failed')", name=op.f("ck_privacy_requests__state")
        ),
        sa.CheckConstraint("permille BETWEEN 0 AND 1000", name=op.f("ck_privacy_requests__permille")),
        sa.ForeignKeyConstraint(
            ["organization_id", "contact_id"],
            ["contacts.organization_id", "contacts.id"],
            name=op.f("fk_privacy_requests__organization_id_contact_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_privacy_requests__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_privacy_requests")),
    )
    op.create_index(
        "ix_privacy_requests__contact", "privacy_requests", ["organization_id", "contact_id", "id"], unique=False
    )
    op.create_index(
        "ix_privacy_requests__expiring",
        "privacy_requests",
        ["organization_id", "expires_at"],
        unique=False,
        postgresql_where=sa.text("file_name IS NOT NULL"),
    )
    protect("privacy_requests", "SELECT, INSERT, UPDATE, DELETE")


def _messages() -> None:
    op.create_foreign_key(
        op.f("fk_messages__organization_id_consent_event_id"),
        "messages",
        "consent_events",
        ["organization_id", "consent_event_id"],
        ["organization_id", "id"],
    )
    op.create_index(
        "ix_messages__consent",
        "messages",
        ["organization_id", "consent_event_id"],
        unique=False,
        postgresql_where=sa.text("consent_event_id IS NOT NULL"),
    )


def upgrade() -> None:
    _consent_events()
    _privacy_requests()
    _messages()


def downgrade() -> None:
    raise RuntimeError("Restore a backup instead: what people entered since would be lost.")
