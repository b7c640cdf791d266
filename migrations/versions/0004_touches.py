"""Interactions, notes and tasks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from security import protect
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _interactions()
    _interaction_participants()
    _interaction_members()
    _interaction_mentions()
    _tasks()
    for table in ("interactions", "interaction_participants", "interaction_members", "interaction_mentions", "tasks"):
        protect(table, "SELECT, INSERT, UPDATE, DELETE")


def downgrade() -> None:
    raise RuntimeError("Restore a backup instead: what people entered since would be lost.")


def _interactions() -> None:
    op.create_table(
        "interactions",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("direction", sa.Text(), server_default=sa.text("'none'"), nullable=False),
        sa.Column("channel", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("duration_seconds", sa.Integer(), nullable=True),
        sa.Column("campaign_id", sa.Uuid(), nullable=True),
        sa.Column("external_system", sa.Text(collation="C"), nullable=True),
        sa.Column("external_id", sa.Text(collation="C"), nullable=True),
        sa.Column("sensitivity", sa.Text(), server_default=sa.text("'donor_sensitive'"), nullable=False),
        sa.Column("mentions", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "channel IS NULL OR channel IN ('phone', 'email', 'sms', 'telegram', 'viber', 'whatsapp', 'signal', 'facebook', 'instagram', 'in_person', 'video', 'mail', 'web', 'other')",
            name=op.f("ck_interactions__channel"),
        ),
        sa.CheckConstraint("direction IN ('inbound', 'outbound', 'none')", name=op.f("ck_interactions__direction")),
        sa.CheckConstraint(
            "kind IN ('call', 'meeting', 'email', 'message', 'visit', 'note')", name=op.f("ck_interactions__kind")
        ),
        sa.CheckConstraint(
            "sensitivity IN ('donor_sensitive', 'beneficiary_sensitive')", name=op.f("ck_interactions__sensitivity")
        ),
        sa.CheckConstraint("(external_system IS NULL) = (external_id IS NULL)", name=op.f("ck_interactions__external")),
        sa.CheckConstraint("duration_seconds >= 0", name=op.f("ck_interactions__duration_seconds")),
        sa.ForeignKeyConstraint(
            ["organization_id", "campaign_id"],
            ["campaigns.organization_id", "campaigns.id"],
            name=op.f("fk_interactions__organization_id_campaign_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_interactions__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_interactions")),
    )
    op.create_index("ix_interactions__at", "interactions", ["organization_id", "at", "id"], unique=False)
    op.create_index(
        "ix_interactions__campaign",
        "interactions",
        ["organization_id", "campaign_id"],
        unique=False,
        postgresql_where=sa.text("campaign_id IS NOT NULL"),
    )
    op.create_index("ix_interactions__created", "interactions", ["organization_id", "created_at", "id"], unique=False)
    op.create_index(
        "uq_interactions__external",
        "interactions",
        ["organization_id", "external_system", "external_id"],
        unique=True,
        postgresql_where=sa.text("external_id IS NOT NULL"),
    )


def _interaction_participants() -> None:
    op.create_table(
        "interaction_participants",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("interaction_id", sa.Uuid(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.Text(), server_default=sa.text("'participant'"), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "role IN ('participant', 'organizer', 'caller', 'callee', 'sender', 'recipient', 'about')",
            name=op.f("ck_interaction_participants__role"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "contact_id"],
            ["contacts.organization_id", "contacts.id"],
            name=op.f("fk_interaction_participants__organization_id_contact_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "interaction_id"],
            ["interactions.organization_id", "interactions.id"],
            name=op.f("fk_interaction_participants__organization_id_interaction_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_interaction_participants__organization_id")
        ),
        sa.PrimaryKeyConstraint(
            "organization_id", "interaction_id", "contact_id", name=op.f("pk_interaction_participants")
        ),
    )
    op.create_index(
        "ix_interaction_participants__timeline",
        "interaction_participants",
        ["organization_id", "contact_id", "at", "interaction_id"],
        unique=False,
        postgresql_include=["role"],
    )


def _interaction_members() -> None:
    op.create_table(
        "interaction_members",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("interaction_id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.Text(), server_default=sa.text("'participant'"), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "role IN ('participant', 'organizer', 'caller', 'callee', 'sender', 'recipient', 'about')",
            name=op.f("ck_interaction_members__role"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "interaction_id"],
            ["interactions.organization_id", "interactions.id"],
            name=op.f("fk_interaction_members__organization_id_interaction_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "member_id"],
            ["members.organization_id", "members.id"],
            name=op.f("fk_interaction_members__organization_id_member_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_interaction_members__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "interaction_id", "member_id", name=op.f("pk_interaction_members")),
    )
    op.create_index(
        "ix_interaction_members__member",
        "interaction_members",
        ["organization_id", "member_id", "interaction_id"],
        unique=False,
    )


def _interaction_mentions() -> None:
    op.create_table(
        "interaction_mentions",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("interaction_id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("mentioned_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "interaction_id"],
            ["interactions.organization_id", "interactions.id"],
            name=op.f("fk_interaction_mentions__organization_id_interaction_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "member_id"],
            ["members.organization_id", "members.id"],
            name=op.f("fk_interaction_mentions__organization_id_member_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_interaction_mentions__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "interaction_id", "member_id", name=op.f("pk_interaction_mentions")),
    )
    op.create_index(
        "ix_interaction_mentions__member",
        "interaction_mentions",
        ["organization_id", "member_id", "interaction_id"],
        unique=False,
    )


def _tasks() -> None:
    op.create_table(
        "tasks",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), server_default=sa.text("'open'"), nullable=False),
        sa.Column("priority", sa.Text(), server_default=sa.text("'normal'"), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=True),
        sa.Column("assignee_id", sa.Uuid(), nullable=True),
        sa.Column("deal_id", sa.Uuid(), nullable=True),
        sa.Column("interaction_id", sa.Uuid(), nullable=True),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_by", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_told", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("remind_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reminded", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("reminded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_by_kind", sa.Text(), nullable=True),
        sa.Column("completed_by_id", sa.Text(), nullable=True),
        sa.Column("timeline_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(status = 'done') = (completed_at IS NOT NULL)", name=op.f("ck_tasks__completed")),
        sa.CheckConstraint("priority IN ('low', 'normal', 'high', 'urgent')", name=op.f("ck_tasks__priority")),
        sa.CheckConstraint("status IN ('open', 'done', 'canceled')", name=op.f("ck_tasks__status")),
        sa.CheckConstraint("NOT reminded OR remind_at IS NOT NULL", name=op.f("ck_tasks__reminded")),
        sa.CheckConstraint("due_on IS NULL OR due_at IS NULL", name=op.f("ck_tasks__due")),
        sa.ForeignKeyConstraint(
            ["organization_id", "assignee_id"],
            ["members.organization_id", "members.id"],
            name=op.f("fk_tasks__organization_id_assignee_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "contact_id"],
            ["contacts.organization_id", "contacts.id"],
            name=op.f("fk_tasks__organization_id_contact_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "deal_id"],
            ["deals.organization_id", "deals.id"],
            name=op.f("fk_tasks__organization_id_deal_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "interaction_id"],
            ["interactions.organization_id", "interactions.id"],
            name=op.f("fk_tasks__organization_id_interaction_id"),
            ondelete="SET NULL (interaction_id)",
        ),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("fk_tasks__organization_id")),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_tasks")),
    )
    op.create_index(
        "ix_tasks__assignee", "tasks", ["organization_id", "assignee_id", "status", "due_by", "id"], unique=False
    )
    op.create_index("ix_tasks__contact", "tasks", ["organization_id", "contact_id", "timeline_at", "id"], unique=False)
    op.create_index("ix_tasks__created", "tasks", ["organization_id", "created_at", "id"], unique=False)
    op.create_index(
        "ix_tasks__deal",
        "tasks",
        ["organization_id", "deal_id"],
        unique=False,
        postgresql_where=sa.text("deal_id IS NOT NULL"),
    )
    op.create_index("ix_tasks__due", "tasks", ["organization_id", "due_by", "id"], unique=False)
    op.create_index(
        "ix_tasks__interaction",
        "tasks",
        ["organization_id", "interaction_id"],
        unique=False,
        postgresql_where=sa.text("interaction_id IS NOT NULL"),
    )
    op.create_index("ix_tasks__status", "tasks", ["organization_id", "status", "due_by", "id"], unique=False)
    op.create_index(
        "ix_tasks__to_remind",
        "tasks",
        ["organization_id", "remind_at", "id"],
        unique=False,
        postgresql_where=sa.text("status = 'open' AND NOT reminded AND remind_at IS NOT NULL"),
    )
    op.create_index(
        "ix_tasks__to_tell",
        "tasks",
        ["organization_id", "due_by", "id"],
        unique=False,
        postgresql_where=sa.text("status = 'open' AND NOT due_told"),
    )
