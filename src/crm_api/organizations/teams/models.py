"""Teams or branches, and who belongs to them. What they look after is in `contacts.teams`."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text

from crm_api.kit.limits import RowLimit
from crm_api.kit.tables import instant, number, refers, string, tenant_table, uid

_FOR_READING = RowLimit(open="names of teams and ids of those who work in them", privileges=("SELECT",))

teams = tenant_table(
    "teams",
    string("name", tag="public"),
    uid("parent_id", null=True),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    CheckConstraint("parent_id <> id", name="parent"),
    UniqueConstraint("organization_id", "name"),
    refers("parent_id", "teams"),
    Index("ix_teams__parent", "organization_id", "parent_id", postgresql_where=text("parent_id IS NOT NULL")),
    Index("ix_teams__created", "organization_id", "created_at", "id"),
    limit=_FOR_READING,
)

team_members = tenant_table(
    "team_members",
    uid("team_id"),
    uid("member_id"),
    instant("joined_at"),
    refers("team_id", "teams", on_delete="CASCADE"),
    refers("member_id", "members", on_delete="CASCADE"),
    Index("ix_team_members__team", "organization_id", "team_id", "member_id"),
    key=("member_id", "team_id"),
    limit=_FOR_READING,
)

team_keys = tenant_table(
    "team_keys",
    uid("team_id"),
    uid("key_id"),
    instant("joined_at"),
    refers("team_id", "teams", on_delete="CASCADE"),
    refers("key_id", "api_keys", on_delete="CASCADE"),
    Index("ix_team_keys__team", "organization_id", "team_id", "key_id"),
    key=("key_id", "team_id"),
    limit=_FOR_READING,
)
