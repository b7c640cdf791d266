"""What members can be filtered and sorted by."""

from __future__ import annotations

from crm_api.kit.fields import Catalogue, Field
from crm_api.organizations.models import ROLES, members

MEMBERS = Catalogue(
    resource="members",
    table=members,
    default_sort="-id",
    fields=(
        Field("id", "uuid", members.c.id, sortable=True),
        Field("email", "text", members.c.email, normalize=str.lower, description="E-mail address, in any case."),
        Field("role", "choice", members.c.role, choices=ROLES),
        Field("status", "choice", members.c.status, choices=("active", "disabled")),
        Field("created_at", "instant", members.c.created_at),
    ),
)
