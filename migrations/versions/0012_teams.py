"""Teams, which contacts each looks after, and the role of callers that see these alone.

The policies that hold the role are made from the models after every migration (`crm-api migrate`).
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from security import create_limited_role, lookup_function, protect
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

MADE_UNDER = "NULLIF(current_setting('crm.made_under', true), '')::jsonb"


def upgrade() -> None:
    create_limited_role()
    _settings()
    _teams()
    _belonging("team_members", "member_id", "members")
    _belonging("team_keys", "key_id", "api_keys")
    _contact_teams()
    for table in ("teams", "team_members", "team_keys", "contact_teams"):
        protect(table, "SELECT, INSERT, UPDATE, DELETE")
    for table in ("exports", "imports", "merge_batches", "privacy_requests"):
        made_under = sa.Column("made_under", postgresql.JSONB(), server_default=sa.text(MADE_UNDER), nullable=True)
        op.add_column(table, made_under)
    _lookup()
    op.create_index("ix_contacts__display_name", "contacts", ["organization_id", "display_name", "id"])
    op.create_index(
        "ix_contacts__language",
        "contacts",
        ["organization_id", "language", "id"],
        postgresql_where=sa.text("language IS NOT NULL"),
    )


def downgrade() -> None:
    raise RuntimeError("Restore a backup instead: without teams everybody would see everything.")


def _settings() -> None:
    for name, values, default in (
        ("team_access", ("off", "on"), "off"),
        ("unassigned_contacts", ("hidden", "seen"), "hidden"),
        ("beneficiary_privacy", ("fields", "records"), "fields"),
    ):
        column = sa.Column(name, sa.Text(), server_default=sa.text(f"'{default}'"), nullable=False)
        op.add_column("organizations", column)
        listed = ", ".join(f"'{value}'" for value in values)
        op.create_check_constraint(op.f(f"ck_organizations__{name}"), "organizations", f"{name} IN ({listed})")
    roles = sa.Column(
        "beneficiary_roles", postgresql.JSONB(), server_default=sa.text("""'["beneficiary"]'"""), nullable=False
    )
    op.add_column("organizations", roles)
    for table, default in (("members", "false"), ("api_keys", "true")):
        op.add_column(table, sa.Column("sees_all", sa.Boolean(), server_default=sa.text(default), nullable=False))
    op.execute("ALTER TABLE members NO FORCE ROW LEVEL SECURITY")
    op.execute("UPDATE members SET sees_all = true WHERE role IN ('owner', 'admin')")
    op.execute("ALTER TABLE members FORCE ROW LEVEL SECURITY")


def _teams() -> None:
    op.create_table(
        "teams",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("parent_id <> id", name=op.f("ck_teams__parent")),
        sa.ForeignKeyConstraint(
            ["organization_id", "parent_id"],
            ["teams.organization_id", "teams.id"],
            name=op.f("fk_teams__organization_id_parent_id"),
        ),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("fk_teams__organization_id")),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_teams")),
        sa.UniqueConstraint("organization_id", "name", name=op.f("uq_teams__organization_id_name")),
    )
    op.create_index(
        "ix_teams__parent",
        "teams",
        ["organization_id", "parent_id"],
        postgresql_where=sa.text("parent_id IS NOT NULL"),
    )
    op.create_index("ix_teams__created", "teams", ["organization_id", "created_at", "id"])


def _belonging(table: str, column: str, target: str) -> None:
    op.create_table(
        table,
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.Column(column, sa.Uuid(), nullable=False),
        sa.Column("joined_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "team_id"],
            ["teams.organization_id", "teams.id"],
            name=op.f(f"fk_{table}__organization_id_team_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", column],
            [f"{target}.organization_id", f"{target}.id"],
            name=op.f(f"fk_{table}__organization_id_{column}"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f(f"fk_{table}__organization_id")),
        sa.PrimaryKeyConstraint("organization_id", column, "team_id", name=op.f(f"pk_{table}")),
    )
    op.create_index(f"ix_{table}__team", table, ["organization_id", "team_id", column])


def _contact_teams() -> None:
    op.create_table(
        "contact_teams",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.Column("assigned_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "contact_id"],
            ["contacts.organization_id", "contacts.id"],
            name=op.f("fk_contact_teams__organization_id_contact_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "team_id"],
            ["teams.organization_id", "teams.id"],
            name=op.f("fk_contact_teams__organization_id_team_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_contact_teams__organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "contact_id", "team_id", name=op.f("pk_contact_teams")),
    )
    op.create_index("ix_contact_teams__team", "contact_teams", ["organization_id", "team_id", "contact_id"])


def _lookup() -> None:
    """A key's row says whether it sees everything, and its organization's what is hidden from those that do not."""
    op.execute("DROP FUNCTION crm_lookup_api_key(uuid)")
    tenant = "mode, currency, timezone, language, test_clock"
    access = "team_access, unassigned_contacts, beneficiary_privacy, beneficiary_roles"
    key = "secret_hash, scopes, expires_at, revoked_at, last_used_at, sees_all"
    shown = ", ".join(f"o.{name.strip()}" for name in f"{tenant}, {access}".split(","))
    lookup_function(
        "crm_lookup_api_key(wanted uuid)",
        "TABLE(organization_id uuid, mode text, currency text, timezone text, language text, test_clock timestamptz, "
        "team_access text, unassigned_contacts text, beneficiary_privacy text, beneficiary_roles jsonb, "
        "secret_hash text, scopes jsonb, expires_at timestamptz, revoked_at timestamptz, last_used_at timestamptz, "
        "sees_all boolean)",
        f"""SELECT k.organization_id, {shown}, {", ".join(f"k.{name.strip()}" for name in key.split(","))}
            FROM public.api_keys k JOIN public.organizations o ON o.id = k.organization_id WHERE k.id = wanted""",
        {
            "organizations": f"id, {tenant}, {access}",
            "api_keys": f"organization_id, id, {key}",
        },
    )
