"""What teams can be filtered and sorted by."""

from __future__ import annotations

from crm_api.kit.fields import Catalogue, Field
from crm_api.organizations.teams.models import team_keys, team_members, teams

TEAMS = Catalogue(
    resource="teams",
    table=teams,
    default_sort="-id",
    fields=(
        Field("id", "uuid", teams.c.id, sortable=True),
        Field("name", "text", teams.c.name, sensitivity="public"),
        Field("parent_id", "uuid", teams.c.parent_id, description="Parts of this team."),
        Field(
            "member_id",
            "uuid",
            sources=((team_members.c.team_id, team_members.c.member_id),),
            description="Teams that this member belongs to.",
        ),
        Field(
            "key_id",
            "uuid",
            sources=((team_keys.c.team_id, team_keys.c.key_id),),
            description="Teams that this API key belongs to.",
        ),
        Field("created_at", "instant", teams.c.created_at, sortable=True),
    ),
)
