"""What soft credits can be filtered and sorted by."""

from __future__ import annotations

from crm_api.donations.credits.models import ORIGINS, TYPES, soft_credits
from crm_api.kit.fields import Catalogue, Field

SOFT_CREDITS = Catalogue(
    resource="soft-credits",
    table=soft_credits,
    default_sort="-id",
    fields=(
        Field("id", "uuid", soft_credits.c.id, sortable=True),
        Field("gift_id", "uuid", soft_credits.c.gift_id, filterable=False),
        Field("contact_id", "uuid", soft_credits.c.contact_id, filterable=False),
        Field("type", "choice", soft_credits.c.type, choices=TYPES),
        Field("origin", "choice", soft_credits.c.origin, choices=ORIGINS),
    ),
)
