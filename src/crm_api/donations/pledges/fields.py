"""What pledges can be filtered and sorted by."""

from __future__ import annotations

from crm_api.donations.pledges.models import KINDS, STATUSES, pledges
from crm_api.kit.fields import Catalogue, Field

PLEDGES = Catalogue(
    resource="pledges",
    table=pledges,
    default_sort="-id",
    fields=(
        Field("id", "uuid", pledges.c.id, sortable=True),
        Field("contact_id", "uuid", pledges.c.contact_id),
        Field("kind", "choice", pledges.c.kind, choices=KINDS),
        Field("status", "choice", pledges.c.status, choices=STATUSES),
        Field("currency", "text", pledges.c.currency),
        Field("next_due_on", "date", pledges.c.next_due_on),
        Field("fund_id", "uuid", pledges.c.fund_id),
        Field("campaign_id", "uuid", pledges.c.campaign_id),
        Field("owner_member_id", "uuid", pledges.c.owner_member_id),
        Field("created_at", "instant", pledges.c.created_at, sortable=True),
    ),
)
