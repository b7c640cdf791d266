"""What checkouts can be filtered and sorted by."""

from __future__ import annotations

from crm_api.kit.fields import Catalogue, Field
from crm_api.payments.checkouts.models import checkouts

CHECKOUTS = Catalogue(
    resource="checkouts",
    table=checkouts,
    default_sort="-created_at",
    fields=(
        Field("id", "uuid", checkouts.c.id, sortable=True),
        Field("connection_id", "uuid", checkouts.c.connection_id),
        Field("donation_id", "uuid", checkouts.c.gift_id),
        Field("created_at", "instant", checkouts.c.created_at, sortable=True),
    ),
)
