"""What appeals can be filtered and sorted by."""

from __future__ import annotations

from crm_api.campaigns.appeals.models import CHANNELS, appeals
from crm_api.kit.fields import Catalogue, Field

APPEALS = Catalogue(
    resource="appeals",
    table=appeals,
    default_sort="-id",
    fields=(
        Field("id", "uuid", appeals.c.id, sortable=True),
        Field("campaign_id", "uuid", appeals.c.campaign_id),
        Field("code", "text", appeals.c.code),
        Field("channel", "choice", appeals.c.channel, choices=CHANNELS),
        Field("sent_on", "date", appeals.c.sent_on),
        Field("created_at", "instant", appeals.c.created_at, sortable=True),
    ),
)
