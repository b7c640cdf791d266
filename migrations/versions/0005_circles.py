"""Households, relationships, affiliations and custom fields."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from security import protect
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_ALL = "SELECT, INSERT, UPDATE, DELETE"


def _custom_fields() -> None:
    op.create_table(
        "custom_fields",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(collation="C"), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("labels", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("choices", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("required", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("filterable", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("sensitivity", sa.Text(), server_default=sa.text("'internal'"), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("position", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'active'"), nullable=False),
        sa.Column("indexed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("run_state", sa.Text(), nullable=True),
        sa.Column("run_after", sa.Uuid(), nullable=True),
        sa.Column("run_done", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("run_total", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("run_horizon", sa.BigInteger(), nullable=True),
        sa.Column("run_reason", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("resource IN ('contacts')", name=op.f("ck_custom_fields__resource")),
        sa.CheckConstraint(
            "type IN ('text', 'number', 'date', 'choice', 'multi_choice', 'boolean', 'money', 'reference')",
            name=op.f("ck_custom_fields__type"),
        ),
        sa.CheckConstraint(
            "sensitivity IN ('internal', 'donor_sensitive', 'beneficiary_sensitive')",
            name=op.f("ck_custom_fields__sensitivity"),
        ),
        sa.CheckConstraint("status IN ('active', 'archived', 'erasing')", name=op.f("ck_custom_fields__status")),
        sa.CheckConstraint(
            "run_state IS NULL OR run_state IN ('queued', 'running', 'succeeded', 'failed')",
            name=op.f("ck_custom_fields__run_state"),
        ),
        sa.CheckConstraint("position >= 0", name=op.f("ck_custom_fields__position")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_custom_fields__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_custom_fields")),
        sa.UniqueConstraint(
            "organization_id", "resource", "key", name=op.f("uq_custom_fields__organization_id_resource_key")
        ),
    )
    op.create_index("ix_custom_fields__position", "custom_fields", ["organization_id", "position", "id"])
    op.create_index("ix_custom_fields__created", "custom_fields", ["organization_id", "created_at", "id"])
    protect("custom_fields", _ALL)


def _custom_field_archive() -> None:
    op.create_table(
        "custom_field_archive",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("custom_field_id", sa.Uuid(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("content", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "custom_field_id"],
            ["custom_fields.organization_id", "custom_fields.id"],
            name=op.f("fk_custom_field_archive__organization_id_custom_field_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "contact_id"],
            ["contacts.organization_id", "contacts.id"],
            name=op.f("fk_custom_field_archive__organization_id_contact_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_custom_field_archive__organization_id")
        ),
        sa.PrimaryKeyConstraint(
            "organization_id", "custom_field_id", "contact_id", name=op.f("pk_custom_field_archive")
        ),
    )
    op.create_index("ix_custom_field_archive__contact", "custom_field_archive", ["organization_id", "contact_id"])
    protect("custom_field_archive", _ALL)


def _timed(*items: sa.Column | sa.Constraint) -> list[sa.Column | sa.Constraint]:
    """Columns that every row of ours has, around a table's own."""
    return [
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        *[item for item in items if isinstance(item, sa.Column)],
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        *[item for item in items if not isinstance(item, sa.Column)],
    ]


def _flag(name: str, default: str = "false") -> sa.Column:
    return sa.Column(name, sa.Boolean(), server_default=sa.text(default), nullable=False)


def _json(name: str, default: str) -> sa.Column:
    return sa.Column(name, postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text(default), nullable=False)


