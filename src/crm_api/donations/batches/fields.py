"""What batches of gifts can be filtered and sorted by."""

from __future__ import annotations

from crm_api.donations.batches.models import STATUSES, gift_batches
from crm_api.kit.fields import Catalogue, Field

GIFT_BATCHES = Catalogue(
    resource="gift-batches",
    table=gift_batches,
    default_sort="-created_at",
    fields=(
        Field("id", "uuid", gift_batches.c.id, sortable=True),
        Field("status", "choice", gift_batches.c.status, choices=STATUSES),
        Field("currency", "text", gift_batches.c.currency),
        Field("created_at", "instant", gift_batches.c.created_at, sortable=True),
    ),
)
