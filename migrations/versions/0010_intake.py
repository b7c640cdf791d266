"""Sources of intake and what they sent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from security import lookup_function, protect
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

KINDS = "kind IN ('form', 'google_forms', 'binotel', 'ringostat', 'meta_leads', 'telegram', 'viber')"


def upgrade() -> None:
    _intake_sources()
    _intake_deliveries()
    for table in ("intake_sources", "intake_deliveries"):
        protect(table, "SELECT, INSERT, UPDATE, DELETE")
    _lookup()


def downgrade() -> None:
    raise RuntimeError("Restore a backup instead: what people entered since would be lost.")


def _intake_sources() -> None:
    op.create_table(
        "intake_sources",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("credentials", sa.LargeBinary(), nullable=False),
        sa.Column("mapping", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("defaults", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("campaign_id", sa.Uuid(), nullable=True),
        sa.Column("bot_username", sa.Text(), nullable=True),
        sa.Column("start_system", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(KINDS, name=op.f("ck_intake_sources__kind")),
        sa.ForeignKeyConstraint(
            ["organization_id", "campaign_id"],
            ["campaigns.organization_id", "campaigns.id"],
            name=op.f("fk_intake_sources__organization_id_campaign_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_intake_sources__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_intake_sources")),
    )
    op.create_index("ix_intake_sources__created", "intake_sources", ["organization_id", "created_at", "id"])
    op.create_index("ix_intake_sources__campaign", "intake_sources", ["organization_id", "campaign_id"])
    op.create_index("ix_intake_sources__id", "intake_sources", ["id"], unique=True)


def _intake_deliveries() -> None:
    op.create_table(
        "intake_deliveries",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("delivery_key", sa.Text(collation="C"), nullable=False),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("handle", sa.Text(collation="C"), nullable=True),
        sa.Column("reach", sa.Text(), nullable=True),
        sa.Column("contact_id", sa.Uuid(), nullable=True),
        sa.Column("interaction_id", sa.Uuid(), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("handled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(KINDS, name=op.f("ck_intake_deliveries__kind")),
        sa.CheckConstraint(
            "state IN ('received', 'handled', 'ignored', 'unmatched', 'failed')",
            name=op.f("ck_intake_deliveries__state"),
        ),
        sa.CheckConstraint(
            "reach IS NULL OR reach IN ('valid', 'opted_out')", name=op.f("ck_intake_deliveries__reach")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "contact_id"],
            ["contacts.organization_id", "contacts.id"],
            name=op.f("fk_intake_deliveries__organization_id_contact_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "interaction_id"],
            ["interactions.organization_id", "interactions.id"],
            name=op.f("fk_intake_deliveries__organization_id_interaction_id"),
            ondelete="SET NULL (interaction_id)",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "source_id"],
            ["intake_sources.organization_id", "intake_sources.id"],
            name=op.f("fk_intake_deliveries__organization_id_source_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_intake_deliveries__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_intake_deliveries")),
        sa.UniqueConstraint(
            "organization_id",
            "source_id",
            "delivery_key",
            name=op.f("uq_intake_deliveries__organization_id_source_id_delivery_key"),
        ),
    )
    op.create_index("ix_intake_deliveries__received", "intake_deliveries", ["organization_id", "received_at", "id"])
    op.create_index("ix_intake_deliveries__state", "intake_deliveries", ["organization_id", "state", "id"])
    op.create_index("ix_intake_deliveries__contact", "intake_deliveries", ["organization_id", "contact_id"])
    op.create_index("ix_intake_deliveries__interaction", "intake_deliveries", ["organization_id", "interaction_id"])
    op.create_index(
        "ix_intake_deliveries__handle",
        "intake_deliveries",
        ["organization_id", "handle", "occurred_at"],
        postgresql_where=sa.text("handle IS NOT NULL"),
    )


def _lookup() -> None:
    """One function finds whatever listens at an address: payment connections and sources of intake alike."""
    op.execute("DROP FUNCTION crm_lookup_payment_connection(uuid)")
    tenant = "o.mode, o.currency, o.timezone, o.language, o.test_clock"
    lookup_function(
        "crm_lookup_connection(wanted uuid)",
        "TABLE(organization_id uuid, mode text, currency text, timezone text, language text, test_clock timestamptz, "
        "id uuid, purpose text, provider text, status text, credentials bytea)",
        f"""SELECT c.organization_id, {tenant}, c.id, 'payment', c.provider, c.status, c.credentials
            FROM public.payment_connections c JOIN public.organizations o ON o.id = c.organization_id
            WHERE c.id = wanted
            UNION ALL
            SELECT s.organization_id, {tenant}, s.id, 'intake', s.kind,
                CASE WHEN s.active THEN 'active' ELSE 'disabled' END, s.credentials
            FROM public.intake_sources s JOIN public.organizations o ON o.id = s.organization_id
            WHERE s.id = wanted""",
        {
            "payment_connections": "organization_id, id, provider, status, credentials",
            "intake_sources": "organization_id, id, kind, active, credentials",
        },
    )
