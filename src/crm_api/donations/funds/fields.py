"""What funds can be filtered and sorted by."""

from __future__ import annotations

from crm_api.donations.funds.models import funds
from crm_api.kit.fields import Catalogue, Field

FUNDS = Catalogue(
    resource="funds",
    table=funds,
    default_sort="-id",
    fields=(
        Field("id", "uuid", funds.c.id, sortable=True),
        Field("code", "text", funds.c.code),
        Field("status", "choice", funds.c.status, choices=("active", "closed")),
        Field("created_at", "instant", funds.c.created_at, sortable=True),
    ),
)
