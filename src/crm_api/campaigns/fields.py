"""What campaigns can be filtered and sorted by."""

from __future__ import annotations

from crm_api.campaigns.models import STATUSES, campaigns
from crm_api.kit.fields import Catalogue, Field

CAMPAIGNS = Catalogue(
    resource="campaigns",
    table=campaigns,
    default_sort="-id",
    fields=(
        Field("id", "uuid", campaigns.c.id, sortable=True),
        Field("code", "text", campaigns.c.code),
        Field("status", "choice", campaigns.c.status, choices=STATUSES),
        Field("starts_on", "date", campaigns.c.starts_on, sensitivity="public"),
        Field("ends_on", "date", campaigns.c.ends_on, sensitivity="public"),
        Field("created_at", "instant", campaigns.c.created_at, sortable=True),
    ),
)