def _households() -> None:
    op.create_table(
        "households",
        *_timed(
            sa.Column("name", sa.Text(), nullable=False),
            _flag("name_auto", "true"),
            sa.Column("formal_greeting", sa.Text(), nullable=True),
            _flag("formal_greeting_auto", "true"),
            sa.Column("informal_greeting", sa.Text(), nullable=True),
            _flag("informal_greeting_auto", "true"),
            sa.Column("language", sa.Text(), nullable=True),
            sa.Column("address", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
            _flag("all_deceased"),
            sa.Column("status", sa.Text(), server_default=sa.text("'active'"), nullable=False),
            _flag("stale"),
            sa.CheckConstraint("status IN ('active', 'dissolved')", name=op.f("ck_households__status")),
            sa.ForeignKeyConstraint(
                ["organization_id"], ["organizations.id"], name=op.f("fk_households__organization_id")
            ),
            sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_households")),
        ),
    )
    op.create_index("ix_households__created", "households", ["organization_id", "created_at", "id"])
    op.create_index("ix_households__stale", "households", ["organization_id", "id"], postgresql_where=sa.text("stale"))
    protect("households", _ALL)


def _household_members() -> None:
    op.create_table(
        "household_members",
        *_timed(
            sa.Column("household_id", sa.Uuid(), nullable=False),
            sa.Column("contact_id", sa.Uuid(), nullable=False),
            sa.Column("role", sa.Text(), server_default=sa.text("'other'"), nullable=False),
            _flag("is_primary"),
            _flag("in_name", "true"),
            _flag("in_greetings", "true"),
            sa.Column("since", sa.Date(), nullable=False),
            sa.Column("until", sa.Date(), nullable=True),
            sa.CheckConstraint(
                "role IN ('head', 'spouse', 'partner', 'parent', 'child', 'grandparent', 'sibling', 'other')",
                name=op.f("ck_household_members__role"),
            ),
            sa.CheckConstraint("until >= since", name=op.f("ck_household_members__dates")),
            sa.ForeignKeyConstraint(
                ["organization_id", "household_id"],
                ["households.organization_id", "households.id"],
                name=op.f("fk_household_members__organization_id_household_id"),
                ondelete="CASCADE",
            ),
            sa.ForeignKeyConstraint(
                ["organization_id", "contact_id"],
                ["contacts.organization_id", "contacts.id"],
                name=op.f("fk_household_members__organization_id_contact_id"),
                ondelete="CASCADE",
            ),
            sa.ForeignKeyConstraint(
                ["organization_id"], ["organizations.id"], name=op.f("fk_household_members__organization_id")
            ),
            sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_household_members")),
        ),
    )
    table = "household_members"
    op.create_index("ix_household_members__household", table, ["organization_id", "household_id", "id"])
    op.create_index("ix_household_members__contact", table, ["organization_id", "contact_id"])
    op.create_index("ix_household_members__since", table, ["organization_id", "since", "id"])
    op.create_index(
        "uq_household_members__contact",
        table,
        ["organization_id", "contact_id"],
        unique=True,
        postgresql_where=sa.text("until IS NULL"),
    )
    op.create_index(
        "uq_household_members__primary",
        table,
        ["organization_id", "household_id"],
        unique=True,
        postgresql_where=sa.text("is_primary AND until IS NULL"),
    )
    protect(table, _ALL)


def _household_patterns() -> None:
    op.create_table(
        "household_patterns",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("language", sa.Text(collation="C"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("formal_greeting", sa.Text(), nullable=False),
        sa.Column("informal_greeting", sa.Text(), nullable=False),
        sa.Column("conjunction", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_household_patterns__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_household_patterns")),
        sa.UniqueConstraint(
            "organization_id", "language", name=op.f("uq_household_patterns__organization_id_language")
        ),
    )
    protect("household_patterns", _ALL)


def _relationship_types() -> None:
    op.create_table(
        "relationship_types",
        *_timed(
            sa.Column("code", sa.Text(collation="C"), nullable=False),
            sa.Column("kind", sa.Text(), nullable=False),
            sa.Column("from_kind", sa.Text(), nullable=False),
            sa.Column("to_kind", sa.Text(), nullable=False),
            _flag("is_symmetric"),
            sa.Column("name", sa.Text(), nullable=False),
            sa.Column("reciprocal_name", sa.Text(), nullable=False),
            _json("names", "'{}'"),
            sa.Column("status", sa.Text(), server_default=sa.text("'active'"), nullable=False),
            sa.Column("position", sa.Integer(), server_default=sa.text("0"), nullable=False),
            sa.CheckConstraint("kind IN ('personal', 'affiliation')", name=op.f("ck_relationship_types__kind")),
            sa.CheckConstraint(
                "from_kind IN ('person', 'organization', 'any')", name=op.f("ck_relationship_types__from_kind")
            ),
            sa.CheckConstraint(
                "to_kind IN ('person', 'organization', 'any')", name=op.f("ck_relationship_types__to_kind")
            ),
            sa.CheckConstraint("status IN ('active', 'archived')", name=op.f("ck_relationship_types__status")),
            sa.ForeignKeyConstraint(
                ["organization_id"], ["organizations.id"], name=op.f("fk_relationship_types__organization_id")
            ),
            sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_relationship_types")),
            sa.UniqueConstraint("organization_id", "code", name=op.f("uq_relationship_types__organization_id_code")),
        ),
    )
    op.create_index("ix_relationship_types__position", "relationship_types", ["organization_id", "position", "id"])
    protect("relationship_types", _ALL)


def _relationships() -> None:
    table = "relationships"
    op.create_table(
        table,
        *_timed(
            sa.Column("type_id", sa.Uuid(), nullable=False),
            sa.Column("kind", sa.Text(), nullable=False),
            sa.Column("from_contact_id", sa.Uuid(), nullable=False),
            sa.Column("to_contact_id", sa.Uuid(), nullable=False),
            sa.Column("since", sa.Date(), nullable=True),
            sa.Column("until", sa.Date(), nullable=True),
            sa.Column("note", sa.Text(), nullable=True),
            sa.Column("job_title", sa.Text(), nullable=True),
            _flag("is_primary"),
            sa.CheckConstraint("kind IN ('personal', 'affiliation')", name=op.f("ck_relationships__kind")),
            sa.CheckConstraint("from_contact_id <> to_contact_id", name=op.f("ck_relationships__two_contacts")),
            sa.CheckConstraint("until >= since", name=op.f("ck_relationships__dates")),
            sa.CheckConstraint(
                "kind = 'affiliation' OR (job_title IS NULL AND NOT is_primary)",
                name=op.f("ck_relationships__affiliation"),
            ),
            sa.ForeignKeyConstraint(
                ["organization_id", "type_id"],
                ["relationship_types.organization_id", "relationship_types.id"],
                name=op.f("fk_relationships__organization_id_type_id"),
            ),
            *(
                sa.ForeignKeyConstraint(
                    ["organization_id", f"{side}_contact_id"],
                    ["contacts.organization_id", "contacts.id"],
                    name=op.f(f"fk_relationships__organization_id_{side}_contact_id"),
                    ondelete="CASCADE",
                )
                for side in ("from", "to")
            ),
            sa.ForeignKeyConstraint(
                ["organization_id"], ["organizations.id"], name=op.f("fk_relationships__organization_id")
            ),
            sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_relationships")),
        ),
    )
    op.create_index("ix_relationships__type", table, ["organization_id", "type_id"])
    op.create_index("ix_relationships__from", table, ["organization_id", "from_contact_id", "id"])
    op.create_index("ix_relationships__to", table, ["organization_id", "to_contact_id", "id"])
    op.create_index("ix_relationships__created", table, ["organization_id", "created_at", "id"])
    op.create_index(
        "uq_relationships__lasting",
        table,
        ["organization_id", "type_id", "from_contact_id", "to_contact_id"],
        unique=True,
        postgresql_where=sa.text("until IS NULL"),
    )
    op.create_index(
        "uq_relationships__primary",
        table,
        ["organization_id", "from_contact_id"],
        unique=True,
        postgresql_where=sa.text("is_primary AND until IS NULL"),
    )
    protect(table, _ALL)


def upgrade() -> None:
    _custom_fields()
    _custom_field_archive()
    _households()
    _household_members()
    _household_patterns()
    _relationship_types()
    _relationships()


def downgrade() -> None:
    raise RuntimeError("Restore a backup instead: what people entered since would be lost.")
